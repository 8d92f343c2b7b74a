"""CLIP vectors of images: looked up by content, or made by one thread that gathers pixels into batches.

The images are decoded elsewhere; their pixels wait here in a bounded queue, so that decoding runs ahead of the encoder
by a few batches and no more. A second thread lays the next batch ready meanwhile, and decodes JPEGs that were left to
it (`gpu_decoding`); a third hands out the vectors of the batch before. The encoder's thread does whatever else is to be
done with the model (texts): two threads that work it at once would fight for the cores.
"""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Any, Generic, Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vsil_audit.features.clip.gpu_decoding import DecodedJpeg, Jpeg, NotDecodedError
from vsil_audit.features.embeddings.rows import Rows

_BATCHES_WAITING = 3
_BATCHES_ENCODED = 2
_BYTES_WAITING = 1 << 29
_ROOM_BEFORE_LOADED = 64
_PATIENCE = 1.0
_SECONDS_TO_CLOSE = 10.0
_T = TypeVar("_T")
_Vector: TypeAlias = "Future[npt.NDArray[np.float32]]"


class ImageEncoder(Protocol):
    """Makes vectors of pixels, many images at a time."""

    @property
    def batch(self) -> int:
        """How many images at a time are fast. What takes long to load is loaded when this is asked for."""
        ...

    def stacked(self, pixels: Sequence[Any]) -> Any:
        """Images, as they were submitted or decoded, as one batch where the encoder reads it fastest: an array of shape
        (n, height, width, 3), if nothing else suits it better."""
        ...

    def encode_images(self, pixels: Any) -> npt.NDArray[np.float32]:
        """What `stacked` made of n images to (n, width of a vector), each of unit length."""
        ...


class KeptVectors(Protocol):
    """Vectors by the digest of what they are of."""

    def get(self, digests: Sequence[str]) -> Rows:
        """A thing a digest; it has no row where none is kept."""
        ...

    def put(self, digest: str, vectors: npt.NDArray[np.floating]) -> None:
        """Keep vectors of shape (rows, width)."""
        ...


Decode: TypeAlias = Callable[[Sequence[Jpeg]], Sequence["DecodedJpeg | None"]]
"""Makes pixels of JPEGs; None of those that it cannot decode."""


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    digest: str
    pixels: npt.NDArray[np.uint8] | Jpeg | DecodedJpeg
    future: Future[npt.NDArray[np.float32]] = field(default_factory=Future)

    @property
    def weight(self) -> int:
        """Bytes that it takes while it waits."""
        if isinstance(self.pixels, Jpeg):
            return len(self.pixels.data)
        return 0 if isinstance(self.pixels, DecodedJpeg) else self.pixels.nbytes


@dataclass(frozen=True, slots=True, eq=False)
class _Job(Generic[_T]):
    do: Callable[[], _T]
    future: Future[_T] = field(default_factory=Future)

    def settle(self) -> None:
        if not self.future.set_running_or_notify_cancel():
            return
        try:
            result = self.do()
        except Exception as error:  # noqa: BLE001 - whatever it is reaches who waits
            self.future.set_exception(error)
        else:
            self.future.set_result(result)


