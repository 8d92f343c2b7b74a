"""A pair as CLIP sees it, or why CLIP could not see it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Batch
from vsil_audit.detectors.unopened import ABSENT, failure
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import Abstained, Failed, Pair

Vectors = npt.NDArray[np.float32]
_NO_TEXT = np.zeros((0, 0), dtype=np.float32)


@dataclass(frozen=True, slots=True)
class PairVectors:
    """`text`: a row for each window, (windows, d). `images`: (k, d), the pair's different images, called `names`.
    `refusal`: why the pair cannot be scored. `unread`: why one of its images has no part in the score."""

    text: Vectors
    images: Vectors
    names: tuple[str, ...]
    refusal: Abstained | Failed | None = None
    unread: Failed | None = None


@dataclass(frozen=True, slots=True)
class ComparedPair:
    """A pair that can be compared: `text` (windows, d) and `images` (k, d), single or half precision; `keys`: see
    `sharing.keys_of`; `names`: its images, hashed."""

    text: npt.NDArray[np.floating]
    images: npt.NDArray[np.floating]
    keys: tuple[int, int]
    names: tuple[int, ...]
    category: str | None


def read_batch(batch: Batch) -> Iterator[PairVectors]:
    """Of each pair, in order."""
    first = 0
    for i, (pair, images) in enumerate(batch):
        if batch.clip is None:
            yield _refused(Failed("no_clip_vectors", "nothing of this batch was encoded"))
        else:
            yield _of_pair(pair, images, batch.clip.texts.of(i), batch.clip.images, first)
        first += len(images)


def _of_pair(pair: Pair, images: tuple[ImageFacts, ...], text: Vectors, rows: Rows, first: int) -> PairVectors:
    if not pair.text.strip():
        return _refused(Abstained("empty query"))
    if not images:
        return _refused(Abstained("no image"))
    if not len(text):
        return _refused(Failed("clip_error", "the query was not encoded"))
    if not np.isfinite(text).all():
        return _refused(Failed("not_finite", "the query's vector is not finite"))
    seen: dict[str, Vectors] = {}
    unread: list[Failed] = []
    for place, facts in enumerate(images):
        vectors = rows.of(first + place)
        if len(vectors) and np.isfinite(vectors).all():
            seen.setdefault(facts.digest or facts.name, vectors[:1])
        else:
            unread.append(_unread(facts, len(vectors)))
    if seen:
        return PairVectors(text, np.concatenate(list(seen.values())), tuple(seen), unread=next(iter(unread), None))
    absent = [ABSENT.get(facts.error.kind) if facts.error is not None else None for facts in images]
    return _refused(Abstained(absent[0]) if absent[0] is not None and None not in absent else unread[0])


def _unread(facts: ImageFacts, rows: int) -> Failed:
    """Why an image has no part in the score."""
    if facts.error is not None:
        return failure(facts.name, facts.error)
    if rows:
        return Failed("not_finite", f"{facts.name}: the image's vector is not finite")
    return Failed("clip_error", f"{facts.name}: the image was not encoded")


def _refused(outcome: Abstained | Failed) -> PairVectors:
    return PairVectors(_NO_TEXT, _NO_TEXT, (), outcome)
