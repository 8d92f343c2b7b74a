"""Answers kept for good: SQLite, keyed by content, shared by runs and processes.

An answer is written before it is handed out, so `kill -9` loses none that anybody has seen. Those that arrive within
5 ms of the last write are one transaction. All calls come from the event loop's thread, and none waits there for
another process's lock.
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from vsil_audit.features.store import default_store_path
from vsil_audit.gateway.provider import Reply

_SCHEMA_VERSION = 1
_SCHEMA = """
CREATE TABLE IF NOT EXISTS answers (
    id INTEGER NOT NULL UNIQUE, key BLOB NOT NULL, provider TEXT NOT NULL, model TEXT NOT NULL, request TEXT NOT NULL,
    status INTEGER NOT NULL, body TEXT NOT NULL, seconds REAL NOT NULL, created REAL NOT NULL
)
"""
_INSERT = "INSERT OR IGNORE INTO answers VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_READ_SECONDS = 30.0
_WRITE_SECONDS = 30.0
_AGAIN_SECONDS = 0.01
_KEYS_A_QUERY = 64
_BETWEEN_WRITES = 0.005


def default_cache_path() -> Path:
    """`$VSIL_AUDIT_CACHE/answers.sqlite`, or in the platform's cache directory for vsil-audit."""
    return default_store_path().with_name("answers.sqlite")


class Kept(NamedTuple):
    """A kept response. `request`: the canonical JSON that its key is the digest of. `seconds`: how long the call took;
    `created`: seconds since 1970."""

    key: bytes
    provider: str
    model: str
    request: str
    reply: Reply
    seconds: float
    created: float

    def to_json(self) -> str:
        """One line of an export."""
        record = {
            "key": self.key.hex(),
            "provider": self.provider,
            "model": self.model,
            "created": self.created,
            "seconds": self.seconds,
            "status": self.reply.status,
            "request": json.loads(self.request),
            "response": self.reply.body,
        }
        return json.dumps(record, sort_keys=True, ensure_ascii=True)


@dataclass(frozen=True, slots=True)
class ModelShare:
    """What is kept of one model. `oldest`, `newest`: seconds since 1970."""

    provider: str
    model: str
    answers: int
    oldest: float
    newest: float


