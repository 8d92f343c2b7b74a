"""Heat maps of shares, and matrices of differences: a colour or a frame for a value that stands in the cell as text."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from vsil_audit.reporting.numbers import number, p_value, share, signed_share
from vsil_audit.runs.metric import Metric

STEPS = 11
FEW = 10
"""Below so many pairs a cell says that they are few."""


def step(metric: Metric) -> str:
    """The class of a cell: `h0` (0 %) to `h10` (100 %); `none` without a value."""
    if metric.value is None:
        return "none"
    return f"h{round(min(max(metric.value, 0.0), 1.0) * (STEPS - 1))}"


def few(metric: Metric) -> bool:
    return metric.value is not None and metric.n < FEW


def limits(metric: Metric) -> str:
    """The interval as short as it can be said: `20–48`."""
    if metric.low is None or metric.high is None:
        return ""
    return f"{100 * metric.low:.0f}–{100 * metric.high:.0f}"


def spoken(metric: Metric) -> str:
    """A cell in full, for whoever hovers or listens."""
    return number(metric).line() if metric.value is not None else metric.note or "not measured"


def value(metric: Metric) -> str:
    return share(metric.value) if metric.value is not None else "–"


@dataclass(frozen=True, slots=True)
class Duel:
    """Two models on the same pairs, first minus second. `difference` in [−1, 1]; `real`: shown after adjustment."""

    first: str
    second: str
    difference: Metric
    n: int
    p_adjusted: float | None
    real: bool

    def turned(self) -> Duel:
        """Second minus first."""
        d = self.difference
        turned = {"value": _minus(d.value), "low": _minus(d.high), "high": _minus(d.low)}
        return Duel(self.second, self.first, d.model_copy(update=turned), self.n, self.p_adjusted, self.real)

    @property
    def shown(self) -> str:
        """`▲ +12.0 pp`; the sign only where the difference is shown."""
        value = self.difference.value or 0.0
        return f"{('▲ ' if value > 0 else '▼ ') if self.real else ''}{signed_share(value)}"

    @property
    def class_(self) -> str:
        return ("ahead" if (self.difference.value or 0.0) > 0 else "behind") if self.real else "unsettled"

    @property
    def limits(self) -> str:
        d = self.difference
        return "" if d.low is None or d.high is None else f"{_points(d.low)} … {_points(d.high)}"

    @property
    def spoken(self) -> str:
        adjusted = "not tested" if self.p_adjusted is None else f"{p_value(self.p_adjusted)} after Holm"
        return f"n = {self.n:,}, {adjusted}"


def _points(value: float) -> str:
    return f"{100 * value:+.0f}".replace("-", "−")


def _minus(value: float | None) -> float | None:
    return None if value is None else -value


@dataclass(frozen=True, slots=True)
class DuelMatrix:
    """All of `models` against each other, in their order."""

    title: str
    models: Sequence[str]
    cells: Mapping[tuple[str, str], Duel]


def duel_matrix(title: str, models: Sequence[str], duels: Iterable[Duel]) -> DuelMatrix:
    """`models` without those that stand in no duel."""
    cells = {(d.first, d.second): d for one in duels for d in (one, one.turned())}
    named = {name for pair in cells for name in pair}
    return DuelMatrix(title, [model for model in models if model in named], cells)
