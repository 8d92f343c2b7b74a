"""Any table (JSON, JSONL, CSV, TSV, Parquet, xlsx) with its images beside it, inside it, or nowhere."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import ClassVar

from vsil_audit.errors import DatasetError
from vsil_audit.pair import Origin, Problem
from vsil_audit.sources.base import ColumnMapping, Match, Source, SourceOptions, View
from vsil_audit.sources.cells import lookup, text_of
from vsil_audit.sources.column_names import never_a_query, query_standing
from vsil_audit.sources.files import ImageIndex, is_image_name, walk
from vsil_audit.sources.lines import prompt_files
from vsil_audit.sources.mapping import Inferred, infer_mapping
from vsil_audit.sources.table_source import TablePart, TableSource
from vsil_audit.sources.tables import (
    CSV_SUFFIXES,
    TEXT_SUFFIX,
    WORKBOOK_SUFFIXES,
    Row,
    Table,
    first_of_each_table,
    open_table,
    relative_name,
    table_stem,
    table_suffix,
)
from vsil_audit.sources.views import chosen_view

CONFIDENCE = 0.4
_MOST_TABLES = 20_000
_INFERRED_PARTS = 30  # tables of one form beyond these are read like the first
_ALIKE = 0.7
_NAMED_ONE_BY_ONE, _NAMED_TOGETHER = 3, 8
_WORDS_OF_A_SENTENCE = 4


class GenericLayout:
    """A table file, or a folder with tables of one form. The lowest confidence of all: a guess by general form."""

    name: ClassVar[str] = "generic"
    tells: ClassVar[str] = "a table (CSV, TSV, JSON, JSONL, Parquet, xlsx) with images beside or inside it"

    def detect(self, root: Path) -> Match | None:
        """By file names only."""
        if root.is_file():
            suffix = table_suffix(root) or (TEXT_SUFFIX if root.suffix.lower() == TEXT_SUFFIX else None)
            return Match(self.name, root, CONFIDENCE, f"a {suffix} file") if suffix else None
        paths = find_tables(root) or prompt_files(root)
        if not paths:
            return None
        first = relative_name(paths[0], root)
        why = first if len(paths) == 1 else f"{len(paths)} tables, the first of them {first}"
        return Match(self.name, root, CONFIDENCE, why)

    def open(self, root: Path, options: SourceOptions) -> Source:
        """Open it; see `open_tables`."""
        if root.is_file():
            return open_tables(self.name, root.parent, [root], options)
        paths = find_tables(root) or prompt_files(root)
        if not paths:
            raise DatasetError(f"{root} holds no table.", "Give a folder with a CSV, TSV, JSON, JSONL or Parquet file.")
        return open_tables(self.name, root, paths, options)


@dataclass(frozen=True, slots=True)
class _Form:
    """Tables with (nearly) the same columns, and how the first of them reads."""

    tables: tuple[Table, ...]
    sample: list[Row]
    inferred: Inferred

    @property
    def queries(self) -> list[str]:
        """The query's column, or the columns that could be it with equal standing."""
        text = self.inferred.mapping.text
        return [text] if text else [name for name, _ in self.inferred.query.rivals]

    @property
    def standing(self) -> tuple[bool, int, bool]:
        """How likely it is that this table holds the pairs: a query with images, how well it is named, images."""
        named = max((query_standing(name) for name in self.queries), default=0)
        level = 3 if named >= 80 else 2 if named else int(any(not never_a_query(name) for name in self.queries))
        has_images = _has_images(self.inferred)
        return has_images and level > 0, level, has_images


def find_tables(root: Path) -> list[Path]:
    """Table files below `root`, the shards of one table as one; sorted by folder, upper folders first."""
    found: list[Path] = []
    for folder, names in walk(root):
        found += [root / folder / name for name in names if table_suffix(Path(name))]
        if len(found) > _MOST_TABLES:
            raise DatasetError(f"{root} holds more than {_MOST_TABLES:,} tables.", "Give one of its sub-folders.")
    return first_of_each_table(found)


def open_tables(layout: str, root: Path, paths: Sequence[Path], options: SourceOptions) -> TableSource:
    """Tables of one form as one source; tables of other forms become problems of kind `not_read`.

    Each text column that could be the query is a view. Raises DatasetError when no table has a query, when several
    tables or columns could be it with equal standing, or when the only table cannot be read.
    """
    images = ImageIndex(root)
    tables, notes = _opened(root, paths)
    form = _chosen_form(root, _forms(tables, images, options.columns), options)
    if options.columns.text is None:
        _check_header(form.tables[0])
    notes += _not_read([table for table in tables if table not in form.tables], form)
    form, results = _without_results(form, images, options.columns)
    notes += results
    view, views, columns = _view(form, options, layout)
    if columns != options.columns:
        form = _form(form.tables, images, columns, form.sample)
    parts, part_notes = _parts(form, images, columns)
    return TableSource(
        layout=layout,
        root=root,
        parts=parts,
        view=view.name,
        views=views,
        images=images,
        notes=[*notes, *part_notes],
        split=options.split,
        tells_repeats=True,
    )