class AnswerCache:
    """The answers at `path` (None: the default place). `memory=True` keeps nothing on disk.

    It never raises for the state of the disk: what goes wrong is said in `warnings`, and answers are then kept in this
    process only. A database that is damaged, or of another layout, is moved aside.
    """

    def __init__(self, path: Path | None = None, *, memory: bool = False, repair: bool = True) -> None:
        """`repair=False` leaves a damaged database where it is."""
        self.warnings: list[str] = []
        self._repair = repair
        self._held: dict[bytes, tuple[Reply, float]] = {}
        self._waiting: list[tuple[Kept, Callable[[], None]]] = []
        self._since = self._last_write = 0.0
        self._connection: sqlite3.Connection | None = None
        self.path: Path | None = None
        if not memory:
            try:
                self.path = path or default_cache_path()
            except RuntimeError:  # no home directory can be found
                self.warnings.append("There is no folder for answers; set VSIL_AUDIT_CACHE. Answers are not kept.")
        if self.path is not None:
            self._connection = self._open(self.path)

    @property
    def persistent(self) -> bool:
        """Whether answers outlive this process."""
        return self._connection is not None

    def get(self, keys: Sequence[bytes]) -> dict[bytes, tuple[Reply, float]]:
        """The replies kept under those keys, each with the seconds that the call took."""
        found = {key: self._held[key] for key in keys if key in self._held} if self._held else {}
        if self._connection is None:
            return found
        try:
            for start in range(0, len(keys), _KEYS_A_QUERY):
                found.update(self._read(keys[start : start + _KEYS_A_QUERY]))
        except sqlite3.Error as error:
            self._give_up(error)
        return found

    def put(self, kept: Kept, written: Callable[[], None]) -> None:
        """Keep an answer; `written` is called, from the running event loop, once it is on disk."""
        if not self._waiting:
            self._since = time.monotonic()
            wait = max(0.0, self._last_write + _BETWEEN_WRITES - self._since) if self._connection else 0.0
            asyncio.get_running_loop().call_later(wait, self._write)
        self._waiting.append((kept, written))

    def _write(self) -> None:
        if not self._waiting:
            return
        if self._connection is not None:
            try:
                self._insert(self._connection)
            except sqlite3.Error as error:
                if _is_busy(error) and time.monotonic() - self._since < _WRITE_SECONDS:
                    asyncio.get_running_loop().call_later(_AGAIN_SECONDS, self._write)
                    return
                self._give_up(error)
        if self._connection is None:
            self._held.update({k.key: (k.reply, k.seconds) for k, _ in self._waiting})
        done, self._waiting = self._waiting, []
        self._last_write = time.monotonic()
        for _, written in done:
            written()

    def __len__(self) -> int:
        return sum(share.answers for share in self.shares())

    def shares(self) -> list[ModelShare]:
        """What is kept, by model, most answers first."""
        if self._connection is None:
            return []
        rows = self._connection.execute(
            "SELECT provider, model, COUNT(*), MIN(created), MAX(created) FROM answers "
            "GROUP BY provider, model ORDER BY COUNT(*) DESC, provider, model"
        )
        return [ModelShare(*row) for row in rows]

    def entries(self, model: str | None = None, newest: int | None = None) -> Iterator[Kept]:
        """Everything kept (of `PROVIDER/MODEL`), oldest first; or so many of the newest, newest first."""
        if self._connection is None:
            return
        where, values = _where(model, None)
        order = "ORDER BY rowid" if newest is None else "ORDER BY rowid DESC LIMIT ?"
        rows = self._connection.execute(
            f"SELECT key, provider, model, request, status, body, seconds, created FROM answers{where} {order}",  # noqa: S608 - fixed words
            values if newest is None else (*values, newest),
        )
        for key, provider, name, request, status, body, seconds, created in rows:
            yield Kept(bytes(key), provider, name, request, Reply(body, status), seconds, created)

    def count(self, model: str | None = None, before: float | None = None) -> int:
        """How many answers `clear` would forget."""
        if self._connection is None:
            return 0
        where, values = _where(model, before)
        query = f"SELECT COUNT(*) FROM answers{where}"  # noqa: S608 - fixed words
        return int(self._connection.execute(query, values).fetchone()[0])

    def clear(self, model: str | None = None, before: float | None = None) -> int:
        """Forget answers (of `PROVIDER/MODEL`; made before that time, in seconds since 1970); how many they were."""
        if self._connection is None:
            return 0
        where, values = _where(model, before)
        self._connection.execute(f"PRAGMA busy_timeout = {int(_WRITE_SECONDS * 1000)}")
        with self._connection:
            gone = self._connection.execute(f"DELETE FROM answers{where}", values).rowcount  # noqa: S608 - fixed words
        self._connection.execute("VACUUM")
        self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._connection.execute("PRAGMA busy_timeout = 0")
        return gone

    @property
    def size_bytes(self) -> int:
        """Bytes on disk, write-ahead log included."""
        if self.path is None:
            return 0
        files = [self.path.with_name(self.path.name + suffix) for suffix in ("", "-wal")]
        return sum(file.stat().st_size for file in files if file.exists())

    def close(self) -> None:
        """Write what is waiting and close."""
        for kept, _ in self._waiting:
            self._held[kept.key] = (kept.reply, kept.seconds)
        if self._connection is not None:
            self._connection.execute(f"PRAGMA busy_timeout = {int(_WRITE_SECONDS * 1000)}")
            try:
                self._insert(self._connection)
            except sqlite3.Error as error:
                self.warnings.append(f"{self.path}: the last answers could not be kept ({error}).")
            self._connection.close()
            self._connection = None

    def _insert(self, connection: sqlite3.Connection) -> None:
        rows = [
            (_id(k.key), k.key, k.provider, k.model, k.request, k.reply.status, k.reply.body, k.seconds, k.created)
            for k, _ in self._waiting
        ]
        with connection:
            connection.executemany(_INSERT, rows)

    def _read(self, keys: Sequence[bytes]) -> dict[bytes, tuple[Reply, float]]:
        places = ",".join("?" * len(keys))
        query = f"SELECT key, body, status, seconds FROM answers WHERE id IN ({places})"  # noqa: S608 - question marks
        wanted = set(keys)
        rows = self._fetch(query, [_id(key) for key in keys])
        return {key: (Reply(body, status), seconds) for key, body, status, seconds in rows if key in wanted}

    def _fetch(self, query: str, values: Sequence[int]) -> list[tuple[bytes, str, int, float]]:
        """Readers of a WAL wait for nobody, but for the moments in which it is set up or recovered: asking a provider
        again would cost more than waiting that long."""
        assert self._connection is not None
        try:
            return self._connection.execute(query, values).fetchall()
        except sqlite3.OperationalError as error:
            if not _is_busy(error):
                raise
            self._connection.execute(f"PRAGMA busy_timeout = {int(_READ_SECONDS * 1000)}")
            rows: list[tuple[bytes, str, int, float]] = self._connection.execute(query, values).fetchall()
            self._connection.execute("PRAGMA busy_timeout = 0")
            return rows

    def _open(self, path: Path) -> sqlite3.Connection | None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(path)
        except sqlite3.DatabaseError as error:
            if _is_damage(error) and self._repair:
                return self._replace(path, error)
            self._say_unusable(path, error)
        except OSError as error:
            self._say_unusable(path, error)
        return None

    def _replace(self, path: Path, error: sqlite3.Error) -> sqlite3.Connection | None:
        aside = path.with_name(f"{path.name}.damaged-{time.time_ns()}")
        try:
            for suffix in ("", "-wal", "-shm"):
                part = path.with_name(path.name + suffix)
                if part.exists():
                    part.rename(aside.with_name(aside.name + suffix))
            connection = _connect(path)
        except (OSError, sqlite3.DatabaseError) as second:
            self._say_unusable(path, second)
            return None
        self.warnings.append(f"The answer cache {path} was damaged ({error}); it was moved to {aside.name}.")
        return connection

    def _give_up(self, error: sqlite3.Error) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()
        if self.path is not None and _is_damage(error):
            self._connection = self._replace(self.path, error)
        else:
            self.warnings.append(f"The answer cache {self.path} failed ({error}); answers are kept in memory only.")

    def _say_unusable(self, path: Path, error: Exception) -> None:
        reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
        self.warnings.append(
            f"The answer cache {path} cannot be used ({reason}); answers are kept in memory only. "
            "Set VSIL_AUDIT_CACHE to a writable folder to keep them."
        )


