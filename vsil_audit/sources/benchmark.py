"""What the named benchmark layouts share: tables recognised by their columns, and rows read as pairs with images."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path, PurePosixPath

from vsil_audit.errors import DatasetError
from vsil_audit.pair import ABSENT_IMAGE, ImageRef, Origin, Pair, Problem
from vsil_audit.sources.base import ColumnMapping, Item, SourceOptions, View
from vsil_audit.sources.benchmark_images import BenchmarkImages
from vsil_audit.sources.cells import images_of, inline_image, is_blank, is_url, lookup, short_text_of
from vsil_audit.sources.files import is_image_name, leaves_root
from vsil_audit.sources.mapping import overridden
from vsil_audit.sources.pattern import ImagePattern, parse_pattern
from vsil_audit.sources.table_source import TablePart, TableSource
from vsil_audit.sources.tables import (
    Row,
    first_of_each_table,
    may_name_a_table,
    open_table,
    relative_name,
    table_suffix,
)

_MOST_TABLES_LOOKED_AT = 40


@dataclass(frozen=True, slots=True)
class BenchmarkPart(TablePart):
    """A table of a benchmark, and where its images are.

    `folders`: where the layout keeps them, relative to the root; a missing one is expected in the first.
    `fallback`: a pattern of the image's name, tried where the image column's own names no file.
    `fixed_text`: the one query sent with every image. `imageless`: this reading has no images by design.
    """

    folders: tuple[str, ...] = ("",)
    fallback: str | None = None
    fixed_text: str | None = None
    imageless: bool = False


@dataclass(slots=True)
class _Tally:
    """How often something happened in one pass, and where first."""

    count: int = 0
    file: str = ""
    column: str | None = None
    example: str = ""

    def add(self, part: TablePart, example: str) -> None:
        if not self.count:
            self.file, self.column, self.example = part.table.file, part.mapping.image, example
        self.count += 1


class BenchmarkSource(TableSource):
    """Parts whose image folders the layout knows.

    A text column that a table lacks, images that are absent as a whole, and image names that differ from the files'
    become one problem each, with a count; a single missing image stays in its pair as the path that was expected.
    """

    def __init__(
        self,
        *,
        layout: str,
        root: Path,
        parts: Sequence[BenchmarkPart],
        view: View,
        views: Sequence[View],
        options: SourceOptions,
        images: BenchmarkImages | None = None,
        notes: Sequence[Problem] = (),
    ) -> None:
        self.files = images if images is not None else BenchmarkImages(root)
        self._images_by_user = options.columns.image is not None or options.columns.image_pattern is not None
        self._renamed, self._absent = _Tally(), _Tally()
        self._text_by_user = options.columns.text is not None
        super().__init__(
            layout=layout,
            root=root,
            parts=self._as_the_user_says(parts, options),
            view=view.name,
            views=views,
            images=self.files.index,
            notes=[*notes, *self.files.problems],
            split=options.split,
        )

    def _as_the_user_says(self, parts: Sequence[BenchmarkPart], options: SourceOptions) -> list[BenchmarkPart]:
        columns = dict.fromkeys(column for part in parts for column in part.table.columns)
        said = []
        for part in parts:
            mapping = overridden(part.mapping, options.columns, columns, self.files.index)
            folders = (*_folders_below(mapping.image_root, part.folders), *part.folders)
            said.append(replace(part, mapping=mapping, folders=folders))
        return said

    def tables(self) -> tuple[Path, ...]:
        """The table files, and the archives that hold images (their bytes are not files of the folder)."""
        return tuple(dict.fromkeys((*super().tables(), *self.files.archive_files())))

    def read(self) -> Iterator[Item]:
        self._renamed, self._absent = _Tally(), _Tally()
        total = 0
        for item in super().read():
            total += isinstance(item, Pair)
            yield item
        if self._renamed.count:
            yield _renamed_images(self._renamed, total)
        if self._absent.count:
            yield _absent_images(self._absent, total)

    def _read_part(self, part: TablePart) -> Iterator[Item]:
        text = part.mapping.text
        fixed = isinstance(part, BenchmarkPart) and part.fixed_text is not None
        if text is not None and not fixed and text not in part.table.columns and "." not in text:
            yield _absent_text(part, text)
            return
        pattern = parse_pattern(part.mapping.image_pattern) if part.mapping.image_pattern else None
        for row in part.table.rows():
            if isinstance(row, Problem):
                yield row
                continue
            pair = self.pair_of(row, part, pattern)
            if pair is None:
                continue
            said = _other_name(row, pair, part)
            if said is not None and pair.image is not None:
                self._renamed.add(part, f'"{said}" stands for {pair.image.name}')
            yield pair

    def pair_of(self, row: Row, part: TablePart, pattern: ImagePattern | None) -> Pair | None:
        pair = super().pair_of(row, part, pattern)
        named = short_text_of(lookup(row.values, part.mapping.image)) if part.mapping.image else None
        if pair is None or pair.images or named is None:
            return pair
        return replace(pair, meta={**pair.meta, ABSENT_IMAGE: named})

    def pair_text(self, row: Row, part: TablePart) -> str:
        if isinstance(part, BenchmarkPart) and part.fixed_text is not None and not self._text_by_user:
            return part.fixed_text
        return super().pair_text(row, part)

    def pair_images(self, row: Row, part: TablePart, pattern: ImagePattern | None) -> tuple[ImageRef, ...]:
        if self._images_by_user or not isinstance(part, BenchmarkPart):
            return super().pair_images(row, part, pattern)
        if part.imageless:
            return ()
        if pattern is not None:
            names: list[object] = list(pattern.expand(row.values, row.key, row.number))
        else:
            said = lookup(row.values, part.mapping.image) if part.mapping.image else None
            names = said if isinstance(said, list) and said else [said]
        return tuple(image for name in names for image in self.images_named(name, row, part))

    def images_named(self, said: object, row: Row, part: BenchmarkPart) -> tuple[ImageRef, ...]:
        """What a cell stands for: a file in the part's folders, an embedded image, a URL; else where it should be.

        Empty when the cell is blank, and when there is no image at all where it should be.
        """
        if isinstance(said, (bytes, dict, list)) or (isinstance(said, str) and (is_url(said) or inline_image(said))):
            name = f"{row.file}, row {row.number}, column {part.mapping.image}"
            return images_of(said, name, lambda path: self._path_of(path, part))
        names = [] if is_blank(said) else [str(said).strip()]
        tried = [
            *names,
            *(parse_pattern(part.fallback).expand(row.values, row.key, row.number) if part.fallback else ()),
        ]
        found = next(filter(None, (self.files.find(part.folders, name) for name in tried)), None)
        if found is not None:
            return (found,)
        if not tried:
            return ()
        expected = expected_path(part.folders, tried[0])
        if not leaves_root(tried[0]) and not self.files.any_beside(part.folders, tried[0]):
            self._absent.add(part, expected)
            return ()
        return (ImageRef(expected, path=expected),)

    def _path_of(self, said: str, part: BenchmarkPart) -> str:
        found = self.files.find(part.folders, said)
        return found.path if found is not None and found.path is not None else expected_path(part.folders, said)


def _folders_below(image_root: str | None, folders: Sequence[str]) -> list[str]:
    """Where a layout's folders are when the user says that the images are below `image_root`: with all of their path,
    with ever less of its beginning, or in that folder itself."""
    if image_root is None:
        return []
    tails = [folder.split("/")[start:] for folder in folders for start in range(folder.count("/") + 2)]
    below = {"/".join([image_root, *tail]).strip("/"): len(tail) for tail in tails}
    return sorted(below, key=lambda folder: -below[folder])


def known_columns(why: str, **columns: str | None) -> ColumnMapping:
    """A layout's own mapping; `why` is the reason given for every column."""
    named = {role: column for role, column in columns.items() if column is not None}
    return ColumnMapping(**named, reasons=dict.fromkeys(named, why))


