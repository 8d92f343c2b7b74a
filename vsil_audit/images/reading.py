"""The bytes of an image reference, from inside the dataset root only."""

from __future__ import annotations

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import Path

from vsil_audit.features.facts import ImageError
from vsil_audit.images.limits import ImageLimits
from vsil_audit.images.paths import refused_path
from vsil_audit.images.remote import Network, fetch
from vsil_audit.images.remote_root import read_remote
from vsil_audit.pair import ImageRef
from vsil_audit.places.addresses import Place
from vsil_audit.places.mirror import image_root
from vsil_audit.places.remote_path import RemotePath

_OPEN_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a FIFO that nobody writes to must not hang a scan
    | getattr(os, "O_NOFOLLOW", 0)  # the path is resolved by now: a link here was put in between
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOCTTY", 0)
    | getattr(os, "O_BINARY", 0)
)


@dataclass(frozen=True, slots=True)
class RealFolder:
    """A folder, links resolved once, for who reads many files in it."""

    path: str

    @classmethod
    def of(cls, folder: Path) -> RealFolder:
        """Raises OSError and ValueError for a name that no folder can have."""
        return cls(os.path.realpath(folder))


def read_bytes(
    ref: ImageRef, root: Place | RealFolder, limits: ImageLimits, network: Network | None = None
) -> bytes | ImageError:
    """The bytes that `ref` stands for, or why there are none. Never raises for what a dataset may contain.

    A path is taken relative to `root`; `..`, absolute paths and symbolic links that lead outside are refused.
    A root in the mirror of a remote set stands for the remote place; raises StoreError when that answers no more.
    """
    if ref.data is not None:
        return _checked(ref.data, limits)
    if ref.url is not None:
        return fetch(ref.url, limits, network or Network())
    place = image_root(root) if isinstance(root, Path) else root
    if isinstance(place, RemotePath):
        data = read_remote(ref.path or "", place, limits.max_file_bytes)
        return data if isinstance(data, ImageError) else _checked(data, limits)
    file = locate(ref.path or "", place)
    return file if isinstance(file, ImageError) else _read_file(file, limits)


def locate(path: str, root: Path | RealFolder) -> str | ImageError:
    """The real file that `path` names inside `root`, links resolved; whether it exists is not looked at."""
    if (refused := refused_path(path)) is not None:
        return refused
    try:
        real_root = (root if isinstance(root, RealFolder) else RealFolder.of(root)).path
        real = _below(real_root, path)
    except (OSError, ValueError) as error:
        return ImageError("unreadable", f"the file name cannot be used: {_reason(error)}")
    if real != real_root and not real.startswith(os.path.join(real_root, "")):  # noqa: PTH118 - it ends in a separator
        return ImageError("outside_root", "a symbolic link leads outside the dataset folder")
    return real


def _below(real_root: str, path: str) -> str:
    """What `realpath` gives for `path` (without `..`) below a folder that holds no link, looking at no more than the
    parts of `path` as long as none of them is a link."""
    whole = os.path.join(real_root, path)  # noqa: PTH118 - pathlib costs more than reading the file
    if os.name != "posix":
        return os.path.realpath(whole)
    real = real_root.rstrip("/")
    for part in path.split("/"):
        if part not in ("", "."):
            real = f"{real}/{part}"
            if os.path.islink(real):  # noqa: PTH114 - as above
                return os.path.realpath(whole)
    return real or "/"


def _read_file(file: str, limits: ImageLimits) -> bytes | ImageError:
    try:
        descriptor = os.open(file, _OPEN_FLAGS)
    except (OSError, ValueError) as error:
        return _open_error(error)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            what = "a folder" if stat.S_ISDIR(status.st_mode) else "a pipe, socket or device"
            return ImageError("unreadable", f"{what}, not a file")
        if status.st_size > limits.max_file_bytes:
            return _too_many_bytes(status.st_size, limits)
        return _checked(_read_all(descriptor, status.st_size, limits.max_file_bytes + 1), limits)
    except OSError as error:
        return ImageError("unreadable", f"cannot be read: {_reason(error)}")
    finally:
        os.close(descriptor)


def _read_all(descriptor: int, size: int, most: int) -> bytes:
    """Up to `most` bytes; `size` are expected, but the file may be growing. Memory is asked for as it is needed."""
    data = os.read(descriptor, min(size + 1, most))
    if len(data) == size:
        return data  # one byte more was asked for: it has not grown
    while len(data) < most and (more := os.read(descriptor, min(max(len(data), 1 << 16), most - len(data)))):
        data += more
    return data


def _open_error(error: OSError | ValueError) -> ImageError:
    number = error.errno if isinstance(error, OSError) else None
    if number in (errno.ENOENT, errno.ENOTDIR):
        return ImageError("missing", "there is no such file")
    if number == errno.ENXIO:
        return ImageError("unreadable", "a socket or device, not a file")
    return ImageError("unreadable", f"cannot be opened: {_reason(error)}")


def _checked(data: bytes, limits: ImageLimits) -> bytes | ImageError:
    if not data:
        return ImageError("empty_file", "the file has no bytes")
    return data if len(data) <= limits.max_file_bytes else _too_many_bytes(len(data), limits)


def _too_many_bytes(size: int, limits: ImageLimits) -> ImageError:
    return ImageError("too_large", f"{size:,} bytes or more, above the limit of {limits.max_file_bytes:,} bytes")


def _reason(error: Exception) -> str:
    """The reason without the path: names are shown by those who know how to show them safely."""
    return (error.strerror or type(error).__name__) if isinstance(error, OSError) else type(error).__name__
