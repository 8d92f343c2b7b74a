"""Tables and a column mapping become pairs and problems: what every layout made of tables shares."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path

from vsil_audit.errors import DatasetError
from vsil_audit.pair import ABSENT_IMAGE, ImageRef, Pair, Problem
from vsil_audit.sources.base import ColumnMapping, Item, View
from vsil_audit.sources.cells import images_of, is_blank, label_of, lookup, short_text_of, text_of
from vsil_audit.sources.files import ImageIndex, leaves_root
from vsil_audit.sources.mapping import COLUMN_ROLES
from vsil_audit.sources.pattern import ANY_SUFFIX, ImagePattern, parse_pattern
from vsil_audit.sources.repeats import Repeats
from vsil_audit.sources.tables import Row, Table

_META_COLUMNS = 20
_META_LENGTH = 300
_LONGEST_TEXT = 1 << 20  # characters: hundreds of times what any model reads
DEFAULT_VIEW = View("default", "the query that every pair is sent with")


@dataclass(frozen=True, slots=True)
class TablePart:
    """One table of a benchmark, how to read it, and what holds for all its rows.

    `category` … `split` stand in where the mapping names no column, or its cell is blank. `id_prefix` is put before
    every id that comes from the table (several tables may number their rows alike).
    """

    table: Table
    mapping: ColumnMapping
    category: str | None = None
    subcategory: str | None = None
    label: str | None = None
    source: str | None = None
    split: str | None = None
    id_prefix: str = ""
    meta: Mapping[str, str] = field(default_factory=dict)


class TableSource:
    """A `Source` over table parts. A named layout makes one of these, or overrides one of the methods below `read`.

    Ids: the id column, else the key of a JSON object, else `file:row`; a repeated id gets `#2`, `#3` … and a problem.
    `notes` are problems known from opening (unread files, a useless column); `read` yields them first.
    `images` resolves what the dataset calls an image; without it paths are passed on as they stand.
    `split`: read only the pairs of that split (what the user asked for). `tells_repeats`: a table most of whose pairs
    stand in the tables before it too becomes a problem. Where none of the image column's values looked at names a file
    (a note of kind `no_image_resolves` says so), a pair without its file keeps the name in `meta[ABSENT_IMAGE]`.
    """

    def __init__(
        self,
        *,
        layout: str,
        root: Path,
        parts: Sequence[TablePart],
        mapping: ColumnMapping | None = None,
        view: str = DEFAULT_VIEW.name,
        views: Sequence[View] = (DEFAULT_VIEW,),
        images: ImageIndex | None = None,
        notes: Sequence[Problem] = (),
        split: str | None = None,
        tells_repeats: bool = False,
    ) -> None:
        self.layout = layout
        self.root = root
        self.view = view
        self.views = tuple(views)
        self.mapping = mapping if mapping is not None else parts[0].mapping
        self.parts = tuple(parts)
        self.images = images
        self.notes = tuple(notes)
        self.split = split
        self.tells_repeats = tells_repeats
        self._unresolved = {note.column for note in self.notes if note.kind == "no_image_resolves"}

    def tables(self) -> tuple[Path, ...]:
        """The table files, each once."""
        return tuple(dict.fromkeys(path for part in self.parts for path in part.table.files()))

    def read(self) -> Iterator[Item]:
        """Pairs and problems, part by part."""
        yield from self.notes
        ids = _Ids()
        repeats = Repeats([part.split for part in self.parts]) if self.tells_repeats and len(self.parts) > 1 else None
        splits: dict[str, None] = {}
        taken = 0
        for part in self.parts:
            for item in self._read_part(part):
                if isinstance(item, Problem):
                    yield item
                    continue
                if self.split is not None and item.split != self.split:
                    splits[item.split or "(none)"] = None
                    continue
                too_long = _too_long(item)
                if too_long is not None:
                    yield too_long
                    continue
                taken += 1
                if repeats is not None:
                    repeats.add(item, part.table.file)
                yield from self._with_unique_id(item, ids, part)
        if repeats is not None:
            yield from repeats.problems()
        if self.split is not None and splits and not taken:
            raise DatasetError(f'No pair has the split "{self.split}".', f"Splits here: {', '.join(splits)}.")

    def _read_part(self, part: TablePart) -> Iterator[Item]:
        pattern = parse_pattern(part.mapping.image_pattern) if part.mapping.image_pattern else None
        for row in part.table.rows():
            if isinstance(row, Problem):
                yield row
                continue
            stray = _stray(row, part.mapping)
            if stray is not None:
                yield stray
                continue
            pair = self.pair_of(row, part, pattern)
            if pair is not None:
                yield pair

    def _with_unique_id(self, pair: Pair, ids: _Ids, part: TablePart) -> Iterator[Item]:
        unique = ids.unique(pair.id)
        if unique == pair.id:
            yield pair
            return
        yield Problem(
            kind="duplicate_id",
            detail=f'the id "{pair.id}" is used more than once; this pair is called "{unique}"',
            origin=pair.origin,
            column=part.mapping.id,
            remedy="Give every pair an id of its own.",
            fatal_for_pair=False,
        )
        yield replace(pair, id=unique)

    def pair_of(self, row: Row, part: TablePart, pattern: ImagePattern | None) -> Pair | None:
        """The pair of one row; None leaves the row out of this view (another view has it)."""
        mapping = part.mapping
        named = {
            name: short_text_of(lookup(row.values, column)) if (column := getattr(mapping, name)) else None
            for name in ("category", "subcategory", "source", "split", "twin_of")
        }
        label = label_of(lookup(row.values, mapping.label), mapping.label) if mapping.label else None
        images, absent = self.pair_images(row, part, pattern), {}
        if part.mapping.image in self._unresolved and images and self.images is not None:
            here = tuple(image for image in images if image.path is None or image.path in self.images)
            images, absent = here, {} if here else {ABSENT_IMAGE: images[0].name}
        return Pair(
            id=self.pair_id(row, part),
            text=self.pair_text(row, part),
            images=images,
            category=named["category"] or part.category,
            subcategory=named["subcategory"] or part.subcategory,
            description=_optional_text(row, mapping.description),
            key_phrase=_optional_text(row, mapping.key_phrase),
            label=label or part.label,
            twin_of=named["twin_of"],
            source=named["source"] or part.source,
            split=named["split"] or part.split,
            origin=row.origin,
            meta={**_meta(row, mapping), **part.meta, **absent},
        )

    def pair_id(self, row: Row, part: TablePart) -> str:
        """The same in every view and every run."""
        own = short_text_of(lookup(row.values, part.mapping.id)) if part.mapping.id else None
        own = own if own is not None else row.key
        return f"{part.id_prefix}{own}" if own is not None else f"{row.file}:{row.number}"

    def pair_text(self, row: Row, part: TablePart) -> str:
        """The query; empty when the row has none."""
        return text_of(lookup(row.values, part.mapping.text)) if part.mapping.text else ""

    def pair_images(self, row: Row, part: TablePart, pattern: ImagePattern | None) -> tuple[ImageRef, ...]:
        """The pattern's images, else those of the image column(s)."""
        near = row.file.rpartition("/")[0]
        if pattern is not None:
            paths = pattern.expand(row.values, row.key, row.number)
            return tuple(ImageRef(path, path=path) for path in (self._patterned(p, near, part.mapping) for p in paths))
        images: list[ImageRef] = []
        for column in image_columns(part.mapping, row.values):
            name = f"{row.file}, row {row.number}, column {column}"
            images += images_of(
                lookup(row.values, column), name, lambda said: self.image_path(said, near, part.mapping.image_root)
            )
        return tuple(images)

    def image_path(self, said: str, near: str, image_root: str | None) -> str:
        """A path relative to the root for what the dataset calls an image; what it says when nothing is found."""
        if self.images is not None:
            found = self.images.resolve(said, near, image_root)
            if found is not None:
                return found
        said = said.replace("\\", "/")
        return f"{image_root}/{said}" if image_root and not leaves_root(said) else said

    def _patterned(self, path: str, near: str, mapping: ColumnMapping) -> str:
        wanted = path[: -len(ANY_SUFFIX)] if path.endswith(ANY_SUFFIX) else path
        return self.image_path(wanted, near, mapping.image_root)


