"""Embeddings kept between runs by content: one space for each way to compute them."""

from __future__ import annotations

import threading
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from vsil_audit.features.embeddings.merging import segment_names
from vsil_audit.features.embeddings.segment import DamagedSegmentError, Segment
from vsil_audit.features.embeddings.space import (
    DESCRIPTION,
    EmbeddingSpace,
    SpaceDescription,
    folder_name,
    remove_space,
)
from vsil_audit.features.store import default_store_path

FOLDER = "embeddings"
"""In the folder of all caches."""


@dataclass(frozen=True, slots=True)
class KeptSpace:
    """What is kept of one space. `rows`: vectors; `newest`: when something was last written, Unix time."""

    name: str
    width: int
    rows: int
    size_bytes: int
    newest: float


class EmbeddingStore:
    """The spaces in one folder, shared by runs, processes and threads. It never raises for the state of the disk: what
    went wrong is said in `warnings`, and vectors are then kept in memory, within a bound."""

    def __init__(self, folder: Path | None = None) -> None:
        """`folder`: of all spaces, made when something is written; None for the usual place."""
        self._lock = threading.Lock()
        self._warnings: list[str] = []
        self._spaces: dict[str, EmbeddingSpace] = {}
        try:
            self.folder: Path | None = folder or default_store_path().parent / FOLDER
        except RuntimeError:  # no home directory can be found
            self.folder = None
            self._warnings.append("There is no folder for a cache; set VSIL_AUDIT_CACHE. Embeddings are not kept.")

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong so far, for people."""
        return tuple(self._warnings)

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, of all spaces."""
        return sum(_size(folder) for folder in self._folders())

    def space(self, name: str) -> EmbeddingSpace:
        """The vectors of `name`, which must say all that decides what a vector is. The same object each time."""
        with self._lock:
            if name not in self._spaces:
                folder = None if self.folder is None else self.folder / folder_name(name)
                self._spaces[name] = EmbeddingSpace(folder, name, self._warnings.append)
            return self._spaces[name]

    def kept(self) -> tuple[KeptSpace, ...]:
        """What is on disk, by name."""
        told = [_kept(folder) for folder in self._folders()]
        return tuple(sorted((one for one in told if one is not None), key=lambda one: one.name))

    def clear(self) -> int:
        """Forget the vectors of all spaces; returns how many. Raises OSError when they can't be removed."""
        count = 0
        for folder in self._folders():
            if (folder / DESCRIPTION).is_file():
                kept = _kept(folder)
                remove_space(folder)
                count += kept.rows if kept is not None else 0
        return count

    def close(self) -> None:
        """Write what is waiting; what is put after that is kept in memory only."""
        with self._lock:
            for space in self._spaces.values():
                space.close()

    def __enter__(self) -> EmbeddingStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _folders(self) -> list[Path]:
        try:
            return sorted(path for path in self.folder.iterdir() if path.is_dir()) if self.folder is not None else []
        except OSError:
            return []


def _kept(folder: Path) -> KeptSpace | None:
    """None for a folder that is no space."""
    try:
        told = SpaceDescription.read(folder)
        paths = [folder / name for name in segment_names(folder)]
        newest = max((path.stat().st_mtime for path in paths), default=0.0)
    except (OSError, ValueError):
        return None
    if told is None:
        return None
    rows = 0
    for path in paths:
        with suppress(OSError, DamagedSegmentError):  # it will be set aside when it is used
            rows += Segment(path, told.width).n_rows
    return KeptSpace(told.name, told.width, rows, _size(folder), newest)


def _size(folder: Path) -> int:
    try:
        return sum(path.stat().st_size for path in folder.iterdir())
    except OSError:
        return 0
