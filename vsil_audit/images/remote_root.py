"""The bytes of an image that lies below a remote root: one request an image, and never one beside the root."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any
from urllib.parse import quote

from vsil_audit.errors import StoreError
from vsil_audit.features.facts import ImageError
from vsil_audit.images.paths import refused_path
from vsil_audit.places.filesystems import patiently, scheme_of
from vsil_audit.places.remote_path import RemotePath

_FAULTS_IN_A_ROW = 8
"""So many images that the store did not give, each after several attempts, and the store itself is taken to be away:
better no answer now than a set full of unreadable images."""

_faults: Counter[str] = Counter()
_lock = threading.Lock()


def read_remote(path: str, root: RemotePath, most: int) -> bytes | ImageError:
    """The bytes of `path` below `root`, at most `most` and one; or why there are none.

    Raises StoreError when access is not allowed, or the store has answered none of the last images.
    """
    if (refused := refused_path(path)) is not None:
        return refused
    if "://" in path:
        return ImageError("outside_root", "an address of its own; images are read inside the dataset folder only")
    name = "/".join(part for part in path.replace("\\", "/").split("/") if part not in ("", "."))
    web = scheme_of(root.url) in ("http", "https")
    data: bytes | ImageError
    try:
        data = patiently(
            f"{root.url}/{quote(name) if web else name}", "reading", lambda fs, at: _first(fs, at, most + 1)
        )
    except FileNotFoundError:
        data = ImageError("missing", "there is no such file")
    except IsADirectoryError:
        data = ImageError("unreadable", "a folder, not a file")
    except StoreError as error:
        with _lock:
            _faults[root.url] += 1
            away = _faults[root.url] >= _FAULTS_IN_A_ROW
        if away or isinstance(error.__cause__, PermissionError):
            raise
        return ImageError("unreadable", error.message)
    with _lock:
        _faults[root.url] = 0
    return data


def _first(fs: Any, path: str, size: int) -> bytes:
    """The first `size` bytes of the file."""
    try:
        return bytes(fs.cat_file(path, start=0, end=size))
    except Exception as error:
        if "range" in str(error).lower() and fs.info(path).get("size") == 0:
            return b""  # of no bytes there are no first ones, some servers say
        raise
