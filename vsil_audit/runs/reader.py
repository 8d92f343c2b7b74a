"""Raw batches of pairs → committed batches: each image opened once, here or in whatever process reads that batch."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

from vsil_audit.detectors.base import Batch, Need
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.store import FeatureStore
from vsil_audit.images import ImageLimits
from vsil_audit.pair import Pair, Problem
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.progress import Progress

_BATCHES_AHEAD = 3


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Pairs and problems as the source yields them, before any image is opened."""

    index: int
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class ReaderSettings:
    """All that decides how a batch is read, as plain values: another process can be told. `keep_embedded`: keep the
    bytes of images that stand inside a table, for models to be asked about later."""

    root: Path
    needs: frozenset[Need]
    limits: ImageLimits
    workers: int | None = None
    cache: Path | None = None
    keep_embedded: bool = False


@dataclass(frozen=True, slots=True)
class _InFlight:
    raw: RawBatch
    futures: tuple[tuple[Future[ImageFacts], ...], ...]


class Reader:
    """Reads batches in any order, and commits each as soon as it and those given before it are done. Use it as a
    context manager."""

    def __init__(self, settings: ReaderSettings) -> None:
        self.settings = settings
        self._open = ExitStack()

    def __enter__(self) -> Reader:
        wanted = self.settings
        store = self._open.enter_context(FeatureStore(wanted.cache / "features.sqlite" if wanted.cache else None))
        self.warnings = store.warnings
        self._pipeline = self._open.enter_context(
            ImagePipeline(wanted.root, wanted.needs, store, wanted.limits, wanted.workers)
        )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()

    def read(
        self,
        raws: Iterable[RawBatch],
        folder: RunFolder,
        progress: Progress,
        thumbnails_kept: Iterable[str] = (),
    ) -> None:
        """Commit those of `raws` that the folder does not hold yet. Thumbnails of the digests `thumbnails_kept` are not
        written again; two readers of one folder may both write one."""
        kept = {bytes.fromhex(digest) for digest in thumbnails_kept}
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

    def _begin(self, raw: RawBatch) -> _InFlight:
        return _InFlight(raw, tuple(tuple(map(self._pipeline.submit, pair.images)) for pair in raw.pairs))

    def _commit(self, work: _InFlight, folder: RunFolder, thumbnails_kept: set[bytes], progress: Progress) -> None:
        images: list[tuple[ImageFacts, ...]] = []
        thumbnails: list[tuple[str, bytes]] = []
        for futures in work.futures:
            facts = tuple(future.result() for future in futures)
            for f in facts:
                if f.thumbnail is not None and (key := bytes.fromhex(f.digest)) not in thumbnails_kept:
                    thumbnails_kept.add(key)
                    thumbnails.append((f.digest, f.thumbnail))
            images.append(tuple(replace(f, thumbnail=None) for f in facts))
            progress.advance(1)
        raw = work.raw
        if self.settings.keep_embedded:
            _keep_embedded(raw.pairs, images, folder)
        folder.write_batch(Batch(raw.index, raw.pairs, tuple(images)), list(raw.problems), thumbnails)


def _keep_embedded(pairs: Sequence[Pair], images: Sequence[Sequence[ImageFacts]], folder: RunFolder) -> None:
    """The bytes of images that stand inside a table: models are asked when the table is read no more."""
    for pair, facts in zip(pairs, images, strict=True):
        for ref, f in zip(pair.images, facts, strict=True):
            if ref.data is not None and f.error is None:
                folder.keep_image(f.digest, ref.data)
