"""Which column (or pattern) says where the images are: whatever resolves to files that are there."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePosixPath

from vsil_audit.pair import Origin, Problem
from vsil_audit.sources.cells import images_of, is_blank, is_conversation, lookup
from vsil_audit.sources.column_names import compact, may_name_a_file, names_an_image
from vsil_audit.sources.files import ImageIndex, is_image_name, leaves_root
from vsil_audit.sources.pattern import ANY_SUFFIX, escape_braces
from vsil_audit.sources.pattern_guess import guess_pattern
from vsil_audit.sources.tables import Row
from vsil_audit.wording import plural

_ENOUGH = 0.8  # share of rows that must resolve where the column's name says nothing of images
_ENOUGH_BY_NAME_ALONE = 0.9
_KEY = "{key}"
_ARCHIVES_NAMED = 3


@dataclass(frozen=True, slots=True)
class ImageGuess:
    """Where a table's images are: a column or a pattern, why, and problems worth telling."""

    column: str | None = None
    pattern: str | None = None
    reason: str = ""
    notes: tuple[Problem, ...] = ()


@dataclass(frozen=True, slots=True)
class _Trial:
    """What the values of one column turn out to be. `filled`: rows with a value; `folder`: where all that were found
    are, "" for several folders. `named`: the column's name, or the turns of a conversation in it, say "image"."""

    column: str
    named: bool
    filled: int
    embedded: int
    urls: int
    found: int
    path_like: int
    distinct: int
    folder: str

    @property
    def usable(self) -> int:
        return self.embedded + self.urls + self.found

    @property
    def standing(self) -> tuple[float, int, int]:
        filled = max(1, self.filled)
        share = (self.embedded + self.found + 0.9 * self.urls) / filled
        # A running number may be the stem of a file's name; a name with the suffix of an image can be nothing else.
        named = 0.5 if self.named else 0.25 * self.path_like / filled
        return share + named, compact(self.column) in ("image", "images"), self.distinct

    @property
    def replaced_by_embedded(self) -> bool:
        """Whether an image that stands in the row itself says all: the name it once had is no fault then."""
        return bool(self.embedded) and self.named


def guess_images(
    file: str, rows: Sequence[Row], columns: Sequence[str], index: ImageIndex | None, folder: str | None = None
) -> ImageGuess:
    """Look at sampled rows. `file`: the table, relative to the root; `index`: None when images are not on disk;
    `folder`: where the user says the images are."""
    if not rows:
        return ImageGuess()
    near = file.rpartition("/")[0]
    trials = [_try(column, rows, near, index, folder) for column in columns]
    if any(row.key is not None for row in rows):
        trials.append(_try(_KEY, rows, near, index, folder))
    good = sorted((t for t in trials if _is_good(t)), key=lambda t: t.standing, reverse=True)
    useless = [t for t in trials if t.named and t.filled and not t.usable]
    if good:
        guess = _from_trial(good[0], good, len(rows))
        useless = [] if good[0].replaced_by_embedded else [t for t in useless if not _is_read(t, guess)]
        notes = [_useless_note(file, t, guess.reason) for t in useless]
        notes += [_not_read_note(file, t, guess) for t in good if t.named and not _is_read(t, guess)]
        return replace(guess, notes=tuple(notes))
    return _without_resolving(file, rows, useless, index)


def _without_resolving(file: str, rows: Sequence[Row], useless: list[_Trial], index: ImageIndex | None) -> ImageGuess:
    if index is not None and len(index):
        pattern = _by_file_name(useless, rows, index) or guess_pattern(rows, index)
        if pattern is not None:
            reason = f"leads to images in {pattern.found} of {pattern.of} rows looked at"
            unused = [t for t in useless if f"{{{t.column}" not in pattern.text]
            return ImageGuess(None, pattern.text, reason, tuple(_useless_note(file, t, pattern.text) for t in unused))
    named = [trial for trial in useless if trial.path_like * 2 > trial.filled]
    if not named:
        images = len(index) if index is not None else 0
        return ImageGuess(notes=(_idle_images_note(file, images),) if images * 2 >= len(rows) else ())
    chosen = max(named, key=lambda trial: trial.standing)
    there = f"{len(index):,} other images are" if index else "no image is"
    archives = index.archives[:_ARCHIVES_NAMED] if index is not None else []
    unpack = f"Unpack {', '.join(archives)} beside the table" if archives else "Download the images"
    note = Problem(
        kind="no_image_resolves",
        detail=f'none of the {chosen.filled} values looked at of "{chosen.column}" names a file that is here '
        f"({there} in the folder)",
        origin=Origin(file),
        column=chosen.column,
        remedy=f"{unpack}, or say where they are with --image-root, --image-column or --image-pattern.",
        fatal_for_pair=False,
    )
    return ImageGuess(chosen.column, None, f'called "{chosen.column}"; resolves 0 of {chosen.filled}', (note,))


