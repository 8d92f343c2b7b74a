"""The three stages of a run on a Ray cluster, with the same functions and into the same folder as on one machine."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.on_ray import asking, detecting, reading
from vsil_audit.runs.on_ray.cluster import Cluster, connected
from vsil_audit.runs.on_ray.machines import check_machines
from vsil_audit.runs.plan import ScanOptions, ScanPlan
from vsil_audit.runs.progress import Progress


@dataclass(frozen=True, slots=True)
class OnRay:
    """A run's work, done by a cluster."""

    cluster: Cluster

    def read_pairs(self, plan: ScanPlan, folder: RunFolder, progress: Progress) -> int:
        check_machines(folder.path, plan.reader.root, self.cluster)
        return reading.read_pairs(plan, folder, progress, self.cluster)

    def detect(self, plan: ScanPlan, folder: RunFolder, n_pairs: int, progress: Progress) -> None:
        detecting.detect(plan, folder, n_pairs, progress, self.cluster)

    def ask_models(self, plan: ScanPlan, folder: RunFolder, manifest: Manifest, progress: Progress) -> Manifest:
        return asking.ask_models(plan, folder, manifest, progress, self.cluster)


@contextmanager
def on_ray(options: ScanOptions) -> Iterator[OnRay]:
    """Join or start the cluster of a run. Raises MissingDependencyError or ConfigurationError where there is none."""
    with connected(options.ray_address, options.workers) as cluster:
        yield OnRay(cluster)