class ClipImages:
    """Vectors of images by digest. Safe to use from many threads; use it as a context manager.

    A batch is encoded when it is full, when nothing more is on its way (`expect`, `arrived`), or after a second in
    which nothing came. When the encoder cannot be loaded, or breaks, its error is that of the futures.
    """

    def __init__(self, encoder: ImageEncoder, kept: KeptVectors, decode: Decode | None = None) -> None:
        """`decode`: needed where JPEGs are submitted."""
        self._encoder = encoder
        self._kept = kept
        self._decode = decode
        self._changed = threading.Condition()
        self._images: deque[_Image] = deque()
        self._jobs: deque[_Job[Any]] = deque()
        self._room = _ROOM_BEFORE_LOADED
        self._weight = 0
        self._wanted = 1
        self._expected = 0
        self._closed = False
        self._ready: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=1)
        self._at_work = 0
        self._encoded: queue.Queue[Callable[[], None] | None] = queue.Queue(maxsize=_BATCHES_ENCODED)
        self._threads: list[threading.Thread] = []

    def kept(self, digests: Sequence[str]) -> list[npt.NDArray[np.float32] | None]:
        """Of images with these digests, in order, the vector of each, shape (width,), where it was made before."""
        found = self._kept.get(digests)
        return [found.of(i)[0] if found.starts[i] < found.starts[i + 1] else None for i in range(len(digests))]

    def expect(self) -> None:
        """One more image is on its way; it may or may not be submitted."""
        with self._changed:
            self._expected += 1

    def arrived(self) -> None:
        """One of those on their way was submitted, or will not be."""
        with self._changed:
            self._expected -= 1
            if self._expected == 0:
                self._changed.notify_all()

    def submit(self, digest: str, pixels: npt.NDArray[np.uint8] | Jpeg) -> Future[npt.NDArray[np.float32]]:
        """The vector, shape (width,), of pixels of shape (height, width, 3). Waits while the queue is full.

        The future is cancelled when this is closed first; that of a JPEG that cannot be decoded has NotDecodedError."""
        image = _Image(digest, pixels)
        with self._changed:
            self._changed.wait_for(lambda: self._has_room() or self._closed)
            if self._closed:
                image.future.cancel()
            else:
                self._images.append(image)
                self._weight += image.weight
                if len(self._images) >= self._wanted or not self._has_room():
                    self._start()
        return image.future

    def _has_room(self) -> bool:
        return len(self._images) < self._room and self._weight < _BYTES_WAITING

    def run(self, job: Callable[[], _T]) -> Future[_T]:
        """What `job` returns, done by the encoder's thread, before images that wait."""
        waiting = _Job(job)
        with self._changed:
            if self._closed:
                waiting.future.cancel()
            else:
                self._jobs.append(waiting)
                self._start()
        return waiting.future

    def close(self) -> None:
        """Wait for no more than what is in work; what was not begun is cancelled. May be called twice."""
        with self._changed:
            self._closed = True
            unbegun = [*(job.future for job in self._jobs), *(image.future for image in self._images)]
            self._jobs.clear()
            self._images.clear()
            self._changed.notify_all()
        for future in unbegun:  # not with the lock held: who waits for one may ask for it
            future.cancel()
        patience = time.monotonic() + _SECONDS_TO_CLOSE  # it may be loading the model
        for thread in self._threads:
            thread.join(max(0.0, patience - time.monotonic()))

    def __enter__(self) -> ClipImages:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start(self) -> None:
        """Tell the threads that there is work. With the lock held."""
        self._changed.notify_all()
        if not self._threads:
            for name, work in (("clip batches", self._gather), ("clip", self._work), ("clip vectors", self._hand_out)):
                thread = threading.Thread(target=work, daemon=True, name=name)
                thread.start()
                self._threads.append(thread)

    def _work(self) -> None:
        while (do := self._ready.get()) is not None:
            do()
            with self._changed:
                self._at_work -= 1
                self._changed.notify_all()
        self._encoded.put(None)

    def _hand_out(self) -> None:
        while (do := self._encoded.get()) is not None:
            do()

    def _gather(self) -> None:
        while not self._closed:
            with self._changed:
                self._changed.wait_for(lambda: self._jobs or self._images or self._closed)
                job = self._jobs.popleft() if self._jobs else None
            if job is not None:
                self._lay_ready(partial(self._settle, job))
            elif not self._closed:
                self._gather_images()
        self._ready.put(None)

    def _settle(self, job: _Job[Any]) -> None:
        if self._closed:
            job.future.cancel()
        else:
            job.settle()

    def _lay_ready(self, do: Callable[[], None]) -> None:
        with self._changed:
            self._at_work += 1
        self._ready.put(do)

    def _gather_images(self) -> None:
        try:
            batch = self._encoder.batch
        except Exception as error:  # noqa: BLE001 - whatever it is that keeps it from loading reaches who waits
            self._fail(self._taken(self._room), error)
            return
        self._room = _BATCHES_WAITING * batch
        images = self._full_batch(batch)
        try:
            images = self._decoded(images)
            if not images:
                return
            pixels = self._encoder.stacked([image.pixels for image in images])
        except Exception as error:  # noqa: BLE001 - as when they are encoded
            self._fail(images, error)
            return
        self._lay_ready(partial(self._encode, images, pixels))

    def _full_batch(self, size: int) -> list[_Image]:
        """As many images as are fast; fewer when no more are coming, none when there is something else to do first."""

        def enough() -> bool:
            full = len(self._images) >= size or self._weight >= _BYTES_WAITING
            return full or self._expected <= 0 or bool(self._jobs) or self._closed

        with self._changed:
            self._changed.notify_all()  # there may be more room now
            self._wanted = size
            while not enough():
                so_far = len(self._images)
                self._changed.wait(_PATIENCE)
                if len(self._images) == so_far and not self._at_work:
                    break
            self._wanted = 1
            return [] if self._jobs or self._closed else self._taken(size)

    def _taken(self, size: int) -> list[_Image]:
        with self._changed:
            taken = [self._images.popleft() for _ in range(min(size, len(self._images)))]
            self._weight -= sum(image.weight for image in taken)
            self._changed.notify_all()
        return taken

    def _decoded(self, images: Sequence[_Image]) -> list[_Image]:
        """Those of which there are pixels, decoded where they were not yet; the others are told that they were not."""
        files = [image.pixels for image in images if isinstance(image.pixels, Jpeg)]
        decoded = iter(self._decode(files) if files and self._decode is not None else [None] * len(files))
        ready = []
        for image in images:
            if not isinstance(image.pixels, Jpeg):
                ready.append(image)
            elif (pixels := next(decoded)) is not None:
                ready.append(replace(image, pixels=pixels))
            else:
                self._fail([image], NotDecodedError(image.pixels.data))
        return ready

    def _encode(self, images: Sequence[_Image], pixels: npt.NDArray[np.uint8]) -> None:
        if self._closed:
            for image in images:
                image.future.cancel()
            return
        try:
            vectors = self._encoder.encode_images(pixels)
            if len(vectors) != len(images):
                raise ValueError(f"{len(vectors)} vectors of {len(images)} images")  # noqa: TRY301 - it reaches them
        except Exception as error:  # noqa: BLE001 - whatever breaks it reaches who waits
            self._fail(images, error)
            return
        waiting = [(image.digest, image.future) for image in images]  # not their pixels
        self._encoded.put(partial(self._keep, waiting, vectors))

    def _keep(self, waiting: Sequence[tuple[str, _Vector]], vectors: npt.NDArray[np.float32]) -> None:
        """Keep vectors of shape (n, width), and tell who waits. The encoder works on meanwhile."""
        finite = np.logical_and.reduce(np.isfinite(vectors), axis=1)
        rounded = vectors.astype(np.float16)
        as_kept = rounded.astype(np.float32)
        for (digest, future), is_one, short, vector in zip(waiting, finite, rounded, as_kept, strict=True):
            if not is_one:
                _set_error(future, NoVectorError("its CLIP vector is not finite"))
                continue
            try:
                self._kept.put(digest, short[None])
            except Exception as error:  # noqa: BLE001 - likewise
                _set_error(future, error)
            else:
                if future.set_running_or_notify_cancel():
                    future.set_result(vector)

    @staticmethod
    def _fail(images: Sequence[_Image], error: Exception) -> None:
        for image in images:
            _set_error(image.future, error)


def _set_error(future: _Vector, error: Exception) -> None:
    if not future.done() and future.set_running_or_notify_cancel():
        future.set_exception(error)


class NoVectorError(Exception):
    """One image has no vector, though the encoder works; the message says why."""
