"""What lies in a remote folder, and which of it may have a name in a folder here."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from vsil_audit.places.filesystems import patiently, scheme_of

_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "crc32c", "checksum", "version_id", "generation")
_TIMES = ("LastModified", "mtime", "modified", "updated", "last_modified", "created")
_DEEPEST = 32
_LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """`name`: relative to the listed folder, POSIX. `path`: the file system's own name for it. `size` None: not told.
    `mark` changes when the content does; empty: not told."""

    name: str
    path: str
    size: int | None
    mark: str


@dataclass(frozen=True, slots=True)
class RemoteListing:
    """One folder: `name` ("" is the listed one itself), its files, sorted, and how many entries of it are left out:
    links, and names that no file here can have."""

    name: str
    files: tuple[RemoteFile, ...]
    folders: tuple[str, ...]
    left_out: int


def walk_remote(url: str) -> Iterator[RemoteListing]:
    """The folder and all below it, in the order of `os.walk` with sorted names; hidden folders are left out.

    A request for each folder and thousand files. Raises FileNotFoundError, StoreError.
    """
    quoted = scheme_of(url) in ("http", "https")
    pending: list[tuple[str, str | None]] = [("", None)]
    while pending:
        name, path = pending.pop()
        listed = patiently(url, "listing", lambda fs, top, at=path: _entries(fs, top if at is None else at))  # type: ignore[misc]  # a default binds the loop's value
        files: list[RemoteFile] = []
        folders: list[tuple[str, str]] = []
        left_out = 0
        for entry in listed:
            own = _own_name(entry["name"], quoted=quoted)
            is_folder = entry.get("type") == "directory"
            if entry.get("islink") or entry.get("type") not in ("file", "directory") or not _usable(own):
                left_out += 1
            elif is_folder and not own.startswith("."):
                folders.append((own, entry["name"]))
            elif not is_folder:
                files.append(RemoteFile(f"{name}{own}", entry["name"], entry.get("size"), _mark(entry)))
        below = {own for own, _ in folders}
        kept = [file for file in files if file.name[len(name) :] not in below]
        left_out += len(files) - len(kept)
        kept.sort(key=lambda file: file.name)
        folders.sort(reverse=True)
        yield RemoteListing(name.rstrip("/"), tuple(kept), tuple(sorted(below)), left_out)
        if name.count("/") < _DEEPEST:
            pending.extend((f"{name}{own}/", at) for own, at in folders)


def _entries(fs: Any, path: str) -> list[dict[str, Any]]:
    """What is in the folder, without the folder's own mark that some stores keep."""
    found = fs.ls(path, detail=True)
    if len(found) == 1 and found[0]["name"].rstrip("/") == path.rstrip("/") and found[0].get("type") == "file":
        raise NotADirectoryError(path)
    return [entry for entry in found if entry["name"].rstrip("/") != path.rstrip("/")]


def _own_name(path: str, *, quoted: bool) -> str:
    name = path.rstrip("/").rpartition("/")[2]
    return unquote(name) if quoted else name


def _usable(name: str) -> bool:
    """Whether it names a file in one folder here, and nothing else."""
    return (
        name not in ("", ".", "..")
        and not any(c in name for c in "/\\:\0" if c != ":" or name[1:2] == ":")
        and len(name.encode("utf-8", "surrogateescape")) <= _LONGEST_NAME
    )


def _mark(entry: dict[str, Any]) -> str:
    for names in (_MARKS, _TIMES):
        told = {name: str(entry[name]) for name in names if entry.get(name)}
        if told:
            return json.dumps(told, sort_keys=True)
    return ""
