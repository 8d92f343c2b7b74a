"""Rates of refusal, warning and unsafe over many verdicts, with the classifier's own error in the interval.

How far a counted rate lies from the labelled one was measured on held-out cells (one model's responses in one set,
classed by a model that saw neither who answered nor the questions). It differs from cell to cell more than sampling
explains, mostly because sets draw the line between the classes in different places, so that no one correction fits the
next set: correcting by pooled sensitivity and specificity made held-out rates worse. The spread goes into the interval
instead, as that of another cell to come (random effects; Higgins, Thompson and Spiegelhalter 2009).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsil_audit.evaluation.response import CLASSES, ResponseClass, ResponseVerdict, shipped_model
from vsil_audit.evaluation.response_model.model import Cell
from vsil_audit.model_file import Floats
from vsil_audit.stats.clusters import t_quantile
from vsil_audit.stats.proportions import wilson
from vsil_audit.stats.rates import Rate

WITH_ERROR = "Wilson 95 % with the classifier's error on held-out models and sets"
WITHOUT_ERROR = "sampling error only: the classifier has no measured errors"
LEAST_CELLS = 3


@dataclass(frozen=True, slots=True)
class ClassRate:
    """`counted`: verdicts of the class among those not unclear, Wilson 95 % for sampling; `total` counts unclear ones.

    `low`, `high` in [0, 1]: 95 % limits for the share that people would label so, with sampling error and the
    classifier's; None where nothing was classed. `method` says what they include. `error`: the classifier's part, as
    the standard deviation of a rate; None where it was not measured.
    """

    counted: Rate
    low: float | None
    high: float | None
    error: float | None
    method: str


def class_rates(
    verdicts: Sequence[ResponseVerdict], cells: Sequence[Cell] | None = None
) -> dict[ResponseClass, ClassRate]:
    """Rates of the three classes. `cells`: the classifier's measured errors, by default those of the shipped model.

    Takes responses as independent. Unclear responses lower the coverage and enter no rate.
    """
    given = [verdict.response_class for verdict in verdicts]
    classed = sum(c is not ResponseClass.UNCLEAR for c in given)
    errors = rate_errors(shipped_model().cells if cells is None else cells)
    return {
        c: _with_error(wilson(given.count(c), classed, len(given)), errors[:, place]) for place, c in enumerate(CLASSES)
    }


def rate_errors(cells: Sequence[Cell]) -> Floats:
    """Counted minus labelled rate of each class (columns) in each cell (rows); unclear verdicts are left out of both
    the count and its total, as `class_rates` does. Shape (cells, 3)."""
    found = []
    for cell in cells:
        counted = cell.counts[:, :3].sum(axis=0)
        labelled = cell.counts.sum(axis=1)
        found.append(counted / max(counted.sum(), 1) - labelled / max(labelled.sum(), 1))
    return np.array(found, dtype=np.float64).reshape(-1, 3)


def _with_error(counted: Rate, errors: Floats) -> ClassRate:
    if counted.value is None or counted.low is None or counted.high is None:
        return ClassRate(counted, None, None, None, counted.method)
    reach = error_reach(errors)
    if reach is None:
        return ClassRate(counted, counted.low, counted.high, None, WITHOUT_ERROR)
    error = _error(errors)
    low = counted.value - math.hypot(counted.value - counted.low, reach)
    high = counted.value + math.hypot(counted.high - counted.value, reach)
    return ClassRate(counted, max(low, 0.0), min(high, 1.0), error, WITH_ERROR)


def error_reach(errors: Floats) -> float | None:
    """How far the classifier's error alone puts the 95 % limits of a class's rate, from its `errors` (cells,), as
    columns of `rate_errors`; None where they were measured in too few cells."""
    return t_quantile(len(errors)) * _error(errors) if len(errors) >= LEAST_CELLS else None


def _error(errors: Floats) -> float:
    # Around zero, not around their mean: a bias seen on a few sets is no bias of the next.
    return math.sqrt(float((errors**2).mean()) * (1 + 1 / len(errors)))
