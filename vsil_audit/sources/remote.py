"""A benchmark on another file system, opened through its mirror."""

from __future__ import annotations

from pathlib import Path

from vsil_audit.places.addresses import Place
from vsil_audit.places.mirror import FileKind, Mirror, mirrored
from vsil_audit.sources.files import ARCHIVE_SUFFIXES, is_image_name
from vsil_audit.sources.tables import TEXT_SUFFIX, table_suffix

_TABLES_TOO = (".arrow", ".caption", TEXT_SUFFIX, *ARCHIVE_SUFFIXES)


def at_hand(place: Place) -> Mirror:
    """Where layouts find what is in `place`: there, or in its mirror."""
    return Mirror(place, 0) if isinstance(place, Path) else mirrored(place, kind_of)


def kind_of(name: str) -> FileKind:
    """What a file is to us, by its name."""
    if is_image_name(name):
        return FileKind.IMAGE
    if table_suffix(Path(name)) is not None or name.lower().endswith(_TABLES_TOO):
        return FileKind.TABLE
    return FileKind.OTHER
