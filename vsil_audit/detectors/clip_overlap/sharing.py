"""Which images stand beside which texts: those are never distractors of pairs that share the text or the scenario."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.clip_overlap.smallest import hashed
from vsil_audit.pair import Pair

Keys = npt.NDArray[np.uint64]
MOST_LINKS = 1 << 21
"""Most texts and scenarios that are kept of all images together: 12 bytes each, as much again until they are sorted."""


def keys_of(pair: Pair) -> tuple[int, int]:
    """What pairs may share besides an image, as 64-bit hashes: the text, and the scenario."""
    scenario = pair.id if pair.twin_of is None else pair.twin_of
    return hashed(0, f"text:{pair.text.strip().casefold()}"), hashed(0, f"scenario:{scenario}")


def text_of(keys: tuple[int, int]) -> int:
    """The text's of a pair's keys."""
    return keys[0]


class Beside:
    """What each image of a pool stands beside: the image in column `columns[i]` with `keys[i]`. A pair's own images
    stand beside its own keys."""

    def __init__(self, keys: Keys, columns: npt.NDArray[np.int64]) -> None:
        order = np.argsort(keys, kind="stable")
        self._keys, self._columns = keys[order], columns[order]

    def cells(self, pairs: Keys) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Rows and columns of the images that are no distractors of pairs with the keys `pairs`, (n, keys of a pair).
        A cell may be named twice."""
        asked = pairs.ravel()
        first = np.searchsorted(self._keys, asked, "left")
        many = np.searchsorted(self._keys, asked, "right") - first
        rows = np.repeat(np.arange(len(asked)) // max(pairs.shape[1], 1), many)
        within = np.arange(len(rows)) - np.repeat(np.cumsum(many) - many, many)
        return rows, self._columns[np.repeat(first, many) + within]


class Links:
    """The keys of all pairs in which some images are, in bounded memory: where there are more than MOST_LINKS, the
    images that stand beside the most texts are given up, and are nobody's distractors.

    Images are known by their number in the sample (`smallest.hashed` of the name).
    """

    def __init__(self, images: Iterable[int]) -> None:
        self._images = sorted(set(images))
        self._places = {image: place for place, image in enumerate(self._images)}
        self._keys, self._at = array("Q"), array("I")

    def add(self, pair: Pair, images: Iterable[int]) -> None:
        """A pair and its images; of these, those that are of no interest are passed over."""
        places = [self._places[image] for image in images if image in self._places]
        keys = keys_of(pair) if places else ()
        for place in places:
            self._keys.extend(keys)
            self._at.extend([place] * len(keys))
        if len(self._keys) >= 2 * MOST_LINKS:
            kept, at = self._fitting()
            self._keys, self._at = array("Q", kept.tobytes()), array("I", at.astype(np.uint32).tobytes())

    def found(self) -> Found:
        keys, at = self._fitting()
        order = np.argsort(at, kind="stable")
        starts = np.searchsorted(at[order], np.arange(len(self._images) + 1))
        return Found(self._places, keys[order], starts)

    def _fitting(self) -> tuple[Keys, npt.NDArray[np.int64]]:
        """Each link once, and as many as may be kept."""
        keys, at = np.array(self._keys, dtype=np.uint64), np.array(self._at, dtype=np.int64)
        order = np.lexsort((at, keys))
        keys, at = keys[order], at[order]
        new = np.ones(len(keys), dtype=bool)
        new[1:] = (keys[1:] != keys[:-1]) | (at[1:] != at[:-1])
        keys, at = keys[new], at[new]
        if len(keys) <= MOST_LINKS:
            return keys, at
        counts = np.bincount(at, minlength=len(self._images))
        crowded = np.argsort(-counts, kind="stable")
        left = len(keys) - np.cumsum(counts[crowded])
        given_up = crowded[: int(np.argmax(left <= MOST_LINKS)) + 1]
        for place in given_up.tolist():
            self._places.pop(self._images[place], None)
        kept = ~np.isin(at, given_up)
        return keys[kept], at[kept]


class Found:
    """The links of all images that were not given up."""

    def __init__(self, places: dict[int, int], keys: Keys, starts: npt.NDArray[np.int64]) -> None:
        self._places, self._keys, self._starts = places, keys, starts

    def __contains__(self, image: int) -> bool:
        return image in self._places

    def beside(self, images: Sequence[int]) -> Beside:
        """Of these images, in columns of this order."""
        places = np.array([self._places[image] for image in images], dtype=np.int64)
        starts, many = self._starts[places], self._starts[places + 1] - self._starts[places]
        columns = np.repeat(np.arange(len(images)), many)
        within = np.arange(len(columns)) - np.repeat(np.cumsum(many) - many, many)
        return Beside(self._keys[np.repeat(starts, many) + within], columns)
