"""A remote data set as a folder here: its tables are copied once, of its images there are only the names.

Layouts look at names and read tables; they do so in the mirror as in any folder, links and all checks included. An
image is read from the remote place itself when it is its turn (`image_root`). Copies are kept under the remote file's
mark (etag, checksum or time) and size, below `cache_folder()/remote`, and may be deleted at any time.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from pathlib import Path
from typing import TextIO, TypeAlias

from vsil_audit.errors import DatasetError
from vsil_audit.places.addresses import Place
from vsil_audit.places.cache import cache_folder
from vsil_audit.places.filesystems import patiently
from vsil_audit.places.listing import RemoteFile, RemoteListing, walk_remote
from vsil_audit.places.remote_path import RemotePath

MAX_IMAGES = 5_000_000
OTHER_FILES_UP_TO = 16 << 20
"""Bytes: a larger file that is neither table nor archive is left out (weights, films)."""

_SPARE = 1 << 30
_AT_ONCE = 16
_SET, _DEPTH = "set", 2  # KEY/set/NAME is the mirrored folder
_URL_FILE, _LISTING, _COPIES, _LOCK = "place.json", "images.jsonl", "copies.json", ".lock"


@dataclass(frozen=True, slots=True)
class ListedImage:
    """An image of a mirrored set. `name`: relative to the folder asked about. `size`: 0 where the store is silent."""

    name: str
    size: int
    mark: str


class FileKind(Enum):
    """What becomes of a file: an image is a name here, a table is copied, any other file too unless it is large."""

    IMAGE = "image"
    TABLE = "table"
    OTHER = "other"


KindOf: TypeAlias = Callable[[str], FileKind]
"""By the file's name."""


@dataclass(frozen=True, slots=True)
class Mirror:
    """`path`: the folder, or the file in it. `left_out`: how many entries have no counterpart here: links, names that
    no file here can have, large files that no layout reads."""

    path: Path
    left_out: int


def mirrored(remote: RemotePath, kind_of: KindOf) -> Mirror:
    """The mirror of the folder `remote`, brought up to date; for a file, that file in the mirror of its folder.

    Raises DatasetError where there is nothing, or too much for this disk; StoreError.
    """
    try:
        return _mirror(remote, kind_of)
    except NotADirectoryError:
        around = _mirror(remote.parent, kind_of)
        return Mirror(around.path / remote.name, around.left_out)
    except FileNotFoundError as error:
        raise DatasetError(f"{remote} does not exist, or is empty.", "Check the name.") from error


def remote_of(path: Path) -> RemotePath | None:
    """What `path`, in a mirror or not, is a copy of."""
    mirrors = Path(os.path.realpath(_mirrors()))
    real = Path(os.path.realpath(path))
    if not real.is_relative_to(mirrors):
        return None
    key, *below = real.relative_to(mirrors).parts or ("",)
    url = _url_of(mirrors / key) if len(below) >= _DEPTH else None
    if url is None:
        return None
    found = RemotePath(url)
    for name in below[_DEPTH:]:
        found = found / name
    return found


@lru_cache(maxsize=64)
def image_root(root: Path) -> Place:
    """Where the images of a set that was opened at `root` are read from: `root` itself, unless it is a mirror."""
    return remote_of(root) or root


def shown(path: Path) -> str:
    """The place for people: a mirror's is the remote one."""
    return str(remote_of(path) or path)


def listed_images(root: Path) -> Iterator[ListedImage] | None:
    """The images below `root` as the mirror's listing has them, in the order of `os.walk` with sorted names; None where
    `root` is in no mirror."""
    remote = remote_of(root)
    return None if remote is None else _listed(root)


def _listed(root: Path) -> Iterator[ListedImage]:
    real = Path(os.path.realpath(root))
    place, *below = real.relative_to(os.path.realpath(_mirrors())).parts
    folder = "".join(f"{name}/" for name in below[_DEPTH:])
    with (_mirrors() / place / _LISTING).open(encoding="utf-8") as lines:
        for line in lines:
            name, size, mark = json.loads(line)
            if name.startswith(folder):
                yield ListedImage(name[len(folder) :], size, mark)


def _mirrors() -> Path:
    return cache_folder() / "remote"


@lru_cache(maxsize=64)
def _url_of(home: Path) -> str | None:
    try:
        return str(json.loads((home / _URL_FILE).read_text(encoding="utf-8"))["url"])
    except (OSError, ValueError, KeyError):
        return None


def _mirror(remote: RemotePath, kind_of: KindOf) -> Mirror:
    home = _mirrors() / hashlib.sha256(remote.url.encode()).hexdigest()[:16]
    target = home / _SET / remote.name
    target.mkdir(parents=True, exist_ok=True)
    with _locked(home):
        _write(home / _URL_FILE, json.dumps({"url": remote.url}))
        return Mirror(target, _bring_up_to_date(remote, home, target, kind_of))


