"""Rates and intervals as metrics, each named `DETECTOR.QUANTITY@MODEL`."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from vsil_audit.detectors.base import Lens
from vsil_audit.runs.asked.columns import ABSTAINED, EVALUATION, FAILED, LLM_JUDGE, SAFETY_JUDGE, TEXT_REFUSAL, Labels
from vsil_audit.runs.asked.votes import Flags, Shares, shares
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.stats.clusters import MANY, ON_CLUSTERS, ClusterSums, Groups, clustered_mean, clustered_rate
from vsil_audit.stats.proportions import NOTHING_SCORED, WILSON, score_interval
from vsil_audit.stats.rates import Interval, Rate

LENS = {
    TEXT_REFUSAL: Lens.BEHAVIOURAL,
    SAFETY_JUDGE: Lens.JUDGED,
    LLM_JUDGE: Lens.JUDGED,
    EVALUATION: Lens.BEHAVIOURAL,
}
_NO_VALUE = "no value: "


@dataclass(frozen=True, slots=True)
class Naming:
    """Whose number it is: `DETECTOR.QUANTITY@MODEL`; without a model, `DETECTOR.QUANTITY`."""

    detector: str
    model: str = ""

    def name(self, quantity: str) -> str:
        return f"{self.detector}.{quantity}@{self.model}" if self.model else f"{self.detector}.{quantity}"

    def metric(self, quantity: str, tells: str, found: Rate | Interval, note: str = "", **given: object) -> Metric:
        """`total` is the rate's own, or given for an interval."""
        fields: dict[str, object] = {
            "name": self.name(quantity),
            "tells": tells,
            "detector": self.detector,
            "lens": LENS[self.detector].value,
            "nature": Nature.JUDGED,
            "unit": "share",
            **as_fields(found, note),
            **given,
        }
        return Metric.model_validate(fields)


def as_fields(found: Rate | Interval, note: str = "") -> dict[str, object]:
    """value, low, high, interval, k, n, total, note of a metric. The reason of a missing value goes into the note."""
    fields: dict[str, object] = {"n": found.n, "total": found.n, "note": note}
    if isinstance(found, Rate):
        fields["total"] = found.total
    if found.value is None:
        why = "" if note and found.method == NOTHING_SCORED else found.method.removeprefix(_NO_VALUE)
        return fields | {"note": notes(note, why)}
    if isinstance(found, Rate):
        fields["k"] = found.k
    return fields | {"value": found.value, "low": found.low, "high": found.high, "interval": found.method}


def without_value(metric: Metric, why: str) -> Metric:
    """The metric with a reason in the place of its number."""
    empty = dict.fromkeys(("value", "low", "high", "chance", "k"))
    return metric.model_copy(update={**empty, "interval": "", "note": why})


def label_rate(codes: Labels, wanted: Collection[int], groups: Groups) -> Rate | Interval:
    """Share of the wanted labels over the subjects, from `codes` (samples, n): k of n, or, where a subject's samples
    differ, the mean over subjects of each one's share."""
    found, scored = shares(codes, wanted)
    return share_rate(found, scored, groups)


def share_rate(found: Shares, scored: Flags, groups: Groups) -> Rate | Interval:
    """Mean of `found` (n,) over `scored` (n,), as k of n where every share is 0 or 1. `groups` (n,)."""
    values, numbers = found[scored], groups[scored]
    if np.isin(values, (0.0, 1.0)).all():
        return clustered_rate(values > 0, numbers, len(found))
    mean = clustered_mean(values, numbers)
    clusters = ClusterSums.of(values, numbers)
    if mean.value is None or (mean.low is not None and clusters.effective >= MANY):
        return mean
    # a share in [0, 1] varies no more than an answer that is 0 or 1 does
    low, high = score_interval(mean.value, clusters.effective)
    return Interval(mean.value, low, high, mean.n, WILSON + ON_CLUSTERS)


def why_nothing(codes: Labels) -> str:
    """How the calls ended that gave no label; empty where any did, and where none was made."""
    if not codes.size or (codes >= 0).any():
        return ""
    failed, abstained = int((codes == FAILED).sum()), int((codes == ABSTAINED).sum())
    return f"no answer could be scored: {failed:,} failed, {abstained:,} abstained"


def mean_note(codes: Labels) -> str:
    """Says so where several samples stand behind each subject."""
    return f"mean over up to {len(codes)} samples of each" if len(codes) > 1 else ""


def notes(*parts: str) -> str:
    return "; ".join(part for part in parts if part)
