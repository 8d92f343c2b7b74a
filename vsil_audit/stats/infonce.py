"""How many bits texts tell of their images: the InfoNCE lower bound, and what shuffled pairings give."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

SHARPEST = 200.0
"""Largest inverse temperature that is tried; CLIP itself is trained up to 100."""

SHUFFLES = 200
_INVERSES = np.concatenate([[0.0], np.geomspace(0.5, SHARPEST, 48)])


@dataclass(frozen=True, slots=True)
class Block:
    """Similarities of `n` texts with `n` images, text i's own being image i: shape (n, n). `fold`: 0 or 1, which of the
    two halves of the set it is of."""

    similarities: Floats
    fold: int


@dataclass(frozen=True, slots=True)
class Bits:
    """`value`: the bound in bits, of both halves together. `influence` (n,), in the blocks' order: each pair's part in
    it, as text, as image and as others' distractor; their mean is the value, and an interval rests on them.
    `shuffled`: the same estimate on SHUFFLES shuffled pairings. `inverses`: 1 / temperature that each half was given.
    `ceiling`: the most the bound can show, the mean of log2 of the candidates."""

    value: float
    influence: Floats
    shuffled: Floats
    inverses: tuple[float, float]
    ceiling: float


def infonce(blocks: Sequence[Block], seed: int) -> Bits:
    """I(text; image) ≥ E log2 [e^(s_ii / τ) / mean_j e^(s_ij / τ)] (van den Oord, Li and Vinyals 2018, eq. 9).

    Each half's temperature τ is fitted on the other half: a temperature fitted on the same pairs would make the bound
    too high. Shuffled pairings are cyclic shifts of a random order within each block, fitted and evaluated in the same
    way. Raises ValueError unless both halves have a block.
    """
    if {block.fold for block in blocks} != {0, 1}:
        raise ValueError("both halves need a block")
    sizes = np.array([len(block.similarities) for block in blocks])
    folds = np.array([block.fold for block in blocks])
    weights = np.array([sizes[folds == fold].sum() for fold in (0, 1)], dtype=np.float64)
    spread = np.zeros((2, len(_INVERSES)))  # by half: sum of log mean exp, by inverse temperature
    for block in blocks:
        spread[block.fold] += [float(_log_mean_exp(block.similarities, b).sum()) for b in _INVERSES]
    spread /= weights[:, None]
    own = [np.diagonal(block.similarities) for block in blocks]
    value, chosen = _bound(_by_half(own, folds, weights), spread, weights)
    generator = np.random.default_rng(seed)
    shuffled = np.array(
        [
            _bound(_by_half([_others(block, generator) for block in blocks], folds, weights), spread, weights)[0]
            for _ in range(SHUFFLES)
        ]
    )
    influence = np.concatenate([_influence(block, chosen[block.fold]) for block in blocks])
    ceiling = float((sizes * np.log2(sizes)).sum() / sizes.sum())
    return Bits(value, influence, shuffled, chosen, ceiling)


def _bound(own: Floats, spread: Floats, weights: Floats) -> tuple[float, tuple[float, float]]:
    """The cross-fitted bound in bits, and the inverse temperature used on each half. `own`: (2,), mean similarity of
    the pairs of each half."""
    gains = own[:, None] * _INVERSES[None, :] - spread
    best = gains.argmax(axis=1)
    used = (int(best[1]), int(best[0]))
    held_out = np.array([gains[0, used[0]], gains[1, used[1]]])
    value = float((weights * held_out).sum() / weights.sum()) / math.log(2)
    return value, (float(_INVERSES[used[0]]), float(_INVERSES[used[1]]))


def _by_half(own: Sequence[npt.NDArray[np.floating]], folds: npt.NDArray[np.int64], weights: Floats) -> Floats:
    sums = np.array([values.sum(dtype=np.float64) for values in own])
    return np.bincount(folds, sums, minlength=2) / weights


def _others(block: Block, generator: np.random.Generator) -> Floats:
    """Similarity of each text with another's image, each image taken once."""
    order = generator.permutation(len(block.similarities))
    return block.similarities[order, np.roll(order, 1)]


def _log_mean_exp(similarities: Floats, inverse: float) -> Floats:
    top = similarities.max(axis=1)
    scaled = np.exp((similarities - top[:, None]) * inverse)
    return np.asarray(np.log(scaled.mean(axis=1)) + top * inverse, dtype=np.float64)


def _influence(block: Block, inverse: float) -> Floats:
    """Each pair's bits, less what its image adds to the denominators of others (its own is left out with it)."""
    similarities = block.similarities
    told = np.diagonal(similarities) * inverse - _log_mean_exp(similarities, inverse)
    scaled = np.exp((similarities - similarities.max(axis=1, keepdims=True)) * inverse)
    shares = scaled / scaled.sum(axis=1, keepdims=True)
    of_others = shares.sum(axis=0) - np.diagonal(shares)
    return np.asarray((told - (of_others - of_others.mean())) / math.log(2), dtype=np.float64)
