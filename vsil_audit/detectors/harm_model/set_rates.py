"""What the predictions say of a whole set: the flagged share, that of benign controls, one corrected by the other."""

from __future__ import annotations

import math
from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from vsil_audit.detectors.harm_model.model import HarmModel, Standing
from vsil_audit.model_file import Floats
from vsil_audit.pair import Abstained, Finding, Json, Scored
from vsil_audit.stats.clusters import clustered_rate
from vsil_audit.stats.proportions import Z, wilson
from vsil_audit.stats.rates import Rate

LEAST_DECIDED = 5
"""Texts on which the model must not abstain before a corrected rate is given."""


@dataclass(frozen=True)
class Tally:
    """Flagged texts among those that are not abstained from: `rate`. `member_rates`: the same by each bootstrap model
    that decides on any text. `seen`: texts that the model was trained on. `abstained`: counts by reason."""

    rate: Rate
    member_rates: tuple[float | None, ...]
    seen: int
    abstained: Mapping[str, int]

    @classmethod
    def of(cls, model: HarmModel, texts: Iterable[tuple[str, int]], seed: int = 0) -> Tally:
        """Predict every text; the number beside it is its group. Two bytes and a group number are kept per text."""
        flags, groups, total, seen = array("b"), array("q"), 0, 0
        members = np.zeros((2, len(model.intercepts) - 1))
        abstained: dict[str, int] = {}
        for text, group in texts:
            total += 1
            prediction = model.predict(text, explain=False)
            seen += prediction.seen
            standing = model.standing(prediction)
            if standing.told and standing is not Standing.POINTS:
                members += _decisions(model, prediction.members)
            if standing.decided:
                flags.append(standing is Standing.FLAGGED)
                groups.append(group)
            else:
                abstained[standing.value] = abstained.get(standing.value, 0) + 1
        flagged = np.array(flags, dtype=bool)
        rate = clustered_rate(flagged, np.array(groups), total, seed) if len(flags) else wilson(0, 0, total)
        decided, raised = members
        rates = tuple(float(k / n) if n else None for k, n in zip(raised, decided, strict=True))
        return cls(rate, rates, seen, abstained)


def _decisions(model: HarmModel, p: Floats) -> Floats:
    """Rows: decided, flagged; a column per bootstrap model."""
    flagged = p >= model.calibration.flag_from
    return np.array([flagged | (p <= model.calibration.clear_below), flagged], dtype=np.float64)


def control_finding(detector: str, controls: Tally, kinds: Mapping[str, Tally]) -> Finding:
    """The flagged share of texts known to be benign: the false alarms to read every predicted rate against."""
    details: dict[str, Json] = {
        "tells": "share of the shipped benign control texts that the model flags",
        **_as_json(controls),
        "kinds": {kind: _as_json(tally) for kind, tally in kinds.items()},
    }
    value = controls.rate.value
    outcome = Abstained("no control text was decided") if value is None else Scored(value)
    return Finding(detector, None, outcome, kind="predicted_rate_control", details=details)


def adjusted_finding(detector: str, in_set: Tally, controls: Tally) -> Finding:
    """(V − FPR) / (1 − FPR): the set's flagged share V beyond what benign texts (FPR) would give; below 0 if fewer."""
    details: dict[str, Json] = {
        "tells": "flagged share beyond false alarms on benign controls, (V − FPR) / (1 − FPR); predicted, not judged",
        "unit": "share",
        "set": _as_json(in_set),
        "control": _as_json(controls),
    }
    v, f = in_set.rate, controls.rate
    reason = ""
    if v.n < LEAST_DECIDED:
        reason = f"fewer than {LEAST_DECIDED} texts were decided"
    elif f.n < LEAST_DECIDED or f.value == 1.0:
        reason = "the benign controls do not bound the false alarms"
    if reason:
        return Finding(detector, None, Abstained(reason), kind="predicted_rate_adjusted", details=details)
    value, low, high = corrected(v, f, _model_deviation(in_set, controls))
    details |= {"n": v.n, "low": low, "high": high, "interval": "MOVER-R 95 %, bootstrap models added in square"}
    return Finding(detector, None, Scored(value), kind="predicted_rate_adjusted", details=details)


def overlap_finding(detector: str, in_set: Tally) -> Finding:
    """How much of the set the model was trained on: what it says of those texts is no prediction."""
    total = in_set.rate.total
    details: dict[str, Json] = {
        "tells": "share of the texts that the model was trained on; their predictions are not held out",
        "k": in_set.seen,
        "n": total,
    }
    outcome = Scored(in_set.seen / total) if total else Abstained("no pairs")
    return Finding(detector, None, outcome, kind="training_overlap", details=details)


def corrected(v: Rate, f: Rate, deviation: float) -> tuple[float, float, float]:
    """(V − FPR) / (1 − FPR) = 1 − (1 − V) / (1 − FPR), with 95 % limits at most 1.

    The ratio's limits are recovered from those of the two rates (MOVER-R, Donner and Zou 2012); `deviation`, the
    standard deviation over bootstrap models, is added in square. An FPR that may be 1 leaves the lower limit at −∞,
    given as −1.
    """
    assert v.value is not None
    assert v.low is not None
    assert v.high is not None
    assert f.value is not None
    assert f.low is not None
    assert f.high is not None
    a, a_low, a_high = 1 - v.value, 1 - v.high, 1 - v.low
    b, b_low, b_high = 1 - f.value, 1 - f.high, 1 - f.low
    value = 1 - a / b
    low, high = 1 - _ratio_limit(a, b, a_high, b_low, +1), 1 - _ratio_limit(a, b, a_low, b_high, -1)
    more = Z * deviation
    return value, max(value - math.hypot(value - low, more), -1.0), min(value + math.hypot(high - value, more), 1.0)


def _ratio_limit(a: float, b: float, a_limit: float, b_limit: float, side: int) -> float:
    below = b_limit * (2 * b - b_limit)
    if below <= 0:
        return math.inf if side > 0 else a_limit / b_limit
    inside = (a * b) ** 2 - a_limit * b_limit * (2 * a - a_limit) * (2 * b - b_limit)
    return (a * b + side * math.sqrt(max(inside, 0.0))) / below


def _model_deviation(in_set: Tally, controls: Tally) -> float:
    """Standard deviation of the corrected rate over the bootstrap models that give one."""
    values = [
        (v - f) / (1 - f)
        for v, f in zip(in_set.member_rates, controls.member_rates, strict=True)
        if v is not None and f is not None and f < 1
    ]
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0


def _as_json(tally: Tally) -> dict[str, Json]:
    rate = tally.rate
    return {
        "k": rate.k,
        "n": rate.n,
        "total": rate.total,
        "value": rate.value,
        "low": rate.low,
        "high": rate.high,
        "interval": rate.method,
        "coverage": rate.coverage,
        "abstained": dict(sorted(tally.abstained.items())),
    }
