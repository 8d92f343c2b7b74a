"""Sampled pairs as blocks of texts and images of which each text has one own image: what InfoNCE is estimated from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.clip_overlap.standing import cosines
from vsil_audit.detectors.clip_overlap.vectors import ComparedPair
from vsil_audit.stats.infonce import Block

CANDIDATES = 256
"""Most texts and images of a block: bits can reach their logarithm, no more."""
LEAST_CANDIDATES = 8


@dataclass(frozen=True, slots=True)
class Dealt:
    """`blocks`, and for each row of theirs, in order, which of the sampled pairs it is: `rows`."""

    blocks: tuple[Block, ...]
    rows: npt.NDArray[np.int64]

    @property
    def candidates(self) -> tuple[int, int]:
        """The smallest and the largest block."""
        sizes = [len(block.similarities) for block in self.blocks]
        return min(sizes), max(sizes)


def deal(sample: Sequence[ComparedPair], strata: Sequence[str | None], seed: int) -> Dealt | None:
    """Of each stratum one pair of each text, image and scenario, and one image of each pair, dealt at random into two
    halves and there into blocks of at most CANDIDATES. None where the halves don't have LEAST_CANDIDATES such pairs of
    any stratum; strata with fewer are left out. The stratum None takes no part.

    An image may stand beside the text of another row too, in a pair that was not chosen: it remains one of that row's
    candidates. The bound compares with images as the set has them; without those, texts that stand beside a tenth of
    all images would seem to tell more than log2 10 bits.
    """
    generator = np.random.default_rng(seed)
    chosen: dict[str, list[int]] = {}
    taken: dict[str, set[int]] = {}
    for i in generator.permutation(len(sample)).tolist():
        stratum, shared = strata[i], (*sample[i].keys, *sample[i].names)
        if stratum is not None and taken.setdefault(stratum, set()).isdisjoint(shared):
            taken[stratum].update(shared)
            chosen.setdefault(stratum, []).append(i)
    blocks, rows = [], []
    for stratum in sorted(chosen):
        of_stratum = np.array(chosen[stratum])
        if len(of_stratum) < 2 * LEAST_CANDIDATES:
            continue
        for fold, half in enumerate(np.array_split(of_stratum, 2)):
            for part in np.array_split(half, -(-len(half) // CANDIDATES)):
                blocks.append(Block(_similarities([sample[i] for i in part], generator), fold))
                rows.append(part)
    return Dealt(tuple(blocks), np.concatenate(rows)) if blocks else None


def _similarities(pairs: Sequence[ComparedPair], generator: np.random.Generator) -> npt.NDArray[np.float64]:
    images = np.stack([pair.images[generator.integers(len(pair.images))] for pair in pairs])
    return cosines([pair.text.astype(np.float32) for pair in pairs], images)
