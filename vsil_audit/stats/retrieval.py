"""Finding a pair's own image among others: how far up it ranks, and how probable that is by chance."""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Counts: TypeAlias = npt.NDArray[np.int64]


def rank_share(above: Counts, tied: Counts, of: Counts, own: Counts) -> Floats:
    """The chance that the nearest of a pair's `own` images is nearer than all of `own` random distractors; (n,).

    In [0, 1]; NaN without distractors. For one image: the share of distractors that lie farther, ties counting half (an
    AUROC: 0.5 by chance); for k images, as many distractors are drawn, so that having several is no advantage. `above`,
    `tied`: of `of` distractors, those nearer than the best own image and those just as near.
    """
    farther = np.where(of > 0, (of - above - tied / 2) / np.maximum(of, 1), np.nan)
    return np.asarray(farther**own, dtype=np.float64)


def rank_p_values(above: Counts | Floats, tied: Counts | Floats, of: Counts | Floats, own: Counts) -> Floats:
    """P-value of "the own image is one like the others" from its rank, in (0, 1]; never 0 (Phipson and Smyth 2010).

    (1 + distractors at least as near) / (1 + distractors) for one image; Šidák's correction where the best of several
    own images was taken.
    """
    return np.asarray(1 - (1 - (1 + above + tied) / (1 + of)) ** own, dtype=np.float64)


def rank_error(share: Floats, sampled: Counts) -> Floats:
    """Standard error of a rank share that was estimated from `sampled` distractors drawn at random."""
    return np.sqrt(share * (1 - share) / sampled)


def expected_recall(above: Counts, tied: Counts, of: Counts, k: int, candidates: int) -> Floats:
    """Chance that the own image is among the `k` nearest of `candidates`, the others drawn at random; shape (n,).

    Each draw takes `candidates` − 1 of the `of` distractors without replacement, and ties are broken at random: the
    mean over all draws (hypergeometric), not over some. Where the own image is one like the others the expectation is
    k / candidates. Raises ValueError where there are fewer distractors than a draw needs.
    """
    if len(of) and int(of.min()) < candidates - 1:
        raise ValueError(f"{int(of.min())} distractors are too few for {candidates} candidates")
    found = np.empty(len(of))
    for size in np.unique(of):
        # by how many lie nearer: the chance that at most k − 1 of them are drawn, and its running sum for the ties
        table = _at_most(k - 1, np.arange(size + 1), int(size), candidates - 1)
        sums = np.concatenate([[0.0], np.cumsum(table)])
        here = of == size
        first, last = above[here], above[here] + tied[here]
        found[here] = (sums[last + 1] - sums[first]) / (tied[here] + 1)
    return found


def _at_most(most: int, nearer: Counts, of: int, drawn: int) -> Floats:
    """Chance that at most `most` of `drawn` distractors are among the `nearer` ones of all `of`: hypergeometric."""
    from scipy.special import gammaln

    def log_ways(things: npt.NDArray[np.number], taken: int) -> Floats:
        possible = things >= taken
        kept = np.where(possible, things, taken)
        ways = gammaln(kept + 1) - gammaln(taken + 1) - gammaln(kept - taken + 1)
        return np.where(possible, ways, -np.inf)

    every = log_ways(np.array([of]), drawn)
    parts = [log_ways(nearer, hit) + log_ways(of - nearer, drawn - hit) - every for hit in range(min(most, drawn) + 1)]
    return np.asarray(np.exp(parts).sum(axis=0).clip(0.0, 1.0), dtype=np.float64)
