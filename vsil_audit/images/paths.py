"""Which paths a dataset may not name, whatever file system it lies on."""

from __future__ import annotations

from pathlib import PureWindowsPath

from vsil_audit.features.facts import ImageError


def refused_path(path: str) -> ImageError | None:
    """Why no image is read from `path`, taken relative to the dataset's root; None when it may be looked for."""
    if "\x00" in path:
        return ImageError("unreadable", "the file name holds a NUL character")
    if not path:
        return ImageError("missing", "the file name is empty")
    if path.startswith(("/", "\\")) or (":" in path and PureWindowsPath(path).drive):
        return ImageError("outside_root", "an absolute path; images are read inside the dataset folder only")
    if ".." in path.replace("\\", "/").split("/"):
        return ImageError("outside_root", "the path climbs with `..`; images are read inside the dataset folder only")
    return None
