"""The summary of a run: every number a report shows, typed. Written as `summary.json`; reports compute nothing new."""

from __future__ import annotations

from pydantic import Field

from vsil_audit.runs.asked_summary import AskedSummary
from vsil_audit.runs.evaluation_summary import Evaluation
from vsil_audit.runs.metric import Metric, Model


class LensSummary(Model):
    """One of the lenses: `judged`, `behavioural`, `content`, `predicted`. `available` is False when no detector of it
    ran; `says` is one honest sentence; `metrics` names the metrics under it."""

    lens: str
    available: bool
    says: str
    metrics: list[str] = []


class DetectorRun(Model):
    """What became of one detector in this run. `state`: done, unavailable, skipped."""

    name: str
    asks: str
    lens: str
    unit: str
    value: str
    limits: str = ""
    version: int
    state: str
    reason: str = ""
    remedy: str = ""
    scored: int = 0
    abstained: int = 0
    failed: int = 0
    flagged: int = 0
    abstain_reasons: dict[str, int] = {}
    failure_kinds: dict[str, int] = {}
    histogram: list[int] = Field([], description="20 equal bins over [0, 1] of Scored values, where that is the range")


class CategoryRow(Model):
    """One category: its pairs and the content lens's suspected rate there, with the adjusted p-value of its
    difference from the rest (Benjamini-Hochberg)."""

    category: str
    pairs: int
    metrics: list[Metric]
    p_adjusted: float | None = None


class IssueRow(Model):
    """One kind of hygiene problem with its count and a few places where it stands."""

    kind: str
    tells: str
    count: int
    pairs: int
    remedy: str = ""
    examples: list[str] = []


class NgramRow(Model):
    """The n-grams that most tell one category, from topic_probe; a positive weight speaks for the category."""

    category: str
    ngrams: list[tuple[str, float]]


class DatasetSummary(Model):
    name: str
    layout: str
    view: str
    views: list[tuple[str, str, bool]] = Field([], description="name, what it is, official")
    view_counts: dict[str, int] = {}
    mapping: dict[str, str] = {}
    mapping_reasons: dict[str, str] = {}
    pairs: int
    rows_unreadable: int
    texts: int = Field(0, description="distinct texts")
    images: int = Field(0, description="distinct images that could be opened")
    image_refs: int = 0
    image_errors: dict[str, int] = {}
    pairs_without_image: int = 0
    categories: int = 0
    labels: dict[str, int] = {}
    clusters: int = Field(0, description="groups of pairs that share an image or a text")
    fingerprint: str = ""
    limited_to: str = Field("", description="what --limit or --sample kept, in words; empty for the whole set")


class Summary(Model):
    schema_version: int = 1
    dataset: DatasetSummary
    metrics: list[Metric]
    lenses: list[LensSummary]
    detectors: list[DetectorRun]
    categories: list[CategoryRow] = []
    issues: list[IssueRow] = []
    ngrams: list[NgramRow] = []
    warnings: list[str] = Field([], description="what a reader must know before quoting a number")
    suspicious: list[str] = Field([], description="ids of the most suspicious pairs, worst first, at most 50")
    evaluation: Evaluation | None = Field(None, description="of `vsil-audit evaluate`")
    asked: AskedSummary | None = Field(None, description="what models said, where any were asked")

    def metric(self, name: str) -> Metric | None:
        return next((m for m in self.metrics if m.name == name), None)
