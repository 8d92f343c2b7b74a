"""One number with what makes it honest: what every table and chart of a report is made of."""

from __future__ import annotations

from enum import Enum

from pydantic import BaseModel, ConfigDict, Field


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Nature(str, Enum):
    """What a number is. A number that a model guessed is never called measured."""

    MEASURED = "measured"
    JUDGED = "judged"
    PREDICTED = "predicted"


class Metric(Model):
    """One number with what makes it honest.

    `name` is stable and usable in --fail-on (`suspected_rate`, `ocr_overlap.rate`, `topic_probe.text_bits` …).
    `value`, `low`, `high` share `unit` (`share`, `bits`, `pairs`, `auroc` …); None when nothing was scored.
    Rates carry k of n scored out of total; other quantities leave k None. `interval` names the method.
    """

    name: str
    tells: str
    detector: str | None = None
    lens: str | None = None
    nature: Nature
    unit: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    k: int | None = None
    n: int = 0
    total: int = 0
    chance: float | None = Field(None, description="the value expected with nothing there (shuffled, benign control)")
    note: str = ""

    @property
    def coverage(self) -> float | None:
        return self.n / self.total if self.total else None