def image_columns(mapping: ColumnMapping, values: Mapping[str, object]) -> tuple[str, ...]:
    """The image column, or several where the mapping names them with commas: `image_1, image_2`."""
    if mapping.image is None:
        return ()
    if mapping.image in values or "," not in mapping.image:
        return (mapping.image,)
    return tuple(column.strip() for column in mapping.image.split(","))


def _stray(row: Row, mapping: ColumnMapping) -> Problem | None:
    """Why a row is none of the table's: it has none of the columns that are read, as a list among objects has not."""
    if mapping.text is None or mapping.image_pattern is not None:
        return None
    read = [column for role in COLUMN_ROLES if role != "image" and (column := getattr(mapping, role)) is not None]
    read += image_columns(mapping, row.values)
    if any(column in row.values or column.split(".")[0] in row.values for column in read):
        return None
    detail = f"the row has none of the columns that are read ({', '.join(read)})"
    return Problem("unreadable_row", detail, row.origin, remedy="Repair this row; the others are read.")


def _too_long(pair: Pair) -> Problem | None:
    """Why a pair cannot be one: no query or description is a book, and each would be held and compared many times."""
    for name in ("text", "description", "key_phrase"):
        length = len(getattr(pair, name) or "")
        if length > _LONGEST_TEXT:
            detail = f"the {name} of {pair.id:.60} has {length:,} characters; more than {_LONGEST_TEXT:,} are not read"
            return Problem("text_too_long", detail, pair.origin, remedy="Shorten it, or name another column.")
    return None


def _optional_text(row: Row, column: str | None) -> str | None:
    value = lookup(row.values, column) if column else None
    return None if is_blank(value) or value == [] else text_of(value)


def _meta(row: Row, mapping: ColumnMapping) -> dict[str, str]:
    """The short cells that play no role, for people to see."""
    used = {getattr(mapping, name) for name in mapping.__slots__ if name != "reasons"}
    meta: dict[str, str] = {}
    for column, value in row.values.items():
        if column in used or not isinstance(value, (str, int, float)) or len(meta) >= _META_COLUMNS:
            continue
        if not isinstance(value, str) or len(value) <= _META_LENGTH:
            text = text_of(value)
            if text:
                meta[column] = text
    return meta


class _Ids:
    """Makes ids unique in the order they come. Keeps eight bytes of digest an id, not the ids."""

    def __init__(self) -> None:
        self._seen: set[int] = set()
        self._copies: dict[str, int] = {}

    def unique(self, wanted: str) -> str:
        if self._take(wanted):
            return wanted
        copy = self._copies.get(wanted, 1) + 1
        while not self._take(f"{wanted}#{copy}"):
            copy += 1
        self._copies[wanted] = copy
        return f"{wanted}#{copy}"

    def _take(self, name: str) -> bool:
        digest = int.from_bytes(blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
        if digest in self._seen:
            return False
        self._seen.add(digest)
        return True
