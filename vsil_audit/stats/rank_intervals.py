"""Ranks with their uncertainty: which places each of several models may hold, given the differences that are real."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.multiple import holm

Floats: TypeAlias = npt.NDArray[np.float64]

LEVEL = 0.05
METHOD = "simultaneous 95 %, from pairwise tests (Holm)"


@dataclass(frozen=True, slots=True)
class RankInterval:
    """`rank`: by the value alone, 1 for the highest; equal values share the better rank. `best` … `worst`: the ranks
    that the pairwise tests leave open."""

    rank: int
    best: int
    worst: int


@dataclass(frozen=True, slots=True)
class Duel:
    """Two models on the same pairs: places `first` and `second` in the list, the difference of their values, and its
    two-sided p-value; None where they could not be compared."""

    first: int
    second: int
    difference: float
    p_value: float | None


def adjusted(duels: Sequence[Duel]) -> list[float | None]:
    """Holm over those that were tested, in the given order."""
    tested = [i for i, duel in enumerate(duels) if duel.p_value is not None]
    by_place = dict(zip(tested, holm([duels[i].p_value or 0.0 for i in tested]).tolist(), strict=True))
    return [by_place.get(i) for i in range(len(duels))]


def rank_intervals(values: Sequence[float], duels: Sequence[Duel]) -> list[RankInterval]:
    """One for each of `values`, all true ranks being inside with 95 % confidence.

    A model's best rank is 1 + the number of those shown to be better, its worst the number of all minus those shown to
    be worse, where all pairwise differences are tested at a family-wise error of 5 % (Holm) and a difference shown has
    the sign seen (Al Mohamad, Goeman and van Zwet 2022; Mogstad, Romano, Shaikh and Wilhelm 2024). Resampled ranks, the
    usual choice, are too sure of themselves where models are close (Hall and Miller 2009). Where duels rest on fewer
    pairs than the values, the interval is stretched to the rank itself.
    """
    numbers = np.asarray(values, dtype=np.float64)
    if not bool(np.isfinite(numbers).all()):
        raise ValueError("a value is not finite; leave out what was not scored")
    m = len(numbers)
    better = np.zeros((m, m), dtype=bool)
    for duel, p in zip(duels, adjusted(duels), strict=True):
        if p is not None and p <= LEVEL and duel.difference:
            winner, loser = (duel.first, duel.second) if duel.difference > 0 else (duel.second, duel.first)
            better[winner, loser] = True
    ranks = 1 + (numbers[:, None] < numbers[None, :]).sum(axis=1)
    best, worst = 1 + better.sum(axis=0), m - better.sum(axis=1)
    return [
        RankInterval(int(rank), int(min(low, rank)), int(max(high, rank)))
        for rank, low, high in zip(ranks, best, worst, strict=True)
    ]
