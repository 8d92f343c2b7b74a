"""Facts of images, each unique image opened once: reading and hashing here, pixels and text in worker processes."""

from __future__ import annotations

import hashlib
import itertools
import queue
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError, Future
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Protocol, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Need
from vsil_audit.features.clip.gpu_decoding import Jpeg, NotDecodedError
from vsil_audit.features.clip.images import ClipImages, NoVectorError
from vsil_audit.features.clip.model import COMPARED
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.examine import Work
from vsil_audit.features.facts import ImageError, ImageFacts
from vsil_audit.features.image_opening import ImageOpener
from vsil_audit.features.kept_facts import KeptFacts
from vsil_audit.features.store import FeatureStore
from vsil_audit.features.worker_pool import WORKER_MODULE, available_cpus
from vsil_audit.images import ImageLimits, RealFolder, read_bytes, wrong_extension
from vsil_audit.pair import ImageRef
from vsil_audit.places.addresses import Place
from vsil_audit.places.mirror import image_root
from vsil_audit.places.remote_path import RemotePath

_REMEMBERED = 2048
_READ_AHEAD = 2
_FETCH_AHEAD = 16
_AT_ONCE = 16
_SECONDS_AT_ONCE = 0.003
_QUICK_SECONDS = 0.001
_SECONDS_HELD_UP = 0.02
_BYTES_AT_ONCE = 8 << 20
_SECONDS_TO_CLOSE = 5.0
_Key = tuple[str, str]
_Keys: TypeAlias = "tuple[_Key, _Key | None]"
"""Of an image's bytes, and of the reference to it."""
_T = TypeVar("_T")
_Vector: TypeAlias = "Future[npt.NDArray[np.float32]]"


class ImageVectors(Protocol):
    """What makes CLIP vectors of images (`features.clip.in_use.ClipInUse`)."""

    images: ClipImages
    preprocessing: Preprocessing


@dataclass(frozen=True, slots=True)
class _Waiting:
    """A future and the name under which its image is known."""

    name: str
    future: Future[ImageFacts]


@dataclass(frozen=True, slots=True)
class _Read:
    """An image's bytes, which nobody else has at hand."""

    digest: str
    data: bytes
    keys: _Keys
    waiting: _Waiting


@dataclass(frozen=True, slots=True)
class _Task:
    """A worker's part of an image. `keys`, `waiting`: whose futures fail where it does. `has_room`: it took one of the
    places of those that may wait."""

    do: Callable[[], None]
    keys: _Keys
    waiting: _Waiting
    has_room: bool = False


