"""A file or folder on another file system: as much of `pathlib.Path` as a run folder needs.

Not `universal_pathlib.UPath`: that has neither retries nor the listing of the moment (fsspec keeps old ones), writes in
place, and shows URLs as they were given.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from fnmatch import fnmatchcase
from typing import Any

from vsil_audit.places.filesystems import filesystem, patiently, puts_whole

_CREATE = "create"


@dataclass(frozen=True, slots=True)
class RemoteStatus:
    """What is known of a file without reading it, by the names of `os.stat_result`. `st_mtime_ns` is 0 where the file
    system does not tell."""

    st_size: int
    st_mtime_ns: int = 0
    st_mode: int = stat.S_IFREG


@dataclass(frozen=True, slots=True, order=True)
class RemotePath:
    """`url` has a scheme and no slash at its end; `place` makes one of what a user wrote.

    Each method is one request or a few, and raises FileNotFoundError as `Path` does, or StoreError.
    """

    url: str

    def __str__(self) -> str:
        return self.url

    def __truediv__(self, name: str) -> RemotePath:
        parts = name.split("/")
        if any(part in ("", ".", "..") for part in parts):
            raise ValueError(f"{name!r} is no name of a file below {self.url}")
        return RemotePath(f"{self.url}/{name}")

    @property
    def name(self) -> str:
        return self.url.rpartition("/")[2]

    @property
    def parent(self) -> RemotePath:
        return RemotePath(self.url.rpartition("/")[0])

    def is_file(self) -> bool:
        return self._kind() == "file"

    def is_dir(self) -> bool:
        return self._kind() == "directory"

    def stat(self) -> RemoteStatus:
        info = self._info()
        if info["type"] == "directory":
            return RemoteStatus(0, 0, stat.S_IFDIR)
        return RemoteStatus(int(info.get("size") or 0), _modified(info))

    def read_bytes(self) -> bytes:
        return bytes(patiently(self.url, "reading", lambda fs, path: fs.cat_file(path)))

    def write(self, data: bytes) -> None:
        """Have `data` under this name, whole or not at all, in place of what was there."""
        if puts_whole(self.url):
            patiently(self.url, "writing", lambda fs, path: fs.pipe_file(path, data))
            return
        temporary = self.parent / f".{self.name}.{os.getpid()}-{secrets.token_hex(4)}.tmp"

        def move(fs: Any, path: str) -> None:
            folder = path.rpartition("/")[0]
            beside = f"{folder}/{temporary.name}"
            fs.makedirs(folder, exist_ok=True)
            fs.pipe_file(beside, data)
            fs.mv(beside, path)

        try:
            patiently(self.url, "writing", move)
        except OSError:
            with suppress(OSError):
                temporary.unlink(missing_ok=True)
            raise

    def create(self, data: bytes) -> None:
        """Write a file that is not there yet. Raises FileExistsError. Of two that create it at the same moment only one
        succeeds where the store has conditional writes; elsewhere the last one's stays."""

        def put(fs: Any, path: str) -> None:
            try:
                fs.pipe_file(path, data, mode=_CREATE)
            except Exception as error:
                if "PreconditionFailed" in f"{error} {error.__cause__}":  # as S3-compatible stores say it
                    raise FileExistsError(path) from error
                raise

        patiently(self.url, "writing", put)

    def unlink(self, *, missing_ok: bool = False) -> None:
        try:
            patiently(self.url, "removing", lambda fs, path: fs.rm_file(path))
        except FileNotFoundError:
            if not missing_ok:
                raise

    def remove_below(self) -> None:
        """Remove the folder and all in it; nothing where there is none."""

        def remove(fs: Any, path: str) -> None:
            if fs.exists(path):
                fs.rm(path, recursive=True)

        patiently(self.url, "removing", remove)

    def iterdir(self) -> Iterator[RemotePath]:
        """Files and folders directly in this one, sorted; none where it is not there."""
        for entry in self._listed():
            name = entry["name"].rstrip("/").rpartition("/")[2]
            if name and entry["name"].rstrip("/") != self._path().rstrip("/"):
                yield self / name

    def glob(self, pattern: str) -> Iterator[RemotePath]:
        """Those directly in this folder whose name fits, sorted. `pattern` has no slash."""
        return (child for child in self.iterdir() if fnmatchcase(child.name, pattern))

    def rglob(self, pattern: str) -> Iterator[RemotePath]:
        """Files anywhere below whose name fits, sorted."""
        found = patiently(self.url, "listing", lambda fs, path: fs.find(path))
        start = len(self._path().rstrip("/")) + 1
        return (self / name[start:] for name in sorted(found) if fnmatchcase(name.rpartition("/")[2], pattern))

    def _listed(self) -> list[dict[str, Any]]:
        try:
            found = patiently(self.url, "listing", lambda fs, path: fs.ls(path, detail=True))
        except (FileNotFoundError, NotADirectoryError):
            return []
        return sorted(found, key=lambda entry: str(entry["name"]))

    def _info(self) -> dict[str, Any]:
        return dict(patiently(self.url, "looking at", lambda fs, path: fs.info(path)))

    def _kind(self) -> str:
        try:
            return str(self._info()["type"])
        except FileNotFoundError:
            return ""

    def _path(self) -> str:
        return filesystem(self.url)[1]


def _modified(info: dict[str, Any]) -> int:
    """When a file was written, in ns, by whatever name the file system has for that; 0 where it does not tell."""
    for name in ("LastModified", "mtime", "modified", "updated", "last_modified", "created"):
        value = info.get(name)
        if isinstance(value, str):
            with suppress(ValueError):
                value = datetime.fromisoformat(value.replace("Z", "+00:00"))
        if isinstance(value, datetime):
            aware = value if value.tzinfo else value.replace(tzinfo=timezone.utc)
            return int(aware.timestamp() * 1e9)
        if isinstance(value, (int, float)):
            return int(value * 1e9)
    return 0
