"""How many items must be looked at so that the 95 % interval of a share is as narrow as wanted."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.proportions import score_interval


def half_width(share: float, size: float) -> float:
    """Half of the score interval of `share`, seen in `size` independent items: a fraction, or infinity, too."""
    if math.isinf(size):
        return 0.0
    low, high = score_interval(share, size)
    return (high - low) / 2


def size_in_finite_set(sampled: int, everything: int) -> float:
    """Independent items that tell as much of the *set itself* as a simple random sample of it: n (N − 1) / (N − n)
    (Cochran 1977, 2.6); infinite where all were looked at."""
    if not 0 <= sampled <= everything:
        raise ValueError(f"cannot sample {sampled} of {everything}")
    return math.inf if sampled == everything else sampled * (everything - 1) / (everything - sampled)


def same_cluster(groups: npt.ArrayLike) -> float:
    """The chance that two items drawn from a set at random are of one cluster. `groups`: numbers, shape (N,)."""
    sizes = np.unique(np.asarray(groups).reshape(-1), return_counts=True)[1].astype(np.float64)
    n = float(sizes.sum())
    return float((sizes * (sizes - 1)).sum() / (n * (n - 1))) if n > 1 else 0.0


def size_in_clusters(sampled: int, together: float, correlation: float) -> float:
    """Independent items that tell as much of *sets like it* as a random sample of this one: n / deff, where the design
    effect is 1 + ρ (n − 1) `together` (Kish 1965): ρ times the other items of its own cluster that an item expects in
    the sample. `together`: of `same_cluster`; `correlation`: ρ within clusters, in [0, 1]."""
    return sampled / (1 + correlation * max(sampled - 1, 0) * together)


def fewest(precision: float, share: float, everything: int, size_of: Callable[[int], float]) -> int | None:
    """The fewest of `everything` items for which `half_width` is at most `precision`; None where all are too few.

    `size_of` gives the effective size of a sample, and grows with it. Raises ValueError unless 0 < precision < 0.5.
    """
    if not 0 < precision < 0.5:
        raise ValueError(f"half of an interval must lie between 0 and 0.5, got {precision}")
    if everything < 1 or half_width(share, size_of(everything)) > precision:
        return None
    low, high = 0, everything
    while high - low > 1:
        middle = (low + high) // 2
        if half_width(share, size_of(middle)) <= precision:
            high = middle
        else:
            low = middle
    return high
