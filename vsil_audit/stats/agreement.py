"""Do several judges, or a judge and people, say the same? Agreement beyond chance, and what the majority says."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import (
    BOOTSTRAP,
    DRAWS,
    MANY,
    ON_CLUSTERS,
    ClusterSums,
    clustered_rate,
    t_quantile,
)
from vsil_audit.stats.proportions import EXACT, NOTHING_SCORED, WILSON, score_interval
from vsil_audit.stats.rates import Interval, Rate

Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]
Ratings: TypeAlias = npt.NDArray[np.generic]

ONE_CATEGORY = "no value: all ratings are alike, so that agreement beyond chance cannot be seen"
NOTHING_TWICE = "no value: no pair was rated twice"
OF_DISAGREEMENT = " of the disagreement"


@dataclass(frozen=True, slots=True)
class PairwiseAgreement:
    """How raters `first` and `second` (row numbers) agree where both rated: the share, and Cohen's kappa."""

    first: int
    second: int
    same: Rate
    kappa: Interval


@dataclass(frozen=True, slots=True)
class Majority:
    """What most of the raters say of each of n pairs. All arrays have shape (n,) and type bool.

    `flags` holds the majority's vote and is to be read only where `decided`; every other pair is either `tied` or
    `missing` (too few raters voted).
    """

    flags: Flags
    decided: Flags
    tied: Flags
    missing: Flags


def cohen_kappa(
    first: Ratings, second: Ratings, groups: npt.ArrayLike, scored: Flags | None = None, seed: int = 0
) -> Interval:
    """Cohen's (1960) kappa of two raters, in [−1, 1], with a 95 % interval that respects clusters and never vanishes.

    `first`, `second` (n,): the categories given to the same pairs (bool, integers or strings), read where `scored` (n,)
    is true (default: everywhere). Both raters may use their categories differently. No value if one category alone
    was used. Interval: cluster bootstrap; with few clusters of agreement or disagreement that of the observed
    disagreement, chance disagreement taken as known.
    """
    one, other, numbers = np.asarray(first), np.asarray(second), np.asarray(groups).reshape(-1)
    known = np.ones(one.shape, dtype=bool) if scored is None else np.asarray(scored, dtype=bool)
    if not one.shape == other.shape == numbers.shape == known.shape:
        raise ValueError(f"shapes differ: {one.shape}, {other.shape}, {numbers.shape}, {known.shape}")
    one, other, numbers = one[known], other[known], numbers[known]
    n = len(one)
    if n == 0:
        return Interval(None, None, None, 0, NOTHING_SCORED)
    codes = np.unique(np.concatenate([one, other]), return_inverse=True)[1].reshape(2, n)
    categories = int(codes.max()) + 1
    tables = np.zeros((n, categories * categories))
    tables[np.arange(n), codes[0] * categories + codes[1]] = 1.0
    different = (codes[0] != codes[1]).astype(np.float64)
    return _beyond_chance(tables, different, np.ones(n), numbers, _kappa_disagreement, seed)


def krippendorff_alpha(ratings: Ratings, scored: Flags, groups: npt.ArrayLike, seed: int = 0) -> Interval:
    """Krippendorff's (2011) alpha for nominal ratings by m raters, at most 1, with a 95 % interval as `cohen_kappa`.

    `ratings` (m, n): category given by each rater to each pair, read where `scored` (m, n) is true; pairs with a single
    rating tell nothing and are left out (`n` of the result counts the others). `groups` (n,).
    """
    given, known, numbers = np.asarray(ratings), np.asarray(scored, dtype=bool), np.asarray(groups).reshape(-1)
    if given.ndim != 2 or given.shape != known.shape or given.shape[1:] != numbers.shape:
        raise ValueError(f"shapes do not match: {given.shape}, {known.shape}, {numbers.shape}")
    twice = known.sum(axis=0) >= 2
    given, known, numbers = given[:, twice], known[:, twice], numbers[twice]
    if not twice.any():
        return Interval(None, None, None, 0, NOTHING_TWICE)
    names = np.unique(given[known])
    counts = np.stack([((given == name) & known).sum(axis=0) for name in names], axis=1).astype(np.float64)
    sizes = counts.sum(axis=1)
    different = 1 - (counts * (counts - 1)).sum(axis=1) / (sizes * (sizes - 1))
    tables = np.concatenate([counts, (sizes * different)[:, None]], axis=1)
    return _beyond_chance(tables, different, sizes, numbers, _alpha_disagreement, seed)


def pairwise_agreement(
    ratings: Ratings, scored: Flags, groups: npt.ArrayLike, seed: int = 0
) -> tuple[PairwiseAgreement, ...]:
    """Every two of the m raters in `ratings` (m, n), `scored` (m, n), `groups` (n,), on the pairs that both rated."""
    given, known, numbers = np.asarray(ratings), np.asarray(scored, dtype=bool), np.asarray(groups).reshape(-1)

    def compare(first: int, second: int) -> PairwiseAgreement:
        both = known[first] & known[second]
        same = clustered_rate((given[first] == given[second])[both], numbers[both], len(both), seed)
        return PairwiseAgreement(first, second, same, cohen_kappa(given[first], given[second], numbers, both, seed))

    return tuple(compare(first, second) for first, second in combinations(range(len(given)), 2))


