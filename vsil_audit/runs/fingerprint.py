"""What a dataset is, in one hash: so that a run folder is never continued on other data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from vsil_audit.errors import DatasetError
from vsil_audit.places.mirror import ListedImage, listed_images
from vsil_audit.sources.base import Source
from vsil_audit.sources.files import IMAGE_SUFFIXES

_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """`content`: sha256 over the tables' bytes and the image files' names and sizes; the same for a copy of the data.
    `stamp`: adds modification times; tells on this disk that an image was replaced by another of equal size."""

    content: str
    stamp: str


def fingerprint(source: Source) -> Fingerprint:
    """Reads the tables whole (streamed), of the images only the directory entries. Raises DatasetError."""
    content, stamp = hashlib.sha256(), hashlib.sha256()
    for table in sorted(source.tables()):
        entry = f"table\0{_relative(table, source.root)}\0{_sha256(table)}\n".encode()
        content.update(entry)
        stamp.update(entry)
    listed = listed_images(source.root)
    for name, size, modified in _image_files(source.root) if listed is None else map(_as_found, listed):
        content.update(f"image\0{name}\0{size}\n".encode("utf-8", "surrogateescape"))
        stamp.update(f"image\0{name}\0{size}\0{modified}\n".encode("utf-8", "surrogateescape"))
    return Fingerprint(content.hexdigest(), stamp.hexdigest())


def _relative(path: Path, root: Path) -> str:
    return path.relative_to(root).as_posix() if path.is_relative_to(root) else path.name


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise DatasetError(f"cannot read {path}: {error.strerror}", "Check that the file may be read.") from error
    return digest.hexdigest()


def _as_found(image: ListedImage) -> tuple[str, int, str]:
    return image.name, image.size, image.mark


def _image_files(root: Path) -> Iterator[tuple[str, int, int]]:
    """Image files below `root` in a stable order; hidden folders are left out, links are not followed."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(files):
            if os.path.splitext(name)[1].lower() not in IMAGE_SUFFIXES:  # noqa: PTH122 - a Path per file is slow
                continue
            path = os.path.join(folder, name)  # noqa: PTH118 - likewise
            try:
                status = os.lstat(path)
            except OSError:
                continue  # gone since it was listed: the scan itself will report it as missing
            yield os.path.relpath(path, root), status.st_size, status.st_mtime_ns
