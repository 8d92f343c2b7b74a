"""One pass over the set: images to compare with, and pairs to say something of the whole set from, in flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Batch, SetContext
from vsil_audit.detectors.clip_overlap.smallest import Smallest, hashed
from vsil_audit.detectors.clip_overlap.standing import Pool
from vsil_audit.detectors.clip_overlap.vectors import PairVectors, Vectors, read_batch
from vsil_audit.pair import Abstained, Failed, Pair

IN_SET = 4096
"""Images of the whole set that a pair's own is compared with."""
IN_CATEGORY = 512
"""Images of its category; fewer where there are many categories."""
IN_CATEGORIES = 16_384
"""Images of all categories together."""
MOST_CATEGORIES = 2048
SAMPLED = 4096
"""Pairs that the statements about the whole set rest on."""
_MOST_ROWS = 16 * SAMPLED


@dataclass(frozen=True, slots=True)
class SampledPair:
    text: npt.NDArray[np.float16]
    images: npt.NDArray[np.float16]
    group: int
    category: str | None


@dataclass(frozen=True, slots=True)
class Learned:
    """`sample`: of `usable` pairs with a text and an image, in random order. `places`: by batch, where it begins and
    how many pairs it has. `unusable`: why the other pairs cannot be scored, in words, by how many."""

    pool: Pool
    categories: Mapping[str, Pool]
    sample: tuple[SampledPair, ...]
    usable: int
    places: Mapping[int, tuple[int, int]]
    unusable: Counter[str]


def learn(context: SetContext) -> Learned:
    """One streaming pass."""
    learner = _Learner(context.seed)
    position, places = 0, {}
    for batch in context.read():
        places[batch.index] = position, len(batch.pairs)
        learner.look_at(batch, np.asarray(context.groups[position : position + len(batch.pairs)], dtype=np.int64))
        position += len(batch.pairs)
    return learner.learned(places)


class _Learner:
    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._images = _Images(IN_SET)
        self._categories: dict[str, _Images] | None = {}
        self._size = IN_CATEGORY
        self._kept = 0
        self._sample: Smallest[SampledPair] = Smallest(SAMPLED, _MOST_ROWS)
        self._usable = 0
        self._unusable: Counter[str] = Counter()

    def look_at(self, batch: Batch, groups: npt.NDArray[np.int64]) -> None:
        for pair, vectors, group in zip(batch.pairs, read_batch(batch), groups.tolist(), strict=True):
            match vectors.refusal:
                case None:
                    self._learn(pair, vectors, group)
                case Abstained(reason):
                    self._unusable[reason] += 1
                case Failed(kind):
                    self._unusable[kind.replace("_", " ")] += 1

    def _learn(self, pair: Pair, vectors: PairVectors, group: int) -> None:
        self._usable += 1
        category = self._category(pair.category)
        for name, vector in zip(vectors.names, vectors.images, strict=True):
            key = hashed(self._seed, name)
            self._images.add(key, vector, group)
            if category is not None:
                self._kept += category.add(key, vector, group)
        if self._kept > IN_CATEGORIES:
            self._thin_out()

        def kept() -> SampledPair:
            halves = vectors.text.astype(np.float16), vectors.images.astype(np.float16)
            return SampledPair(*halves, group, pair.category)

        self._sample.offer(hashed(self._seed, pair.id), kept, len(vectors.text) + len(vectors.images))

    def _category(self, name: str | None) -> _Images | None:
        """The images of a category so far; None where there are too many categories to compare within."""
        if name is None or self._categories is None:
            return None
        if name not in self._categories:
            if len(self._categories) >= MOST_CATEGORIES:
                self._categories, self._kept = None, 0
                return None
            self._categories[name] = _Images(self._size)
        return self._categories[name]

    def _thin_out(self) -> None:
        """Half as many of each category: what is left does not depend on the order of the pairs."""
        categories = (self._categories or {}).values()
        self._size //= 2
        for images in categories:
            images.shrink(self._size)
        self._kept = sum(len(images) for images in categories)

    def learned(self, places: Mapping[int, tuple[int, int]]) -> Learned:
        pools = {name: images.pool() for name, images in (self._categories or {}).items()}
        sample = tuple(self._sample.things())
        return Learned(self._images.pool(), pools, sample, self._usable, places, self._unusable)


class _Images(Smallest[tuple[npt.NDArray[np.float16], int]]):
    """A sample of different images, each with its group."""

    def add(self, key: int, vector: Vectors, group: int) -> int:
        """By how many the sample has grown."""
        before = len(self)
        self.offer(key, lambda: (vector.astype(np.float16), group))
        return len(self) - before

    def pool(self) -> Pool:
        kept = self.things()
        vectors = np.stack([vector for vector, _ in kept]) if kept else np.zeros((0, 0), dtype=np.float16)
        return Pool(vectors, np.array([group for _, group in kept], dtype=np.int64), self.whole)
