"""`calibration.json`: what people's labels say of the judges of a run, and the rates that they correct."""

from __future__ import annotations

from pydantic import Field

from vsil_audit.calibration.told import Unused
from vsil_audit.runs.asked_summary import Agreement, Corrected
from vsil_audit.runs.metric import Model

FILE = "calibration.json"


class LabelsFile(Model):
    """The file that the labels came from: its name, digest and rows. What it says of single items is not kept."""

    name: str
    sha256: str
    rows: int


class Labelled(Model):
    """The labels of one question: how many items have one that is used, given by how many people. `chosen`: how the
    items were chosen, and so which correction holds: `drawn`, `said to be random`, `all` or `elsewhere`."""

    question: str
    items: int
    annotators: int
    chosen: str
    agreement: Agreement | None = None


class Confusion(Model):
    """What people said (rows) against what the classifier said (columns) of a model's answers; `labels` name both.
    `unscored`: labelled answers without a class, by what people said."""

    model: str
    condition: str
    labels: list[str]
    counts: list[list[int]]
    unscored: list[int]


class Calibration(Model):
    schema_version: int = 1
    fingerprint: str = Field(description="of the dataset of the run")
    labels: tuple[LabelsFile, ...]
    labelled: list[Labelled]
    corrected: list[Corrected]
    confusions: tuple[Confusion, ...] = ()
    unused: tuple[Unused, ...] = ()
    warnings: tuple[str, ...] = ()
