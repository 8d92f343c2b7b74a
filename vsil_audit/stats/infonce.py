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
    generator = np.random.default_rng(seed)
    spread = np.zeros((2, len(_INVERSES)))  # by half: sum of log mean exp, by inverse temperature
    own, others = np.zeros((1, 2)), np.zeros((SHUFFLES, 2))  # by half: sum of the pairs' similarities
    for block in blocks:
        spread[block.fold] += _sums_of_log_mean_exp(block.similarities)
        own[:, block.fold] += np.diagonal(block.similarities).sum(dtype=np.float64)
        others[:, block.fold] += _others(block, generator)
    _, (chosen,) = _bounds(own / weights, spread / weights[:, None], weights)
    shuffled, _ = _bounds(others / weights, spread / weights[:, None], weights)
    first, second = _INVERSES[chosen].tolist()
    influence = np.concatenate([_influence(block, (first, second)[block.fold]) for block in blocks])
    ceiling = float((sizes * np.log2(sizes)).sum() / sizes.sum())
    return Bits(float(influence.mean()), influence, shuffled, (first, second), ceiling)


def _bounds(own: Floats, spread: Floats, weights: Floats) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Cross-fitted bounds in bits, (m,), and which inverse temperature each half was given, (m, 2). `own`: (m, 2), mean
    similarity of the pairs of each half, in m pairings."""
    gains = own[:, :, None] * _INVERSES - spread
    used = gains.argmax(axis=2)[:, ::-1]
    held_out = np.take_along_axis(gains, used[:, :, None], axis=2)[:, :, 0]
    return np.asarray(held_out @ weights / weights.sum() / math.log(2)), used


def _others(block: Block, generator: np.random.Generator) -> Floats:
    """Of each shuffle the sum of the texts' similarities with another's image, each image taken once: (SHUFFLES,)."""
    n = len(block.similarities)
    order = generator.permuted(np.broadcast_to(np.arange(n), (SHUFFLES, n)), axis=1)
    return np.asarray(block.similarities[order, np.roll(order, 1, axis=1)].sum(axis=1, dtype=np.float64))


def _sums_of_log_mean_exp(similarities: Floats) -> Floats:
    """Over all texts, by inverse temperature; single precision does for terms of a mean."""
    top = similarities.max(axis=1)
    below = (similarities - top[:, None]).astype(np.float32)
    means = np.array([np.exp(below * np.float32(b)).mean(axis=1, dtype=np.float64) for b in _INVERSES])
    return np.asarray(np.log(means).sum(axis=1) + top.sum(dtype=np.float64) * _INVERSES)


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
