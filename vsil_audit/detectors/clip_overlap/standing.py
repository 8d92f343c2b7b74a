"""Where the own image of a pair stands among images of other pairs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.clip_overlap.sharing import Beside, text_of
from vsil_audit.detectors.clip_overlap.uses import UsesIn
from vsil_audit.detectors.clip_overlap.vectors import ComparedPair
from vsil_audit.stats.retrieval import Counts, Floats, rank_p_values, rank_share

DECIMALS = 6
"""Cosines are compared so rounded: one image under two names must tie with itself."""
_ROWS = 512
_SEVERAL = 5
"""Pairs with one text from which it counts that they go together. Of fewer, images that are alike make little of a
difference (false discoveries stay at 10 % in simulations), and the price in power is high."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Images to compare with. `vectors`: (m, d), half precision. `beside`: what they stand beside. `weights`: (m,), how
    many pairs use each. `uses`: how many pairs use any image, or text. `whole`: whether these are all there are, or a
    random sample."""

    vectors: npt.NDArray[np.float16]
    beside: Beside
    weights: Floats
    uses: UsesIn
    whole: bool

    def __len__(self) -> int:
        return len(self.vectors)

    def own_weights(self, names: Sequence[int], texts: Sequence[int]) -> Floats:
        """As often as how many pairs an image counts that stands beside a text: as many as use it; or as have the
        text, where these are several: its images may be alike, and are lucky together. (n,)."""
        with_text = self.uses.of(texts)
        return np.maximum(self.uses.of(names), np.where(with_text >= _SEVERAL, with_text, 1.0))


@dataclass(frozen=True, slots=True)
class Standings:
    """Of n pairs; all of shape (n,). `cosine`: the pair's own, best over windows and own images. `above`, `tied`: how
    many of `of` distractors are nearer than the best own image, and as near. `own`: the pair's images. `best_other`:
    the nearest distractor's cosine, NaN where there is none. `near`, `against`: distractors at least as near, and all,
    each as often as pairs use it, in uses of the own image; of several own images, of the one that tells most."""

    cosine: Floats
    above: Counts
    tied: Counts
    of: Counts
    own: Counts
    best_other: Floats
    near: Floats
    against: Floats

    def share(self) -> Floats:
        return rank_share(self.above, self.tied, self.of, self.own)

    def p(self) -> Floats:
        """P-values of "any pair's image could stand here": an image of many pairs counts as often as they are, the own
        too, so that one that is near to every text makes none of its pairs stand out (weighted ranks: Tibshirani et al.
        2019). Where all images are used alike, `rank_p_values` of the counts."""
        return rank_p_values(self.near, np.zeros(len(self.near)), self.against, self.own)

    def as_nearest(self) -> Standings:
        """If each pair's own image were the nearest."""
        none = np.zeros_like(self.above)
        return replace(self, above=none, tied=none, near=np.zeros_like(self.near))

    def without_distractors(self) -> Standings:
        """Of the same pairs, before they are compared with anything."""
        n = len(self.of)
        above, tied, of = np.zeros((3, n), dtype=np.int64)
        near, against = np.zeros((2, n))
        best = np.full(n, np.nan)
        return replace(self, above=above, tied=tied, of=of, best_other=best, near=near, against=against)

    def put(self, rows: Sequence[int], found: Standings) -> None:
        """What was found of the pairs in `rows`."""
        for name in ("above", "tied", "of", "best_other", "near", "against"):
            getattr(self, name)[rows] = getattr(found, name)

    def __getitem__(self, rows: npt.NDArray[np.generic] | slice) -> Standings:
        parts = (
            self.cosine, self.above, self.tied, self.of, self.own, self.best_other, self.near, self.against,
        )  # fmt: skip
        return Standings(*(part[rows] for part in parts))  # type: ignore[arg-type]  # floats and counts as they were