def _id(key: bytes) -> int:
    """The first 64 bits of a key: an index of integers is a third as large and twice as quick. Should two keys ever
    begin alike, the second's answer is not kept."""
    return int.from_bytes(key[:8], "big", signed=True)


def _where(model: str | None, before: float | None) -> tuple[str, tuple[object, ...]]:
    clauses: list[str] = []
    values: list[object] = []
    if model is not None:
        clauses.append("provider || '/' || model = ?")
        values.append(model)
    if before is not None:
        clauses.append("created < ?")
        values.append(before)
    return (f" WHERE {' AND '.join(clauses)}" if clauses else ""), tuple(values)


def _connect(path: Path) -> sqlite3.Connection:
    """Open, check and prepare the database. Raises sqlite3.DatabaseError, OSError."""
    if not path.exists():  # prompts and answers are their owner's to read
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    connection = sqlite3.connect(path, timeout=_WRITE_SECONDS, check_same_thread=False)
    try:
        _check_version(connection)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA wal_autocheckpoint = 4000")  # 16 MB: a fifth less work a row than after 4 MB
        connection.execute("PRAGMA synchronous = NORMAL")  # survives kill -9; a power cut may lose the last answers
        with connection:
            connection.execute(_SCHEMA)
            connection.execute(f"PRAGMA user_version = {_SCHEMA_VERSION}")
        connection.execute("SELECT id, key, body, status, seconds, request FROM answers LIMIT 1").fetchone()
        connection.execute("PRAGMA busy_timeout = 0")  # the event loop does the waiting
    except BaseException:
        connection.close()
        raise
    return connection


def _check_version(connection: sqlite3.Connection) -> None:
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version not in (0, _SCHEMA_VERSION):
        raise sqlite3.DatabaseError(f"not a database of this tool: layout {version}")


def _is_busy(error: sqlite3.Error) -> bool:
    return "locked" in str(error).lower() or "busy" in str(error).lower()


def _is_damage(error: sqlite3.Error) -> bool:
    message = str(error).lower()
    return any(words in message for words in ("not a database", "malformed", "no such column", "corrupt"))
