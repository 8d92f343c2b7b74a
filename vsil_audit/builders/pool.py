"""Benign images that twins are taken from, and which of them look most like a given one."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.audit import load
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.phash import phash
from vsil_audit.images import DecodedImage, ImageLimits, decode, read_bytes
from vsil_audit.pair import ImageRef, Pair

Vectors: TypeAlias = npt.NDArray[np.float32]

SAME_IMAGE = 8
"""Bits of the perceptual hash in which two images may differ and still be one and the same."""
_SIDE = 8


class Likeness(Protocol):
    """Of n images a matrix (n, d); near vectors look alike."""

    def vectors(self, images: Sequence[DecodedImage]) -> Vectors: ...


class PlainLikeness:
    """Colours at 8 x 8 places, the perceptual hash, shape and size: no model."""

    name = "colours, perceptual hash and size 1"

    def vectors(self, images: Sequence[DecodedImage]) -> Vectors:
        return np.stack([self._vector(image) for image in images]).astype(np.float32)

    @staticmethod
    def _vector(image: DecodedImage) -> npt.NDArray[np.float64]:
        pixels = image.pixels
        colours = np.asarray(pixels.resize((_SIDE, _SIDE)), dtype=np.float64).ravel() / 255 / _SIDE
        value = phash(pixels)
        bits = np.array([0.5] * 64 if value is None else [(value >> place) & 1 for place in range(64)]) / 8
        form = [0.5 * math.log2(pixels.width / pixels.height), 0.1 * math.log2(pixels.width * pixels.height)]
        return np.concatenate([colours, bits, form])


@dataclass(frozen=True, slots=True)
class PoolImage:
    """`text`, `description`: what the pool says of it, empty where it says nothing."""

    name: str
    digest: str
    format: str
    text: str
    description: str
    ref: ImageRef
    phash: int | None


class ImagePool:
    """Images of a folder or a benchmark, each content once; what is labelled unsafe there takes no part.

    `unreadable`: how many could not be opened.
    """

    def __init__(self, path: Path, likeness: Likeness, limits: ImageLimits) -> None:
        """Raises DatasetError for a folder without images, ConfigurationError where none can be used."""
        source = load(path)
        self._root, self._limits, self._likeness = source.root, limits, likeness
        self.images: list[PoolImage] = []
        self.unreadable = 0
        vectors: list[Vectors] = []
        seen: set[str] = set()
        for ref, pair in _refs(source.read()):
            data = read_bytes(ref, self._root, limits)
            picture = decode(data, ref.name, limits) if isinstance(data, bytes) else None
            if not isinstance(data, bytes) or not isinstance(picture, DecodedImage):
                self.unreadable += 1
                continue
            digest = hashlib.sha256(data).hexdigest()
            if digest not in seen:
                seen.add(digest)
                kept = ref if ref.data is None else ImageRef(ref.name, data=data)
                text, told = pair.text.strip(), pair.description or ""
                found = phash(picture.pixels)
                self.images.append(PoolImage(ref.name, digest, picture.header.format, text, told, kept, found))
                vectors.append(likeness.vectors([picture]))
        if not self.images:
            raise ConfigurationError(f"the pool {path} has no image that opens", "Name a folder of benign images.")
        self._vectors = np.concatenate(vectors)

    def bytes_of(self, image: PoolImage) -> bytes:
        """Raises ConfigurationError where it has changed or gone since the pool was read."""
        data = read_bytes(image.ref, self._root, self._limits)
        if not isinstance(data, bytes) or hashlib.sha256(data).hexdigest() != image.digest:
            raise ConfigurationError(f"{image.name} of the pool has changed", "Run the same command again.")
        return data

    def usable(self, digests: Collection[str], hashes: Collection[int]) -> npt.NDArray[np.int64]:
        """Places of images that are none of those, nor look the same. Shape (at most the pool's size,)."""
        known = np.array(sorted(hashes), dtype=np.uint64)
        return np.array(
            [
                place
                for place, image in enumerate(self.images)
                if image.digest not in digests and not _among(image.phash, known)
            ],
            dtype=np.int64,
        )

    def distances(self, pictures: Sequence[DecodedImage], places: npt.NDArray[np.int64]) -> Vectors:
        """Of each picture to the images at `places`. Shape (pictures, places); nothing negative."""
        there = self._vectors[places]
        rows = [np.linalg.norm(there - self._likeness.vectors([picture]), axis=1) for picture in pictures]
        return np.stack(rows).astype(np.float32)


def _refs(items: Iterator[object]) -> Iterator[tuple[ImageRef, Pair]]:
    for item in items:
        if isinstance(item, Pair) and (item.label or "").casefold() != "unsafe":
            yield from ((ref, item) for ref in item.images if ref.url is None)


def _among(value: int | None, known: npt.NDArray[np.uint64]) -> bool:
    if value is None or not len(known):
        return False
    differ = known ^ np.uint64(value)
    counts = np.unpackbits(differ.view(np.uint8).reshape(len(known), 8), axis=1).sum(axis=1)
    return bool((counts <= SAME_IMAGE).any())
