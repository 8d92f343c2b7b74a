"""How many labels a precision needs, from what is known of the rates now; it says what it takes for granted."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from types import MappingProxyType

import numpy as np

from vsil_audit.review.agreement import Share, shares
from vsil_audit.review.criteria import LEAK, PAIR, TEXT, Criterion
from vsil_audit.review.material import Material
from vsil_audit.review.sheets import Sheets
from vsil_audit.runs.asked.columns import LLM_JUDGE, SAFETY_JUDGE
from vsil_audit.stats.clusters import ClusterSums, Groups
from vsil_audit.stats.sample_size import fewest, half_width, same_cluster, size_in_clusters, size_in_finite_set

_JUDGED = MappingProxyType(
    {
        PAIR.name: f"{SAFETY_JUDGE}.harmful_rate@",
        TEXT.name: f"{SAFETY_JUDGE}.text_harmful_rate@",
        LEAK.name: f"{LLM_JUDGE}.leak@",
    }
)
"""How the metrics are called that give a judge's answer to the same question."""

_LEAST_LABELS = 10


@dataclass(frozen=True, slots=True)
class Assumed:
    """A rate that the plan rests on: the end of its interval that lies nearest to one half, which asks for most labels.
    `whence` is for people."""

    rate: float
    whence: str


@dataclass(frozen=True, slots=True)
class PlannedCriterion:
    """Labelled pairs that the precision needs: to say something of this very set (`here`), and of sets like it
    (`like_it`; None where all pairs of this one are too few, and `reach` is the half width they give).
    `labelled`: the items of a random choice that have a label now; `now`: half widths that these give, or None."""

    criterion: Criterion
    assumed: Assumed
    here: int
    like_it: int | None
    reach: float
    labelled: int
    now_here: float | None
    now_like_it: float | None


@dataclass(frozen=True, slots=True)
class SamplingPlan:
    """`correlation`: of labels within a cluster; `clusters` of `pairs` pairs; `together`: the chance that two pairs are
    of one cluster."""

    precision: float
    pairs: int
    clusters: int
    together: float
    correlation: float
    correlation_whence: str
    criteria: tuple[PlannedCriterion, ...]


def sampling_plan(
    precision: float, criteria: tuple[Criterion, ...], sheets: Sheets, material: Material
) -> SamplingPlan:
    """`precision`: half of the 95 % interval that is wanted, between 0 and 0.5."""
    groups, pairs = material.groups(), len(material.places)
    together = same_cluster(groups)
    correlation, whence = _correlation(criteria, sheets, material, groups)
    like_it = partial(size_in_clusters, together=together, correlation=correlation)
    here = partial(size_in_finite_set, everything=pairs)
    planned = []
    for criterion in criteria:
        known = next((s for s in shares(criterion, sheets, material, groups) if s.of_the_set), None)
        assumed = _assumed(criterion, known, material)
        labelled = known.labelled if known is not None else 0
        planned.append(
            PlannedCriterion(
                criterion=criterion,
                assumed=assumed,
                here=fewest(precision, assumed.rate, pairs, here) or 0,
                like_it=fewest(precision, assumed.rate, pairs, like_it),
                reach=half_width(assumed.rate, like_it(pairs)),
                labelled=labelled,
                now_here=half_width(assumed.rate, here(labelled)) if labelled else None,
                now_like_it=half_width(assumed.rate, like_it(labelled)) if labelled else None,
            )
        )
    clusters = len(np.unique(groups)) if pairs else 0
    return SamplingPlan(precision, pairs, clusters, together, correlation, whence, tuple(planned))


def _assumed(criterion: Criterion, known: Share | None, material: Material) -> Assumed:
    if known is not None and known.labelled >= _LEAST_LABELS:
        low, high = known.rate.low, known.rate.high
        if low is not None and high is not None:
            said = f"{known.count:,} of {known.labelled:,} labels say so, [{low:.1%}, {high:.1%}]"
            return Assumed(_nearest_half(low, high), f"{said}; its end nearest to 50 %")
    judged = _judged(criterion, material)
    if judged:
        return Assumed(
            _nearest_half(min(judged), max(judged)),
            "judges say so, people may not; the end of their intervals nearest to 50 %",
        )
    return Assumed(0.5, "nothing is known yet, so that it is the worst case")


def _judged(criterion: Criterion, material: Material) -> list[float]:
    """The rates that the run's judges give, each with its interval's ends."""
    start = _JUDGED.get(criterion.name)
    if start is None or not material.scanned:
        return []
    of = [m for m in material.folder.summary().metrics if m.name.startswith(start) and m.value is not None]
    return [end for metric in of for end in (metric.low, metric.high) if end is not None]


def _nearest_half(low: float, high: float) -> float:
    return 0.5 if low <= 0.5 <= high else high if high < 0.5 else low


def _correlation(
    criteria: tuple[Criterion, ...], sheets: Sheets, material: Material, groups: Groups
) -> tuple[float, str]:
    """The largest that labels of several pairs of a cluster show; 1, the worst, where they show none."""
    seen = []
    for criterion in criteria:
        majority = sheets.majority(criterion.name)
        known = [item for item in sheets.items if item.number in majority]
        numbers = np.array([groups[material.places[item.pair_id].number] for item in known], dtype=np.int64)
        flags = np.array([majority[item.number] in criterion.counted for item in known], dtype=bool)
        sizes = np.unique(numbers, return_counts=True)[1]
        if (sizes > 1).sum() >= _LEAST_LABELS and flags.any() and not flags.all():
            seen.append(ClusterSums.of(flags, numbers).agreement)
    if seen:
        return max(seen), "as the labels show it"
    return 1.0, "assumed, the worst case"
