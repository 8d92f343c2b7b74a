"""Folders of the driver's machine, as other processes are told of them."""

from __future__ import annotations

from pathlib import Path

from vsil_audit.places.addresses import Place
from vsil_audit.places.lease import check_lease
from vsil_audit.places.remote_path import RemotePath


def everywhere(place: Place) -> Place:
    """The same place, named so that it does not depend on the folder a process is in."""
    return place.resolve() if isinstance(place, Path) else place


def check_held(folder: Place) -> None:
    """Raises RunFolderError when another scan has taken over the run folder: only the driver knows, and workers go on
    writing until it ends them."""
    if isinstance(folder, RemotePath):
        check_lease(folder / "run.json")
