"""Which image files a dataset folder holds, by path, name and stem. Only names: nothing is opened here."""

from __future__ import annotations

import os
import posixpath
import unicodedata
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from urllib.parse import unquote

from vsil_audit.errors import DatasetError

IMAGE_SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jfif", ".jpe", ".avif", ".heic", ".svg",
)  # fmt: skip
"""In the order in which one of several files with the same stem is preferred."""

ARCHIVE_SUFFIXES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.zst", ".7z", ".rar")

MAX_IMAGES = 5_000_000
_SKIPPED_FOLDERS = frozenset({"__pycache__", "__MACOSX", "node_modules"})
_RUN_FOLDER_MARK = "run.json"
_LONGEST_NAME = 1024


@dataclass(frozen=True, slots=True)
class FoundImage:
    """A file that a dataset's value stands for: `path` relative to the root (POSIX), and `how` it was found."""

    path: str
    how: str


class ImageIndex:
    """The image files below a root. Names are kept, a few hundred bytes an image; nothing else.

    Hidden folders, run folders and links that lead out of the root are left out. Raises DatasetError above
    `limit` images. `archives`: files that may hold more of them, relative to the root.
    """

    def __init__(self, root: Path, limit: int = MAX_IMAGES) -> None:
        self.root = root
        self._folders: list[str] = []
        self._by_name: dict[str, tuple[int, ...]] = {}
        self._by_stem: dict[str, tuple[str, ...]] | None = None
        self._by_folded: dict[str, tuple[str, ...]] | None = None
        self._count = 0
        self.archives: list[str] = []
        for folder, names in walk(root):
            self.archives += [_join(folder, name) for name in names if name.lower().endswith(ARCHIVE_SUFFIXES)]
            images = [name for name in names if is_image_name(name)]
            if not images:
                continue
            number = len(self._folders)
            self._folders.append(folder)
            self._count += len(images)
            if self._count > limit:
                raise DatasetError(f"{root} holds more than {limit:,} images.", "Scan one of its sub-folders.")
            for name in images:
                self._by_name[name] = (*self._by_name.get(name, ()), number)

    def __len__(self) -> int:
        return self._count

    def __contains__(self, path: str) -> bool:
        folder, _, name = path.rpartition("/")
        return any(self._folders[number] == folder for number in self._by_name.get(name, ()))

    def paths(self) -> Iterator[str]:
        """Every image, relative to the root, sorted by name and then folder."""
        for name in sorted(self._by_name):
            for number in self._by_name[name]:
                yield _join(self._folders[number], name)

    def folders(self) -> tuple[str, ...]:
        """The folders that hold images, relative to the root ("" is the root itself)."""
        return tuple(self._folders)

    def resolve(self, value: object, near: str = "", folder: str | None = None) -> str | None:
        """The path of `find`, or None."""
        found = self.find(value, near, folder)
        return found.path if found else None

    def find(self, value: object, near: str = "", folder: str | None = None) -> FoundImage | None:
        """The one image that `value` (a path, a file name, a stem, a number) stands for, or None.

        `near`: the folder of the table (relative to the root) that names it; `folder`: where images are known to be.
        A value with folders in it is found only where all of them agree; one that climbs out of the dataset never is.
        Of several files with the name the one nearest to `near` is taken; None when that does not decide.
        """
        name = _as_name(value, near)
        if name is None:
            return None
        found = self._find(name, near, folder)
        if found is None and "%" in name:
            found = self._find(unquote(name), near, folder)
        return found or self._find_folded(name, near, folder)

    def _find(self, name: str, near: str, folder: str | None) -> FoundImage | None:
        for base in _bases(near, folder):
            direct = _join(base, name)
            if direct in self:
                return FoundImage(direct, "by path" if base in ("", near) else f"in {base}")
        stem_only = not is_image_name(name)
        found = None if stem_only else self._best(name, self._named(name), near, folder)
        if found:
            return FoundImage(found, "by the end of its path" if "/" in name else "by file name")
        stem = name if stem_only else name[: -len(PurePosixPath(name).suffix)]
        found = self._best(stem, self._stemmed(stem), near, folder)
        if found:
            return FoundImage(found, "by name without suffix" if stem_only else "by name, with another suffix")
        return None

    def _find_folded(self, name: str, near: str, folder: str | None) -> FoundImage | None:
        """By a name in another case, or with its accents composed otherwise, as other file systems store it."""
        if self._by_folded is None:
            self._by_folded = {}
            for known in self._by_name:
                key = _folded(known)
                self._by_folded[key] = (*self._by_folded.get(key, ()), known)
        names = self._by_folded.get(_folded(unquote(name)).rpartition("/")[2], ())
        candidates = [path for known in names for path in self._named(known)]
        found = self._best(unquote(name), candidates, near, folder, fold=True)
        return FoundImage(found, "by name, in another case") if found else None

    def _named(self, name: str) -> list[str]:
        base = name.rpartition("/")[2]
        return [_join(self._folders[number], base) for number in self._by_name.get(base, ())]

    def _stemmed(self, stem: str) -> list[str]:
        if self._by_stem is None:
            self._by_stem = {}
            for name in self._by_name:
                key = name[: -len(PurePosixPath(name).suffix)]
                self._by_stem[key] = (*self._by_stem.get(key, ()), name)
        names = self._by_stem.get(stem.rpartition("/")[2], ())
        return [_join(self._folders[number], name) for name in names for number in self._by_name[name]]

    def _best(
        self, wanted: str, candidates: Iterable[str], near: str, folder: str | None, *, fold: bool = False
    ) -> str | None:
        same = _folded if fold else str
        ranked = sorted(
            (
                (_nearness(path, near, folder), -_suffix_rank(path), path)
                for path in candidates
                if _folders_agree(same(wanted), same(path), same(near))
            ),
            reverse=True,
        )
        if not ranked:
            return None
        rivals = {os.path.splitext(path)[0] for nearness, _, path in ranked if nearness == ranked[0][0]}  # noqa: PTH122 - a POSIX string, not a path on this machine
        return ranked[0][2] if len(rivals) == 1 else None


