"""People's labels in SQLite: every act is an event in a transaction of its own, and none is ever removed.

`events` is the history; `current` is what holds now, kept in the same transaction. Undoing adds an event that names the
one undone, and what held before holds again. After `kill -9` at any moment every act that was answered is there.
"""

from __future__ import annotations

import sqlite3
import stat
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from types import TracebackType

from vsil_audit.errors import ConfigurationError, RunFolderError
from vsil_audit.reporting.untrusted import fold, one_line

FILE = "review.sqlite"
NOTE, SKIPPED = "note", "skipped"
LONGEST_NAME = 60
LONGEST_NOTE = 4_000
_APPLICATION = 0x76736C72
_VERSION = 1
_BUSY_SECONDS = 30.0
_SCHEMA = (
    "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE items (number INTEGER PRIMARY KEY, pair_id TEXT NOT NULL UNIQUE, content TEXT NOT NULL, "
        "round INTEGER NOT NULL, origin TEXT NOT NULL, stratum TEXT NOT NULL, weight REAL)"
    ),
    "CREATE TABLE annotators (name TEXT PRIMARY KEY, joined TEXT NOT NULL) WITHOUT ROWID",
    (
        "CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, annotator TEXT NOT NULL, item INTEGER NOT NULL, "
        "field TEXT NOT NULL, value TEXT, at TEXT NOT NULL, origin TEXT NOT NULL, undoes INTEGER UNIQUE)"
    ),
    (
        "CREATE TABLE current (annotator TEXT NOT NULL, item INTEGER NOT NULL, field TEXT NOT NULL, "
        "value TEXT NOT NULL, event INTEGER NOT NULL, PRIMARY KEY (annotator, item, field)) WITHOUT ROWID"
    ),
    "CREATE INDEX events_by_key ON events (annotator, item, field, id)",
)

PAGE, IMPORTED, CHANGED = "page", "import", "pair changed"
"""Where an event came from."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A pair to be reviewed. `content`: sha256 of its text and images. `origin`: how it was chosen; `stratum` and
    `weight` as the user's draw says (weight: pairs of the set that it stands for; None where nothing says so)."""

    pair_id: str
    content: str
    origin: str
    stratum: str = ""
    weight: float | None = None


@dataclass(frozen=True, slots=True)
class Item:
    """A pair under review, with its number in the store. `round`: in which choosing it came, the first 0."""

    number: int
    round: int
    chosen: Chosen

    @property
    def pair_id(self) -> str:
        return self.chosen.pair_id


@dataclass(frozen=True, slots=True)
class Undone:
    item: int
    field: str


Sheet = dict[int, dict[str, str]]
"""What holds of each item: the value of each field that has one."""


