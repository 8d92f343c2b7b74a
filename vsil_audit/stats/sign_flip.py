"""Did the same pairs change one way more often than the other? A test that flips whole clusters, exact where feasible.

If two conditions do not differ, each cluster's net change might as well have gone the other way. The p-value is the
share of all 2^clusters ways to sign the net changes that reach the sum seen or more (Fisher's randomisation test). Of
pairs that stand alone that is McNemar's exact test. It needs no estimate of how much pairs of a cluster agree, and with
few clusters it cannot reject. It is exact where the two might have changed places in every cluster; two models of one
rate that fail in unlike ways, one by whole clusters, were told apart in up to 9 % of simulations at 5 %, where few big
clusters held most pairs (`benchmarks/evaluation_coverage.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]

_MOST_EXACT = 20_000
"""Sum of the net changes above which the normal limit is taken; thousands of clusters have changed by then."""

_ROUNDING = 1e-9


@dataclass(frozen=True, slots=True)
class NetChanges:
    """Net changes of the clusters of one set that changed: `sizes` (clusters,) above 0, and `total`, their signed
    sum."""

    sizes: Counts
    total: int

    @classmethod
    def of(cls, changes: npt.NDArray[np.integer], groups: npt.ArrayLike) -> NetChanges:
        """`changes` (n,): +1, 0 or −1 for each pair. `groups` (n,): group numbers."""
        numbers = np.asarray(groups).reshape(-1)
        if changes.shape != numbers.shape:
            raise ValueError(f"{changes.shape} changes do not match {numbers.shape} group numbers")
        index = np.unique(numbers, return_inverse=True)[1].reshape(-1)
        net = np.rint(np.bincount(index, changes.astype(np.float64))).astype(np.int64)
        return cls(np.abs(net[net != 0]), int(net.sum()))

    @property
    def variance(self) -> float:
        """Of the sum of the changes, the signs being random."""
        return float((self.sizes.astype(np.float64) ** 2).sum())


def sign_flip_p(changes: npt.NDArray[np.integer], groups: npt.ArrayLike) -> float:
    """Two-sided p-value of "as many changes one way as the other", for `changes` (n,) in {−1, 0, 1} of pairs in
    `groups` (n,). 1 where nothing changed."""
    return weighted_sign_flip_p([NetChanges.of(changes, groups)], [1.0])


def weighted_sign_flip_p(parts: Sequence[NetChanges], weights: Sequence[float]) -> float:
    """The same for a weighted sum over one or two independent sets (weights above 0): the mean of two differences, each
    over its own pairs, has the weights 1 / (2 n)."""
    if not 1 <= len(parts) <= 2 or len(parts) != len(weights) or min(weights) <= 0:
        raise ValueError("one or two sets, each with a weight above 0")
    seen = abs(sum(weight * part.total for part, weight in zip(parts, weights, strict=True)))
    if seen <= _ROUNDING * max(weights):
        return 1.0
    variance = sum(weight**2 * part.variance for part, weight in zip(parts, weights, strict=True))
    if max(int(part.sizes.sum()) for part in parts) > _MOST_EXACT:
        return math.erfc(seen / math.sqrt(2 * variance))
    first = _signed_sums(parts[0])
    reach = len(first) // 2
    above = np.concatenate([np.cumsum(first[::-1])[::-1], [0.0]])  # [i]: chance of a sum of at least i − reach
    other, rest = (_signed_sums(parts[1]), weights[1]) if len(parts) > 1 else (np.ones(1), 0.0)
    shifts = rest * (np.arange(len(other)) - len(other) // 2)
    p = 0.0
    for sign in (1.0, -1.0):  # the distribution is symmetric, so the lower tail is the upper one of the mirror image
        least = np.ceil((seen - sign * shifts) / weights[0] - _ROUNDING).astype(np.int64)
        p += float((other * above[np.clip(least + reach, 0, len(first))]).sum())
    return p if p < 1 - _ROUNDING else 1.0


def _signed_sums(part: NetChanges) -> Floats:
    """Chances of the sums −S … S of randomly signed sizes, S being their sum. Shape (2 S + 1,)."""
    from scipy.stats import binom

    chances = np.ones(1)
    for size, count in zip(*np.unique(part.sizes, return_counts=True), strict=True):
        steps = np.zeros(2 * int(size * count) + 1)
        steps[:: 2 * size] = binom.pmf(np.arange(count + 1), count, 0.5)
        chances = np.convolve(chances, steps)
    return chances
