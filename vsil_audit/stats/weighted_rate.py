"""A share of a set from items that stand for different numbers of others: a stratified or otherwise weighted sample."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import clustered_rate, t_quantile
from vsil_audit.stats.proportions import NOTHING_SCORED, Z, score_interval
from vsil_audit.stats.rates import Interval

WEIGHTED = "score interval 95 % on the effective sample size of weights and clusters"


def weighted_rate(
    flags: npt.NDArray[np.bool_], weights: npt.NDArray[np.float64], groups: npt.ArrayLike, seed: int = 0
) -> Interval:
    """Share of True, each of n items counting by its weight, with a 95 % interval that knows of clusters.

    `flags`, `weights` (above 0), `groups`: shape (n,). Equal weights give `clustered_rate`. Otherwise the ratio
    estimator Σwy / Σw (Hájek 1971), its variance linearised over clusters, and the score interval for the sample size
    that would give that variance (Korn and Graubard 1998), at most Kish's (1965) for the clusters' weights, with the
    degrees of freedom of the clusters. Raises ValueError for shapes that differ or a weight that is not above 0.
    """
    flags, weights = np.asarray(flags, dtype=bool), np.asarray(weights, dtype=np.float64)
    numbers = np.asarray(groups).reshape(-1)
    if not flags.shape == weights.shape == numbers.shape:
        raise ValueError(f"shapes differ: {flags.shape}, {weights.shape}, {numbers.shape}")
    if not bool(np.all(weights > 0)) or not bool(np.isfinite(weights).all()):
        raise ValueError("a weight is not above 0")
    n = len(flags)
    if n == 0:
        return Interval(None, None, None, 0, NOTHING_SCORED)
    if np.ptp(weights) == 0:
        plain = clustered_rate(flags, numbers, n, seed)
        return Interval(plain.value, plain.low, plain.high, n, plain.method)
    share = float(np.average(flags, weights=weights))
    index = np.unique(numbers, return_inverse=True)[1].reshape(-1)
    of_clusters = np.bincount(index, weights)
    size = float(of_clusters.sum() ** 2 / (of_clusters**2).sum())
    clusters = len(of_clusters)
    residuals = np.bincount(index, weights * (flags - share))
    variance = clusters / max(clusters - 1, 1) * float((residuals**2).sum()) / float(weights.sum()) ** 2
    if variance > 0:
        size = min(size, share * (1 - share) / variance)
    size *= (Z / t_quantile(max(clusters - 1, 1))) ** 2
    low, high = score_interval(min(max(share, 0.0), 1.0), size)
    return Interval(share, low, high, n, WEIGHTED)
