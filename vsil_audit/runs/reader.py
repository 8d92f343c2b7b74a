"""Raw batches of pairs → committed batches: each image opened once, here or in whatever process reads that batch."""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Batch, ClipVectors, Need
from vsil_audit.features.clip.in_use import ClipInUse
from vsil_audit.features.clip.model import ClipSettings
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.store import FeatureStore
from vsil_audit.images import ImageLimits
from vsil_audit.pair import Pair, Problem
from vsil_audit.places.addresses import Place
from vsil_audit.runs import arrow
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.freed_memory import release_freed_memory
from vsil_audit.runs.progress import Progress

_BATCHES_AHEAD = 3
_THUMBNAILS_KNOWN = 1 << 14
_Thumbnails: TypeAlias = "OrderedDict[bytes, None]"


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Pairs and problems as the source yields them, before any image is opened."""

    index: int
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """All that decides how a batch is read, as plain values: another process can be told. `keep_embedded`: keep the
    bytes of images that stand inside a table, for models to be asked about later. `clip`: give texts and images vectors
    of that model; None: no detector needs them."""

    root: Place
    needs: frozenset[Need]
    limits: ImageLimits
    workers: int | None = None
    cache: Path | None = None
    keep_embedded: bool = False
    clip: ClipSettings | None = None


@dataclass(frozen=True, slots=True)
class _InFlight:
    raw: RawBatch
    futures: tuple[tuple[Future[ImageFacts], ...], ...]
    texts: Future[Rows] | None


class Reader:
    """Reads batches in any order, and commits each as soon as it and those given before it are done. Use it as a
    context manager."""

    def __init__(self, settings: ReaderSettings) -> None:
        self.settings = settings
        self._open = ExitStack()
        self._clip: ClipInUse | None = None
        self._without_vector = 0
        self._first_without = ""

    def __enter__(self) -> Reader:
        wanted = self.settings
        arrow.import_pandas_early()
        self._store = store = FeatureStore(wanted.cache / "features.sqlite" if wanted.cache else None)
        self._open.enter_context(store)
        if wanted.clip is not None:
            self._clip = self._open.enter_context(ClipInUse(wanted.clip, wanted.cache))
        self._pipeline = self._open.enter_context(
            ImagePipeline(wanted.root, wanted.needs, store, wanted.limits, wanted.workers, clip=self._clip)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()
        release_freed_memory()

    def read(
        self,
        raws: Iterable[RawBatch],
        folder: RunFolder,
        progress: Progress,
        thumbnails_kept: Iterable[str] = (),
    ) -> None:
        """Commit those of `raws` that the folder does not hold yet. Thumbnails of the digests `thumbnails_kept` are not
        written again; two readers of one folder may both write one."""
        kept: _Thumbnails = OrderedDict()
        for digest in thumbnails_kept:
            _is_new(digest, kept)
        in_flight: deque[_InFlight] = deque()
        for raw in raws:
            if folder.has_batch(raw.index):
                progress.advance(len(raw.pairs))
                continue
            in_flight.append(self._begin(raw))
            if len(in_flight) > _BATCHES_AHEAD:
                self._commit(in_flight.popleft(), folder, kept, progress)
        while in_flight:
            self._commit(in_flight.popleft(), folder, kept, progress)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the cache so far, for people; when the reader is closed, what could not be kept too."""
        return self._store.warnings + (self._clip.warnings if self._clip else ())

    def notes(self) -> Iterator[str]:
        """What was noticed of CLIP, for people: images that can be opened and yet have no vector, and how far vectors
        are off that are not exact."""
        if self._without_vector:
            yield f"{self._without_vector} images can be opened and have no CLIP vector, as {self._first_without}"
        if self._clip is not None and (error := self._clip.stated_error) is not None:
            inexact, least = self._clip.inexact, math.floor((1 - error) * 1e5) / 1e5
            yield f"CLIP with {inexact}: cosines to the exact vectors of the first images are {least:.5f} or more"

    def _begin(self, raw: RawBatch) -> _InFlight:
        texts = self._clip.texts([pair.text for pair in raw.pairs]) if self._clip else None
        return _InFlight(raw, tuple(tuple(map(self._pipeline.submit, pair.images)) for pair in raw.pairs), texts)

    def _commit(self, work: _InFlight, folder: RunFolder, thumbnails_kept: _Thumbnails, progress: Progress) -> None:
        images: list[tuple[ImageFacts, ...]] = []
        thumbnails: list[tuple[str, bytes]] = []
        vectors: list[npt.NDArray[np.float32] | None] = []
        for futures in work.futures:
            facts = tuple(future.result() for future in futures)
            for f in facts:
                if f.thumbnail is not None and _is_new(f.digest, thumbnails_kept):
                    thumbnails.append((f.digest, f.thumbnail))
                if f.clip_error is not None:
                    self._without_vector += 1
                    self._first_without = self._first_without or f"{f.name}: {f.clip_error}"
            vectors.extend(f.clip for f in facts)
            images.append(tuple(replace(f, thumbnail=None, clip=None, clip_error=None) for f in facts))
            progress.advance(1)
        raw = work.raw
        if self.settings.keep_embedded:
            _keep_embedded(raw.pairs, images, folder)
        clip = None if work.texts is None else _clip_vectors(work.texts.result(), vectors)
        folder.write_batch(Batch(raw.index, raw.pairs, tuple(images), clip), list(raw.problems), thumbnails)


def _is_new(digest: str, known: _Thumbnails) -> bool:
    """Whether an image's thumbnail is still to be kept. Of very many images only the last are known: in a large set one
    that comes again after them is kept again, and memory stays flat."""
    key = bytes.fromhex(digest)
    if key in known:
        return False
    known[key] = None
    if len(known) > _THUMBNAILS_KNOWN:
        known.popitem(last=False)
    return True


def _clip_vectors(texts: Rows, images: Sequence[npt.NDArray[np.float32] | None]) -> ClipVectors:
    width = next((len(vector) for vector in images if vector is not None), texts.vectors.shape[1])
    none = np.zeros((0, width), np.float32)
    return ClipVectors(texts, Rows.joined([none if v is None else v[None] for v in images], width))


def _keep_embedded(pairs: Sequence[Pair], images: Sequence[Sequence[ImageFacts]], folder: RunFolder) -> None:
    """The bytes of images that stand inside a table: models are asked when the table is read no more."""
    for pair, facts in zip(pairs, images, strict=True):
        for ref, f in zip(pair.images, facts, strict=True):
            if ref.data is not None and f.error is None:
                folder.keep_image(f.digest, ref.data)
