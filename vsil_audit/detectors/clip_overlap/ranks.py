"""Where pairs stand in the whole set and within their categories, and which of the two decides."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.clip_overlap.standing import Pool, Standings, standings
from vsil_audit.detectors.clip_overlap.vectors import Vectors
from vsil_audit.stats.multiple import benjamini_hochberg
from vsil_audit.stats.retrieval import Floats

LEAST = 5
"""Distractors without which a rank says nothing."""
LEAST_IN_CATEGORY = 19
"""Distractors of the same category from which the rank within it takes part in the verdict: it can reach p = 0.05."""
FALSE_DISCOVERIES = 0.1


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


def ranks(
    texts: Sequence[Vectors],
    images: Sequence[Vectors],
    groups: npt.NDArray[np.int64],
    categories: Sequence[str | None],
    pool: Pool,
    pools: Mapping[str, Pool],
) -> Ranks:
    """Arguments as of `standings`; `pools` are the categories' images."""
    in_set = standings(texts, images, groups, pool)
    n = len(texts)
    zeros = np.zeros(n, dtype=np.int64)
    within = Standings(in_set.cosine, zeros, zeros.copy(), zeros.copy(), in_set.own, np.full(n, np.nan))
    members: dict[str, list[int]] = {}
    for i, category in enumerate(categories):
        if category is not None and category in pools:
            members.setdefault(category, []).append(i)
    for category, rows in members.items():
        found = standings([texts[i] for i in rows], [images[i] for i in rows], groups[rows], pools[category])
        within.above[rows], within.tied[rows], within.of[rows] = found.above, found.tied, found.of
        within.best_other[rows] = found.best_other
    return Ranks(in_set, within)


def largest_p(p: Floats) -> float:
    """The largest p-value that Benjamini and Hochberg's procedure rejects at FALSE_DISCOVERIES; 0 where none is.

    Of a random sample of the set's p-values it estimates the threshold for all of them.
    """
    rejected = p[benjamini_hochberg(p) <= FALSE_DISCOVERIES] if len(p) else p
    return float(rejected.max()) if len(rejected) else 0.0
