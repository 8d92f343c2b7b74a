"""`vsil_audit.convert`: scan, rewrite what leaks, emit the set, and scan it again to show what changed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from importlib.metadata import version
from pathlib import Path
from typing import Any

from vsil_audit.audit import Audit, dataset_name, load
from vsil_audit.builders.emission import emit
from vsil_audit.builders.folder import PROVENANCE, BuildFolder, BuildManifest
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.offline.conversion import OfflineConversion
from vsil_audit.builders.summarise import summarise
from vsil_audit.builders.summary import BuildSummary
from vsil_audit.detectors.base import Need
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.store import FeatureStore
from vsil_audit.runs.execute import execute
from vsil_audit.runs.folder import write_atomically
from vsil_audit.runs.plan import ScanOptions, ScanPlan, plan_scan
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.sources.base import SourceOptions

_BEFORE, _AFTER = "scan-before", "scan-after"


@dataclass(frozen=True, slots=True)
class ConvertOptions:
    """`scan`: how the benchmark is scanned before, and the finished set after. `font`: for words that are drawn."""

    scan: ScanOptions = field(default_factory=ScanOptions)
    font: Path | None = None


@dataclass(frozen=True, slots=True)
class Built:
    """A finished build: the set in `path`, its records, and both scans."""

    folder: BuildFolder
    summary: BuildSummary
    before: Audit | None
    after: Audit

    @property
    def path(self) -> Path:
        return self.folder.path


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
    if chosen.scan.limit is None and chosen.scan.ask.targets + chosen.scan.ask.judges:
        raise ConfigurationError("--offline asks no model", "Leave out --offline, or the models.")
    source = load(path, options=source_options)
    folder = BuildFolder(Path(out))
    own = folder.path / PROVENANCE
    plan = plan_scan(source, dataset_name(path, source), replace(chosen.scan, output=own / _BEFORE))
    drawer = Typographic(chosen.font)
    manifest = folder.begin(_manifest(plan, drawer, command))
    run = execute(plan, listener, command)
    with (
        FeatureStore(chosen.scan.cache / "features.sqlite" if chosen.scan.cache else None) as store,
        ImagePipeline(source.root, frozenset({Need.OCR}), store, plan.limits, chosen.scan.workers) as pipeline,
    ):
        conversion = OfflineConversion(plan, run, folder, pipeline, drawer)
        conversion.run(listener)
    emit(folder)
    after = _scan_again(folder, plan, chosen.scan, listener, command)
    summary = summarise(
        folder.records(),
        command="convert",
        name=plan.name,
        before=run.summary(),
        after=after.summary,
        looked_by=conversion.looked_by,
    )
    write_atomically(own / "summary.json", summary.model_dump_json(indent=2).encode())
    folder.write_manifest(manifest.model_copy(update={"state": "complete", "finished": _now()}))
    return Built(folder, summary, Audit(run), after)


def _manifest(plan: ScanPlan, drawer: Typographic, command: str) -> BuildManifest:
    settings: Mapping[str, Any] = {
        "offline": True,
        "view": plan.source.view,
        "drawer": drawer.identity,
        "detectors": plan.config.detector_versions,
        "limit": plan.options.limit,
        "sample": plan.options.sample,
        "seed": plan.options.seed,
    }
    return BuildManifest(
        command="convert",
        name=plan.name,
        tool_version=version("vsil-audit"),
        command_line=command,
        started=_now(),
        fingerprint=plan.fingerprint.content,
        settings=dict(settings),
    )


def _scan_again(folder: BuildFolder, plan: ScanPlan, options: ScanOptions, progress: Progress, command: str) -> Audit:
    """The finished set through the detectors that looked before."""
    source = load(folder.path, options=SourceOptions(layout="vlsbench"))
    names = tuple(detector.spec.name for detector in plan.detectors)
    again = replace(
        options,
        output=folder.path / PROVENANCE / _AFTER,
        detectors=names,
        skip=(),
        limit=None,
        sample=None,
        overwrite=True,
    )
    return Audit(execute(plan_scan(source, f"{plan.name}, converted", again), progress, command))


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
