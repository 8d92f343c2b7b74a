"""Whether the machines of a cluster can do a run's work: found out before it begins, and not from parts that lack."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.metadata import version

from vsil_audit.errors import ConfigurationError
from vsil_audit.places.addresses import Place
from vsil_audit.runs.on_ray.cluster import Cluster
from vsil_audit.runs.on_ray.places import everywhere

_PACKAGE = "vsil-audit"


@dataclass(frozen=True, slots=True)
class _Seen:
    """What one machine has: its version of this package, the manifest of the run (its sha256), the images' folder."""

    version: str
    manifest: str
    images: bool


def check_machines(folder: Place, images: Place, cluster: Cluster) -> None:
    """Raises ConfigurationError where a machine has another version, or sees another run folder or no images."""
    import ray

    places = everywhere(folder), everywhere(images)
    expected = _look(*places)
    look = ray.remote(num_cpus=0)(_look)
    asked = {
        name: look.options(label_selector={"ray.io/node-id": node}).remote(*places) for node, name in cluster.machines
    }
    for name, answer in asked.items():
        try:
            found = ray.get(answer)
        except ray.exceptions.RayError as error:
            raise ConfigurationError(
                f"{name} of the cluster cannot run {_PACKAGE}: {str(error).strip().splitlines()[-1]}",
                f"Install it there: pip install '{_PACKAGE}[ray]=={expected.version}'",
            ) from error
        _compare(found, expected, name, places)


def _compare(found: _Seen, expected: _Seen, name: str, places: tuple[Place, Place]) -> None:
    if found.version != expected.version:
        raise ConfigurationError(
            f"{name} of the cluster has {_PACKAGE} {found.version}, and this machine {expected.version}",
            f"Install the same everywhere: pip install '{_PACKAGE}[ray]=={expected.version}'",
        )
    unseen = places[0] if found.manifest != expected.manifest else None if found.images else places[1]
    if unseen is not None:
        raise ConfigurationError(
            f"{name} of the cluster does not see {unseen} as this machine does",
            "Put the data set and the run folder where all machines find them under one name: a file system that they "
            "share, or an address such as s3://BUCKET/FOLDER (--output for the run folder).",
        )


def _look(folder: Place, images: Place) -> _Seen:
    try:
        manifest = hashlib.sha256((folder / "run.json").read_bytes()).hexdigest()
    except OSError:
        manifest = ""
    try:
        there = images.is_dir()
    except OSError:
        there = False
    return _Seen(version(_PACKAGE), manifest, there)