def majority(votes: Flags, scored: Flags, least: int | None = None) -> Majority:
    """The vote of more than half of those who voted, per pair. `votes`, `scored`: shape (m, n).

    A pair with fewer than `least` votes is missing; by default more than half of the m raters must have voted, so that
    one survivor of a panel is not its majority. An even split is a tie, never a side.
    """
    yes, known = np.asarray(votes, dtype=bool), np.asarray(scored, dtype=bool)
    if yes.ndim != 2 or yes.shape != known.shape:
        raise ValueError(f"votes and scored must have one shape (raters, pairs), got {yes.shape} and {known.shape}")
    least = len(yes) // 2 + 1 if least is None else least
    if least < 1:
        raise ValueError(f"a majority needs at least one vote, got least={least}")
    voted, ayes = known.sum(axis=0), (yes & known).sum(axis=0)
    missing = voted < least
    tied = ~missing & (2 * ayes == voted)
    decided = ~missing & ~tied
    return Majority(decided & (2 * ayes > voted), decided, tied, missing)


Disagreement: TypeAlias = Callable[[Floats], tuple[Floats, Floats]]
"""From sums of tables (…, width) to the observed and the chance disagreement, each (…)."""


def _kappa_disagreement(sums: Floats) -> tuple[Floats, Floats]:
    categories = math.isqrt(sums.shape[-1])
    shares = (sums / sums.sum(axis=-1, keepdims=True)).reshape(*sums.shape[:-1], categories, categories)
    agreed = np.trace(shares, axis1=-2, axis2=-1)
    return 1 - agreed, 1 - (shares.sum(axis=-1) * shares.sum(axis=-2)).sum(axis=-1)


def _alpha_disagreement(sums: Floats) -> tuple[Floats, Floats]:
    counts, different = sums[..., :-1], sums[..., -1]
    total = counts.sum(axis=-1)
    alike = (counts * (counts - 1)).sum(axis=-1) / (total * (total - 1))
    return different / total, 1 - alike


def _beyond_chance(
    tables: Floats, different: Floats, weights: Floats, groups: npt.NDArray[np.generic], of: Disagreement, seed: int
) -> Interval:
    """1 − observed / chance disagreement with its interval. `tables` (n, width) add up to what `of` takes;
    `different` (n,) is each pair's own disagreement in [0, 1], `weights` (n,) how much it counts."""
    n = len(tables)
    observed, by_chance = (float(value) for value in of(tables.sum(axis=0)))
    if by_chance <= 0:
        return Interval(None, None, None, n, ONE_CATEGORY)
    observed = max(observed, 0.0)
    value = 1 - observed / by_chance
    clusters = ClusterSums.of(different, groups)
    rarer = min(int((clusters.sums > 0).sum()), int((clusters.sums < clusters.sizes).sum()))
    if min(rarer, clusters.effective) >= MANY:
        low, high = _resampled(tables, groups, clusters.effective, of, seed)
        return Interval(value, low, high, n, BOOTSTRAP)
    # unequal weights tell less than equal ones (Kish 1965)
    size = clusters.independent(rarer) * float(weights.sum()) ** 2 / (n * float((weights**2).sum()))
    least, most = score_interval(min(observed, 1.0), size)
    method = (EXACT if observed in (0.0, 1.0) else WILSON) + OF_DISAGREEMENT
    single = len(clusters.sizes) == n
    return Interval(
        value, max(1 - most / by_chance, -1.0), 1 - least / by_chance, n, method if single else method + ON_CLUSTERS
    )


def _resampled(
    tables: Floats, groups: npt.NDArray[np.generic], effective: float, of: Disagreement, seed: int
) -> tuple[float, float]:
    """Expanded percentile limits (Hesterberg 2015) over DRAWS samples of as many clusters."""
    from scipy.special import ndtr

    index = np.unique(groups, return_inverse=True)[1].reshape(-1)
    sums = np.stack([np.bincount(index, column) for column in tables.T], axis=1)
    # equal clusters are interchangeable: their counts are drawn, not each of them
    kinds, counts = np.unique(sums, axis=0, return_counts=True)
    generator = np.random.default_rng(seed)
    block = max(1, 2_000_000 // len(counts))
    values: list[Floats] = []
    for start in range(0, DRAWS, block):
        weights = generator.multinomial(len(sums), counts / len(sums), size=min(block, DRAWS - start))
        observed, by_chance = of(weights.astype(np.float64) @ kinds)
        values.append(1 - observed[by_chance > 0] / by_chance[by_chance > 0])
    tail = float(ndtr(-math.sqrt(effective / (effective - 1)) * t_quantile(effective - 1)))
    low, high = np.quantile(np.concatenate(values), [tail, 1 - tail])
    return float(low), float(high)
