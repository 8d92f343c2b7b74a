"""Two passes over the set: images to compare with, and pairs to say something of the whole set from; then what those
images stand beside. In flat memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Batch, SetContext
from vsil_audit.detectors.clip_overlap.sharing import Found, Links, keys_of, text_of
from vsil_audit.detectors.clip_overlap.smallest import Smallest, hashed
from vsil_audit.detectors.clip_overlap.standing import Pool
from vsil_audit.detectors.clip_overlap.uses import Uses, UsesIn, salt
from vsil_audit.detectors.clip_overlap.vectors import ComparedPair, PairVectors, Vectors, read_batch
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
class Learned:
    """`sample`: of `usable` pairs with a text and an image, in random order. `unusable`: why the other pairs cannot be
    scored, in words, by how many."""

    pool: Pool
    categories: Mapping[str, Pool]
    sample: tuple[ComparedPair, ...]
    usable: int
    unusable: Counter[str]


def learn(context: SetContext) -> Learned:
    """Two streaming passes: an image taken for its category may have stood beside other texts before."""
    learner = _Learner(context.seed, context.n_pairs)
    for batch in context.read():
        learner.look_at(batch)
    links = Links(learner.kept())
    for batch in context.read():
        for pair, images in batch:
            links.add(pair, {hashed(context.seed, facts.digest or facts.name) for facts in images})
    return learner.learned(links.found())


def names_of(vectors: PairVectors, seed: int) -> tuple[int, ...]:
    """A pair's images as they are called in the samples."""
    return tuple(hashed(seed, name) for name in vectors.names)


class _Learner:
    def __init__(self, seed: int, n_pairs: int) -> None:
        self._seed = seed
        self._uses = Uses(n_pairs)
        self._images = _Images(IN_SET)
        self._categories: dict[str, _Images] | None = {}
        self._size = IN_CATEGORY
        self._kept = 0
        self._sample: Smallest[ComparedPair] = Smallest(SAMPLED, _MOST_ROWS)
        self._usable = 0
        self._unusable: Counter[str] = Counter()

    def look_at(self, batch: Batch) -> None:
        used: list[int] = []
        for pair, vectors in zip(batch.pairs, read_batch(batch), strict=True):
            match vectors.refusal:
                case None:
                    used += self._learn(pair, vectors)
                case Abstained(reason):
                    self._unusable[reason] += 1
                case Failed(kind):
                    self._unusable[kind.replace("_", " ")] += 1
        self._uses.add(np.array(used, dtype=np.uint64))

    def _learn(self, pair: Pair, vectors: PairVectors) -> list[int]:
        """What the pair uses: its text and its images, in the set and in its category."""
        self._usable += 1
        category = self._category(pair.category)
        names, keys = names_of(vectors, self._seed), keys_of(pair)
        for key, vector in zip(names, vectors.images, strict=True):
            self._images.add(key, vector)
            if category is not None:
                self._kept += category.add(key, vector)
        if self._kept > IN_CATEGORIES:
            self._thin_out()

        def kept() -> ComparedPair:
            halves = vectors.text.astype(np.float16), vectors.images.astype(np.float16)
            return ComparedPair(*halves, keys, names, pair.category)

        self._sample.offer(hashed(self._seed, pair.id), kept, len(vectors.text) + len(vectors.images))
        used = [text_of(keys), *names]
        if pair.category is None:
            return used
        salted = salt(pair.category)
        return used + [key ^ salted for key in used]

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

    def kept(self) -> set[int]:
        """The images of all pools."""
        pools = (self._images, *(self._categories or {}).values())
        return {key for images in pools for key in images.kept()}

    def learned(self, found: Found) -> Learned:
        pools = {
            name: images.pool(found, UsesIn(self._uses, name)) for name, images in (self._categories or {}).items()
        }
        pool = self._images.pool(found, UsesIn(self._uses))
        return Learned(pool, pools, tuple(self._sample.things()), self._usable, self._unusable)


class _Images(Smallest[npt.NDArray[np.float16]]):
    """A sample of different images."""

    def add(self, key: int, vector: Vectors) -> int:
        """By how many the sample has grown."""
        before = len(self)
        self.offer(key, lambda: vector.astype(np.float16))
        return len(self) - before

    def pool(self, found: Found, uses: UsesIn) -> Pool:
        """Without those of which it is not known what they stand beside."""
        kept = [(key, vector) for key, vector in zip(self.kept(), self.things(), strict=True) if key in found]
        vectors = np.stack([vector for _, vector in kept]) if kept else np.zeros((0, 0), dtype=np.float16)
        names = [key for key, _ in kept]
        weights = np.array([self.offered(key) for key in names], dtype=np.float64)
        return Pool(vectors, found.beside(names), weights, uses, self.whole and len(kept) == len(self))
