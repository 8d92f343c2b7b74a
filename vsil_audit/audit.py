"""The Python API: load, inspect, plan, scan and compare benchmarks; the command line is a thin layer over it."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from vsil_audit.errors import ConfigurationError
from vsil_audit.runs.execute import execute, read_pairs
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanOptions, plan_scan
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.runs.reading import count_pairs
from vsil_audit.runs.summary import Summary
from vsil_audit.runs.wholeness import check_whole
from vsil_audit.sources.base import ColumnMapping, Source, SourceOptions
from vsil_audit.sources.registry import open_source

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from vsil_audit.reporting.compare import Comparison
    from vsil_audit.runs.costing import CostPlan

_COUNT_TABLES_UP_TO = 64 << 20


@dataclass(frozen=True, slots=True)
class Audit:
    """A finished scan. Everything is read from its run folder when asked for."""

    folder: RunFolder

    @classmethod
    def open(cls, path: str | Path) -> Audit:
        """The audit in an existing run folder. Raises RunFolderError when there is none, unfinished or damaged."""
        folder = RunFolder(Path(path))
        check_whole(folder)
        return cls(folder)

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def summary(self) -> Summary:
        """All numbers of the report, typed."""
        return self.folder.summary()

    @property
    def findings(self) -> pa.Table:
        """All findings as an Arrow table: detector, pair_id (null for the whole set), outcome, value, reason,
        reason_detail, verdict, kind, evidence and details (both JSON text)."""
        return self.folder.findings_table()

    def to_pandas(self) -> pd.DataFrame:
        """The findings as a pandas frame. Needs pandas."""
        return self.findings.to_pandas()

    def write_html(self, path: str | Path | None = None) -> Path:
        """Write the one-file HTML report; by default `report.html` in the run folder. Returns where it is."""
        from vsil_audit.reporting.html import render_html
        from vsil_audit.runs.folder import write_atomically

        target = Path(path) if path is not None else self.path / "report.html"
        write_atomically(target, render_html(self.folder).encode("utf-8", "replace"))
        return target


def load(path: str | Path, *, options: SourceOptions | None = None, **columns: str) -> Source:
    """Open the benchmark at `path` as a stream of pairs; its layout is recognised.

    `columns` name roles of `ColumnMapping` (`text="question"`). Raises DatasetError, with a remedy, when it is not
    clear how to read it.
    """
    chosen = options or SourceOptions()
    if columns:
        chosen = replace(chosen, columns=_with_columns(chosen.columns, columns))
    return open_source(_as_path(path), chosen)


def scan(
    path: str | Path,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    view: str | None = None,
    output: str | Path | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Audit:
    """Scan the benchmark at `path` with every detector that is ready here, and return the finished audit.

    `view` and `output` are shorthands for those fields of the options. A call with equal data and options continues an
    interrupted run, or returns the complete one. Raises VsilAuditError of some kind, each with a remedy.
    """
    reading = source_options or SourceOptions()
    if view is not None:
        reading = replace(reading, view=view)
    chosen = options or ScanOptions()
    if output is not None:
        chosen = replace(chosen, output=Path(output))
    source = load(path, options=reading)
    plan = plan_scan(source, dataset_name(path, source), chosen)
    plan = replace(plan, view_counts=count_views(path, source, reading))
    folder = execute(plan, progress or Silent(), command)
    check_whole(folder)  # it may have been complete before, and is then shown as it is
    return Audit(folder)


def scan_views(
    path: str | Path,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> list[Audit]:
    """Scan every view of the benchmark, the usual one first, each in a run folder of its own."""
    reading = replace(source_options or SourceOptions(), view=None)
    chosen = options or ScanOptions()
    source = load(path, options=reading)
    names = sorted((v.name for v in source.views), key=lambda name: name != source.view) or [source.view]
    return [
        scan(
            path,
            source_options=replace(reading, view=name),
            options=replace(chosen, output=chosen.output / name if chosen.output else None),
            progress=progress,
            command=command,
        )
        for name in names
    ]


def plan(
    path: str | Path,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    view: str | None = None,
    pilot: int = 0,
    progress: Progress | None = None,
) -> CostPlan:
    """What a scan with these options would ask of models, and what that would cost; nothing is spent.

    Reads the benchmark and opens its images. `pilot`: ask about so many pairs after all, so that tokens are learnt from
    answers (which the scan then finds in the cache) instead of guessed.
    """
    from vsil_audit.runs.costing import cost_of

    reading = source_options or SourceOptions()
    if view is not None:
        reading = replace(reading, view=view)
    source = load(path, options=reading)
    listening = progress or Silent()
    with tempfile.TemporaryDirectory(prefix="vsil-audit-plan-") as folder:
        chosen = replace(options or ScanOptions(), output=Path(folder))
        scan_plan = replace(plan_scan(source, dataset_name(path, source), chosen), detectors=())
        read_pairs(scan_plan, RunFolder(Path(folder)), listening)
        return cost_of(scan_plan, RunFolder(Path(folder)), listening, pilot)


def compare(runs: Sequence[str | Path | Audit]) -> Comparison:
    """Two or more finished audits side by side, paired where their pairs' ids match."""
    from vsil_audit.reporting.compare import compare as compare_folders

    if len(runs) < 2:
        raise ConfigurationError("a comparison needs at least two runs", "Name two or more run folders.")
    return compare_folders([run.folder if isinstance(run, Audit) else Audit.open(run).folder for run in runs])


def dataset_name(path: str | Path, source: Source) -> str:
    """What a dataset is called in reports: its file's name, or that of the folder where its layout was found."""
    given = _as_path(path)
    return given.name if given.is_file() else source.root.resolve().name or str(path)


def count_views(path: str | Path, source: Source, reading: SourceOptions) -> dict[str, int]:
    """Pairs in each view. Empty where counting would cost long passes; a view that cannot be opened is left out."""
    if len(source.views) < 2 or sum(t.stat().st_size for t in source.tables()) > _COUNT_TABLES_UP_TO:
        return {}
    return {v.name: count_pairs(load(path, options=replace(reading, view=v.name))) for v in source.views}


def _with_columns(mapping: ColumnMapping, columns: dict[str, str]) -> ColumnMapping:
    unknown = set(columns) - (set(ColumnMapping.__dataclass_fields__) - {"reasons"})
    if unknown:
        raise ConfigurationError(f"no such role of a column: {', '.join(sorted(unknown))}")
    return replace(mapping, **columns)  # type: ignore[arg-type]  # every role is a str, checked above


def _as_path(path: str | Path) -> Path:
    return Path(path).expanduser()
