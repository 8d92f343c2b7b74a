"""Pairs that share an image or a text are not independent: which hang together, and intervals that know it."""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.proportions import EXACT, NOTHING_SCORED, WILSON, Z, score_interval, wilson
from vsil_audit.stats.rates import Interval, Rate

Groups: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

DRAWS = 2000
"""Bootstrap replicates."""

BOOTSTRAP = "cluster bootstrap 95 %"
ROBUST = "cluster-robust t 95 %"
ON_CLUSTERS = " on the effective sample size of clusters"

_FEW_PAIRS = 10
_DRAWN_AT_ONCE = 100_000  # in a processor's cache; with as much fresh memory as there is it takes twice as long
_MUCH_DEARER = 4  # to draw how often a kind comes than to draw one cluster

MANY = 40
"""Effective clusters, and clusters with either answer, from which the bootstrap of a rate keeps its coverage."""


def connected_groups(n: int, links: Iterable[tuple[int, int]] | npt.NDArray[np.integer]) -> Groups:
    """Group number of each of `n` items, given pairs of items that belong together. Shape (n,).

    Numbers run from 0 in order of first appearance. Raises ValueError for a link outside 0 … n − 1.
    """
    if isinstance(links, np.ndarray):
        ends = links.astype(np.int64, copy=False).reshape(-1, 2)
    else:
        ends = np.fromiter((end for link in links for end in link), dtype=np.int64).reshape(-1, 2)
    if ends.size and (ends.min() < 0 or ends.max() >= n):
        raise ValueError(f"a link names an item outside 0 … {n - 1}")
    root = np.arange(n, dtype=np.int64)
    while ends.size:
        ends = root[ends]
        ends = ends[ends[:, 0] != ends[:, 1]]
        np.minimum.at(root, ends.max(axis=1), ends.min(axis=1))
        while not np.array_equal(above := root[root], root):
            root = above
    # a root is the smallest member of its group, so sorted roots are in order of first appearance
    return np.unique(root, return_inverse=True)[1].reshape(-1).astype(np.int64, copy=False)


class PairGroups:
    """Groups of pairs found in one streaming pass: 12 bytes per key, whatever the keys' length.

    Call `add` once per pair with whatever identifies its parts (`"text:" + digest`, `"image:" + digest`); pairs with a
    key in common fall into one group. Keys are kept as 64-bit hashes: a false link is expected once in 10^6 sets of a
    million pairs.
    """

    def __init__(self) -> None:
        self._hashes = array("Q")
        self._pairs = array("I")
        self._n = 0

    def add(self, keys: Iterable[str | bytes]) -> None:
        """The next pair and its keys. A pair without keys is a group of its own."""
        for key in keys:
            data = key.encode("utf-8", "surrogatepass") if isinstance(key, str) else key
            self._hashes.append(int.from_bytes(blake2b(data, digest_size=8).digest(), "little"))
            self._pairs.append(self._n)
        self._n += 1

    def __len__(self) -> int:
        return self._n

    def groups(self) -> Groups:
        """Group number of each pair added so far, in order. Shape (len(self),)."""
        # copies: a view would lock the arrays against further `add`
        hashes = np.array(self._hashes, dtype=np.uint64)
        pairs = np.array(self._pairs, dtype=np.uint32)[np.argsort(hashes, kind="stable")]
        hashes.sort()
        same = hashes[1:] == hashes[:-1]
        return connected_groups(self._n, np.stack([pairs[:-1][same], pairs[1:][same]], axis=1))


@dataclass(frozen=True, slots=True)
class IntervalGroups:
    """What intervals rest on: `groups` (n,). `connected`: members of the largest group that texts and all else connect.
    `without_texts`: the same where texts don't; None where that was not looked at."""

    groups: Groups
    connected: int
    without_texts: int | None = None

    @property
    def texts_given(self) -> bool:
        """Whether repeated texts are taken as given, and connect no pairs."""
        return self.without_texts is not None and 2 * self.without_texts <= len(self.groups)

    @property
    def few(self) -> bool:
        """Whether most pairs go together, texts or not: there are few independent groups."""
        return self.without_texts is not None and not self.texts_given


