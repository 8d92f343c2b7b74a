"""From several labels of one subject (samples, judges) to one, and to shares."""

from __future__ import annotations

from collections.abc import Collection
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.runs.asked.columns import NOTHING, Asked, Grid, Labels
from vsil_audit.stats.agreement import majority

Flags: TypeAlias = npt.NDArray[np.bool_]
Shares: TypeAlias = npt.NDArray[np.float64]


def most_voted(codes: Labels) -> Labels:
    """The label that more than half of the voters give, shape (n,), from `codes` (voters, n); NOTHING where there is
    none, or no more than half of the voters gave any."""
    if len(codes) == 1:
        only: Labels = np.maximum(codes[0], np.int8(NOTHING))
        return only
    winner = np.full(codes.shape[1], NOTHING, dtype=np.int8)
    for code in np.unique(codes[codes >= 0]):
        vote = majority(codes == code, codes >= 0)
        winner[vote.decided & vote.flags] = code
    return winner


def merged(codes: Labels, wanted: Collection[int]) -> Labels:
    """1 where the label is one of `wanted`, 0 where it is another; codes without a label stay. Same shape."""
    return np.where(codes >= 0, np.isin(codes, list(wanted)), codes).astype(np.int8)


def shares(codes: Labels, wanted: Collection[int]) -> tuple[Shares, Flags]:
    """Of each subject's labelled samples the share that is one of `wanted`, and where there is any. Shapes (n,)."""
    labelled = (codes >= 0).sum(axis=0)
    hits = np.isin(codes, list(wanted)).sum(axis=0)
    return np.where(labelled > 0, hits / np.maximum(labelled, 1), 0.0), labelled > 0


def verdict(grid: Grid, model: str, *conditions: str) -> Labels:
    """A model's label of each subject, shape (n,): what most of its samples say, under the first of the conditions in
    which the subject was put to it."""
    found = np.full(grid.n, NOTHING, dtype=np.int8)
    for condition in reversed(conditions):
        samples = grid.samples(Asked(model, condition))
        if len(samples):
            put = (samples != NOTHING).any(axis=0)
            found = np.where(put, most_voted(samples), found)
    return found