class ImagePipeline:
    """Turns image references into facts, concurrently. Use it as a context manager.

    `needs` decides the work: OCR, pixels (perceptual hash and thumbnail; also made with OCR), or neither: then only
    existence, digest, format and size are found. `workers` is the number of processes, one thread each; None for the
    CPUs available. The caller bounds how many futures it keeps outstanding. The store is not closed here.

    An image is opened once for all references with equal path, URL or bytes, in flight too. Memory holds the images
    in work and the facts of the last few thousand; older ones come back from the store.

    With `clip` every image that can be opened gets its CLIP vector too; an encoder that breaks is the future's
    exception. `clip` is closed with the pipeline.
    """

    def __init__(
        self,
        root: Place,
        needs: frozenset[Need],
        store: FeatureStore | None = None,
        limits: ImageLimits | None = None,
        workers: int | None = None,
        worker_module: str = WORKER_MODULE,
        clip: ImageVectors | None = None,
    ) -> None:
        place = image_root(root) if isinstance(root, Path) else root
        self.root = RealFolder.of(place) if isinstance(place, Path) else place
        self.needs = needs
        self.limits = limits or ImageLimits()
        self.workers = max(1, workers or available_cpus())
        self._work_wanted = Work.TEXT if Need.OCR in needs else Work.PIXELS if Need.PIXELS in needs else Work.HEADER
        self._clip = clip
        to_keep = clip is not None or self._work_wanted is not Work.HEADER  # a header alone is as soon read again
        self._kept = KeptFacts(store, self.limits, self._work_wanted) if store is not None and to_keep else None
        self._opener = ImageOpener(self.workers, worker_module, self.limits)
        self._lock = threading.Lock()
        self._recent: OrderedDict[_Key, ImageFacts] = OrderedDict()
        self._in_flight: dict[_Key, list[_Waiting]] = {}
        self._submitted: queue.SimpleQueue[tuple[ImageRef, _Waiting] | None] = queue.SimpleQueue()
        self._to_open: queue.SimpleQueue[_Task | None] = queue.SimpleQueue()
        self._room = threading.Semaphore(self.workers)
        self._turn = threading.Lock()
        self._left_to_gpu = itertools.count()
        self._threads: list[threading.Thread] = []
        self._closed = False

    def submit(self, ref: ImageRef) -> Future[ImageFacts]:
        """The facts of one image, in the future. What is wrong with the image is `ImageFacts.error`, never raised.

        Raises RuntimeError after `close`.
        """
        waiting = _Waiting(ref.name, Future())
        key = _reference_key(ref)
        with self._lock:
            if self._closed:
                raise RuntimeError("the image pipeline is closed")
            known = self._recent.get(key) if key else None
            joined = known is None and key is not None and key in self._in_flight
            if key and known is not None:
                self._recent.move_to_end(key)
            elif key and joined:
                self._in_flight[key].append(waiting)
            elif key:
                self._in_flight[key] = []
            if known is None and not joined:
                self._start_threads()
                if self._clip:
                    self._clip.images.expect()
                self._submitted.put((ref, waiting))
        if known is not None:
            _resolve([waiting], known)
        return waiting.future

    def worker_pids(self) -> tuple[int, ...]:
        """Process ids of the workers that run now."""
        return self._opener.worker_pids()

    def close(self) -> None:
        """Wait for nothing: cancel what has no answer yet, and end the workers. May be called twice."""
        with self._lock:
            self._closed = True
        for _, waiting in _emptied(self._submitted):
            waiting.future.cancel()
        for task in _emptied(self._to_open):
            task.waiting.future.cancel()
        for _ in self._threads:
            self._submitted.put(None)
            self._to_open.put(None)
            self._room.release()
        if self._clip:
            self._clip.images.close()  # a thread may wait for room in its queue
        self._opener.close()
        patience = time.monotonic() + _SECONDS_TO_CLOSE  # a thread may be reading from a slow disk or network
        for thread in self._threads:
            thread.join(max(0.0, patience - time.monotonic()))
        self._threads.clear()
        with self._lock:
            for waitings in self._in_flight.values():
                for waiting in waitings:
                    waiting.future.cancel()
            self._in_flight.clear()

    def __enter__(self) -> ImagePipeline:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _start_threads(self) -> None:
        """A thread for each worker, which waits for it, and as many that read or fetch, hash and look up."""
        if self._threads:
            return
        readers = [self._read] * max(_FETCH_AHEAD if self._fetches else _READ_AHEAD, self.workers)
        for work in (*readers, *[self._open] * self.workers):
            thread = threading.Thread(target=work, daemon=True, name="images")
            thread.start()
            self._threads.append(thread)

    @property
    def _fetches(self) -> bool:
        """Whether reading an image may take long, and little of this process."""
        return self.limits.allow_remote or isinstance(self.root, RemotePath)

    # reading, hashing, looking up

    def _read(self) -> None:
        quick = not self._fetches
        while True:
            alone = quick and self._takes_turn()
            try:
                if (first := self._submitted.get()) is None:
                    return
                quick = self._read_some(first)
            finally:
                if alone:
                    self._turn.release()

    def _takes_turn(self) -> bool:
        """Threads that read what is soon read would only fight for the interpreter: one does, unless it is held up."""
        while not self._turn.acquire(timeout=_SECONDS_HELD_UP):
            if self._closed or not self._submitted.empty():
                return False
        return True

    def _read_some(self, first: tuple[ImageRef, _Waiting]) -> bool:
        """Read it, and others at hand; returns whether that was quick."""
        began = time.monotonic()
        read: list[_Read] = []
        n = 0
        for ref, waiting in self._at_hand(first, read):
            n += 1
            try:
                image = self._hashed(ref, waiting)
            except Exception as error:  # noqa: BLE001 - a fault of ours must reach the caller, not end the thread
                self._fail([_reference_key(ref)], waiting, error)
                image = None
            if image is None:
                self._arrived()
            else:
                read.append(image)
        quick = not self._fetches and time.monotonic() - began < n * _QUICK_SECONDS
        if read:
            self._look_up(read)
        return quick

    def _at_hand(self, first: tuple[ImageRef, _Waiting], read: Sequence[_Read]) -> Iterator[tuple[ImageRef, _Waiting]]:
        """The first, and what else was submitted, as long as together it is soon read and not much to hold. Looked up
        together, images cost less; but who waits for a slow disk leaves the others to other threads."""
        began = time.monotonic()
        yield first
        for _ in range(1, _AT_ONCE):
            held = sum(len(image.data) for image in read)
            if held > _BYTES_AT_ONCE or time.monotonic() - began > _SECONDS_AT_ONCE:
                return
            try:
                following = self._submitted.get_nowait()
            except queue.Empty:
                return
            if following is None:
                self._submitted.put(None)
                return
            yield following

    def _hashed(self, ref: ImageRef, waiting: _Waiting) -> _Read | None:
        """The image's bytes; None where that is settled, or will be when others of the same bytes are."""
        key = _reference_key(ref)
        data = read_bytes(ref, self.root, self.limits)
        if isinstance(data, ImageError):
            self._finish((key,), waiting, ImageFacts("", error=data))
            return None
        digest = hashlib.sha256(data).hexdigest()
        by_digest = ("digest", digest)
        with self._lock:
            facts = self._recent.get(by_digest)
            if facts is None and by_digest in self._in_flight:
                same = self._in_flight[by_digest]
                same.append(waiting)
                same.extend(self._in_flight.pop(key, []) if key else [])
                return None
            if facts is None:
                self._in_flight[by_digest] = []
        if facts is not None:
            self._finish((key,), waiting, facts)
            return None
        return _Read(digest, data, (by_digest, key), waiting)

    def _look_up(self, images: Sequence[_Read]) -> None:
        """Settle those of which all is kept; leave the others to the workers, a few at a time."""
        try:
            found = self._kept_of([image.digest for image in images])
        except Exception as error:  # noqa: BLE001 - as above
            for image in images:
                self._fail(image.keys, image.waiting, error)
                self._arrived()
            return
        for image, (facts, vector) in zip(images, found, strict=True):
            if facts is not None and (vector is not None or not self._clip):
                self._finish(image.keys, image.waiting, replace(facts, digest=image.digest, clip=vector))
                self._arrived()
                continue
            if not self._closed:
                self._room.acquire()
            self._leave(_Task(partial(self._complete, image, facts, vector), image.keys, image.waiting, has_room=True))

    def _kept_of(self, digests: Sequence[str]) -> Sequence[tuple[ImageFacts | None, npt.NDArray[np.float32] | None]]:
        """Facts and vectors from the stores, but for what comes of opening an image that must be opened anyway."""
        vectors = self._clip.images.kept(digests) if self._clip else [None] * len(digests)
        always = self._clip is None or self._work_wanted is not Work.HEADER
        wanted = [digest for digest, vector in zip(digests, vectors, strict=True) if always or vector is not None]
        facts = self._kept.get(wanted) if self._kept and wanted else {}
        return [(facts.get(digest), vector) for digest, vector in zip(digests, vectors, strict=True)]

    def _leave(self, task: _Task) -> None:
        """To a worker; when this is closed, to nobody."""
        with self._lock:
            if not self._closed:
                self._to_open.put(task)
                return
            waitings = [task.waiting, *self._all_waiting(task.keys)]
        for one in waitings:
            one.future.cancel()

    def _all_waiting(self, keys: Sequence[_Key | None]) -> list[_Waiting]:
        """Those that wait for one of the keys, which then wait no more. With the lock held."""
        return [waiting for key in filter(None, keys) for waiting in self._in_flight.pop(key, ())]

    def _arrived(self) -> None:
        if self._clip:
            self._clip.images.arrived()

    # opening

    def _open(self) -> None:
        while (task := self._to_open.get()) is not None:
            if task.has_room:
                self._room.release()
            try:
                task.do()
            except Exception as error:  # noqa: BLE001 - as above
                self._fail(task.keys, task.waiting, error)
            finally:
                self._arrived()
            del task

    def _complete(self, image: _Read, kept: ImageFacts | None, vector: npt.NDArray[np.float32] | None) -> None:
        """Have a worker find what is not kept of an image, and have its vector made, where there is none."""
        work = Work.HEADER if kept is not None else self._work_wanted
        preprocessing = self._clip.preprocessing if self._clip and vector is None else None
        opened, compared = self._opener.open(image.data, work, preprocessing), None
        if opened.plain and preprocessing is not None and next(self._left_to_gpu) < COMPARED:
            exactly = self._opener.open(image.data, work, preprocessing.exact)
            opened, compared = (exactly, None) if exactly.pixels is None else (opened, exactly.pixels)
        found = opened.facts
        if kept is not None and found.error is None:
            found = replace(kept, clip_error=found.clip_error)
        facts = replace(found, digest=image.digest, clip=None if found.error else vector)
        if self._kept and kept is None and facts.error is None:
            self._kept.put(facts)
        pixels = Jpeg(image.data, facts.width, facts.height, compared) if opened.plain else opened.pixels
        self._wait_for(self._vector(image.digest, pixels), image.keys, image.waiting, facts)

    def _vector(self, digest: str, pixels: npt.NDArray[np.uint8] | Jpeg | None) -> _Vector | None:
        return None if self._clip is None or pixels is None else self._clip.images.submit(digest, pixels)

    def _wait_for(self, vector: _Vector | None, keys: _Keys, waiting: _Waiting, facts: ImageFacts) -> None:
        """Finish when the vector is there; at once where there is none to come."""
        if vector is None:
            self._finish(keys, waiting, facts)
        else:
            vector.add_done_callback(partial(self._encoded, keys, waiting, facts))

    def _encoded(self, keys: _Keys, waiting: _Waiting, facts: ImageFacts, vector: _Vector) -> None:
        """The encoder has done with an image; the facts are complete, unless it was given a JPEG that it cannot decode:
        then a worker opens it."""
        error = CancelledError() if vector.cancelled() else vector.exception()
        if isinstance(error, NotDecodedError):
            self._begin_again(keys, waiting, facts, error.data)
            return
        if isinstance(error, NoVectorError):
            facts = replace(facts, clip_error=str(error))
        elif error is None:
            facts = replace(facts, clip=vector.result())
        if error is None or isinstance(error, NoVectorError):
            self._finish(keys, waiting, facts)
        else:
            self._fail(keys, waiting, error)

    def _begin_again(self, keys: _Keys, waiting: _Waiting, facts: ImageFacts, data: bytes) -> None:
        if self._clip:
            self._clip.images.expect()
        self._leave(_Task(partial(self._open_exactly, keys, waiting, facts, data), keys, waiting))

    def _open_exactly(self, keys: _Keys, waiting: _Waiting, facts: ImageFacts, data: bytes) -> None:
        """Have a worker make CLIP's pixels of an image of which all else is known."""
        assert self._clip is not None
        opened = self._opener.open(data, Work.HEADER, self._clip.preprocessing.exact)
        if opened.facts.error is not None:
            facts = replace(opened.facts, digest=facts.digest)
        else:
            facts = replace(facts, clip_error=opened.facts.clip_error)
        self._wait_for(self._vector(facts.digest, opened.pixels), keys, waiting, facts)

    def _finish(self, keys: Sequence[_Key | None], waiting: _Waiting, facts: ImageFacts) -> None:
        """Remember the facts and give them to all who wait for one of the keys."""
        with self._lock:
            waitings = [waiting, *self._all_waiting(keys)]
            for key in filter(None, keys):
                self._recent[key] = facts
                self._recent.move_to_end(key)
            while len(self._recent) > _REMEMBERED:
                self._recent.popitem(last=False)
        if self._closed:  # what came out of workers that were being ended says nothing of the image
            for one in waitings:
                one.future.cancel()
        _resolve(waitings, facts)

    def _fail(self, keys: Sequence[_Key | None], waiting: _Waiting, error: BaseException) -> None:
        with self._lock:
            waitings = [waiting, *self._all_waiting(keys)]
        for one in waitings:
            if not one.future.done() and one.future.set_running_or_notify_cancel():
                one.future.set_exception(error)


def _emptied(waiting: queue.SimpleQueue[_T | None]) -> Iterator[_T]:
    with suppress(queue.Empty):
        while True:
            if (one := waiting.get_nowait()) is not None:
                yield one


def _reference_key(ref: ImageRef) -> _Key | None:
    """What tells that two references mean one image without reading it; None for embedded bytes."""
    if ref.path is not None:
        return ("path", ref.path)
    return ("url", ref.url) if ref.url is not None else None


def _resolve(waitings: list[_Waiting], facts: ImageFacts) -> None:
    """Give each its facts, under its own name; a future that was cancelled meanwhile is left so."""
    for waiting in waitings:
        future = waiting.future
        if not future.done() and future.set_running_or_notify_cancel():
            future.set_result(_named(facts, waiting.name))


def _named(facts: ImageFacts, name: str) -> ImageFacts:
    notes = facts.notes
    if facts.error is None and wrong_extension(name, facts.format):
        notes = tuple(sorted({*notes, "wrong_extension"}))
    return replace(facts, name=name, notes=notes)
