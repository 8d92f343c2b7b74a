"""What a scan would ask and cost, by detector and model: the numbers of a plan."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

from vsil_audit.gateway.prices import FREE, Price

_SUMS = (
    "calls",
    "cached",
    "learnt",
    "input_tokens",
    "output_tokens",
    "most_output_tokens",
    "images",
    "most_images",
    "call_seconds",
    "timed",
)


@dataclass(slots=True)
class ModelCost:
    """One model in one detector. `calls`: those to be paid for; `cached`: answers that are kept already, or asked twice
    in the run. Tokens and seconds are expected values, `most_output_tokens` the bound that `max_tokens` sets. `images`:
    made by calls of an image generator, and the most that it may take. `learnt`: calls whose tokens rest on kept
    answers of their kind; the others are guesses."""

    detector: str
    model: str
    price: Price | None
    calls: int = 0
    cached: int = 0
    learnt: int = 0
    input_tokens: float = 0.0
    output_tokens: float = 0.0
    most_output_tokens: float = 0.0
    images: int = 0
    most_images: int = 0
    call_seconds: float = 0.0
    timed: int = 0

    def __add__(self, other: ModelCost) -> ModelCost:
        sums = {name: getattr(self, name) + getattr(other, name) for name in _SUMS}
        return replace(self, **sums)

    @property
    def cost(self) -> float | None:
        """US dollars expected; None where the price is not known."""
        tokens = round(self.input_tokens), round(self.output_tokens)
        return self.price.cost(*tokens, self.images) if self.price else None

    @property
    def most_cost(self) -> float | None:
        """US dollars if every answer were as long as `max_tokens` lets it be, and every image took all its rounds."""
        tokens = round(self.input_tokens), round(self.most_output_tokens)
        return self.price.cost(*tokens, self.most_images) if self.price else None

    def seconds(self, concurrency: int) -> float | None:
        """Wall time with so many calls in flight; None where nothing is known of its speed."""
        if not self.calls:
            return 0.0
        return self.call_seconds / self.timed * self.calls / concurrency if self.timed else None


@dataclass(slots=True)
class CostPlan:
    """What a scan would ask and spend. `subjects`: pairs of the set, of the control, and canaries, by part."""

    rows: list[ModelCost] = field(default_factory=list)
    subjects: dict[str, int] = field(default_factory=dict)
    concurrency: int = 1
    notes: list[str] = field(default_factory=list)

    def __add__(self, other: CostPlan) -> CostPlan:
        """Of two sets, one after the other, asked of the same models."""
        rows = [one + two for one, two in zip(self.rows, other.rows, strict=True)]
        subjects = dict(Counter(self.subjects) + Counter(other.subjects))
        return CostPlan(rows, subjects, self.concurrency, list(dict.fromkeys((*self.notes, *other.notes))))

    @property
    def calls(self) -> int:
        return sum(row.calls for row in self.rows)

    @property
    def costs_money(self) -> bool:
        """Whether anything in it is billed, or may be."""
        return any(row.calls and (row.price is None or row.price is not FREE) for row in self.rows)

    @property
    def cost(self) -> float | None:
        return _total(row.cost for row in self.rows if row.calls)

    @property
    def most_cost(self) -> float | None:
        return _total(row.most_cost for row in self.rows if row.calls)

    @property
    def seconds(self) -> float | None:
        """Detectors run one after the other; within one, the slowest model decides."""
        by_detector = itertools.groupby(self.rows, key=lambda row: row.detector)
        slowest = [[row.seconds(self.concurrency) for row in rows] for _, rows in by_detector]
        return _total(_longest(times) for times in slowest)


def _total(values: Iterable[float | None]) -> float | None:
    found = list(values)
    return None if any(value is None for value in found) else sum(value for value in found if value is not None)


def _longest(values: Sequence[float | None]) -> float | None:
    return None if any(value is None for value in values) else max((v for v in values if v is not None), default=0.0)
