"""A finished build on a terminal: what became of the pairs, gate by gate, and what changed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from rich.console import Group, RenderableType
from rich.text import Text

from vsil_audit.builders.summary import BuildSummary
from vsil_audit.reporting.build_page import FATES
from vsil_audit.reporting.console_layout import bullet, heading, indented, table
from vsil_audit.reporting.numbers import number
from vsil_audit.reporting.untrusted import one_line
from vsil_audit.runs.metric import Metric
from vsil_audit.wording import plural


def build_view(summary: BuildSummary, path: Path) -> RenderableType:
    return Group(*_parts(summary, path))


def _parts(summary: BuildSummary, path: Path) -> Iterator[RenderableType]:
    yield Text(one_line(summary.name), style="bold")
    own = summary.emitted - summary.twins
    beside = f", and {plural(summary.twins, 'benign twin')}" if summary.twins else ""
    yield indented(Text(f"{plural(own, 'pair')} of {summary.pairs:,} in the new set{beside}: {one_line(str(path))}"))
    yield from _fates(summary)
    yield from _gates(summary)
    yield from _shifts(summary)
    yield from _proof(summary)
    if summary.images_drawn:
        looked = summary.images_drawn - summary.words_not_looked_for
        drawn = f"Words drawn into {plural(summary.images_drawn, 'image')}"
        yield bullet(Text(f"{drawn}; OCR reads all of them back in {summary.words_read_back:,} of {looked:,}."))
    for warning in summary.warnings:
        yield bullet(Text(one_line(warning), style="yellow"), "!")


def _fates(summary: BuildSummary) -> Iterator[RenderableType]:
    yield heading("What became of the pairs")
    grid = table("pairs", "", right=("pairs",), fold_column="")
    for fate, tells in FATES.items():
        if summary.fates.get(fate):
            grid.add_row(f"{summary.fates[fate]:,}", f"{fate}: {tells}")
    yield indented(grid)
    for title, counts in (
        ("What stopped pairs", summary.stopped),
        ("Why pairs are unfixed", summary.unfixed_reasons),
        ("Left out of the set, though they passed", summary.left_out),
    ):
        if counts:
            yield heading(title)
            yield from (bullet(Text(f"{count:,}: {one_line(reason)}")) for reason, count in counts.items())


def _gates(summary: BuildSummary) -> Iterator[RenderableType]:
    if not summary.gates:
        return
    yield heading("Gates", "how many drafts each saw, candidates that were given up included")
    counted = ("seen", "passed", "rejected", "undecided")
    grid = table("gate", *counted, "asks", right=counted, fold_column="asks")
    for gate in summary.gates:
        grid.add_row(gate.gate, *(f"{getattr(gate, name):,}" for name in counted), gate.asks)
    yield indented(grid)
    for gate in summary.gates:
        for reason, count in gate.reasons.items():
            yield bullet(Text(f"{gate.gate}, {count:,}: {one_line(reason)}"))


def _shifts(summary: BuildSummary) -> Iterator[RenderableType]:
    if not summary.shifts:
        return
    by = f"by {', '.join(summary.looked_by)}" if summary.looked_by else ""
    beside = f"; all pairs, after, hold {plural(summary.twins, 'benign twin')}" if summary.twins else ""
    yield heading("Before and after", f"{by}{beside}")
    grid = table("number", "before", "after", fold_column="number")
    for shift in summary.shifts:
        before, after = _told(shift.before, shift.before_over), _told(shift.after, shift.after_over)
        grid.add_row(f"{shift.name}: {shift.tells}", before, after)
    yield indented(grid)


def _proof(summary: BuildSummary) -> Iterator[RenderableType]:
    if not summary.proof_note:
        return
    yield heading("Can the text alone tell the label?")
    yield indented(Text(one_line(summary.proof_note)))
    if summary.proof:
        grid = table("number", "value", fold_column="number")
        for metric in summary.proof:
            grid.add_row(one_line(metric.tells), _told(metric))
        yield indented(grid)


def _told(metric: Metric | None, over: str = "") -> str:
    if metric is None:
        return "not measured"
    told = number(metric)
    counts = ", ".join(filter(None, (told.counts, over)))
    return f"{told.value} {told.interval}\n{counts}".strip()
