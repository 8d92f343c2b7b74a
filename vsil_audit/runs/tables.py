"""The tables of a report: categories, telling n-grams, the most suspicious pairs."""

from __future__ import annotations

import heapq

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Lens
from vsil_audit.runs.asked.columns import Labels
from vsil_audit.runs.columns import set_findings
from vsil_audit.runs.evidence import Evidence, content_columns
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.metrics import rate_metric
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.summary import CategoryRow, NgramRow
from vsil_audit.stats.multiple import benjamini_hochberg
from vsil_audit.stats.slices import slice_p_value

_SUSPICIOUS = 50
MOST_CATEGORIES = 60
"""Rows of the category table; the largest are shown."""

Groups = npt.NDArray[np.int64]


def category_rows(evidence: Evidence) -> list[CategoryRow]:
    """Each category's suspected rate; p of its difference from the rest, adjusted over the categories shown."""
    suspected, scored = content_columns(evidence)
    counts = evidence.pairs.categories.counts()
    shown = sorted(counts, key=lambda name: (-counts[name], name))[:MOST_CATEGORIES]
    groups = evidence.clusters.for_intervals
    members = [evidence.pairs.categories.where(name) for name in shown]
    p_values = [_slice_p(suspected[scored], among[scored], groups[scored]) for among in members]
    tested = [i for i, p in enumerate(p_values) if p is not None]
    adjusted = benjamini_hochberg([p for p in p_values if p is not None]).tolist()
    by_row = dict(zip(tested, adjusted, strict=True))
    return [
        CategoryRow(
            category=name,
            pairs=counts[name],
            metrics=_category_metrics(evidence, members[i], suspected, scored, groups),
            p_adjusted=by_row.get(i),
        )
        for i, name in enumerate(shown)
    ]


def _slice_p(flags: np.ndarray, inside: np.ndarray, groups: np.ndarray) -> float | None:
    return slice_p_value(flags, inside, groups) if inside.any() and not inside.all() else None


def _category_metrics(
    evidence: Evidence, among: np.ndarray, suspected: np.ndarray, scored: np.ndarray, groups: np.ndarray
) -> list[Metric]:
    tells = "suspected share in this category"
    metrics = [
        rate_metric(
            "suspected_rate",
            tells,
            suspected[among],
            scored[among],
            groups[among],
            nature=Nature.MEASURED,
            lens=Lens.CONTENT,
        )
    ]
    metrics.extend(
        rate_metric(
            "predicted_rate",
            "predicted share in this category",
            columns.flagged[among],
            columns.scored[among],
            groups[among],
            nature=Nature.PREDICTED,
            lens=Lens.PREDICTED,
        )
        for columns in evidence.of_lens(Lens.PREDICTED)
    )
    return metrics


def telling_ngrams(plan: ScanPlan, folder: RunFolder) -> list[NgramRow]:
    """The telling n-grams that a set-level finding carries in its details."""
    rows: list[NgramRow] = []
    for detector in plan.detectors:
        if detector.spec.lens is not Lens.TOPIC:
            continue
        for finding in set_findings(folder, detector.spec.name, detector.spec.unit):
            found = finding.details.get("ngrams")
            if isinstance(found, dict) and not rows:
                rows = [NgramRow.model_validate({"category": name, "ngrams": grams}) for name, grams in found.items()]
    return rows


def most_suspicious(evidence: Evidence, folder: RunFolder, leaks: Labels | None = None) -> list[str]:
    """Ids of flagged pairs: first those that leak (`leaks`, by the judges that can be trusted) or that target models
    refuse without the image, the more of the two the better; then those that more content detectors suspect; then by
    their highest value."""
    n = evidence.pairs.n
    shown = np.zeros(n) if leaks is None else (leaks == 1).astype(np.float64)
    for columns in evidence.of_lens(Lens.BEHAVIOURAL):
        shown += columns.flagged
    votes, strength, prior = (np.zeros(n), np.zeros(n), np.zeros(n))
    for columns in evidence.of_lens(Lens.CONTENT):
        votes += columns.flagged
        strength = np.fmax(strength, np.where(columns.flagged, columns.values, 0.0))
    for columns in evidence.of_lens(Lens.PREDICTED):
        prior = np.fmax(prior, np.where(columns.flagged, columns.values, 0.0))
    rank = shown * 10_000.0 + votes * 100.0 + strength * 10.0 + prior
    top = heapq.nsmallest(_SUSPICIOUS, np.flatnonzero(rank > 0).tolist(), key=lambda i: (-rank[i], i))
    wanted = set(top)
    ids = {i: pair_id for i, pair_id in enumerate(folder.pair_ids()) if i in wanted}
    return [ids[i] for i in top]
