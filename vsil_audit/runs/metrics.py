"""Metrics from the arrays of a finished run: each with its count, coverage, interval and nature."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vsil_audit.detectors.base import DetectorSpec, Lens
from vsil_audit.pair import Finding, Json, Scored
from vsil_audit.runs.columns import FindingColumns
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.wholeness import impossible
from vsil_audit.stats.clusters import clustered_mean, clustered_rate
from vsil_audit.stats.rates import Rate

_NATURE = {
    Lens.JUDGED: Nature.JUDGED,
    Lens.BEHAVIOURAL: Nature.JUDGED,
    Lens.PREDICTED: Nature.PREDICTED,
}
_NUMBERS = ("value", "low", "high", "chance", "k", "n", "total")


def nature_of(lens: Lens) -> Nature:
    return _NATURE.get(lens, Nature.MEASURED)


def rate_metric(
    name: str,
    tells: str,
    flagged: np.ndarray,
    scored: np.ndarray,
    groups: np.ndarray,
    *,
    nature: Nature,
    detector: str | None = None,
    lens: Lens | None = None,
    note: str = "",
) -> Metric:
    """Share of flagged among scored pairs; arrays of shape (n_pairs,). Pairs not scored count for coverage only."""
    rate = clustered_rate(flagged[scored], groups[scored], total=len(flagged))
    return share_metric(name, tells, rate, nature=nature, detector=detector, lens=lens, note=note)


def share_metric(
    name: str,
    tells: str,
    rate: Rate,
    *,
    nature: Nature,
    detector: str | None = None,
    lens: Lens | None = None,
    chance: float | None = None,
    note: str = "",
) -> Metric:
    """A rate as reports show it."""
    return Metric(
        name=name,
        tells=tells,
        detector=detector,
        lens=lens.value if lens else None,
        nature=nature,
        unit="share",
        value=rate.value,
        low=rate.low,
        high=rate.high,
        interval=rate.method,
        k=rate.k,
        n=rate.n,
        total=rate.total,
        chance=chance,
        note=note,
    )


def detector_metrics(spec: DetectorSpec, columns: FindingColumns, groups: np.ndarray) -> list[Metric]:
    """A pair-level detector's flagged rate and mean value."""
    nature, scored = nature_of(spec.lens), columns.scored
    rate = rate_metric(
        f"{spec.name}.rate",
        f"share of pairs that {spec.name} flags",
        columns.flagged,
        scored,
        groups,
        nature=nature,
        detector=spec.name,
        lens=spec.lens,
    )
    mean = clustered_mean(columns.values[scored].astype(np.float64), groups[scored])
    return [
        rate,
        Metric(
            name=f"{spec.name}.mean",
            tells=f"mean value of {spec.name} over the scored pairs",
            detector=spec.name,
            lens=spec.lens.value,
            nature=nature,
            unit="score",
            value=mean.value,
            low=mean.low,
            high=mean.high,
            interval=mean.method,
            n=int(scored.sum()),
            total=len(scored),
        ),
    ]


def set_metric(spec: DetectorSpec, finding: Finding, n_pairs: int) -> Metric:
    """A set-level finding as a metric. Its details may hold low, high, chance, k, n, total (numbers) and tells, unit,
    interval, note (text); an outcome that is not Scored has no value, and its reason becomes the note; so do
    numbers that contradict each other (k above n, a value outside its interval, one that is not finite)."""
    details = finding.details
    numbers = {key: number for key in _NUMBERS if (number := _number(details, key)) is not None}
    match finding.outcome:
        case Scored(value):
            numbers["value"] = value
            note = _text(details, "note")
        case other:
            numbers = {}
            note = getattr(other, "reason", None) or f"{other.kind}: {other.detail}"  # type: ignore[union-attr]
    metric = Metric(
        name=f"{spec.name}.{finding.kind}",
        tells=_text(details, "tells") or finding.kind.replace("_", " "),
        detector=spec.name,
        lens=spec.lens.value,
        nature=nature_of(spec.lens),
        unit=_text(details, "unit") or ("share" if "k" in numbers else "score"),
        value=numbers.get("value"),
        low=numbers.get("low"),
        high=numbers.get("high"),
        interval=_text(details, "interval"),
        k=int(numbers["k"]) if "k" in numbers else None,
        n=int(numbers.get("n", 0)),
        total=int(numbers.get("total", n_pairs)),
        chance=numbers.get("chance"),
        note=note,
    )
    wrong = impossible(metric)
    if not wrong:
        return metric
    empty = dict.fromkeys(("value", "low", "high", "chance", "k"))
    return metric.model_copy(update={**empty, "n": 0, "total": n_pairs, "note": f"not shown: {wrong}"})


def _number(details: Mapping[str, Json], key: str) -> float | None:
    value = details.get(key)
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _text(details: Mapping[str, Json], key: str) -> str:
    value = details.get(key)
    return value if isinstance(value, str) else ""