def _bring_up_to_date(remote: RemotePath, home: Path, target: Path, kind_of: KindOf) -> int:
    """How many files were left out."""
    before = _copies(home)
    wanted: list[RemoteFile] = []
    n_images = n_files = left_out = 0
    with _replacing(home / _LISTING) as listing:
        for folder in walk_remote(remote.url):
            images = [file for file in folder.files if kind_of(file.name) is FileKind.IMAGE]
            copies = [file for file in folder.files if _is_copied(file, kind_of)]
            n_images, n_files = n_images + len(images), n_files + len(folder.files)
            left_out += folder.left_out + len(folder.files) - len(images) - len(copies)
            if n_images > MAX_IMAGES:
                raise DatasetError(f"{remote} holds more than {MAX_IMAGES:,} images.", "Scan one of its sub-folders.")
            _shape(target / folder.name, folder, images, copies)
            listing.writelines(json.dumps([f.name, f.size or 0, f.mark]) + "\n" for f in images)
            wanted += copies
    if not n_files:
        raise FileNotFoundError(remote.url)
    new = [f for f in wanted if not f.mark or before.get(f.name) != _kept_as(f) or not (target / f.name).is_file()]
    _check_space(remote, target, new)
    with ThreadPoolExecutor(_AT_ONCE) as threads:
        for _ in threads.map(lambda file: _copy(remote, file, target / file.name), new):
            pass
    _write(home / _COPIES, json.dumps({file.name: _kept_as(file) for file in wanted}))
    return left_out


def _shape(here: Path, folder: RemoteListing, images: Sequence[RemoteFile], copies: Sequence[RemoteFile]) -> None:
    """Have just those images (empty) and folders in `here`; what is there of the copies stays until it is replaced."""
    here.mkdir(exist_ok=True)
    names = {file.name.rpartition("/")[2] for file in images}
    stay = names | set(folder.folders) | {file.name.rpartition("/")[2] for file in copies}
    there = set()
    with os.scandir(here) as entries:
        for entry in entries:
            is_folder = entry.is_dir(follow_symlinks=False)
            if entry.name not in stay or is_folder != (entry.name in folder.folders):
                shutil.rmtree(entry.path) if is_folder else os.unlink(entry.path)  # noqa: PTH108 - a Path each is slow
            else:
                there.add(entry.name)
    for name in names - there:
        (here / name).touch()


def _copy(remote: RemotePath, file: RemoteFile, target: Path) -> None:
    beside = target.with_name(f".{target.name[:200]}.{os.getpid()}.tmp")
    try:
        patiently(f"{remote}/{file.name}", "copying", lambda fs, _: fs.get_file(file.path, str(beside)))
        if file.size is not None and beside.stat().st_size != file.size:
            raise DatasetError(
                f"{remote}/{file.name} came with {beside.stat().st_size:,} of {file.size:,} bytes.",
                "It may be written at this moment; run the same command again.",
            )
        beside.replace(target)
    except FileNotFoundError as error:
        raise DatasetError(
            f"{remote}/{file.name} went away while it was read.", "Run the same command again."
        ) from error
    finally:
        beside.unlink(missing_ok=True)


def _check_space(remote: RemotePath, target: Path, new: Sequence[RemoteFile]) -> None:
    needed, free = sum(file.size or 0 for file in new), shutil.disk_usage(target).free
    if needed + _SPARE > free:
        raise DatasetError(
            f"The tables and archives of {remote} have {needed / 1e9:,.1f} GB; there are {free / 1e9:,.1f} GB free in "
            f"{target}.",
            "Set VSIL_AUDIT_CACHE to a folder on a larger disk, or scan the set in parts, one sub-folder at a time.",
        )


def _is_copied(file: RemoteFile, kind_of: KindOf) -> bool:
    kind = kind_of(file.name)
    return kind is FileKind.TABLE or (kind is FileKind.OTHER and (file.size or 0) <= OTHER_FILES_UP_TO)


def _kept_as(file: RemoteFile) -> list[object]:
    return [file.size, file.mark]


def _copies(home: Path) -> dict[str, list[object]]:
    try:
        found = json.loads((home / _COPIES).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _write(path: Path, text: str) -> None:
    with _replacing(path) as file:
        file.write(text)


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    """A file that takes the place of `path` when it is whole."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with beside.open("w", encoding="utf-8") as file:
            yield file
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _locked(home: Path) -> Iterator[None]:
    """One process at a time brings a mirror up to date; the others wait."""
    with (home / _LOCK).open("a") as lock:
        with suppress(ImportError):  # no such locks on this system
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