def columns_of(path: Path) -> frozenset[str]:
    """The columns of a table file; empty when it is not a table that can be read."""
    try:
        status = path.stat()
        return _columns_of(path, status.st_mtime_ns, status.st_size)
    except OSError:
        return frozenset()


def tables_with(
    root: Path, folders: Sequence[str], columns: Collection[str], suffixes: Collection[str], *, whole: bool = False
) -> list[Path]:
    """Table files in `folders` of `root` that have all of `columns`, sorted by folder and name; one of each shard set.

    `root` may be a table file itself. `whole`: look at every file, for a layout that is known to be there already.
    """
    if root.is_file():
        return [root] if table_suffix(root) in suffixes and columns_of(root) >= set(columns) else []
    found: list[Path] = []
    for folder in folders:
        files = first_of_each_table(files_in(root / folder, suffixes))
        if len(files) > _MOST_TABLES_LOOKED_AT and not whole:
            continue
        found += [path for path in files if columns_of(path) >= set(columns)]
    return found


def files_in(folder: Path, suffixes: Collection[str]) -> list[Path]:
    """Table files directly in `folder`, sorted by name; empty when it is not a folder that can be listed."""
    try:
        names = os.listdir(folder)  # noqa: PTH208 - a folder of many images is listed by each layout: names alone
    except OSError:
        return []
    tables = (folder / name for name in names if may_name_a_table(name))
    return sorted(path for path in tables if table_suffix(path) in suffixes and path.is_file())


