"""The Python API: load, inspect, plan, scan, evaluate, compare benchmarks; the command line is a thin layer over it."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from vsil_audit.errors import AmbiguousQueryError, ConfigurationError, DatasetError
from vsil_audit.places.addresses import Place, place
from vsil_audit.places.mirror import shown
from vsil_audit.runs.engine import Here
from vsil_audit.runs.execute import execute
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanOptions, ScanPlan, plan_evaluation, plan_scan
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.runs.reading import count_pairs
from vsil_audit.runs.spending import spent
from vsil_audit.runs.summary import Summary
from vsil_audit.runs.wholeness import check_whole
from vsil_audit.sources.base import ColumnMapping, Source, SourceOptions
from vsil_audit.sources.registry import open_source
from vsil_audit.sources.remote import at_hand

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

    from vsil_audit.calibration.draws import Drawn
    from vsil_audit.calibration.report import Calibration
    from vsil_audit.reporting.compare import Comparison
    from vsil_audit.reporting.leaderboard.report import LeaderboardReport
    from vsil_audit.runs.cost_plan import CostPlan

_COUNT_TABLES_UP_TO = 64 << 20


@dataclass(frozen=True, slots=True)
class Audit:
    """A finished scan. Everything is read from its run folder when asked for."""

    folder: RunFolder

    @classmethod
    def open(cls, path: str | Place) -> Audit:
        """The audit in an existing run folder. Raises RunFolderError when there is none, unfinished or damaged."""
        folder = RunFolder(place(path))
        check_whole(folder)
        return cls(folder)

    @property
    def path(self) -> Place:
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

    def write_html(self, path: str | Place | None = None) -> Place:
        """Write the one-file HTML report; by default `report.html` in the run folder. Returns where it is."""
        from vsil_audit.reporting.html import render_html
        from vsil_audit.runs.folder import write_atomically

        target = place(path) if path is not None else self.path / "report.html"
        write_atomically(target, render_html(self.folder).encode("utf-8", "replace"))
        return target


def load(path: str | Place, *, options: SourceOptions | None = None, **columns: str) -> Source:
    """Open the benchmark at `path` as a stream of pairs; its layout is recognised.

    `columns` name roles of `ColumnMapping` (`text="question"`). Raises DatasetError, with a remedy, when it is not
    clear how to read it.
    """
    chosen = options or SourceOptions()
    if columns:
        chosen = replace(chosen, columns=_with_columns(chosen.columns, columns))
    local = at_hand(place(path)).path
    try:
        return open_source(local, chosen)
    except DatasetError as error:
        address = shown(local)
        if address == str(local):
            raise
        raise DatasetError(*(said.replace(str(local), address) for said in (error.message, error.remedy))) from error


def here(path: str | Place, progress: Progress) -> Path:
    """Where the benchmark can be opened more than once; a remote one is looked at once."""
    found = at_hand(place(path))
    if found.left_out:
        progress.remark(
            f"{found.left_out:,} entries of {path} are left out: links, odd names, large files of no table."
        )
    return found.path


def scan(
    path: str | Place,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    view: str | None = None,
    output: str | Place | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Audit:
    """Scan the benchmark at `path` with every detector that is ready here, and return the finished audit.

    `view` and `output` are shorthands for those fields of the options. A call with equal data and options continues an
    interrupted run, or returns the complete one. Raises VsilAuditError of some kind, each with a remedy.
    """
    return _run(path, plan_scan, source_options, options, view, output, progress, command)


def evaluate(
    path: str | Place,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    view: str | None = None,
    output: str | Place | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> Audit:
    """Evaluate the models `options.ask.targets` on the benchmark at `path`: what they do under each condition.

    The finished run is read, reported and continued as that of a scan; its numbers stand in `summary.evaluation`. Of
    the options, `detectors` and `skip` have no meaning here; `ablations.with_ablations` and `protocol.settled` in
    `detectors.model_evaluation` give those of the paper. Raises VsilAuditError of some kind, each with a remedy.
    """
    return _run(path, plan_evaluation, source_options, options, view, output, progress, command)


Planner: TypeAlias = Callable[[Source, str, ScanOptions], ScanPlan]


def _run(
    path: str | Place,
    planner: Planner,
    source_options: SourceOptions | None,
    options: ScanOptions | None,
    view: str | None,
    output: str | Place | None,
    progress: Progress | None,
    command: str,
) -> Audit:
    reading = _reading(source_options, view)
    chosen = options or ScanOptions()
    if output is not None:
        chosen = replace(chosen, output=place(output))
    path = here(path, progress or Silent())
    source = load(path, options=reading)
    plan = planner(source, dataset_name(path, source), chosen)
    plan = replace(plan, view_counts=count_views(path, source, reading))
    folder = execute(plan, progress or Silent(), command)
    check_whole(folder)  # it may have been complete before, and is then shown as it is
    return Audit(folder)


def _reading(source_options: SourceOptions | None, view: str | None) -> SourceOptions:
    reading = source_options or SourceOptions()
    return replace(reading, view=view) if view is not None else reading


def scan_views(
    path: str | Place,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    progress: Progress | None = None,
    command: str = "",
) -> list[Audit]:
    """Scan every view of the benchmark, the usual one first, each in a run folder of its own, all under one budget."""
    reading = replace(source_options or SourceOptions(), view=None)
    chosen = options or ScanOptions()
    path = here(path, progress or Silent())
    audits: list[Audit] = []
    for name in view_names(path, reading):
        before = sum((spent(audit.folder.manifest().spend) for audit in audits), start=chosen.gateway.spent)
        audits.append(
            scan(
                path,
                source_options=replace(reading, view=name),
                options=replace(
                    chosen,
                    output=chosen.output / name if chosen.output else None,
                    gateway=replace(chosen.gateway, spent=before),
                ),
                progress=progress,
                command=command,
            )
        )
    return audits


def view_names(path: str | Place, reading: SourceOptions) -> list[str]:
    """The names of the benchmark's views, the usual one first; of a table in which several columns could be the query,
    all of these."""
    try:
        source = load(path, options=reading)
    except AmbiguousQueryError as error:
        return list(error.columns)
    return sorted((v.name for v in source.views), key=lambda name: name != source.view) or [source.view]


def plan(
    path: str | Place,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    view: str | None = None,
    pilot: int = 0,
    progress: Progress | None = None,
) -> CostPlan:
    """What a scan with these options would ask of models, and what that would cost; nothing is spent.

    Reads the benchmark and opens its images. `pilot`: ask about so many pairs after all, and the same share of
    the control, so that tokens are learnt from answers (which the scan then finds in the cache) instead of
    guessed.
    """
    reading = _reading(source_options, view)
    return _plan(path, reading, options or ScanOptions(), pilot, progress or Silent(), {})


def plan_evaluating(
    path: str | Place,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    view: str | None = None,
    progress: Progress | None = None,
) -> CostPlan:
    """What `evaluate` with these options would ask of models, and what that would cost; nothing is spent. Classifiers
    of images cost time alone, and are not counted."""
    reading, chosen = _reading(source_options, view), options or ScanOptions()
    return _plan(path, reading, chosen, 0, progress or Silent(), {}, plan_evaluation)


def plan_views(
    path: str | Place,
    *,
    source_options: SourceOptions | None = None,
    options: ScanOptions | None = None,
    pilot: int = 0,
    progress: Progress | None = None,
) -> CostPlan:
    """What `scan_views` would ask and cost, all views together; a question that two of them share is one call."""
    path = here(path, progress or Silent())
    reading = replace(source_options or SourceOptions(), view=None)
    seen: dict[str, set[bytes]] = {}
    planned = (
        _plan(path, replace(reading, view=name), options or ScanOptions(), pilot, progress or Silent(), seen)
        for name in view_names(path, reading)
    )
    return reduce(add, planned)


def _plan(
    path: str | Place,
    reading: SourceOptions,
    options: ScanOptions,
    pilot: int,
    progress: Progress,
    seen: dict[str, set[bytes]],
    planner: Planner = plan_scan,
) -> CostPlan:
    from vsil_audit.runs.costing import cost_of

    path = here(path, progress)
    source = load(path, options=reading)
    with tempfile.TemporaryDirectory(prefix="vsil-audit-plan-") as folder:
        chosen = replace(options, output=Path(folder))
        planned = planner(source, dataset_name(path, source), chosen)
        light = replace(chosen, ask=replace(planned.options.ask, image_classifiers=()))
        planned = replace(planned, detectors=(), options=light)
        Here().read_pairs(planned, RunFolder(Path(folder)), progress)
        return cost_of(planned, RunFolder(Path(folder)), progress, pilot, seen)


def compare(runs: Sequence[str | Place | Audit]) -> Comparison:
    """Two or more finished audits side by side, paired where their pairs' ids match."""
    from vsil_audit.reporting.compare import compare as compare_folders

    if len(runs) < 2:
        raise ConfigurationError("a comparison needs at least two runs", "Name two or more run folders.")
    return compare_folders([_folder(run) for run in runs])


