"""`vsil_audit.convert`: scan, rewrite what leaks, emit the set, and scan it again to show what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vsil_audit.audit import dataset_name, load
from vsil_audit.builders.finishing import BEFORE, Built, Finish, finished, now
from vsil_audit.builders.folder import PROVENANCE, BuildFolder, BuildManifest
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.offline.conversion import OfflineConversion
from vsil_audit.builders.publishing import Publishing, SetOptions
from vsil_audit.builders.twin_check import check_twins
from vsil_audit.detectors.base import Need
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.store import FeatureStore
from vsil_audit.runs.execute import execute
from vsil_audit.runs.plan import ScanOptions, ScanPlan, plan_scan
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.sources.base import SourceOptions


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """`scan`: how the benchmark is scanned before, and the finished set after. `font`: for words that are drawn.
    `publish`: twins, balance and what is written of the finished set."""

    scan: ScanOptions = field(default_factory=ScanOptions)
    font: Path | None = None
    publish: SetOptions = field(default_factory=SetOptions)


def convert_offline(
    path: str | Path,
    out: str | Path,
    *,
    source_options: SourceOptions | None = None,
    options: ConvertOptions | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Built:
    """Convert the benchmark at `path` into a set in the folder `out`, without any model.

    A call with equal data and options continues one that was interrupted. Raises VsilAuditError of some kind, each with
    a remedy.
    """
    chosen, listener = options or ConvertOptions(), progress or Silent()
    if chosen.scan.ask.targets or chosen.scan.ask.judges:
        raise ConfigurationError("--offline asks no model", "Leave out --offline, or the models.")
    source = load(path, options=source_options)
    folder = BuildFolder.beside(Path(out), path)
    own = folder.path / PROVENANCE
    plan = plan_scan(source, dataset_name(path, source), replace(chosen.scan, output=own / BEFORE))
    drawer = Typographic(chosen.font)
    check_twins(chosen.publish, source, chosen.scan, listener, draws=True)
    with folder.locked():
        return _converted(plan, folder, chosen, drawer, listener, command)


def _converted(
    plan: ScanPlan,
    folder: BuildFolder,
    chosen: ConvertOptions,
    drawer: Typographic,
    listener: Progress,
    command: str,
) -> Built:
    """What is left of the conversion, in a folder that is held."""
    publishing = Publishing(
        folder, chosen.publish, name=plan.name, seed=plan.options.seed, drawer=drawer, limits=plan.limits
    )
    manifest = folder.begin(_manifest(plan, drawer, chosen.publish, command))
    if (built := finished(folder)) is not None:
        publishing.publish(manifest, built.summary)
        listener.remark(f"This conversion was complete already; nothing was done again. Folder: {folder.path}")
        return built
    run = execute(plan, listener, command)
    with (
        FeatureStore(chosen.scan.cache / "features.sqlite" if chosen.scan.cache else None) as store,
        ImagePipeline(plan.source.root, frozenset({Need.OCR}), store, plan.limits, chosen.scan.workers) as pipeline,
    ):
        conversion = OfflineConversion(plan, run, folder, pipeline, drawer)
        conversion.run(listener)
    return Finish(folder, manifest, plan, run, conversion.looked_by, listener, command, (), publishing).built()


def _manifest(plan: ScanPlan, drawer: Typographic, publish: SetOptions, command: str) -> BuildManifest:
    settings: Mapping[str, Any] = {
        "offline": True,
        "view": plan.source.view,
        "drawer": drawer.identity,
        "detectors": plan.config.detector_versions,
        "limit": plan.options.limit,
        "sample": plan.options.sample,
        "seed": plan.options.seed,
        **publish.told(),
    }
    return BuildManifest(
        command="convert",
        name=plan.name,
        tool_version=version("vsil-audit"),
        command_line=command,
        started=now(),
        fingerprint=plan.fingerprint.content,
        settings=dict(settings),
    )