def unread_tables(paths: Sequence[Path], read: Collection[Path], root: Path) -> list[Problem]:
    """A problem for each of `paths` that cannot be opened: it may be a part of the benchmark that is damaged."""
    problems = []
    for path in paths:
        if path in read:
            continue
        try:
            open_table(path, root)
        except DatasetError as error:
            problems.append(
                Problem("unreadable_file", error.message, Origin(relative_name(path, root)), remedy=error.remedy)
            )
    return problems


def base_of(root: Path) -> Path:
    """The dataset's folder, also where `root` is the table file itself."""
    return root.parent if root.is_file() else root


def unreadable(layout: str, root: Path, looked_for: str) -> DatasetError:
    """For `open` on a folder that does not hold the layout."""
    return DatasetError(f"{root} does not hold the layout {layout}: {looked_for}.", "Check the path, or the layout.")


def expected_path(folders: Sequence[str], name: str) -> str:
    """Where an image that is not here should be; a name that leaves the root stays as it is."""
    name = name.replace("\\", "/")
    return name if leaves_root(name) or not folders or not folders[0] else f"{folders[0]}/{name}"


@lru_cache(maxsize=512)
def _columns_of(path: Path, modified: int, size: int) -> frozenset[str]:  # noqa: ARG001 - part of the cache's key
    try:
        return frozenset(open_table(path).columns)
    except DatasetError:
        return frozenset()


def _other_name(row: Row, pair: Pair, part: TablePart) -> str | None:
    """What the row calls its image where that differs from the file's name; an id without suffix is no file name."""
    said = lookup(row.values, part.mapping.image) if part.mapping.image else None
    if not isinstance(said, str) or not is_image_name(said) or pair.image is None or pair.image.path is None:
        return None
    return said if PurePosixPath(said.replace("\\", "/")).name != PurePosixPath(pair.image.path).name else None


def _renamed_images(renamed: _Tally, total: int) -> Problem:
    return Problem(
        kind="wrong_image_name",
        detail=f"in {renamed.count:,} of {total:,} rows the image column names a file that is not here, and another "
        f"file stands for it: {renamed.example}",
        origin=Origin(renamed.file),
        column=renamed.column,
        remedy="Correct the names in the table; the files found are used.",
        fatal_for_pair=False,
    )


def _absent_text(part: TablePart, text: str) -> Problem:
    rows = sum(isinstance(row, Row) for row in part.table.rows())
    return Problem(
        kind="missing_column",
        detail=f'the table has no column "{text}": {rows:,} rows are not read in this view',
        origin=Origin(part.table.file),
        column=text,
        remedy=f"Choose another view, or one of its columns: {', '.join(part.table.columns)}.",
    )


def _absent_images(absent: _Tally, total: int) -> Problem:
    return Problem(
        kind="images_not_here",
        detail=f"{absent.count:,} of {total:,} pairs are read without their image: where it belongs there are no image "
        f"files (the first would be {absent.example})",
        origin=Origin(absent.file),
        column=absent.column,
        remedy="Download the benchmark's images to that place; until then only the texts can be audited.",
        fatal_for_pair=False,
    )
