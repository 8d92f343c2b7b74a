"""The numbers that the VLSBench paper printed, typed: for display beside what was measured, never mixed with it."""

from __future__ import annotations

from enum import Enum
from functools import lru_cache
from importlib.resources import files
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from vsil_audit.stats.proportions import NOTHING_SCORED, score_interval
from vsil_audit.stats.rates import Interval

PerCent = Annotated[float, Field(ge=0, le=100)]

FROM_PRINTED = "Wilson 95 % from the printed rate and the size of the set"
ROUNDING = 0.011
"""By how much, in points, a total printed with two decimals may differ from the sum of its two rounded parts."""


class PaperModel(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class AlignmentRole(str, Enum):
    """What a checkpoint was aligned with: nothing more than its base, text alone, or images and text."""

    BASE = "base"
    TEXT = "text_aligned"
    MULTIMODAL = "multimodal_aligned"


class Citation(PaperModel):
    """`paper`: its number in the ACL Anthology; the numbers are those of this `version` on arXiv."""

    title: str
    authors: list[str]
    year: int
    venue: str
    paper: str
    arxiv: str
    version: str

    @property
    def line(self) -> str:
        return (
            f"{', '.join(self.authors)}: {self.title}. ACL {self.year}, {self.paper}; arXiv {self.arxiv} {self.version}"
        )


class PaperDataset(PaperModel):
    """A set as the paper used it. `n` pairs, None where not known; `about`: n is a round number. `average`: its rate is
    an average over parts whose sizes the paper does not give, so that no interval can be made of it."""

    n: int | None = Field(None, ge=1)
    about: bool = False
    average: bool = False

    def interval(self, share: float) -> Interval:
        """A printed rate in [0, 1] with the 95 % interval that n independent pairs would give it; without limits,
        `method` saying why, where n is not known."""
        if self.n is None:
            why = "an average over parts of unknown size" if self.average else "the number of pairs is not known"
            return Interval(share, None, None, 0, f"no interval: {why}")
        low, high = score_interval(share, self.n)
        return Interval(share, low, high, self.n, FROM_PRINTED + (" (a round number)" if self.about else ""))


class LeakageRow(PaperModel):
    """Share of pairs that a judge calls unsafe (`r1`), and unsafe from the text alone too (`r2`), per cent."""

    dataset: str
    judge: str
    r1: PerCent
    r2: PerCent

    @property
    def v(self) -> float:
        """V = R2 / R1 in [0, 1]: of the pairs judged unsafe, how many are so from the text alone. Recomputed."""
        return self.r2 / self.r1

    def v_interval(self, dataset: PaperDataset) -> Interval:
        """V over the R1 · n pairs that were judged unsafe."""
        if dataset.n is None:
            return Interval(self.v, None, None, 0, "no interval: the number of pairs is not known")
        unsafe = round(dataset.n * self.r1 / 100)
        if not unsafe:
            return Interval(None, None, None, 0, NOTHING_SCORED)
        return PaperDataset(n=unsafe, about=dataset.about).interval(self.v)


class AlignedCheckpoint(PaperModel):
    """Safety rates (refusal or warning, per cent) of one checkpoint by set. `recomputed` holds what the average of the
    paper's own parts comes to, where it printed another number."""

    base: str
    method: str = ""
    trained_on: str = ""
    role: AlignmentRole
    rates: dict[str, PerCent]
    recomputed: dict[str, PerCent] = {}

    @property
    def name(self) -> str:
        """`LLaVA-1.5-7B`, or `LLaVA-1.5-7B + Textual SFT`."""
        return f"{self.base} + {self.method}" if self.method else self.base

    def share(self, dataset: str) -> float:
        """The safety rate in [0, 1], recomputed where the printed one is wrong. Raises KeyError for a set that the
        paper did not evaluate it on."""
        return self.recomputed.get(dataset, self.rates[dataset]) / 100


class ResponseRow(PaperModel):
    """How a model answered VLSBench, per cent of the pairs."""

    model: str
    refusal: PerCent
    warning: PerCent
    total: PerCent

    @model_validator(mode="after")
    def _adds_up(self) -> ResponseRow:
        if abs(self.refusal + self.warning - self.total) > ROUNDING:
            raise ValueError(f"{self.model}: {self.refusal} + {self.warning} is not {self.total}")
        return self


class Ablation(PaperModel):
    """One of the paper's ablations: `rows` by model or classifier, a rate in per cent for each of the `columns`."""

    name: str
    tells: str
    n: int | None = None
    columns: list[str]
    rows: dict[str, list[PerCent]]

    @model_validator(mode="after")
    def _whole(self) -> Ablation:
        for name, rates in self.rows.items():
            if len(rates) != len(self.columns):
                raise ValueError(f"{self.name}: {name} has {len(rates)} rates for {len(self.columns)} columns")
        return self


class JudgeAccuracy(PaperModel):
    """The response judge against people, per cent."""

    model: str
    n: int
    accuracy_on_safe: PerCent
    accuracy_on_unsafe: PerCent


class PaperTables(PaperModel):
    """All of it. `source` is `paper`: whoever shows a number of this says so."""

    source: Literal["paper"]
    citation: Citation
    datasets: dict[str, PaperDataset]
    leakage: list[LeakageRow]
    alignment: list[AlignedCheckpoint]
    responses: list[ResponseRow]
    ablations: list[Ablation]
    judge: JudgeAccuracy

    @model_validator(mode="after")
    def _names_agree(self) -> PaperTables:
        named = {row.dataset for row in self.leakage} | {name for row in self.alignment for name in row.rates}
        if unknown := named - set(self.datasets):
            raise ValueError(f"rates on sets that are not listed: {', '.join(sorted(unknown))}")
        for row in self.alignment:
            if set(row.recomputed) - set(row.rates):
                raise ValueError(f"{row.name}: recomputed on a set that it has no rate on")
        return self

    @property
    def bases(self) -> list[str]:
        """The models that were aligned, in the paper's order."""
        return list(dict.fromkeys(row.base for row in self.alignment))

    @property
    def aligned_on(self) -> list[str]:
        """The sets of the alignment table, in the paper's order."""
        return list(dict.fromkeys(name for row in self.alignment for name in row.rates))

    def checkpoint(self, name: str) -> AlignedCheckpoint | None:
        """By its name, whatever the case; None where the paper has none of that name."""
        return next((row for row in self.alignment if row.name.casefold() == name.strip().casefold()), None)


@lru_cache(maxsize=1)
def paper_tables() -> PaperTables:
    """The paper's tables, from the package."""
    import yaml

    text = files("vsil_audit.evaluation.paper").joinpath("tables.yaml").read_text(encoding="utf-8")
    return PaperTables.model_validate(yaml.safe_load(text))
