"""The summary of a run on a terminal: readable at 60 columns, at 80 and at 200, with and without colour.

Dataset text reaches the terminal only through `untrusted`, and only as `rich.text.Text`, never as markup.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from vsil_audit.pair import Finding, Scored, Verdict
from vsil_audit.reporting.asked_console import AskedView, spend_table
from vsil_audit.reporting.asked_page import asked_parts
from vsil_audit.reporting.clip_model import clip_model
from vsil_audit.reporting.console_layout import bullet, heading, indented, table
from vsil_audit.reporting.evaluation_console import EvaluationView
from vsil_audit.reporting.evidence import strongest_evidence
from vsil_audit.reporting.lenses import LENS_TELLS, lens_metrics, metrics_beside_lenses
from vsil_audit.reporting.numbers import number, p_value
from vsil_audit.reporting.pair_reports import PairReport, find_pairs
from vsil_audit.reporting.standing import Standing, standing
from vsil_audit.reporting.untrusted import fold, one_line
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import DetectorRun, LensSummary, Summary
from vsil_audit.wording import plural

TOP_PAIRS = 10
TOP_CATEGORIES = 8
TOP_ISSUES = 12
WIDE = 110

VERDICT_STYLE = {
    Verdict.LEAK: "bold red",
    Verdict.SUSPECTED: "yellow",
    Verdict.PREDICTED: "magenta",
    Verdict.ISSUE: "cyan",
    Verdict.CLEAR: "green",
    Verdict.NONE: "dim",
}
_NO_MODELS = Standing()
REPORT_FILES = ("report.html", "report.json", "pairs.csv", "junit.xml", "summary.json")


def summary_view(run: RunFolder) -> SummaryView:
    """What a terminal shows of a finished run. Raises RunFolderError when the run is not complete."""
    summary = run.summary()
    who = standing(summary)
    parts = asked_parts(summary, summary.asked, who) if summary.asked else ()
    return SummaryView(
        summary=summary,
        manifest=run.manifest(),
        suspicious=tuple(find_pairs(run, summary.suspicious[:TOP_PAIRS])),
        folder=str(run.path),
        files=tuple(name for name in REPORT_FILES if (run.path / name).is_file()),
        asked=AskedView(summary.asked, parts, who) if summary.asked else None,
        evaluated=EvaluationView(summary.evaluation, who) if summary.evaluation else None,
    )


@dataclass(frozen=True, slots=True)
class SummaryView:
    """A rich renderable; print it with any rich console."""

    summary: Summary
    manifest: Manifest
    suspicious: tuple[PairReport, ...]
    folder: str
    files: tuple[str, ...]
    asked: AskedView | None = None
    evaluated: EvaluationView | None = None

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = options.max_width
        yield from _scanned(self.summary, self.manifest)
        yield from _warnings(self.summary)
        if self.evaluated is not None:
            yield from _evaluated(self.evaluated, width)
            yield from _not_run(self.summary)
            yield from _files(self.folder, self.files)
            return
        yield from _lenses(self.summary, width, self.asked)
        yield from _other_metrics(self.summary, width)
        yield from _categories(self.summary, width)
        yield from _suspicious(self.suspicious, width, self.asked.who if self.asked else _NO_MODELS)
        yield from _issues(self.summary, width)
        yield from _detectors(self.summary, width, self.asked.who if self.asked else _NO_MODELS)
        yield from _not_run(self.summary)
        if self.asked is not None:
            yield from _spend(self.asked, width)
        yield from _files(self.folder, self.files)


def _scanned(summary: Summary, manifest: Manifest) -> Iterator[RenderableType]:
    data = summary.dataset
    title = Text(fold(data.name, 60), style="bold")
    done = "audited" if summary.evaluation is None else "models evaluated"
    title.append(f"  {done} by vsil-audit {one_line(manifest.tool_version)}", style="dim")
    yield title
    reading = Text(f"layout {one_line(data.layout)}")
    if data.view:
        tells = next((tells for name, tells, _ in data.views if name == data.view), "")
        official = any(name == data.view and official for name, _, official in data.views)
        reading.append(f", view {one_line(data.view)}" + (" (official)" if official else ""))
        reading.append(f": {fold(tells, 100)}" if tells else "", style="dim")
    yield indented(reading)
    yield indented(Text(", ".join(_counts(summary))))
    for line in _more_about_the_set(summary):
        yield indented(Text(line, style="dim"))
    if clip := clip_model(manifest.config):
        yield indented(Text(f"CLIP model: {clip}", style="dim"))


def _counts(summary: Summary) -> list[str]:
    data = summary.dataset
    counts = [plural(data.pairs, "pair")]
    counts += [plural(data.texts, "distinct text")] if data.texts else []
    counts += [plural(data.images, "distinct image")] if data.images or data.image_refs else ["no images"]
    counts += [plural(data.categories, "category", "categories")] if data.categories else []
    return counts


def _more_about_the_set(summary: Summary) -> Iterator[str]:
    data = summary.dataset
    if data.limited_to:
        yield f"only a part of the set: {one_line(data.limited_to)}"
    if data.image_errors:
        kinds = ", ".join(f"{one_line(kind)} {n:,}" for kind, n in sorted(data.image_errors.items()))
        yield f"images that could not be used: {kinds}"
    if data.pairs_without_image:
        yield f"{plural(data.pairs_without_image, 'pair')} without an image"
    if data.rows_unreadable:
        yield f"{plural(data.rows_unreadable, 'row')} made no pair (see the problems below)"
    if data.labels:
        yield "labels: " + ", ".join(f"{fold(label, 30)} {n:,}" for label, n in sorted(data.labels.items()))
    others = {name: n for name, n in data.view_counts.items() if name != data.view}
    if others:
        named = ", ".join(f"{fold(name, 40)} {n:,}" for name, n in others.items())
        yield f"other views: {named} (--view NAME, or --view all)"


def _warnings(summary: Summary) -> Iterator[RenderableType]:
    if summary.warnings:
        yield heading("Before quoting a number")
        for warning in summary.warnings:
            yield bullet(Text(one_line(warning), style="yellow"), "!")


def _lenses(summary: Summary, width: int, asked: AskedView | None) -> Iterator[RenderableType]:
    who = asked.who if asked else _NO_MODELS
    for lens in summary.lenses:
        yield heading(f"{lens.lens.capitalize()} lens" if lens.lens != "predicted" else "Predicted", _lens_note(lens))
        says = Text(one_line(lens.says), style="" if lens.available else "dim")
        yield indented(says)
        yield from _metrics(lens_metrics(summary, lens, who), width, who)
        for block in asked.of_lens(lens.lens) if asked else ():
            yield indented(block)
    agreement = list(asked.of_lenses()) if asked else []
    if agreement:
        yield heading("Do the lenses agree?", "kappa: 1 always, 0 no more than by chance")
        yield from map(bullet, agreement)


def _lens_note(lens: LensSummary) -> str:
    return LENS_TELLS.get(lens.lens, "") if lens.available else "not measured in this run"


def _other_metrics(summary: Summary, width: int) -> Iterator[RenderableType]:
    """Numbers that stand under no lens: topic, hygiene and the like."""
    shown = metrics_beside_lenses(summary)
    if shown:
        yield heading("Beside the lenses")
        yield from _metrics(shown, width)


def _metrics(metrics: list[Metric], width: int, who: Standing = _NO_MODELS) -> Iterator[RenderableType]:
    if not metrics:
        return
    if width < WIDE:
        for metric in metrics:
            yield indented(_stacked_metric(metric, who.caveat(metric)))
        return
    grid = table(
        "number", "value", "k/n", "coverage", "95 % interval", "chance", "nature", "what it is",
        right=("value", "k/n", "coverage", "95 % interval", "chance"), fold_column="what it is",
    )  # fmt: skip
    for metric in metrics:
        parts = number(metric)
        tells = Text(one_line(metric.tells))
        if metric.note:
            tells.append(f" ({one_line(metric.note)})", style="dim")
        grid.add_row(
            Text(one_line(metric.name), no_wrap=True), Text(parts.value, style="bold"), parts.counts,
            parts.coverage.removeprefix("coverage "), Text(parts.interval), parts.chance.removeprefix("chance "),
            f"{parts.nature} {who.caveat(metric)}".rstrip(), tells,
        )  # fmt: skip
    yield indented(grid)


def _stacked_metric(metric: Metric, caveat: str) -> RenderableType:
    parts = number(metric)
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    first = Text(one_line(metric.name), style="bold")
    first.append(f"  {one_line(metric.tells)}", style="dim")
    line = Text(parts.line() if metric.value is not None or not metric.note else one_line(metric.note))
    if metric.value is not None:
        line.stylize("bold", 0, len(parts.value))
        line.append(f" {caveat}" if caveat else "", style="bold yellow")
        line.append(f" ({one_line(metric.note)})" if metric.note else "", style="dim")
    grid.add_row("·", first)
    grid.add_row("", line)
    return grid


def _categories(summary: Summary, width: int) -> Iterator[RenderableType]:
    rows = [(row, row.metrics[0]) for row in summary.categories if row.metrics and row.metrics[0].value is not None]
    if not rows:
        return
    rows.sort(key=lambda item: (-(item[1].value or 0.0), -item[0].pairs, item[0].category))
    note = f"of {len(rows)}" if len(rows) > TOP_CATEGORIES else ""
    yield heading("Worst categories", f"{note} {rows[0][1].name}".strip())
    narrow = width < 76
    columns = ["category", "rate", "k/n"] + ([] if narrow else ["coverage"]) + ["95 % interval"]
    columns += [] if narrow else ["adjusted"]
    grid = table(*columns, right=tuple(columns[1:]))
    for row, metric in rows[:TOP_CATEGORIES]:
        parts = number(metric)
        cells: list[str | Text] = [
            Text(fold(row.category, 60 if width >= WIDE else 28)),
            Text(parts.value, style="bold"),
            parts.counts,
        ]
        cells += [] if narrow else [parts.coverage.removeprefix("coverage ")]
        cells += [Text(parts.interval)]
        cells += [] if narrow else ["" if row.p_adjusted is None else p_value(row.p_adjusted)]
        grid.add_row(*cells)
    yield indented(grid)


def _suspicious(reports: tuple[PairReport, ...], width: int, who: Standing) -> Iterator[RenderableType]:
    if not reports:
        return
    yield heading("Most suspicious pairs", "texts are folded")
    grid = Table.grid(padding=(0, 1))
    grid.add_column(justify="right", no_wrap=True, style="dim")
    grid.add_column(overflow="fold", ratio=1)
    room = max(width - 8, 30)
    for rank, report in enumerate(reports, start=1):
        grid.add_row(f"{rank}", _pair_block(report, room, who))
    yield indented(grid)


def _pair_block(report: PairReport, room: int, who: Standing) -> Text:
    block = Text(fold(report.pair.id, max(room // 2, 24)), style="bold")
    if report.pair.category:
        block.append(f"  {fold(report.pair.category, 40)}", style="not bold dim")
    block.append(f"\n“{fold(report.pair.text, 2 * room - 12 if room < 100 else 180)}”", style="not bold")
    for finding in report.flagged():
        block.append("\n")
        block.append(finding.verdict.value, style=f"not bold {VERDICT_STYLE[finding.verdict]}")
        block.append(f" {one_line(finding.detector)}{_value(finding)}", style="not bold")
        block.append(" (judge not believed)" if who.doubt(finding.detector) else "", style="not bold red")
        kind = one_line(finding.kind).replace("_", " ")
        block.append(f"  {kind}" if kind else "", style="not bold dim")
        said = strongest_evidence(report.pair.text, finding)
        block.append(f": {said}" if said else "", style="not bold")
    return block


def _value(finding: Finding) -> str:
    if finding.verdict is Verdict.ISSUE or not isinstance(finding.outcome, Scored):
        return ""
    return f" {finding.outcome.value:.2f}"


def _issues(summary: Summary, width: int) -> Iterator[RenderableType]:
    if not summary.issues:
        return
    yield heading("Problems in the set")
    narrow = width < 70
    columns = ("problem", "count", "where") if narrow else ("problem", "count", "pairs", "where", "what to do")
    grid = table(*columns, right=("count", "pairs"), fold_column=columns[-1])
    for row in summary.issues[:TOP_ISSUES]:
        where = Text(fold(row.examples[0], 60 if width >= WIDE else 36) if row.examples else "")
        kind = Text(one_line(row.kind).replace("_", " "))
        count, pairs = f"{row.count:,}", f"{row.pairs:,}"
        if narrow:
            grid.add_row(kind, count, where)
        else:
            grid.add_row(kind, count, pairs, where, Text(fold(row.remedy or row.tells, 120), style="dim"))
    yield indented(grid)
    rest = len(summary.issues) - TOP_ISSUES
    if rest > 0:
        yield indented(Text(f"and {plural(rest, 'more kind')} in the report", style="dim"))


def _detectors(summary: Summary, width: int, who: Standing) -> Iterator[RenderableType]:
    ran = [d for d in summary.detectors if d.state == "done"]
    if not ran:
        return
    yield heading("Detectors", "failed and abstained pairs are in no rate")
    columns = ["detector", "scored", "abstained", "failed", "flagged"] + (["why not"] if width >= 76 else [])
    grid = table(*columns, right=("scored", "abstained", "failed", "flagged"), fold_column="why not")
    for d in ran:
        failed = Text(f"{d.failed:,}", style="red" if d.failed else "")
        doubted = "judge not believed" if who.doubt(d.name) else who.doubted_judges(d.name)
        why = "; ".join(part for part in (doubted, _why_not(d)) if part)
        cells: list[str | Text] = [
            Text(one_line(d.name)),
            f"{d.scored:,}",
            f"{d.abstained:,}",
            failed,
            Text(f"{d.flagged:,}", style="strike" if who.doubt(d.name) else ""),
        ]
        grid.add_row(*cells, *([Text(why, style="dim")] if width >= 76 else []))
    yield indented(grid)


def _why_not(detector: DetectorRun) -> str:
    reasons = {**detector.failure_kinds, **detector.abstain_reasons}
    worst = sorted(reasons.items(), key=lambda item: -item[1])[:3]
    return ", ".join(f"{fold(reason, 60).replace('_', ' ')} {n:,}" for reason, n in worst)


def _not_run(summary: Summary) -> Iterator[RenderableType]:
    missing = [d for d in summary.detectors if d.state != "done"]
    if not missing:
        return
    yield heading("Not run here")
    for d in missing:
        line = Text(one_line(d.name), style="bold")
        line.append(f" {one_line(d.reason) or d.state}", style="not bold")
        if d.remedy:
            line.append("\n")
            line.append(one_line(d.remedy), style="not bold cyan")
        yield bullet(line)


def _evaluated(view: EvaluationView, width: int) -> Iterator[RenderableType]:
    for part in view.parts_of(width):
        yield heading(part.title, part.note)
        yield from map(bullet if part.bullets else indented, part.lines)
    yield from _cost(spend_table(view.found.spend, view.who, width))


def _spend(asked: AskedView, width: int) -> Iterator[RenderableType]:
    yield from _cost(spend_table(asked.asked.spend, asked.who, width))


def _cost(table: Iterator[RenderableType]) -> Iterator[RenderableType]:
    rows = list(table)
    if rows:
        yield heading("What it cost", "over all sessions of the run")
        yield from map(indented, rows)


def _files(folder: str, files: tuple[str, ...]) -> Iterator[RenderableType]:
    yield heading("Files")
    yield indented(Text(one_line(folder), overflow="fold", no_wrap=False))
    if files:
        yield indented(Text(", ".join(files), style="dim"))