def leaderboard(
    runs: Sequence[str | Place | Audit] = (),
    *,
    group: str | Path | None = None,
    paper: bool = False,
    condition: str = "pair",
    margin: float = 0.05,
) -> LeaderboardReport:
    """Models of finished evaluations under each condition, ranked under `condition`, ranks with their uncertainty.

    `group`: a YAML file that names base, text-aligned and multimodal-aligned checkpoints, to be compared on each set;
    text is called enough where the interval of the difference lies below `margin` (in (0, 1)). `paper`: the VLSBench
    paper's own numbers beside these, never among them. Raises ConfigurationError for a run that is no evaluation.
    """
    from vsil_audit.reporting.leaderboard.report import leaderboard as leaderboard_of

    file = None if group is None else _as_path(group)
    return leaderboard_of([_folder(run) for run in runs], file, paper=paper, condition=condition, margin=margin)


def calibrate(
    run: str | Place | Audit, labels: str | Path | Sequence[str | Path], *, sample: bool | None = None
) -> Calibration:
    """Set people's labels beside what the models of a finished run said: their errors, and the rates corrected.

    `labels` is a table, or several, with a column `id` and any of `text_harmful`, `pair_harmful`, `leak`, or
    `response_class` with `model` and `condition`; `annotator` where several people labelled. `sample`: whether the
    labelled items are a random part of the set; by default those that `draw_to_label` drew are. Kept as
    `calibration.json` and in the summary, in place of a former calibration; report files are not written again.
    Raises DatasetError, with a remedy, where no label can be used, ConfigurationError where no model was asked.
    """
    from vsil_audit.calibration.calibrate import calibrate as calibrate_folder

    files = [labels] if isinstance(labels, (str, Path)) else labels
    return calibrate_folder(_folder(run), [_as_path(file) for file in files], sample=sample)


def draw_to_label(
    run: str | Place | Audit, count: int, output: str | Path, *, seed: int = 0, responses: bool = False
) -> Drawn:
    """Draw `count` pairs of a finished run at random, or of its target models' `responses`, and write them to `output`,
    a new .csv file with empty columns for labels. The draw is recorded in the run folder."""
    from vsil_audit.calibration.draws import draw

    return draw(_folder(run), count, _as_path(output), seed, responses=responses)


def _folder(run: str | Place | Audit) -> RunFolder:
    return run.folder if isinstance(run, Audit) else Audit.open(run).folder


def dataset_name(path: str | Place, source: Source) -> str:
    """What a dataset is called in reports: its file's name, or that of the folder where its layout was found."""
    given = at_hand(place(path)).path
    return given.name if given.is_file() else source.root.resolve().name or str(path)


def count_views(path: str | Place, source: Source, reading: SourceOptions) -> dict[str, int]:
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