def interval_groups(connected: Groups, without_texts: Callable[[], Groups]) -> IntervalGroups:
    """Pairs that share a text, an image or a scenario go together, transitively (`connected`, (n,)); unless one group
    would hold more than half of 10 pairs or more (a query repeated over many images): then repeated texts count as a
    fixed part of the set's design, and the groups are those `without_texts`, if these are smaller."""
    largest = _largest(connected)
    if 2 * largest <= len(connected) or len(connected) < _FEW_PAIRS:
        return IntervalGroups(connected, largest)
    without = without_texts()
    found = IntervalGroups(without, largest, _largest(without))
    return found if found.texts_given else replace(found, groups=connected)


def _largest(groups: Groups) -> int:
    return int(np.bincount(groups).max(initial=0))


@dataclass(frozen=True, slots=True)
class ClusterSums:
    """What of some values is needed to resample them by cluster: sizes, sums and sums of squares, each (clusters,)."""

    sizes: Floats
    sums: Floats
    squares: Floats

    @classmethod
    def of(cls, values: npt.NDArray[np.generic], groups: npt.ArrayLike) -> ClusterSums:
        """Sums of `values` (n,) over equal numbers in `groups` (n,)."""
        numbers = np.asarray(groups).reshape(-1)
        if values.shape != numbers.shape:
            raise ValueError(f"{values.shape} values do not match {numbers.shape} group numbers")
        index = np.unique(numbers, return_inverse=True)[1].reshape(-1)
        weights = values.astype(np.float64)
        sizes, sums, squares = (np.bincount(index, w).astype(np.float64) for w in (None, weights, weights * weights))
        return cls(sizes, sums, squares)

    @property
    def n(self) -> int:
        return int(self.sizes.sum())

    @property
    def mean(self) -> float:
        return float(self.sums.sum() / self.sizes.sum())

    @property
    def effective(self) -> float:
        """Equal clusters that would tell as much, if pairs of a cluster always agreed: n² / Σ size² (Kish 1965)."""
        return float(self.sizes.sum() ** 2 / (self.sizes**2).sum())

    @property
    def variance(self) -> float:
        """Sampling variance of the mean, linearised, clusters being drawn with replacement."""
        clusters = len(self.sizes)
        residuals = self.sums - self.mean * self.sizes
        return float(clusters / (clusters - 1) * (residuals**2).sum() / self.sizes.sum() ** 2) if clusters > 1 else 0.0

    @property
    def agreement(self) -> float:
        """Intraclass correlation in [0, 1]: mean product of residuals of two pairs of one cluster, clusters counting
        alike, over the variance; 1 where no cluster has two pairs or no value differs."""
        mean, several = self.mean, self.sizes > 1
        spread = self.squares.sum() / self.sizes.sum() - mean * mean
        if spread <= 0 or not several.any():
            return 1.0
        sizes, sums = self.sizes[several], self.sums[several]
        own = self.squares[several] - 2 * mean * sums + mean * mean * sizes
        products = ((sums - mean * sizes) ** 2 - own) / (sizes * (sizes - 1))
        return float(np.clip(products.mean() / spread, 0.0, 1.0))

    def resampled_means(self, seed: int) -> Floats:
        """Means of DRAWS samples of as many clusters. Shape (DRAWS,).

        Clusters with equal size and sum are interchangeable: where there are few kinds their counts are drawn, not each
        of them.
        """
        kinds, counts = np.unique(np.stack([self.sizes, self.sums]), axis=1, return_counts=True)
        few = _MUCH_DEARER * len(counts) < len(self.sizes)
        generator = np.random.default_rng(seed)
        block = max(1, _DRAWN_AT_ONCE // (len(counts) if few else len(self.sizes)))
        means = np.empty(DRAWS)
        for start in range(0, DRAWS, block):
            n = min(start + block, DRAWS) - start
            if few:
                sizes, sums = kinds @ generator.multinomial(len(self.sizes), counts / len(self.sizes), size=n).T
            else:
                drawn = generator.integers(len(self.sizes), size=(n, len(self.sizes)), dtype=np.uint32).astype(np.intp)
                alike = bool(np.ptp(self.sizes) == 0)
                sums, sizes = self.sums[drawn].sum(axis=1), self.n if alike else self.sizes[drawn].sum(axis=1)
            means[start : start + n] = sums / sizes
        return means

    def percentiles(self, seed: int) -> tuple[float, float]:
        """95 % limits of the mean: percentiles of the resampled means, set wider as a t interval is wider than a
        normal one (Hesterberg 2015, expanded percentile interval)."""
        from scipy.special import ndtr

        effective = max(self.effective, 2.0)
        tail = float(ndtr(-math.sqrt(effective / (effective - 1)) * t_quantile(effective - 1)))
        low, high = np.quantile(self.resampled_means(seed), [tail, 1 - tail])
        return float(low), float(high)

    def independent(self, rarer: int) -> float:
        """Independent pairs that would tell as much as these, a t quantile's width included (a fraction, at most n).

        The variance is the larger of the one seen between clusters and the one that the pairs' agreement implies for
        clusters of these sizes: a few big clusters that happen to be alike show too little of it. With fewer than 5
        clusters of the `rarer` answer agreement cannot be seen, and is assumed throughout.
        """
        spread = float(self.squares.sum() / self.sizes.sum()) - self.mean**2
        if spread <= 0 or rarer < 5:
            return self.effective
        implied = spread * (self.agreement / self.effective + (1 - self.agreement) / self.n)
        return spread / max(self.variance, implied) * (Z / t_quantile(self.effective - 1)) ** 2


def clustered_rate(
    flags: npt.NDArray[np.bool_], groups: npt.ArrayLike, total: int | None = None, seed: int = 0
) -> Rate:
    """Share of True in `flags` (n scored pairs) with a 95 % interval that knows that pairs of a group go together.

    `groups` (n,) are the group numbers of the scored pairs; `total` counts the pairs without an outcome too. Method, as
    named in the result: Wilson when every group is a single pair; cluster bootstrap where there are many clusters of
    either answer; else Wilson, or exact at 0 and 1, on the effective sample size with the degrees of freedom of the
    clusters (Korn and Graubard 1998; Dean and Pagano 2015).
    """
    flags = np.asarray(flags, dtype=bool)
    n, k = len(flags), int(flags.sum())
    clusters = ClusterSums.of(flags, groups)
    if len(clusters.sizes) == n:
        return wilson(k, n, total)
    total = n if total is None else total
    if total < n:
        raise ValueError(f"{n} scored pairs of {total}")
    rarer = min(int((clusters.sums > 0).sum()), int((clusters.sums < clusters.sizes).sum()))
    if min(rarer, clusters.effective) >= MANY:
        low, high = clusters.percentiles(seed)
        return Rate(k, n, total, k / n, low, high, BOOTSTRAP)
    low, high = score_interval(k / n, clusters.independent(rarer))
    return Rate(k, n, total, k / n, low, high, (EXACT if k in (0, n) else WILSON) + ON_CLUSTERS)


def clustered_mean(values: Floats, groups: npt.ArrayLike, seed: int = 0) -> Interval:
    """Mean of `values` (n,) with a 95 % interval by resampling whole groups.

    Cluster bootstrap (expanded percentile) up to 5,000 clusters, a cluster-robust t interval above. Limits are None for
    a single cluster and where no value differs: neither shows how far another sample could lie. Raises ValueError for
    a value that is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if not bool(np.isfinite(values).all()):
        raise ValueError("a value is not finite; leave out what was not scored")
    if len(values) == 0:
        return Interval(None, None, None, 0, NOTHING_SCORED)
    clusters = ClusterSums.of(values, groups)
    mean = clusters.mean
    if len(clusters.sizes) < 2 or np.ptp(values) == 0:
        return Interval(mean, None, None, len(values), "no interval: a single cluster, or no spread")
    if len(clusters.sizes) <= 5000:
        low, high = clusters.percentiles(seed)
        return Interval(mean, low, high, len(values), BOOTSTRAP)
    half = t_quantile(clusters.effective - 1) * math.sqrt(clusters.variance)
    return Interval(mean, mean - half, mean + half, len(values), ROBUST)


def t_quantile(freedom: float, share: float = 0.975) -> float:
    """Quantile of Student's t, by default the one for two-sided 95 %; less than 1 degree of freedom counts as 1."""
    from scipy.special import stdtrit

    return float(stdtrit(max(freedom, 1.0), share))
