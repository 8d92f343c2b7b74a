"""Labels on a random part of a set, a judge's verdicts on all of it: estimates right whatever the judge is worth."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import ClusterSums, clustered_rate
from vsil_audit.stats.proportions import score_interval
from vsil_audit.stats.rates import Interval, Rate

Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]

POWERED = "prediction-powered, Wilson 95 % on the effective sample size"
LABELS_ALONE = "labels alone: "
NO_LABELS = "no value: no pair is labelled"
NONE_AMONG = "no value: no labelled pair is harmful, so that the share has no denominator"

FEW = 5
"""Labels of the rarer kind below which the verdicts' help cannot be measured, and is not used."""


def prediction_powered_mean(
    labels: npt.ArrayLike, labelled: Flags, predictions: npt.ArrayLike, groups: npt.ArrayLike, seed: int = 0
) -> Interval:
    """Mean of yes/no labels over the population of n pairs, of which those `labelled` were drawn at random.

    `labels` (n,) are read where `labelled` (n,); `predictions` (n,) are a judge's numbers for every pair, such as
    probabilities; `groups` (n,). Prediction-powered inference (Angelopoulos et al. 2023) with the weight λ of the
    predictions that makes the interval shortest (PPI++: Angelopoulos, Duchi and Zrnic 2023), kept in [0, 1]. A useless
    judge gets λ near 0. With fewer than FEW labels of either kind the labels alone, exact where they are all alike.
    """
    truth, known = np.asarray(labels, dtype=bool), np.asarray(labelled, dtype=bool)
    guesses, numbers = np.asarray(predictions, dtype=np.float64), np.asarray(groups).reshape(-1)
    _check_shapes(truth, known, guesses, numbers)
    if not bool(np.isfinite(guesses).all()):
        raise ValueError("a prediction is not finite; leave out what was not scored")
    n, n_all = int(known.sum()), len(known)
    if n == 0:
        return Interval(None, None, None, 0, NO_LABELS)
    alone = clustered_rate(truth[known], numbers[known], n, seed)
    rarer = min(alone.k, n - alone.k)
    seen = truth[known].astype(np.float64)
    deviations = guesses[known] - guesses[known].mean()
    spread = float((deviations**2).sum())
    weight = min(max(float(deviations @ seen) / spread, 0.0), 1.0) if spread > 0 else 0.0
    value = float(seen.mean()) + weight * float(guesses.mean() - guesses[known].mean())
    if rarer < FEW or not 0 < value < 1:
        return _labels_alone(alone)
    corrections, carried = seen - weight * guesses[known], weight * guesses
    variance = _variance(corrections, numbers[known], rarer) + _variance(carried, numbers, n_all)
    variance += _shared(corrections, numbers[known], carried, numbers)
    low, high = score_interval(value, value * (1 - value) / variance)
    return Interval(value, low, high, n, f"{POWERED}, λ = {weight:.2f}")


