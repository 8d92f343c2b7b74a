"""A table file becomes a stream of rows and problems: CSV, TSV, JSON, JSON Lines, Parquet, xlsx; also compressed text.

Every call of `rows` streams afresh; memory does not grow with the file. A row that cannot be read becomes a
`Problem` that names file, row and remedy; the rest goes on.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from vsil_audit.errors import DatasetError
from vsil_audit.pair import Origin, Problem
from vsil_audit.sources.cells import inline_image
from vsil_audit.sources.text_stream import COMPRESSIONS, check_table_file

CSV_SUFFIXES = frozenset({".csv", ".tsv", ".tab"})
JSON_SUFFIXES = frozenset({".json", ".jsonl", ".ndjson"})
PARQUET_SUFFIXES = frozenset({".parquet", ".pq"})
WORKBOOK_SUFFIXES = frozenset({".xlsx", ".xlsm"})
TABLE_SUFFIXES = CSV_SUFFIXES | JSON_SUFFIXES | PARQUET_SUFFIXES | WORKBOOK_SUFFIXES
_ENDINGS = TABLE_SUFFIXES | frozenset(COMPRESSIONS)

TEXT_SUFFIX = ".txt"
"""One prompt a line; not among `TABLE_SUFFIXES`: in a folder most such files are something else."""

SAMPLED_ROWS = 200
"""Rows looked at to learn the columns of a file that does not declare them."""

_SAMPLED_BYTES = 32 << 20
_SAMPLED_TEXT = 1 << 18  # characters

MOST_COLUMNS = 5_000
"""A table with more is not one of rows and columns; what compares its columns would not end."""

_SHARD = re.compile(r"^(?P<stem>.*?)[-_.]?(?P<number>\d{3,6})-of-(?P<total>\d{3,6})$")


@dataclass(frozen=True, slots=True)
class Row:
    """One row. `number`: 1-based data row in `file` (relative to the root); `line`: 1-based line, for text files.

    `values`: str, int, float, bool, None, bytes, list or dict by column. `key`: the row's key in a JSON object
    keyed by id.
    """

    number: int
    values: Mapping[str, object]
    file: str
    key: str | None = None
    line: int | None = None

    @property
    def origin(self) -> Origin:
        """Where the row stands."""
        return Origin(self.file, self.number)


RowOrProblem: TypeAlias = "Row | Problem"


class Table(ABC):
    """One table: `path` on disk, `file` relative to the dataset root (POSIX), `columns` in the file's order."""

    def __init__(self, path: Path, root: Path, columns: Sequence[str] = ()) -> None:
        self.path = path
        self.root = root
        self.file = relative_name(path, root)
        self.columns: tuple[str, ...] = tuple(columns)

    @abstractmethod
    def rows(self) -> Iterator[RowOrProblem]:
        """Rows and problems in the file's order, streamed afresh."""

    def row_count(self) -> int | None:
        """The number of rows where the file declares it, else None."""
        return None

    def files(self) -> tuple[Path, ...]:
        """The files this table is made of."""
        return (self.path,)

    def sample(self, size: int = SAMPLED_ROWS) -> list[Row]:
        """The first `size` readable rows; fewer where they carry large images."""
        sample: list[Row] = []
        weight = 0
        for row in self.rows():
            if isinstance(row, Row):
                sample.append(_abridged(row))
                weight += _weight(row.values)
            if len(sample) >= size or weight > _SAMPLED_BYTES:
                break
        return sample


class ShardedTable(Table):
    """Shards of one table (`train-00000-of-00004.parquet` …) read one after the other as one table."""

    def __init__(self, shards: Sequence[Table], missing: Sequence[str] = ()) -> None:
        first = shards[0]
        columns = dict.fromkeys(column for shard in shards for column in shard.columns)
        super().__init__(first.path, first.root, tuple(columns))
        self._shards = tuple(shards)
        self._missing = tuple(missing)

    def rows(self) -> Iterator[RowOrProblem]:
        for name in self._missing:
            yield Problem(
                kind="missing_shard",
                detail=f"{name} is not here; its rows are missing from this audit",
                origin=Origin(relative_name(self.path.with_name(name), self.root)),
                remedy="Download the missing file.",
            )
        for shard in self._shards:
            yield from shard.rows()

    def row_count(self) -> int | None:
        counts = [shard.row_count() for shard in self._shards]
        known = [count for count in counts if count is not None]
        return sum(known) if len(known) == len(counts) else None

    def files(self) -> tuple[Path, ...]:
        return tuple(path for shard in self._shards for path in shard.files())


def _abridged(row: Row) -> Row:
    """The row with texts cut to what is enough to know them by; images written as text stay whole."""
    if not any(isinstance(value, str) and len(value) > _SAMPLED_TEXT for value in row.values.values()):
        return row
    values = {
        column: value[:_SAMPLED_TEXT] if isinstance(value, str) and inline_image(value) is None else value
        for column, value in row.values.items()
    }
    return replace(row, values=values)


