"""Heat maps of shares: a step of colour for a value, whose text stands in the cell as well."""

from __future__ import annotations

from vsil_audit.reporting.numbers import number, share
from vsil_audit.runs.metric import Metric

STEPS = 11
FEW = 10
"""Below so many pairs a cell says that they are few."""


def step(metric: Metric) -> str:
    """The class of a cell: `h0` (0 %) to `h10` (100 %); `none` without a value."""
    if metric.value is None:
        return "none"
    return f"h{round(min(max(metric.value, 0.0), 1.0) * (STEPS - 1))}"


def few(metric: Metric) -> bool:
    return metric.value is not None and metric.n < FEW


def limits(metric: Metric) -> str:
    """The interval as short as it can be said: `20–48`."""
    if metric.low is None or metric.high is None:
        return ""
    return f"{100 * metric.low:.0f}–{100 * metric.high:.0f}"


def spoken(metric: Metric) -> str:
    """A cell in full, for whoever hovers or listens."""
    return number(metric).line() if metric.value is not None else metric.note or "not measured"


def value(metric: Metric) -> str:
    return share(metric.value) if metric.value is not None else "–"
