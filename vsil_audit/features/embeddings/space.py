"""The kept vectors of one model: a folder of segments, and what waits to be written."""

from __future__ import annotations

import hashlib
import json
import os
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vsil_audit.features.bounded_memory import BoundedMemory
from vsil_audit.features.embeddings.merging import LOCK, merge_segments, segment_names
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.embeddings.segment import (
    DIGEST_BYTES,
    SUFFIX,
    UNFINISHED,
    Block,
    DamagedSegmentError,
    Segment,
    as_keys,
    blocks_of,
    write_segment,
)

DESCRIPTION = "space.json"
DAMAGED = ".damaged"
_WAITING_VECTORS = 4096
_WAITING_BYTES = 4 << 20
_WAITING_SECONDS = 10.0
_MEMORY_BYTES = 64 << 20
_RELEASE_AFTER = 8192  # rows looked up; each may have made some 64 KiB of the file resident
_ATTEMPTS = 5
_SETTLED = 3_000_000_000  # nanoseconds: a folder that changed longer ago than a clock's tick would show a later change


@dataclass(frozen=True, slots=True)
class SpaceDescription:
    """What the folder of a space says of itself. `name`: everything that decides a vector; `width`: its numbers."""

    name: str
    width: int

    @classmethod
    def read(cls, folder: Path) -> SpaceDescription | None:
        """None when there is none yet. Raises OSError, and ValueError for one that is damaged."""
        try:
            told = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
        except FileNotFoundError:
            return None
        match told:
            case {"space": str(name), "width": int(width)} if width > 0:
                return cls(name, width)
        raise ValueError("it is not a description of a space")

    def write(self, folder: Path) -> None:
        """Raises OSError."""
        text = json.dumps({"space": self.name, "width": self.width}, indent=2, ensure_ascii=False)
        unfinished = folder / f"{DESCRIPTION}.{os.getpid()}{UNFINISHED}"
        unfinished.write_text(text + "\n", encoding="utf-8")
        unfinished.replace(folder / DESCRIPTION)