def walk(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Folders below `root` (relative, POSIX, sorted; "" first) with the names of their files, sorted.

    Hidden folders, run folders (with a run.json, except the root), `._` files (which macOS puts beside others) and
    links that lead out of the root are left out; links to folders are never followed.
    """
    real_root = root.resolve()
    pending = [""]
    while pending:
        folder = pending.pop()
        names, below = [], []
        try:
            entries = sorted(os.scandir(root / folder), key=lambda entry: entry.name)
        except OSError:
            continue  # a folder that cannot be listed: what names its files will be reported missing
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                if not entry.name.startswith(".") and entry.name not in _SKIPPED_FOLDERS:
                    below.append(_join(folder, entry.name))
            elif entry.name.startswith("._"):
                continue
            elif not entry.is_symlink() or _leads_inside(Path(entry.path), real_root):
                names.append(entry.name)
        if folder and _RUN_FOLDER_MARK in names:
            continue
        yield folder, names
        pending.extend(reversed(below))


def is_image_name(name: str) -> bool:
    """Whether a file name ends like an image's."""
    return name.lower().endswith(IMAGE_SUFFIXES)


def leaves_root(path: str) -> bool:
    """Whether a dataset's path is absolute or climbs (`..`): such a path is passed on as data, never looked up."""
    normal = path.replace("\\", "/")
    return normal.startswith("/") or normal[1:3] == ":/" or ".." in normal.split("/")


def _leads_inside(link: Path, real_root: Path) -> bool:
    try:
        return link.resolve(strict=True).is_relative_to(real_root)
    except (OSError, RuntimeError):
        return False


def _as_name(value: object, near: str) -> str | None:
    """A relative POSIX path without `..`, or None. A path that climbs from the table's folder but stays in the dataset
    is written without climbing; one that leaves it is None."""
    if isinstance(value, bool) or value is None:
        return None
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value
    if not isinstance(value, (str, int, float)):
        return None
    name = str(value).strip().replace("\\", "/")
    if name[:7].lower() == "file://":
        name = unquote(name[7:])
    if not name or len(name) > _LONGEST_NAME or any(ord(character) < 32 for character in name):
        return None
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts and not name.startswith("/"):
        parts = posixpath.normpath("/".join([near, *parts] if near else parts)).split("/")
    if not parts or ".." in parts:
        return None
    return "/".join(parts)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()


def _bases(near: str, folder: str | None) -> Iterator[str]:
    """Where a relative path may start: the image folder, the table's folder and those above it, the root."""
    if folder is not None:
        yield folder
    while near:
        yield near
        near = near.rpartition("/")[0]
    yield ""


def _folders_agree(wanted: str, path: str, near: str) -> bool:
    """Whether one of the two is the end of the other, folder by folder; `path` also as seen from the table's folder."""
    wanted_folders = wanted.split("/")[:-1]
    found_folders = path.split("/")[:-1]
    if wanted_folders == found_folders[len(found_folders) - len(wanted_folders) :]:
        return True
    for base in _bases(near, None):
        depth = len(base.split("/")) if base else 0
        seen = found_folders[depth:]
        if path.startswith(f"{base}/" if base else "") and seen and wanted_folders[-len(seen) :] == seen:
            return True
    return False


def _nearness(path: str, near: str, folder: str | None) -> tuple[bool, int]:
    in_folder = folder is not None and path.startswith(f"{folder}/" if folder else "")
    shared = 0
    for ours, theirs in zip(near.split("/"), path.split("/")[:-1], strict=False):
        if ours != theirs:
            break
        shared += 1
    return in_folder, shared


def _suffix_rank(path: str) -> int:
    suffix = PurePosixPath(path).suffix.lower()
    return IMAGE_SUFFIXES.index(suffix) if suffix in IMAGE_SUFFIXES else len(IMAGE_SUFFIXES)


def _join(folder: str, name: str) -> str:
    return f"{folder}/{name}" if folder else name
