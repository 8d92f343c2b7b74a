"""Where pairs stand in the whole set and within their categories, and which of the two decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.clip_overlap.standing import Pool, Standings, standings
from vsil_audit.detectors.clip_overlap.vectors import ComparedPair
from vsil_audit.stats.multiple import benjamini_hochberg
from vsil_audit.stats.retrieval import Floats

LEAST = 9
"""Distractors without which no pair could be suspected whatever its rank: from here p reaches FALSE_DISCOVERIES."""
LEAST_IN_CATEGORY = 9
"""Distractors of the same category from which the rank within it takes part in the verdict, as in the set."""
FALSE_DISCOVERIES = 0.1
_REJECTED = FALSE_DISCOVERIES * (1 + 1e-9)  # a p-value of 1/100 that came out as 0.01 and a bit is still 1/100


@dataclass(frozen=True, slots=True)
class Ranks:
    """Of n pairs. In `in_category`, `of` is 0 for a pair without category."""

    in_set: Standings
    in_category: Standings

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        return self.in_set.of >= LEAST

    @property
    def categorised(self) -> npt.NDArray[np.bool_]:
        """Which have enough distractors in their category."""
        return self.in_category.of >= LEAST_IN_CATEGORY

    def deciding_p(self) -> Floats:
        """The larger of the two p-values, where the category has enough images: both must tell the own image apart
        (intersection-union test). Pairs of one topic stand out in the set by their topic alone; in their category they
        do not."""
        return np.maximum(self.in_set.p(), np.where(self.categorised, self.in_category.p(), 0.0))

    def least_share(self) -> float | None:
        """The smallest share of scored pairs that is flagged where each of them is nearest to its own image and the
        others are not: with few distractors p-values are coarse. None where even all of them would not be."""
        nearest = Ranks(self.in_set.as_nearest(), self.in_category.as_nearest())
        p = np.sort(nearest.deciding_p()[self.scored])
        share = np.arange(1, len(p) + 1) / max(len(p), 1)
        enough = share[p <= _REJECTED * share]
        return float(enough[0]) if len(enough) else None


def ranks(pairs: Sequence[ComparedPair], pool: Pool, pools: Mapping[str, Pool]) -> Ranks:
    """`pools`: the images of each category."""
    in_set = standings(pairs, pool)
    members: dict[str, list[int]] = {}
    for i, pair in enumerate(pairs):
        if pair.category is not None and pair.category in pools:
            members.setdefault(pair.category, []).append(i)
    within = in_set.without_distractors()
    for category, rows in members.items():
        within.put(rows, standings([pairs[i] for i in rows], pools[category]))
    return Ranks(in_set, within)


def largest_p(p: Floats) -> float:
    """The largest p-value that Benjamini and Hochberg's procedure rejects at FALSE_DISCOVERIES; 0 where none is.

    Of a random sample of the set's p-values it estimates the threshold for all of them.
    """
    rejected = p[benjamini_hochberg(p) <= _REJECTED] if len(p) else p
    return float(rejected.max()) if len(rejected) else 0.0
