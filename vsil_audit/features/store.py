"""Features kept between runs: SQLite, keyed by content digest, feature name and version.

The store is a convenience: nothing that goes wrong with it may stop or change a scan. What went wrong is said in
`FeatureStore.warnings`, and the features are then kept in memory, within a bound.
"""

from __future__ import annotations

import sqlite3
import threading
import time
import zlib
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from vsil_audit.features.bounded_memory import BoundedMemory
from vsil_audit.places.cache import cache_folder

_Key: TypeAlias = tuple[str, str, str]
_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS features (
    digest TEXT NOT NULL, feature TEXT NOT NULL, version TEXT NOT NULL, value BLOB NOT NULL,
    PRIMARY KEY (digest, feature, version)
) WITHOUT ROWID
"""
_BATCH = 64
_BATCH_SECONDS = 2.0
_MEMORY_BYTES = 64 * 1024 * 1024
_BUSY_SECONDS = 30.0


def default_store_path() -> Path:
    """`features.sqlite` in `cache_folder()`."""
    return cache_folder() / "features.sqlite"


class FeatureStore:
    """A store shared by runs, processes and threads. It never raises for the state of the disk.

    Values are written in batches of one transaction each: after `kill -9` the last batch may be missing, and is then
    computed again. A database that is damaged, or of another layout, is moved aside. `persistent` says whether
    anything outlives this object.
    """

    def __init__(self, path: Path | None = None) -> None:
        """Open or make the store at `path`; None for the default place."""
        self._lock = threading.RLock()
        self._warnings: list[str] = []
        self._waiting: dict[_Key, bytes] = {}
        self._waiting_since = 0.0
        self._memory = BoundedMemory[_Key](_MEMORY_BYTES)
        self._connection: sqlite3.Connection | None = None
        try:
            self.path: Path | None = path or default_store_path()
        except RuntimeError:  # no home directory can be found
            self.path = None
            self._warnings.append("There is no folder for a cache; set VSIL_AUDIT_CACHE. Features are not kept.")
        if self.path is not None:
            self._connection = self._open(self.path)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong so far, for people."""
        with self._lock:
            return tuple(self._warnings)

    @property
    def persistent(self) -> bool:
        return self._connection is not None

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, write-ahead log included; 0 when nothing is kept on disk."""
        if self.path is None:
            return 0
        return sum(_size(self.path.with_name(self.path.name + suffix)) for suffix in ("", "-wal"))

    def get(self, digests: Sequence[str], feature: str, version: str) -> dict[str, bytes]:
        """The values put for those of `digests`, at most some hundreds, that have one: one question to the database."""
        found: dict[str, bytes] = {}
        with self._lock:
            for digest in digests:
                key = (digest, feature, version)
                held = self._waiting.get(key) or self._memory.get(key)
                if held is not None:
                    found[digest] = held
            missing = [digest for digest in digests if digest not in found]
            if not missing or self._connection is None:
                return found
            marks = ", ".join("?" * len(missing))
            try:
                rows = self._connection.execute(
                    f"SELECT digest, value FROM features WHERE digest IN ({marks}) AND feature = ? AND version = ?",  # noqa: S608
                    (*missing, feature, version),
                ).fetchall()
            except sqlite3.Error as error:
                self._recover(error)
                return found
        for digest, stored in rows:
            if (value := _checked(bytes(stored))) is not None:
                found[digest] = value
        return found

    def put(self, digest: str, feature: str, version: str, value: bytes) -> None:
        """Keep `value`; it is written with others, at the latest by `flush` or `close`."""
        with self._lock:
            if self._connection is None:
                self._memory.put((digest, feature, version), value)
                return
            if not self._waiting:
                self._waiting_since = time.monotonic()
            self._waiting[digest, feature, version] = value
            if len(self._waiting) >= _BATCH or time.monotonic() - self._waiting_since > _BATCH_SECONDS:
                self.flush()

    def flush(self) -> None:
        """Write what is waiting."""
        with self._lock:
            if self._connection is None or not self._waiting:
                return
            rows = [(*key, _with_checksum(value)) for key, value in self._waiting.items()]
            try:
                with self._connection:
                    self._connection.executemany("INSERT OR REPLACE INTO features VALUES (?, ?, ?, ?)", rows)
                self._waiting.clear()
            except sqlite3.Error as error:
                self._recover(error)

    def close(self) -> None:
        """Flush and close; what is put after that is kept in memory only."""
        with self._lock:
            self.flush()
            if self._connection is not None:
                self._connection.close()
                self._connection = None

    def __enter__(self) -> FeatureStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _open(self, path: Path) -> sqlite3.Connection | None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(path)
        except sqlite3.DatabaseError as error:
            if _is_damage(error):
                return self._replace(path, error)
            self._say_unusable(path, error)
        except OSError as error:
            self._say_unusable(path, error)
        return None

    def _replace(self, path: Path, error: sqlite3.Error) -> sqlite3.Connection | None:
        """Move a damaged database aside, with its log, and begin a new one."""
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        try:
            path.rename(aside)
            for suffix in ("-wal", "-shm"):
                path.with_name(path.name + suffix).unlink(missing_ok=True)
            connection = _connect(path)
        except (OSError, sqlite3.DatabaseError) as second:
            self._say_unusable(path, second)
            return None
        self._warnings.append(f"The feature cache {path} was damaged ({error}); it was moved to {aside.name}.")
        return connection

    def _recover(self, error: sqlite3.Error) -> None:
        """The database failed in use: begin a new one where it is damaged, else (disk full, locked, read-only) go on
        in memory. What was waiting is kept in memory either way."""
        for key, value in self._waiting.items():
            self._memory.put(key, value)
        self._waiting.clear()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self.path is not None and _is_damage(error):
            self._connection = self._replace(self.path, error)
        else:
            self._warnings.append(f"The feature cache {self.path} failed ({error}); features are kept in memory only.")

    def _say_unusable(self, path: Path, error: Exception) -> None:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self._warnings.append(
            f"The feature cache {path} cannot be used ({reason}); features are kept in memory only. "
            "Set VSIL_AUDIT_CACHE to a writable folder to keep them."
        )


def _connect(path: Path) -> sqlite3.Connection:
    """Open, check and prepare the database. Raises sqlite3.DatabaseError."""
    connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        if version not in (0, _SCHEMA_VERSION):
            raise sqlite3.DatabaseError(f"not a database of this tool: layout {version}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")  # survives kill -9; only a power cut may lose the last batch
        with connection:
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.execute("SELECT digest, feature, version, value FROM features LIMIT 1").fetchone()
    except sqlite3.Error:
        connection.close()
        raise
    return connection


def _with_checksum(value: bytes) -> bytes:
    return zlib.crc32(value).to_bytes(4, "big") + value


def _checked(stored: bytes) -> bytes | None:
    """The value behind its checksum; None for one that was changed on disk: it is then computed again."""
    return stored[4:] if zlib.crc32(stored[4:]).to_bytes(4, "big") == stored[:4] else None


def _is_damage(error: sqlite3.Error) -> bool:
    """Whether the file itself is at fault, rather than its folder, a lock or the disk."""
    message = str(error).lower()
    return any(
        words in message for words in ("not a database", "malformed", "no such column", "columns but", "corrupt")
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