def _opened(root: Path, paths: Sequence[Path]) -> tuple[list[Table], list[Problem]]:
    tables: list[Table] = []
    notes: list[Problem] = []
    for path in paths:
        try:
            tables.append(open_table(path, root))
        except DatasetError as error:  # noqa: PERF203 - one unreadable table does not end the scan of the others
            if len(paths) == 1:
                raise
            name = relative_name(path, root)
            notes.append(Problem("unreadable_file", error.message, Origin(name), remedy=error.remedy))
    if not tables:
        listed = "\n".join(f"  {note.detail}" for note in notes)
        raise DatasetError(f"None of the tables in {root} can be read:\n{listed}", notes[0].remedy)
    return tables, notes


def _forms(tables: Sequence[Table], images: ImageIndex, given: ColumnMapping) -> list[_Form]:
    groups: list[list[Table]] = []
    for table in tables:
        group = next((group for group in groups if _alike(group[0], table)), None)
        if group is None:
            groups.append([table])
        else:
            group.append(table)
    forms: list[_Form] = []
    refused: list[DatasetError] = []
    for group in groups:
        ordered = _with_rows_first(group)
        try:
            forms.append(_form(ordered, images, given))
        except DatasetError as error:  # a table without what the user named is passed over
            refused.append(error)
    if not forms:
        raise refused[0]
    return forms


def _form(
    tables: tuple[Table, ...], images: ImageIndex, given: ColumnMapping, sample: list[Row] | None = None
) -> _Form:
    sample = tables[0].sample() if sample is None else sample
    return _Form(tables, sample, infer_mapping(tables[0], images, given, rows=sample))


def _with_rows_first(group: Sequence[Table]) -> tuple[Table, ...]:
    """The tables, those at the beginning that hold no rows at the end: nothing can be inferred of them."""
    empty = list(takewhile(lambda table: not table.sample(1), group))
    return (*group[len(empty) :], *empty)


def _alike(one: Table, other: Table) -> bool:
    ours, theirs = set(one.columns), set(other.columns)
    return len(ours & theirs) >= _ALIKE * len(ours | theirs)


def _chosen_form(root: Path, forms: list[_Form], options: SourceOptions) -> _Form:
    asked = options.view
    wanted = [f for f in forms if asked in f.inferred.query.candidates] if asked is not None else []
    ranked = sorted(wanted or forms, key=lambda form: form.standing, reverse=True)
    best = ranked[0]
    rivals = [form for form in ranked if form.standing == best.standing]
    if len(rivals) > 1:
        listed = "\n".join(f"  {form.tables[0].path}  (columns {', '.join(form.tables[0].columns)})" for form in rivals)
        raise DatasetError(
            f"{root} is ambiguous: {len(rivals)} tables of different form could hold the pairs:\n{listed}",
            "Give the path of one of these files.",
        )
    if not best.sample and next(iter(best.tables[0].rows()), None) is None:
        raise DatasetError(f"{best.tables[0].file} holds no rows.", "Give a table with at least one row.")
    passed_over = best.inferred.query.passed_over
    if not best.queries and (passed_over or not best.standing[-1]):
        columns = ", ".join(best.tables[0].columns)
        why = f" ({', '.join(passed_over)}: sentences, but called like something else)" if passed_over else ""
        raise DatasetError(
            f"{best.tables[0].file}: no column could be the query{why}. Columns: {columns}.",
            "Say which one is, with --text-column NAME; --layout imagefolder reads images without a table.",
        )
    return best


def _check_header(table: Table) -> None:
    """Raise DatasetError when what should be the names of columns is a row of the table."""
    if table_suffix(table.path) not in CSV_SUFFIXES | WORKBOOK_SUFFIXES:
        return
    data = next((name for name in table.columns if is_image_name(name) or _is_sentence(name)), None)
    if data is not None:
        raise DatasetError(
            f'{table.file} seems to have no header row: its first row reads "{data[:80]}".',
            "Add a first row that names the columns, or say which column is the query with --text-column.",
        )


def _is_sentence(name: str) -> bool:
    return len(name.split()) >= _WORDS_OF_A_SENTENCE and name.rstrip().endswith((".", "?", "!"))


def _view(form: _Form, options: SourceOptions, layout: str) -> tuple[View, list[View], ColumnMapping]:
    """The view to read, all views, and the user's columns with the view's query among them."""
    query, mapping = form.inferred.query, form.inferred.mapping
    if mapping.text is None and options.view is None:
        query.raise_if_ambiguous()
    names = list(dict.fromkeys([*([mapping.text] if mapping.text else []), *query.candidates]))
    if not names:
        return *_only(View("default", "no column holds a text: every query is empty")), options.columns
    views = [View(name, f'the column "{name}" as the query') for name in names]
    view = chosen_view(views, options.view, layout)
    return view, views, replace(options.columns, text=view.name) if options.view is not None else options.columns