def prediction_powered_share(
    hits: Flags, among: Flags, labelled: Flags, verdicts: npt.ArrayLike, groups: npt.ArrayLike, seed: int = 0
) -> Interval:
    """Ratio of the means of `hits & among` and `among`, both labels: the share of hits among those, in [0, 1].

    V is the share of `text harmful` among `pair harmful`. All arguments have shape (n,); the two labels are read where
    `labelled`: pairs (or whole groups) drawn at random, not by what the judge said. `verdicts` are categories (few, any
    numbers) that the judge gave to every pair, such as 2 · J(pair) + J(text).

    The labels' shares within each verdict are weighted by how often the verdict occurs in the whole set
    (post-stratification): prediction-powered inference with one λ for each verdict, so that the best function of the
    verdicts is used and correlated errors of J(pair) and J(text) need no model. Each verdict borrows one label's worth
    from all, which keeps rare verdicts steady. Interval: Wilson on the effective sample size of the linearised ratio,
    clusters included. With fewer than FEW labels of either kind the labels alone, exact where they are all alike: no
    disagreement seen leaves an interval as wide as so few labels do.
    """
    hit, base = np.asarray(hits, dtype=bool), np.asarray(among, dtype=bool)
    known, numbers = np.asarray(labelled, dtype=bool), np.asarray(groups).reshape(-1)
    cells = np.asarray(verdicts).reshape(-1)
    _check_shapes(hit, base, known, cells, numbers)
    n = int(known.sum())
    if n == 0:
        return Interval(None, None, None, 0, NO_LABELS)
    counted = known & base
    if not counted.any():
        return Interval(None, None, None, n, NONE_AMONG)
    alone = clustered_rate(hit[counted], numbers[counted], int(counted.sum()), seed)
    rarer = min(alone.k, alone.n - alone.k)
    if rarer < FEW:
        return _labels_alone(alone)
    cell = np.unique(cells, return_inverse=True)[1].reshape(-1)
    kind = np.where(base, 1 + hit, 0)  # 0 not counted, 1 counted, 2 a hit
    table = np.zeros((int(cell.max()) + 1, 3))
    np.add.at(table, (cell[known], kind[known]), 1.0)
    in_cell = table.sum(axis=1) + 1
    shares = (table + table.sum(axis=0) / n) / in_cell[:, None]
    weights = np.bincount(cell) / len(cell)
    _, missed, met = weights @ shares
    value = float(met / (met + missed))
    influence = np.array([0.0, -value, 1 - value]) / (met + missed)
    expected = shares @ influence
    # by chance a verdict is labelled more or less often than it occurs
    scale = (weights * (n + len(weights)) / in_cell)[cell[known]]
    residuals = scale * (influence[kind[known]] - expected[cell[known]])
    within = float((weights**2 * (shares @ influence**2 - expected**2) / in_cell).sum())
    between = expected[cell]
    # each verdict's mean costs a degree of freedom
    effective = ClusterSums.of(residuals, numbers[known]).effective
    within *= effective / max(effective - len(weights), 1.0)
    variance = within * _design_effect(residuals, numbers[known], rarer)
    variance += _variance(between, numbers, len(numbers))
    variance += _shared(residuals, numbers[known], between, numbers)
    low, high = score_interval(value, value * (1 - value) / variance)
    return Interval(value, low, high, n, POWERED)


def _labels_alone(rate: Rate) -> Interval:
    return Interval(rate.value, rate.low, rate.high, rate.n, LABELS_ALONE + rate.method)


def _design_effect(values: Floats, groups: npt.NDArray[np.generic], rarer: int) -> float:
    """How much more the mean of `values` varies than that of independent ones, a t quantile's width included; ≥ 1."""
    return max(len(values) / ClusterSums.of(values, groups).independent(rarer), 1.0)


def _variance(values: Floats, groups: npt.NDArray[np.generic], rarer: int) -> float:
    return float(values.var()) / len(values) * _design_effect(values, groups, rarer)


def _shared(
    part: Floats, part_groups: npt.NDArray[np.generic], whole: Floats, groups: npt.NDArray[np.generic]
) -> float:
    """Twice the covariance of the means of `part` and `whole` through their common groups of several pairs; ≥ 0."""
    codes = np.unique(np.concatenate([groups, part_groups]), return_inverse=True)[1].reshape(-1)
    sizes = np.bincount(codes[: len(whole)])
    of_whole = np.bincount(codes[: len(whole)], whole - whole.mean())
    of_part = np.bincount(codes[len(whole) :], part - part.mean(), minlength=len(sizes))
    together = of_whole * of_part
    return max(2 * float(together[sizes > 1].sum()) / (len(part) * len(whole)), 0.0)


def _check_shapes(*arrays: npt.NDArray[np.generic]) -> None:
    if len({array.shape for array in arrays}) > 1:
        raise ValueError("shapes differ: " + ", ".join(str(array.shape) for array in arrays))
