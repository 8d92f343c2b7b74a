"""Where the own image of a pair stands among images of other pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.clip_overlap.sharing import Beside, Keys
from vsil_audit.detectors.clip_overlap.vectors import Vectors
from vsil_audit.stats.retrieval import Counts, Floats, rank_p_values, rank_share

DECIMALS = 6
"""Cosines are compared so rounded: one image under two names must tie with itself."""
_ROWS = 512


@dataclass(frozen=True, slots=True)
class Pool:
    """Images to compare with. `vectors`: (m, d), half precision. `beside`: what they stand beside. `whole`: whether
    these are all there are, or a random sample."""

    vectors: npt.NDArray[np.float16]
    beside: Beside
    whole: bool

    def __len__(self) -> int:
        return len(self.vectors)


@dataclass(frozen=True, slots=True)
class Standings:
    """Of n pairs; all of shape (n,). `cosine`: the pair's own, best over windows and own images. `above`, `tied`: how
    many of `of` distractors are nearer than the best own image, and as near. `own`: the pair's images. `best_other`:
    the nearest distractor's cosine, NaN where there is none."""

    cosine: Floats
    above: Counts
    tied: Counts
    of: Counts
    own: Counts
    best_other: Floats

    def share(self) -> Floats:
        return rank_share(self.above, self.tied, self.of, self.own)

    def p(self) -> Floats:
        return rank_p_values(self.above, self.tied, self.of, self.own)

    def __getitem__(self, rows: npt.NDArray[np.generic] | slice) -> Standings:
        parts = (self.cosine, self.above, self.tied, self.of, self.own, self.best_other)
        return Standings(*(part[rows] for part in parts))  # type: ignore[arg-type]  # floats and counts as they were


def cosines(texts: Sequence[Vectors], images: npt.NDArray[np.floating]) -> Floats:
    """Of each text with each image, the best over the text's windows: (n, m), in [-1, 1].

    In double precision, in which products of half-precision numbers are exact but for the last digits: the same on
    every machine once rounded.
    """
    starts = np.cumsum([0, *(len(text) for text in texts)])[:-1]
    rows = np.concatenate(texts).astype(np.float64) @ images.astype(np.float64).T
    return np.asarray(np.clip(np.maximum.reduceat(rows, starts, axis=0), -1.0, 1.0).round(DECIMALS))


def standings(texts: Sequence[Vectors], images: Sequence[Vectors], keys: Keys, pool: Pool) -> Standings:
    """Of pairs with these texts (each of shape (windows, d)), images ((k, d)) and `keys` ((n, 2)) among the images of
    `pool` that stand beside none of their keys. A block of pairs at a time."""
    vectors = pool.vectors.astype(np.float64)
    found = [
        _block(texts[start:stop], images[start:stop], keys[start:stop], vectors, pool.beside)
        for start, stop in _blocks([len(text) for text in texts])
    ]
    if not found:
        none = np.zeros(0)
        counts = none.astype(np.int64)
        return Standings(none, counts, counts, counts, counts, none)
    return Standings(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _block(
    texts: Sequence[Vectors],
    images: Sequence[Vectors],
    keys: Keys,
    pool: Floats,
    beside: Beside,
) -> tuple[Floats, Counts, Counts, Counts, Counts, Floats]:
    own = _own_cosines(texts, images)
    many = np.array([len(image) for image in images])
    if not len(pool):
        nothing = np.zeros(len(texts), dtype=np.int64)
        return own, nothing, nothing, nothing, many, np.full(len(texts), np.nan)
    others = cosines(texts, pool)
    others[beside.cells(keys)] = -np.inf
    above = (others > own[:, None]).sum(axis=1)
    tied = (others == own[:, None]).sum(axis=1)
    of = np.isfinite(others).sum(axis=1)
    best = others.max(axis=1)
    return own, above, tied, of, many, np.where(of > 0, best, np.nan)


def _own_cosines(texts: Sequence[Vectors], images: Sequence[Vectors]) -> Floats:
    """Of each text with its own images, the best: (n,)."""
    if all(len(text) == len(image) == 1 for text, image in zip(texts, images, strict=True)):
        rows, columns = (np.concatenate(vectors).astype(np.float64) for vectors in (texts, images))
        return np.asarray(np.einsum("ij,ij->i", rows, columns).clip(-1.0, 1.0).round(DECIMALS))
    return np.array([cosines([text], image).max() for text, image in zip(texts, images, strict=True)])


def _blocks(windows: Sequence[int]) -> list[tuple[int, int]]:
    """Runs of texts with about _ROWS windows together."""
    found, start, rows = [], 0, 0
    for i, many in enumerate(windows):
        if rows and rows + many > _ROWS:
            found.append((start, i))
            start, rows = i, 0
        rows += many
    return [*found, (start, len(windows))] if windows else []