def _only(view: View) -> tuple[View, list[View]]:
    return view, [view]


def _parts(form: _Form, images: ImageIndex, given: ColumnMapping) -> tuple[list[TablePart], list[Problem]]:
    names = _part_names([table.file for table in form.tables], [table_stem(table.path) for table in form.tables])
    first = form.inferred
    notes = list(first.notes)
    if first.mapping.text is None:
        detail = f"no column holds a text (columns: {', '.join(form.tables[0].columns)}); every query is empty"
        origin = Origin(form.tables[0].file)
        notes.append(
            Problem("no_text_column", detail, origin, remedy="Name it with --text-column.", fatal_for_pair=False)
        )
    parts = []
    for number, (table, name) in enumerate(zip(form.tables, names, strict=True)):
        mapping = first.mapping
        if 0 < number < _INFERRED_PARTS:
            mapping, more = _like_first(table, images, given, first.mapping)
            notes += more
        split = name if 1 < len(names) <= _INFERRED_PARTS else None
        parts.append(TablePart(table, mapping, split=split, id_prefix=f"{name}/" if name else ""))
    return parts, notes


def _like_first(
    table: Table, images: ImageIndex, given: ColumnMapping, first: ColumnMapping
) -> tuple[ColumnMapping, list[Problem]]:
    """The first table's roles, with the images looked for anew: they may lie in a folder of the table's own."""
    columns = replace(given, text=first.text if first.text in table.columns else given.text)
    inferred = infer_mapping(table, images, columns)
    mapping = replace(first, image=inferred.mapping.image, image_pattern=inferred.mapping.image_pattern)
    return (mapping if first.text in (None, *table.columns) else inferred.mapping), list(inferred.notes)


def _part_names(files: Sequence[str], stems: Sequence[str]) -> list[str]:
    """A short name for each of several tables: its stem, else what differs in its path; "" for a single one."""
    if len(files) == 1:
        return [""]
    if len(set(stems)) == len(stems):
        return list(stems)
    paths = [[*file.split("/")[:-1], stem] for file, stem in zip(files, stems, strict=True)]
    while all(len(path) > 1 for path in paths) and len({path[-1] for path in paths}) == 1:
        paths = [path[:-1] for path in paths]
    while all(len(path) > 1 for path in paths) and len({path[0] for path in paths}) == 1:
        paths = [path[1:] for path in paths]
    return ["/".join(path) for path in paths]


def _has_images(inferred: Inferred) -> bool:
    mapping = inferred.mapping
    unresolved = any(note.kind == "no_image_resolves" for note in inferred.notes)
    return (mapping.image is not None or mapping.image_pattern is not None) and not unresolved


def _not_read(tables: Sequence[Table], form: _Form) -> list[Problem]:
    """One problem a table; one for all where there are many."""
    remedy = "If it holds pairs too, scan it by itself: give its path."
    read = form.tables[0].file
    if len(tables) > _NAMED_ONE_BY_ONE:
        named = ", ".join(table.file for table in tables[:_NAMED_TOGETHER])
        more = ", …" if len(tables) > _NAMED_TOGETHER else ""
        detail = f"{len(tables):,} tables are not read: they have other columns than {read}: {named}{more}"
        return [Problem("not_read", detail, Origin(tables[0].file), remedy=remedy, fatal_for_pair=False)]
    return [
        Problem(
            kind="not_read",
            detail=f"{table.file} is not read: it has other columns ({', '.join(table.columns[:12])}) than {read}, "
            "where the queries are",
            origin=Origin(table.file),
            remedy=remedy,
            fatal_for_pair=False,
        )
        for table in tables
    ]


def _without_results(form: _Form, images: ImageIndex, given: ColumnMapping) -> tuple[_Form, list[Problem]]:
    """Leave out tables that repeat the queries of another one beside a model's answers, scores and the like."""
    text = form.inferred.mapping.text
    if len(form.tables) < 2 or len(form.tables) > _INFERRED_PARTS or text is None:
        return form, []
    queries = {table: {text_of(lookup(row.values, text)) for row in table.sample()} for table in form.tables}
    results: dict[Table, Table] = {}
    for table in form.tables:
        for other in form.tables:
            more = set(table.columns) - set(other.columns)
            if more and all(map(never_a_query, more)) and queries[table] <= queries[other] and other not in results:
                results[table] = other
    notes = [
        Problem(
            kind="not_read",
            detail=f"{table.file} is not read: it repeats the queries of {other.file} and adds what is called like "
            f"answers ({', '.join(sorted(set(table.columns) - set(other.columns)))})",
            origin=Origin(table.file),
            remedy="If it is the table to audit, give its path.",
            fatal_for_pair=False,
        )
        for table, other in results.items()
    ]
    tables = tuple(table for table in form.tables if table not in results)
    if tables[0] is form.tables[0]:
        return replace(form, tables=tables), notes
    return _form(tables, images, given), notes  # what was inferred is of a table that is left out
