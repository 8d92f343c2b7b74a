"""`--fail-on 'suspected_rate>0.2'`: a condition on a metric of the summary, and what it says of a run."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from types import MappingProxyType

from vsil_audit.detectors.base import Lens
from vsil_audit.errors import ConfigurationError
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import Summary

_NAME = r"[A-Za-z_][\w.\-]*(?:@[^<>]*[^<>\s])?"  # DETECTOR.QUANTITY@MODEL; a model may hold / : . @ -
_FORM = re.compile(rf"\s*({_NAME})\s*(>=|<=|>|<)\s*([-+]?\d*\.?\d+(?:[eE][-+]?\d+)?)\s*(%?)\s*")
_COMPARE: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {">": operator.gt, "<": operator.lt, ">=": operator.ge, "<=": operator.le}
)

_OF_MODELS = frozenset({Lens.JUDGED.value, Lens.BEHAVIOURAL.value})


class Outcome(str, Enum):
    PASSED = "passed"
    CROSSED = "crossed"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, slots=True)
class Threshold:
    """Fails a run when `metric` `comparison` `bound` holds of the metric's value."""

    metric: str
    comparison: str
    bound: float

    def __str__(self) -> str:
        return f"{self.metric}{self.comparison}{self.bound:g}"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a threshold says of a run; `reason` is one sentence with the numbers."""

    threshold: Threshold
    outcome: Outcome
    reason: str


def parse_threshold(text: str) -> Threshold:
    """Raises ConfigurationError when `text` is not METRIC OPERATOR NUMBER."""
    match = _FORM.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"--fail-on {text!r} is not a condition",
            "Write a metric, one of > >= < <=, a number: 'suspected_rate>0.2'.",
        )
    name, comparison, number, percent = match.groups()
    return Threshold(name, comparison, float(number) / (100.0 if percent else 1.0))


def check(summary: Summary, thresholds: Sequence[Threshold], min_coverage: float) -> list[Verdict]:
    """One verdict per threshold. Raises ConfigurationError for a metric that this run does not have."""
    return [_verdict(_metric(summary, t), t, min_coverage) for t in thresholds]


def _metric(summary: Summary, threshold: Threshold) -> Metric:
    metric = summary.metric(threshold.metric)
    if metric is None:
        names = [m.name for m in summary.metrics]
        close = get_close_matches(threshold.metric, names, n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise ConfigurationError(
            f"--fail-on names {threshold.metric!r}, which this run does not measure",
            f"{hint}It has: {', '.join(names)}.",
        )
    return metric


def _verdict(metric: Metric, threshold: Threshold, min_coverage: float) -> Verdict:
    if metric.value is None:
        return Verdict(
            threshold, Outcome.INCONCLUSIVE, f"{metric.name} has no value: {metric.note or 'nothing scored'}"
        )
    coverage = metric.coverage
    counts_pairs = metric.k is not None or metric.lens in _OF_MODELS  # the mean of several samples has no k
    if counts_pairs and coverage is not None and coverage < min_coverage:
        reason = f"{metric.name} covers {coverage:.0%} of the pairs, less than the minimum of {min_coverage:.0%}"
        return Verdict(threshold, Outcome.INCONCLUSIVE, reason)
    crossed = _COMPARE[threshold.comparison](metric.value, threshold.bound)
    counts = f" ({metric.k}/{metric.n})" if metric.k is not None else ""
    return Verdict(
        threshold, Outcome.CROSSED if crossed else Outcome.PASSED, f"{metric.name} is {metric.value:.4g}{counts}"
    )