def cosines(texts: Sequence[npt.NDArray[np.floating]], images: npt.NDArray[np.floating]) -> Floats:
    """Of each text with each image, the best over the text's windows: (n, m), in [-1, 1].

    In double precision, in which products of half-precision numbers are exact but for the last digits: the same on
    every machine once rounded.
    """
    return _best(np.concatenate(texts).astype(np.float64) @ images.astype(np.float64, copy=False).T, texts)


def drawn_cosines(
    texts: Sequence[npt.NDArray[np.floating]], images: npt.NDArray[np.floating], drawn: npt.NDArray[np.int64]
) -> Floats:
    """The same of each text with images of its own, `drawn` from all of them: (n, k)."""
    each = np.repeat(drawn, [len(text) for text in texts], axis=0)
    rows = np.einsum("wd,wkd->wk", np.concatenate(texts).astype(np.float64), images[each].astype(np.float64))
    return _best(rows, texts)


def _best(rows: Floats, texts: Sequence[npt.NDArray[np.floating]]) -> Floats:
    """Over the windows of each text."""
    starts = np.cumsum([0, *(len(text) for text in texts)])[:-1]
    return np.asarray(np.clip(np.maximum.reduceat(rows, starts, axis=0), -1.0, 1.0).round(DECIMALS))


def standings(pairs: Sequence[ComparedPair], pool: Pool) -> Standings:
    """Of the pairs among the images of `pool` that stand beside none of their keys. A block of pairs at a time."""
    vectors = pool.vectors.astype(np.float64)
    found = [_block(pairs[start:stop], vectors, pool) for start, stop in _blocks([len(pair.text) for pair in pairs])]
    if not found:
        none = np.zeros(0)
        counts = none.astype(np.int64)
        return Standings(none, counts, counts, counts, counts, none, none, none)
    return Standings(*(np.concatenate(part) for part in zip(*found, strict=True)))


def _block(
    pairs: Sequence[ComparedPair], vectors: Floats, pool: Pool
) -> tuple[Floats, Counts, Counts, Counts, Counts, Floats, Floats, Floats]:
    texts = [pair.text for pair in pairs]
    own = _own_cosines(texts, [pair.images for pair in pairs])
    many = np.array([len(pair.images) for pair in pairs])
    if not len(pool):
        nothing = np.zeros(len(pairs), dtype=np.int64)
        none = nothing.astype(np.float64)
        return own, nothing, nothing, nothing, many, np.full(len(pairs), np.nan), none, none
    others = cosines(texts, vectors)
    others[pool.beside.cells(np.array([pair.keys for pair in pairs], dtype=np.uint64))] = -np.inf
    as_near, compared = others >= own[:, None], np.isfinite(others)
    above, best, of = (others > own[:, None]).sum(axis=1), others.max(axis=1), compared.sum(axis=1)
    near, against = _in_own_uses(pairs, others, pool, as_near @ pool.weights, compared @ pool.weights)
    return own, above, as_near.sum(axis=1) - above, of, many, np.where(of > 0, best, np.nan), near, against


def _in_own_uses(
    pairs: Sequence[ComparedPair], others: Floats, pool: Pool, near: Floats, against: Floats
) -> tuple[Floats, Floats]:
    """`near` and `against` of `Standings`, from the same by the best own image, in uses; `others`: cosines with
    distractors (-inf: it is none)."""
    texts = [text_of(pair.keys) for pair in pairs]
    weights = pool.own_weights([pair.names[0] for pair in pairs], texts)
    for i, pair in enumerate(pairs):
        if len(pair.names) > 1:
            each = pool.own_weights(pair.names, texts[i : i + 1] * len(pair.names))
            nearer = np.array([(others[i] >= cosine) @ pool.weights for cosine in cosines([pair.text], pair.images)[0]])
            most = int(((each + nearer) / (each + against[i])).argmin())
            near[i], weights[i] = nearer[most], each[most]
    return near / weights, against / weights


def _own_cosines(texts: Sequence[npt.NDArray[np.floating]], images: Sequence[npt.NDArray[np.floating]]) -> Floats:
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