def _weight(value: object) -> int:
    """Roughly how many bytes of text and images a value holds."""
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, Mapping):
        return sum(map(_weight, value.values()))
    return sum(map(_weight, value)) if isinstance(value, list) else 8


def relative_name(path: Path, root: Path) -> str:
    """`path` as people should see it: relative to the dataset root with POSIX separators."""
    try:
        return path.relative_to(root).as_posix()
    except ValueError:
        return path.name


def may_name_a_table(name: str) -> bool:
    """Whether a file name ends as those of tables do: said at once of the many that do not."""
    return f".{name.rpartition('.')[2].lower()}" in _ENDINGS


def table_suffix(path: Path) -> str | None:
    """The table suffix of a file name, lower-cased and without compression; None when it names no table."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    compressed = bool(suffixes) and suffixes[-1] in COMPRESSIONS
    if compressed:
        suffixes.pop()
    if not suffixes or suffixes[-1] not in TABLE_SUFFIXES:
        return None
    if compressed and suffixes[-1] not in CSV_SUFFIXES | JSON_SUFFIXES:
        return None
    return suffixes[-1]


def table_stem(path: Path) -> str:
    """The file name without table suffix, compression and shard number: `train-00000-of-00004.parquet` → `train`."""
    name = path.name
    if name.lower().endswith(COMPRESSIONS):
        name = name[: name.rindex(".")]
    stem = (
        name[: len(name) - len(Path(name).suffix)] if table_suffix(path) or path.suffix.lower() == TEXT_SUFFIX else name
    )
    shard = _SHARD.match(stem)
    return (shard["stem"] or "data") if shard else stem


def open_table(path: Path, root: Path | None = None) -> Table:
    """Open the table at `path`; one shard opens all its shards. `root` (default: its folder) names rows' origins.

    Raises DatasetError for a missing or empty file, a Git LFS pointer, an unknown suffix and an unreadable format.
    """
    root = path.parent if root is None else root
    shards, missing = _shards_of(path)
    if len(shards) > 1 or missing:
        return ShardedTable([_checked(_open_file(shard, root)) for shard in shards], missing)
    return _checked(_open_file(path, root))


def first_of_each_table(paths: Sequence[Path]) -> list[Path]:
    """`paths` with the shards of one table reduced to its first shard, in the given order."""
    seen: set[tuple[Path, str, str]] = set()
    firsts = []
    for path in paths:
        shard = _shard_parts(path)
        key = (path.parent, *shard) if shard else None
        if key is not None and key in seen:
            continue
        if key is not None:
            seen.add(key)
        firsts.append(path)
    return firsts


def too_many_columns(file: str, found: int) -> DatasetError:
    """For a table that is wider than `MOST_COLUMNS`."""
    return DatasetError(f"{file} has {found:,} columns, more than {MOST_COLUMNS:,}.", "Give a table with a row a pair.")


def _checked(table: Table) -> Table:
    if len(table.columns) > MOST_COLUMNS:
        raise too_many_columns(table.file, len(table.columns))
    return table


def _open_file(path: Path, root: Path) -> Table:
    name = relative_name(path, root)
    suffix = table_suffix(path)
    if path.suffix.lower() == TEXT_SUFFIX:
        from vsil_audit.sources.lines import LinesTable

        check_table_file(path, name)
        return LinesTable(path, root)
    if suffix is None:
        raise DatasetError(
            f"{name} is not a table that can be read.",
            f"Give a file that ends in {', '.join(sorted(TABLE_SUFFIXES))} or .txt (text tables also with "
            f"{', '.join(COMPRESSIONS)}).",
        )
    check_table_file(path, name)
    if suffix in CSV_SUFFIXES:
        from vsil_audit.sources.delimited import DelimitedTable

        return DelimitedTable(path, root)
    if suffix in JSON_SUFFIXES:
        from vsil_audit.sources.json_stream import open_json_table

        return open_json_table(path, root)
    if suffix in PARQUET_SUFFIXES:
        from vsil_audit.sources.parquet import ParquetTable

        return ParquetTable(path, root)
    from vsil_audit.sources.workbook import WorkbookTable

    return WorkbookTable(path, root)


def _shard_parts(path: Path) -> tuple[str, str] | None:
    """What all shards of one table share: (stem + total, suffix)."""
    name = path.name
    stem, dot, suffix = name.partition(".")
    shard = _SHARD.match(stem)
    if shard is None or not dot or table_suffix(path) is None:
        return None
    return f"{shard['stem']}|{shard['total']}", suffix.lower()


def _shards_of(path: Path) -> tuple[list[Path], list[str]]:
    shard = _SHARD.match(path.name.partition(".")[0])
    if shard is None or table_suffix(path) is None or not path.is_file():
        return [path], []
    total = int(shard["total"])
    start, end = shard.span("number")
    width = end - start
    names = [f"{path.name[:start]}{number:0{width}d}{path.name[end:]}" for number in range(min(total, 100_000))]
    present = [path.with_name(name) for name in names if path.with_name(name).is_file()]
    missing = [name for name in names if not path.with_name(name).is_file()]
    if path not in present:
        return [path], []
    return present, missing
