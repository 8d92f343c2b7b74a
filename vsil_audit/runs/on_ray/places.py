"""Folders of the driver's machine, as the workers of a cluster are told of them."""

from __future__ import annotations

from pathlib import Path

from vsil_audit.places.addresses import Place


def everywhere(place: Place) -> Place:
    """The same place, named so that it does not depend on the folder a process is in."""
    return place.resolve() if isinstance(place, Path) else place
