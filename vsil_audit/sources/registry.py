"""Which layouts there are, which of them a path holds, and opening it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.sources.base import Layout, Match, Source, SourceOptions
from vsil_audit.sources.built_in import BUILT_IN, BY_GENERAL_FORM
from vsil_audit.sources.files import ARCHIVE_SUFFIXES
from vsil_audit.sources.hub import download_from_hub, hub_id
from vsil_audit.sources.surroundings import sub_folders, what_is_there
from vsil_audit.sources.tables import relative_name

ENTRY_POINT_GROUP = "vsil_audit.layouts"
GUESS = 0.5
"""Highest confidence of a layout that is only guessed by general form."""

_LEVELS_BELOW = 2
_LEVELS_ABOVE = 3
_FOLDERS_BELOW = 400


def layouts() -> list[Layout]:
    """All layouts: ours, then those of installed packages by name.

    Raises ConfigurationError when two share a name, or one cannot be loaded.
    """
    return [_loaded(name, target, provider) for name, (target, provider) in _targets().items()]


def layout_named(name: str) -> Layout:
    """The layout called `name`. Raises ConfigurationError that lists the layouts for any other name."""
    targets = _targets()
    if name not in targets:
        close = get_close_matches(name.lower().replace("_", "-"), targets, 1, 0.5)
        hint = f' Did you mean "{close[0]}"?' if close else ""
        raise ConfigurationError(f'There is no layout called "{name}".{hint}', f"Layouts: {', '.join(targets)}.")
    return _loaded(name, *targets[name])


def detect(path: Path) -> list[Match]:
    """What `path` holds, best first. Looks below `path` where nothing but a guess fits `path` itself.

    A layout known by its own marks is preferred to a guess, and a table that lies in `path` itself to what lies in its
    sub-folders.
    """
    known = layouts()
    here = _matches_at(path, known)
    if path.is_file() or any(match.confidence > GUESS for match in here):
        return here
    below = _matches_below(path, known)
    marked = [match for match in below if match.confidence > GUESS]
    if not marked:
        return here or below
    if here and _has_tables(path):
        return _best_first([*here, *marked])
    # Several benchmarks side by side, some known by their marks: the others are guesses at their own folders.
    return _best_first(below)


def open_source(path: Path, options: SourceOptions | None = None) -> Source:
    """Open the benchmark at `path`, or the only one just below it.

    Raises DatasetError when there is none, or several, or it cannot be read; ConfigurationError for an unknown layout;
    MissingDependencyError for a Hugging Face id where downloading is not possible.
    """
    options = options or SourceOptions()
    if not path.exists():
        path = _elsewhere(path, options)
    if path.is_dir():
        _check_folder(path)
    if options.layout is not None:
        return _inside_root(_open_as(options.layout, path, options), path)
    matches = detect(path)
    if not matches and path.name.lower().endswith(ARCHIVE_SUFFIXES):
        raise DatasetError(f"{path} is an archive, and no WebDataset.", "Unpack it, and give the folder.")
    if not matches:
        names = ", ".join(layout.name for layout in layouts())
        raise DatasetError(
            f"{path} holds no benchmark that is recognised. {what_is_there(path)}",
            f"Looked for the layouts {names}, here and {_LEVELS_BELOW} folders down. Give a folder that holds a table "
            "(CSV, TSV, JSON, JSONL, Parquet, xlsx) or images, or a table file, or the layout with --layout NAME.",
        )
    best = _only_one(path, matches)
    if best.confidence <= GUESS and options.view is None and options.columns.text is None:
        known = [layout for layout in layouts() if layout.name in BUILT_IN and layout.name not in BY_GENERAL_FORM]
        _check_not_a_part(path, known)
    return _inside_root(layout_named(best.layout).open(best.root, options), path)


def _inside_root(source: Source, given: Path) -> Source:
    """The source, unless it reads a file through a link that leads out of its folder: a dataset from elsewhere must not
    choose which of the user's files are read and published. A file that the user named is theirs to choose."""
    root = source.root.resolve()
    for table in source.tables():
        if table != given and not table.resolve().is_relative_to(root):
            raise DatasetError(
                f"{relative_name(table, source.root)} is a link that leads out of {source.root}, and is not followed.",
                "Put the file itself there (`cp -rL` copies a folder without its links), or give that file's path.",
            )
    return source


def _check_folder(path: Path) -> None:
    try:
        names = {child.name for child in path.iterdir()}
    except OSError as error:
        raise DatasetError(f"{path} cannot be listed: {error}", "Check its permissions.") from error
    if not names:
        raise DatasetError(f"{path} is an empty folder.", "Download the dataset into it, or check the path.")
    if {"run.json", "findings"} <= names:
        raise DatasetError(
            f"{path} is a run folder, the result of a scan, not a dataset.",
            "Give the dataset, or use `vsil-audit report` for this run.",
        )