class LabelStore:
    """The labels of one review. One process may write while others read; all of them see only whole acts."""

    def __init__(self, path: Path, dataset: str) -> None:
        """Open or make the store at `path`. `dataset` is what people call the data. Raises RunFolderError for a file
        that is not ours."""
        self.path = path
        _check_file(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = sqlite3.connect(path, timeout=_BUSY_SECONDS, isolation_level=None)
            self._set_up(dataset)
        except (sqlite3.Error, OSError) as error:
            raise _not_ours(path, str(error)) from error

    def __enter__(self) -> LabelStore:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._connection.close()

    @property
    def dataset(self) -> str:
        """What the data were called when the store was made."""
        return str(self._connection.execute("SELECT value FROM about WHERE key = 'dataset'").fetchone()[0])

    # what is to be reviewed

    def items(self) -> list[Item]:
        """In the order in which they were chosen."""
        rows = self._connection.execute(
            "SELECT number, round, pair_id, content, origin, stratum, weight FROM items ORDER BY number"
        )
        return [Item(number, round_, Chosen(*rest)) for number, round_, *rest in rows]

    def number(self, pair_id: str) -> int | None:
        """Under which number a pair is kept; None for one that is not under review."""
        row = self._connection.execute("SELECT number FROM items WHERE pair_id = ?", (pair_id,)).fetchone()
        return None if row is None else int(row[0])

    def choose(self, chosen: Sequence[Chosen]) -> int:
        """Add those that are not there yet, as one round; returns how many are new. One that was chosen otherwise
        before, and now as part of the whole set or of a random sample of it, counts as that."""
        with self._transaction() as connection:
            known = {row[0] for row in connection.execute("SELECT pair_id FROM items")}
            new = [each for each in chosen if each.pair_id not in known]
            if new:
                round_ = connection.execute("SELECT coalesce(max(round) + 1, 0) FROM items").fetchone()[0]
                connection.executemany(
                    "INSERT INTO items (pair_id, content, round, origin, stratum, weight) VALUES (?, ?, ?, ?, ?, ?)",
                    [(c.pair_id, c.content, round_, c.origin, c.stratum, c.weight) for c in new],
                )
            connection.executemany(
                "UPDATE items SET origin = ?, stratum = ?, weight = ? WHERE pair_id = ?",
                [
                    (c.origin, c.stratum, c.weight, c.pair_id)
                    for c in chosen
                    if c.pair_id in known and c.origin in AT_RANDOM
                ],
            )
        return len(new)

    def withdraw_changed(self, contents: Mapping[str, str]) -> int:
        """Labels of pairs whose content is no longer what was labelled hold no more; they stay in the history. Returns
        how many items that is. `contents`: what each pair of the data is now, by id."""
        changed = [i for i in self.items() if contents.get(i.pair_id, i.chosen.content) != i.chosen.content]
        with self._transaction() as connection:
            for item in changed:
                held = connection.execute(
                    "SELECT annotator, field FROM current WHERE item = ?", (item.number,)
                ).fetchall()
                for annotator, field in held:
                    self._write(connection, annotator, item.number, field, None, CHANGED)
                connection.execute(
                    "UPDATE items SET content = ? WHERE number = ?", (contents[item.pair_id], item.number)
                )
        return len(changed)

    # who reviews

    def annotators(self) -> list[str]:
        return [row[0] for row in self._connection.execute("SELECT name FROM annotators ORDER BY joined, name")]

    def join(self, name: str) -> str:
        """The annotator's name as it is kept: someone who is there already keeps theirs, however it is capitalised.

        Raises ConfigurationError for a name that cannot be shown.
        """
        name = annotator_name(name)
        with self._transaction() as connection:
            known = {row[0].casefold(): row[0] for row in connection.execute("SELECT name FROM annotators")}
            if name.casefold() not in known:
                connection.execute("INSERT INTO annotators VALUES (?, ?)", (name, _now()))
        return str(known.get(name.casefold(), name))

    # labels

    def put(self, annotator: str, item: int, field: str, value: str | None, origin: str = PAGE) -> int | None:
        """Let `value` hold (None: nothing), and return the event; None where that held already, so that an act whose
        answer was lost can be sent again."""
        with self._transaction() as connection:
            held = self._held(connection, annotator, item, field)
            if held == value:
                return None
            return self._write(connection, annotator, item, field, value, origin)

    def latest(self, annotator: str) -> int | None:
        """The last act on the page that is not undone."""
        row = self._connection.execute(
            "SELECT max(id) FROM events e WHERE annotator = ? AND origin = ? AND undoes IS NULL "
            "AND NOT EXISTS (SELECT 1 FROM events u WHERE u.undoes = e.id)",
            (annotator, PAGE),
        ).fetchone()
        return None if row[0] is None else int(row[0])

    def undo(self, annotator: str, event: int) -> Undone | None:
        """Undo that act if it is the annotator's own; what held before it holds again. Undone before: nothing more
        happens. None where there is no such act."""
        with self._transaction() as connection:
            row = connection.execute(
                "SELECT item, field FROM events WHERE id = ? AND annotator = ? AND undoes IS NULL", (event, annotator)
            ).fetchone()
            if row is None:
                return None
            undone = Undone(*row)
            if connection.execute("SELECT 1 FROM events WHERE undoes = ?", (event,)).fetchone() is None:
                before = connection.execute(
                    "SELECT value FROM events e WHERE annotator = ? AND item = ? AND field = ? AND id <> ? "
                    "AND undoes IS NULL AND NOT EXISTS (SELECT 1 FROM events u WHERE u.undoes = e.id) "
                    "ORDER BY id DESC LIMIT 1",
                    (annotator, undone.item, undone.field, event),
                ).fetchone()
                value = before[0] if before else None
                self._write(connection, annotator, undone.item, undone.field, value, PAGE, undoes=event)
            return undone

    def sheet(self, annotator: str) -> Sheet:
        """All that holds of the annotator's."""
        found: Sheet = {}
        for item, field, value in self._connection.execute(
            "SELECT item, field, value FROM current WHERE annotator = ? ORDER BY item", (annotator,)
        ):
            found.setdefault(item, {})[field] = value
        return found

    def held(self, annotator: str, item: int) -> dict[str, str]:
        """What holds of one item."""
        return dict(
            self._connection.execute(
                "SELECT field, value FROM current WHERE annotator = ? AND item = ?", (annotator, item)
            ).fetchall()
        )

    def when(self, annotator: str) -> dict[int, str]:
        """When each item was last acted on, as ISO 8601 in UTC."""
        return dict(
            self._connection.execute(
                "SELECT item, max(at) FROM events WHERE annotator = ? GROUP BY item", (annotator,)
            ).fetchall()
        )

    def history(self) -> Iterator[tuple[object, ...]]:
        """All events: id, annotator, item, field, value, time, origin, and the event undone."""
        yield from self._connection.execute(
            "SELECT id, annotator, item, field, value, at, origin, undoes FROM events ORDER BY id"
        )

    def _held(self, connection: sqlite3.Connection, annotator: str, item: int, field: str) -> str | None:
        row = connection.execute(
            "SELECT value FROM current WHERE annotator = ? AND item = ? AND field = ?", (annotator, item, field)
        ).fetchone()
        return None if row is None else str(row[0])

    def _write(
        self,
        connection: sqlite3.Connection,
        annotator: str,
        item: int,
        field: str,
        value: str | None,
        origin: str,
        undoes: int | None = None,
    ) -> int:
        event = connection.execute(
            "INSERT INTO events (annotator, item, field, value, at, origin, undoes) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (annotator, item, field, value, _now(), origin, undoes),
        ).lastrowid
        if value is None:
            connection.execute(
                "DELETE FROM current WHERE annotator = ? AND item = ? AND field = ?", (annotator, item, field)
            )
        else:
            connection.execute(
                "INSERT OR REPLACE INTO current VALUES (?, ?, ?, ?, ?)", (annotator, item, field, value, event)
            )
        return int(event or 0)

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            yield self._connection
        except BaseException:
            self._connection.execute("ROLLBACK")
            raise
        self._connection.execute("COMMIT")

    def _set_up(self, dataset: str) -> None:
        for setting in ("trusted_schema = OFF", "journal_mode = WAL", "synchronous = FULL"):
            self._connection.execute(f"PRAGMA {setting}").fetchall()
        with self._transaction() as connection:
            there = _schema_of(connection)
            if not there:
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute(f"PRAGMA application_id = {_APPLICATION}")
                connection.execute(f"PRAGMA user_version = {_VERSION}")
                connection.execute("INSERT INTO about VALUES ('dataset', ?)", (dataset,))
        # a database from elsewhere may hold views and triggers that run what their author likes
        if there and there != set(_SCHEMA):
            raise _not_ours(self.path, "it has other tables")
        if self._connection.execute("PRAGMA user_version").fetchone()[0] != _VERSION:
            raise _not_ours(self.path, "another version of vsil-audit wrote it")


WHOLE, SAMPLE = "all", "sample"
AT_RANDOM = frozenset({WHOLE, SAMPLE})
"""Origins of items that stand for the set."""


def annotator_name(name: str) -> str:
    """As it is kept: composed, on one line. Raises ConfigurationError for none, or one that is too long."""
    found = one_line(unicodedata.normalize("NFC", name))
    if not 0 < len(found) <= LONGEST_NAME:
        raise ConfigurationError(
            f"{fold(name, 30)!r} cannot be an annotator's name", f"Choose one of 1 to {LONGEST_NAME} characters."
        )
    return found


def merged(labels: Iterable[Mapping[str, str]], field: str) -> str | None:
    """What more than half of those who say something of `field` say; None for a tie or silence."""
    said = [each[field] for each in labels if field in each]
    most = max(set(said), key=said.count, default=None)
    return most if most is not None and 2 * said.count(most) > len(said) else None


def _schema_of(connection: sqlite3.Connection) -> set[str]:
    return {
        row[0] for row in connection.execute("SELECT sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%'") if row[0]
    }


def _check_file(path: Path) -> None:
    try:
        status = path.lstat()
    except OSError:
        return
    if not stat.S_ISREG(status.st_mode):
        raise _not_ours(path, "it is not a file")


def _not_ours(path: Path, why: str) -> RunFolderError:
    return RunFolderError(f"{path} does not hold labels of a review: {why}", "Name another file with --store.")


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")
