"""Where the work of a run is done: on this machine, or on a Ray cluster. The run folder is the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from vsil_audit.runs.asking import ask_models
from vsil_audit.runs.detecting import detect
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.plan import RAY, ScanOptions, ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.reader import Reader
from vsil_audit.runs.reading import read_source


class Work(Protocol):
    """The stages of a run. Each does what is left to do in the folder, and commits part by part."""

    def read_pairs(self, plan: ScanPlan, folder: RunFolder, progress: Progress) -> int:
        """Pairs and the facts of their images, into the folder; returns how many batches there are."""
        ...

    def detect(self, plan: ScanPlan, folder: RunFolder, n_pairs: int, progress: Progress) -> None:
        """The findings of all detectors that ask no models. Raises DetectorError."""
        ...

    def ask_models(self, plan: ScanPlan, folder: RunFolder, manifest: Manifest, progress: Progress) -> Manifest:
        """The findings of those that do; returns the manifest with what was spent."""
        ...


def check_engine(options: ScanOptions) -> None:
    """Raises MissingDependencyError where what the engine needs is not installed, ConfigurationError where there is no
    such cluster. Nothing is started."""
    if options.engine == RAY:
        from vsil_audit.runs.on_ray.cluster import check_ray

        check_ray(options.ray_address)


@contextmanager
def at_work(options: ScanOptions) -> Iterator[Work]:
    """The engine that the options name, started. Raises ConfigurationError where a cluster cannot be joined."""
    if options.engine == RAY:
        from vsil_audit.runs.on_ray.engine import on_ray

        with on_ray(options) as work:
            yield work
    else:
        yield Here()


class Here:
    """On this machine, in processes of this one."""

    def read_pairs(self, plan: ScanPlan, folder: RunFolder, progress: Progress) -> int:
        with Reader(plan.reader) as reader:
            told = reader.warnings
            for warning in told:
                progress.remark(warning)
            count = read_source(plan, folder, reader, progress)
            for note in reader.notes():
                progress.remark(note)
        for warning in reader.warnings:
            if warning not in told:
                progress.remark(warning)
        return count

    def detect(self, plan: ScanPlan, folder: RunFolder, n_pairs: int, progress: Progress) -> None:
        detect(plan, folder, n_pairs, progress)

    def ask_models(self, plan: ScanPlan, folder: RunFolder, manifest: Manifest, progress: Progress) -> Manifest:
        return ask_models(plan, folder, manifest, progress)