def _check_not_a_part(path: Path, known: Sequence[Layout]) -> None:
    """Raise DatasetError when `path` is a part of a named benchmark that lies above it: read by itself, another of its
    texts might be taken for the query, without its images."""
    inside = path.resolve()
    for above in list(inside.parents)[:_LEVELS_ABOVE]:
        match = next((m for m in _matches_at(above, known) if m.confidence > GUESS and m.root == above), None)
        if match is None:
            continue
        tables = layout_named(match.layout).open(above, SourceOptions()).tables()
        if any(table.is_relative_to(inside) for table in tables):
            raise DatasetError(
                f"{path} is a part of the benchmark in {above} ({match.layout}: {match.why}).",
                f"Give {above}, or read this part by itself with --layout generic and --text-column NAME.",
            )


def _open_as(name: str, path: Path, options: SourceOptions) -> Source:
    layout = layout_named(name)
    here = _matches_at(path, [layout])
    if not here and path.is_dir():
        below = _matches_below(path, [layout])
        if len(below) > 1:
            raise _several(path, below)
        if below:
            return layout.open(below[0].root, options)
    return layout.open(path, options)


def _only_one(path: Path, matches: Sequence[Match]) -> Match:
    """The best match; two benchmarks of equal kind, or two layouts that fit equally well, are the user's choice."""
    best = matches[0]
    marked = best.confidence > GUESS
    elsewhere = [m for m in matches if m.root != best.root and (best.root != path or (m.confidence > GUESS and marked))]
    if elsewhere:
        firsts = {match.root: match for match in reversed(matches)}
        raise _several(path, _best_first(firsts.values()))
    rivals = [m for m in matches[1:] if m.root == best.root and m.confidence == best.confidence]
    if rivals and marked:
        fits = "; ".join(f"{match.layout} ({match.why})" for match in (best, *rivals))
        raise DatasetError(f"{path} fits several layouts equally well: {fits}.", "Say which with --layout NAME.")
    return best


def _several(path: Path, matches: Iterable[Match]) -> DatasetError:
    listed = [f"  {match.root}  ({match.layout}: {match.why})" for match in matches]
    return DatasetError(
        f"{path} holds several benchmarks:\n" + "\n".join(sorted(listed)),
        "Give the folder of one of them, or --layout NAME where only one has that layout.",
    )


def _matches_at(root: Path, known: Sequence[Layout]) -> list[Match]:
    matches = []
    for layout in known:
        try:
            match = layout.detect(root)
        except (DatasetError, OSError, UnicodeError):
            continue  # what cannot be read is not recognised; opening it says why
        if match is not None:
            matches.append(match)
    return _best_first(matches)


def _matches_below(root: Path, known: Sequence[Layout], level: int = 1) -> list[Match]:
    """Best match of each folder below; a folder that matches is not looked into."""
    found: list[Match] = []
    for folder in sub_folders(root)[:_FOLDERS_BELOW]:
        matches = _matches_at(folder, known)
        marked = [match for match in matches if match.confidence > GUESS]
        deeper = _matches_below(folder, known, level + 1) if not marked and level < _LEVELS_BELOW else []
        if marked or not any(match.confidence > GUESS for match in deeper):
            found += matches[:1]
        else:
            found += deeper
    return _best_first(found)


def _best_first(matches: Iterable[Match]) -> list[Match]:
    return sorted(matches, key=lambda match: (-match.confidence, match.root.as_posix()))


def _has_tables(path: Path) -> bool:
    from vsil_audit.sources.benchmark import files_in
    from vsil_audit.sources.tables import TABLE_SUFFIXES

    return bool(files_in(path, TABLE_SUFFIXES))


def _elsewhere(path: Path, options: SourceOptions) -> Path:
    name = hub_id(path)
    if name is None:
        raise DatasetError(f"{path} does not exist.", "Check the path.")
    return download_from_hub(name, allow_remote=options.allow_remote)


def _targets() -> dict[str, tuple[str, str]]:
    """Name → (`module:Class`, who provides it), ours first."""
    targets = {name: (target, "vsil-audit") for name, target in BUILT_IN.items()}
    points = {(point.name, point.value): point for point in entry_points(group=ENTRY_POINT_GROUP)}
    for _, point in sorted(points.items()):
        if point.name in targets:
            target, provider = targets[point.name]
            raise ConfigurationError(
                f'Two layouts are called "{point.name}": {target} of {provider} and {point.value} of '
                f"{_distribution(point)}.",
                "Remove one of the packages, or ask its author to choose another name.",
            )
        targets[point.name] = (point.value, _distribution(point))
    return targets


def _loaded(name: str, target: str, provider: str) -> Layout:
    module, _, attribute = target.partition(":")
    try:
        found: Any = getattr(import_module(module), attribute)()
    except Exception as error:  # a third party's module may raise anything when imported
        raise ConfigurationError(
            f'The layout "{name}" of {provider} cannot be loaded from {target}: {type(error).__name__}: {error}',
            f"Update or uninstall {provider}.",
        ) from error
    if not isinstance(found, Layout) or found.name != name:
        raise ConfigurationError(
            f"{target} of {provider} is not the layout it is registered as ({name}).",
            "A layout has `name` (the entry point's), `tells`, `detect` and `open`: see vsil_audit.sources.base.",
        )
    return found


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else "an installed package"
