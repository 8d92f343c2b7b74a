"""What a build came to: every number that its reports show, typed. Written as `provenance/summary.json`."""

from __future__ import annotations

from pydantic import Field

from vsil_audit.runs.asked_summary import SpendRow
from vsil_audit.runs.metric import Metric, Model


class GateYield(Model):
    """How many drafts a gate saw, each counted once by the gate's last word on it: `rejected` with its reasons,
    `undecided` where a judge failed."""

    gate: str
    asks: str
    seen: int = 0
    passed: int = 0
    rejected: int = 0
    undecided: int = 0
    reasons: dict[str, int] = {}


class Shift(Model):
    """One quantity before and after, and which pairs each is of: `unsafe pairs`, or `all pairs` (benign ones and twins
    too). `unit` and intervals stand in the metrics themselves."""

    name: str
    tells: str
    before: Metric | None = None
    after: Metric | None = None
    before_over: str = ""
    after_over: str = ""


class BuildSummary(Model):
    """`pairs` taken in; `fates` count them; `emitted`: pairs of the finished set. What is in the set adds up: `pairs`
    less those of `stopped`, `unfixed_reasons` and `left_out`, and with `twins`, is `emitted`."""

    command: str
    name: str
    pairs: int
    emitted: int
    fates: dict[str, int]
    gates: list[GateYield] = []
    stopped: dict[str, int] = Field({}, description="rejected and undecided pairs, by gate, or by reason without one")
    unfixed_reasons: dict[str, int] = {}
    shifts: list[Shift] = []
    images_drawn: int = 0
    words_read_back: int = Field(0, description="drawn images in which OCR found every word")
    words_not_looked_for: int = Field(0, description="drawn images in which OCR could not look")
    looked_by: list[str] = Field([], description="detectors that decided what leaks")
    spend: list[SpendRow] = Field([], description="what each model was asked, by the build and its scans")
    twins: int = Field(0, description="benign twins in the set; part of `emitted`")
    twins_way: str = ""
    left_out: dict[str, int] = Field({}, description="pairs that passed and are not in the set, by reason")
    proof: list[Metric] = Field([], description="what the text alone, and text and image together, tell of the label")
    proof_note: str = Field("", description="what that shows, or why nothing can be shown")
    warnings: list[str] = Field([], description="what a reader must know before using the set")