def _try(column: str, rows: Sequence[Row], near: str, index: ImageIndex | None, folder: str | None) -> _Trial:
    named = names_an_image(column)
    filled = embedded = urls = found = path_like = 0
    seen: set[str] = set()
    folders: Counter[str] = Counter()
    for row in rows:
        value = row.key if column == _KEY else lookup(row.values, column)
        images = () if is_blank(value) else images_of(value, "", str)
        if not images:
            continue
        filled += 1
        named = named or is_conversation(value)
        first = images[0]
        if first.data is not None:
            embedded += 1
        elif first.url is not None:
            urls += is_image_name(first.url.partition("?")[0]) or named
        elif first.path is not None:
            path_like += is_image_name(first.path)
            path = index.resolve(first.path, near, folder) if index is not None else None
            if path is not None:
                found += 1
                seen.add(path)
                folders[path.rpartition("/")[0]] += 1
    only = next(iter(folders)) if len(folders) == 1 else ""
    return _Trial(column, named, filled, embedded, urls, found, path_like, len(seen), only)


def _is_good(trial: _Trial) -> bool:
    if trial.named or trial.embedded:
        return trial.usable > 0
    if trial.urls:
        return trial.urls >= _ENOUGH * trial.filled
    enough = trial.found >= _ENOUGH * max(1, trial.filled)
    # A small number that happens to be a file's name (a label, a score) repeats itself much more than files do.
    varied = trial.distinct >= min(3, trial.filled)
    return trial.found > 0 and enough and varied and may_name_a_file(trial.column)


def _from_trial(best: _Trial, good: Sequence[_Trial], rows: int) -> ImageGuess:
    count = f"{best.usable} of {best.filled} rows looked at"
    if best.column == _KEY:
        folder = f"{escape_braces(best.folder)}/" if best.folder else ""
        pattern = f"{folder}{{key}}{ANY_SUFFIX}"
        return ImageGuess(None, pattern, f"the rows' keys name image files: {count}")
    what = (
        "holds the images themselves"
        if best.embedded
        else "holds addresses"
        if best.urls
        else "names files that are here"
    )
    siblings = _numbered_siblings(best, good)
    if len(siblings) > 1:
        return ImageGuess(", ".join(siblings), None, f"{len(siblings)} numbered columns; the first {what}: {count}")
    called = f'called "{best.column}"; ' if best.named else ""
    some = "" if best.filled == rows else f", {rows - best.filled} without"
    return ImageGuess(best.column, None, f"{called}{what}: {count}{some}")


def _numbered_siblings(best: _Trial, good: Sequence[_Trial]) -> list[str]:
    """`image_1`, `image_2` … where there are several, in the order of their numbers."""
    stem, number = re.subn(r"\d+", "#", best.column)
    if not number or "," in best.column:
        return [best.column]
    alike = [t.column for t in good if t.named and re.sub(r"\d+", "#", t.column) == stem and "," not in t.column]
    return sorted(alike, key=lambda name: [int(digits) for digits in re.findall(r"\d+", name)])


@dataclass(frozen=True, slots=True)
class _ByFileName:
    text: str
    found: int
    of: int


def _by_file_name(useless: Sequence[_Trial], rows: Sequence[Row], index: ImageIndex) -> _ByFileName | None:
    """Images moved to another folder than the table says: same file names, all of one folder, in one folder here."""
    for trial in useless:
        said = [images_of(lookup(row.values, trial.column), "", str) for row in rows]
        paths = [PurePosixPath(images[0].path.replace("\\", "/")) for images in said if images and images[0].path]
        if not paths or len({path.parent for path in paths}) > 1 or any(leaves_root(str(path)) for path in paths):
            continue
        if any("{" in name or "}" in name for name in (trial.column,)):
            continue
        for folder in index.folders():
            found = sum(f"{folder}/{path.name}" in index if folder else path.name in index for path in paths)
            if found >= _ENOUGH_BY_NAME_ALONE * len(paths):
                start = f"{escape_braces(folder)}/" if folder else ""
                return _ByFileName(f"{start}{{{trial.column}|name}}", found, len(paths))
    return None


def _is_read(trial: _Trial, guess: ImageGuess) -> bool:
    """Whether it is a column that is read, or a field of one."""
    read = guess.column.split(", ") if guess.column is not None else []
    return any(trial.column == column or trial.column.startswith(f"{column}.") for column in read)


def _not_read_note(file: str, trial: _Trial, guess: ImageGuess) -> Problem:
    return Problem(
        kind="image_column_not_read",
        detail=f'the column "{trial.column}" leads to images too ({trial.usable} of {trial.filled} rows looked at); '
        f"read is only {guess.column or guess.pattern}",
        origin=Origin(file),
        column=trial.column,
        remedy=f'Read it with --image-column "{trial.column}", or both with --image-column "{guess.column}, '
        f'{trial.column}".'
        if guess.column
        else f'Read it with --image-column "{trial.column}".',
        fatal_for_pair=False,
    )


def _idle_images_note(file: str, images: int) -> Problem:
    return Problem(
        kind="no_image_column",
        detail=f"the folder holds {plural(images, 'image')}, and no column leads to one: the pairs are read without",
        origin=Origin(file),
        remedy="Say where a row's image is with --image-column, or with --image-pattern, where {row} is its number.",
        fatal_for_pair=False,
    )


def _useless_note(file: str, trial: _Trial, used: str) -> Problem:
    return Problem(
        kind="useless_image_column",
        detail=f'the column "{trial.column}" is called like an image, but none of its {trial.filled} values looked at '
        f"leads to one; used instead: {used}",
        origin=Origin(file),
        column=trial.column,
        remedy="Check that the images found are the right ones, or say where they are with --image-column or "
        "--image-pattern.",
        fatal_for_pair=False,
    )