def folder_name(space: str) -> str:
    """A short name of a folder for the space."""
    return hashlib.sha256(space.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def remove_space(folder: Path) -> None:
    """Remove what a space has written, and nothing else. Raises OSError."""
    ours = (SUFFIX, UNFINISHED, DAMAGED, LOCK, DESCRIPTION)
    for path in folder.iterdir():
        if path.name.endswith(ours):
            path.unlink(missing_ok=True)
    with suppress(OSError):  # something else lies there
        folder.rmdir()


class EmbeddingSpace:
    """Vectors by the SHA-256 (in hex) of what they are of, shared by runs, processes and threads.

    What is put is found at once, and is written with others: after `kill -9` what was waiting is missing, and is then
    computed again. When the disk cannot be used, vectors are kept in memory, within a bound. Never raises for the state
    of the disk. Where two processes put the same digest, either's rows are found, never both.
    """

    def __init__(self, folder: Path | None, name: str, warn: Callable[[str], None]) -> None:
        """`folder`: of this space alone, made when something is written; None: keep in memory only."""
        self.name = name
        self._folder = folder
        self._warn = warn
        self._lock = threading.RLock()
        self._writing = threading.Lock()
        self._width = 0
        self._width_of_puts = 0
        self._described = False
        self._segments: tuple[Segment, ...] = ()
        self._listed: int | None = None
        self._unusable: set[str] = set()
        self._changed: set[str] = set()
        self._waiting: dict[str, npt.NDArray[np.float16]] = {}
        self._waiting_bytes = 0
        self._waiting_since = 0.0
        self._memory: BoundedMemory[str] = BoundedMemory(_MEMORY_BYTES)
        self._looked_up = 0
        self._open()

    @property
    def width(self) -> int:
        """Numbers in a vector; 0 as long as nothing was kept."""
        return self._width

    @property
    def persistent(self) -> bool:
        """Whether anything outlives this object."""
        return self._folder is not None

    def get(self, digests: Sequence[str]) -> Rows:
        """The rows of each, in order; no row: it is not kept."""
        wanted = list(dict.fromkeys(digests))
        with self._lock:
            found = {digest: rows for digest in wanted if (rows := self._held(digest)) is not None}
            segments = self._segments
        missing = [digest for digest in wanted if digest not in found]
        if missing and (segments or self._folder is not None):
            found |= self._find(missing, segments)
            self._release(len(missing))
        if not found:
            return Rows(np.zeros((0, self._width), np.float32), np.zeros(len(digests) + 1, np.int64))
        none = np.zeros((0, self._width), np.float16)
        return Rows.joined([found.get(digest, none) for digest in digests], self._width)

    def put(self, digest: str, vectors: npt.NDArray[np.floating]) -> None:
        """Keep `vectors`, shape (its rows, width); no rows, or some that are not finite, are not kept. They are written
        at the latest by `flush`.

        Raises ValueError for a shape that no vectors of this space can have, and for what is no SHA-256.
        """
        rows = np.array(vectors, dtype=np.float16, order="C")
        if rows.ndim != 2 or not rows.shape[1] or len(bytes.fromhex(digest)) != DIGEST_BYTES:
            raise ValueError(f"vectors of shape {rows.shape} for {digest!r}: not rows of a vector each, or no SHA-256")
        if not len(rows) or not np.isfinite(rows).all():
            return
        with self._lock:
            self._settle_width(rows.shape[1])
            if self._folder is None:
                self._memory.put(digest, rows.tobytes())
                return
            if not self._waiting:
                self._waiting_since = time.monotonic()
            self._waiting_bytes += rows.nbytes
            self._waiting[digest] = rows
            due = self._is_due()
        if due:
            with self._writing:
                if self._is_due():  # several threads may have waited for one that wrote
                    self._write_waiting()

    def flush(self) -> None:
        """Write what is waiting."""
        with self._writing:
            self._write_waiting()

    def close(self) -> None:
        """Flush, and let go of the files; what is put after that is kept in memory only."""
        self.flush()
        with self._lock:
            self._folder = None
            self._segments = ()

    # looking up

    def _held(self, digest: str) -> npt.NDArray[np.float16] | None:
        waiting = self._waiting.get(digest)
        if waiting is not None:
            return waiting
        kept = self._memory.get(digest)
        return None if kept is None else np.frombuffer(kept, dtype=np.float16).reshape(-1, self._width)

    def _find(self, digests: list[str], segments: tuple[Segment, ...]) -> dict[str, npt.NDArray[np.float16]]:
        """What the segments have of the digests; then what segments have that have come since."""
        missing = sorted(digests)
        found = _found(missing, segments, self._say_changed)
        missing = [digest for digest in missing if digest not in found]
        if missing:
            now = self._refreshed()
            found |= _found(missing, [segment for segment in now if segment not in segments], self._say_changed)
        return found

    def _refreshed(self) -> tuple[Segment, ...]:
        """The segments that are there now, the newest first. Another process may have added some, or merged them."""
        with self._lock:
            folder = self._folder
            if folder is None or (self._listed is not None and self._listed == _changed_at(folder)):
                return self._segments
            known = {segment.path.name: segment for segment in self._segments}
            for _ in range(_ATTEMPTS):
                try:
                    changed, now = _changed_at(folder), time.time_ns()
                    names = [name for name in segment_names(folder) if name not in self._unusable]
                    if names != list(known):
                        opened = (known.get(name) or self._opened(folder / name) for name in names)
                        self._segments = tuple(segment for segment in opened if segment is not None)
                    self._listed = changed if changed is not None and now - changed > _SETTLED else None
                except FileNotFoundError:
                    continue  # merged by another process just now
                except OSError as error:
                    self._give_up(error)
                break
            return self._segments

    def _opened(self, path: Path) -> Segment | None:
        """None for a segment that is damaged: it is set aside. Raises OSError."""
        try:
            segment = Segment(path, self._width or None)
        except DamagedSegmentError as error:
            self._unusable.add(path.name)
            self._warn(f"Kept embeddings in {path} are damaged ({error}); they were set aside, and are computed again.")
            with suppress(OSError):
                path.replace(path.with_name(path.name + DAMAGED))
            return None
        self._width = segment.width
        return segment

    def _say_changed(self, segment: Segment) -> None:
        with self._lock:
            if segment.path.name not in self._changed:
                self._changed.add(segment.path.name)
                self._warn(f"Kept embeddings in {segment.path} have changed; those concerned are computed again.")

    def _release(self, looked_up: int) -> None:
        with self._lock:
            self._looked_up += looked_up
            if self._looked_up >= _RELEASE_AFTER:
                self._looked_up = 0
                for segment in self._segments:
                    segment.release()

    # the disk

    def _open(self) -> None:
        if self._folder is None:
            return
        try:
            told = SpaceDescription.read(self._folder)
        except OSError as error:
            self._give_up(error)
            return
        except ValueError as error:
            told = None
            self._warn(f"{self._folder / DESCRIPTION} is damaged ({error}); it is written again.")
        if told is not None and told.name != self.name:
            self._give_up(ValueError(f"the folder belongs to the embeddings of {told.name}"))
            return
        if told is not None:
            self._width, self._described = told.width, True
        self._refreshed()

    def _settle_width(self, width: int) -> None:
        if self._width_of_puts and self._width_of_puts != width:
            raise ValueError(f"vectors of {width} numbers among those of {self._width_of_puts}")
        self._width_of_puts = width
        if self._width and self._width != width:
            self._give_up(ValueError(f"it holds vectors of {self._width} numbers, and this model's have {width}"))
            self._segments = ()
        self._width = width

    def _is_due(self) -> bool:
        return bool(self._waiting) and (
            len(self._waiting) >= _WAITING_VECTORS
            or self._waiting_bytes >= _WAITING_BYTES
            or time.monotonic() - self._waiting_since > _WAITING_SECONDS
        )

    def _write_waiting(self) -> None:
        """One thread at a time; others look up and put meanwhile."""
        with self._lock:
            folder, waiting = self._folder, dict(self._waiting)
        if folder is None or not waiting:
            return
        new = waiting.keys() - self._find(list(waiting), self._segments).keys()
        try:
            if new:
                self._write(folder, {digest: waiting[digest] for digest in new})
        except OSError as error:
            self._give_up(error)
            return
        with self._lock:
            for digest, rows in waiting.items():
                if self._waiting.get(digest) is rows:
                    del self._waiting[digest]
            self._waiting_bytes = sum(rows.nbytes for rows in self._waiting.values())
            self._waiting_since = time.monotonic()

    def _write(self, folder: Path, new: dict[str, npt.NDArray[np.float16]]) -> None:
        """Raises OSError."""
        folder.mkdir(parents=True, exist_ok=True)
        if not self._described or not (folder / DESCRIPTION).exists():
            SpaceDescription(self.name, self._width).write(folder)
            self._described = True
        block = Block.of([(bytes.fromhex(digest), new[digest]) for digest in sorted(new)], self._width)
        write_segment(folder, blocks_of(block), self._width)
        merge_segments(folder, self._width)
        self._listed = None  # what was just written is there, whatever the folder's clock says
        self._refreshed()

    def _give_up(self, error: Exception) -> None:
        """Go on in memory: the disk is full, or may not be written to, or holds something else. What was found there is
        still looked up."""
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        with self._lock:
            self._warn(f"Embeddings cannot be kept in {self._folder} ({reason}); they are kept in memory only.")
            for digest, rows in self._waiting.items():
                self._memory.put(digest, rows.tobytes())
            self._waiting.clear()
            self._waiting_bytes = 0
            self._folder = None


def _changed_at(folder: Path) -> int | None:
    """When a name was last added to the folder or removed, nanoseconds; None where that cannot be told."""
    try:
        return folder.stat().st_mtime_ns
    except OSError:
        return None


def _found(
    digests: Sequence[str], segments: Sequence[Segment], changed: Callable[[Segment], None]
) -> dict[str, npt.NDArray[np.float16]]:
    """The rows of those sorted digests that any of the segments has, whole; the first that has them counts."""
    found: dict[str, npt.NDArray[np.float16]] = {}
    for segment in segments:
        missing = [digest for digest in digests if digest not in found]
        if not missing:
            break
        for place, rows in segment.find(as_keys([bytes.fromhex(digest) for digest in missing])):
            if rows is None:
                changed(segment)
            else:
                found[missing[place]] = rows
    return found
