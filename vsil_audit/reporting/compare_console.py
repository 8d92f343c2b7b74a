"""A comparison of runs on a terminal."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from vsil_audit.reporting.compare import ComparedMetric, Comparison, Difference
from vsil_audit.reporting.console_layout import heading, indented, table
from vsil_audit.reporting.numbers import number, p_value, signed_share
from vsil_audit.reporting.untrusted import fold, one_line
from vsil_audit.wording import plural


@dataclass(frozen=True, slots=True)
class ComparisonView:
    """A rich renderable; print it with any rich console."""

    comparison: Comparison

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        seen = self.comparison
        yield heading("Comparison", f"{len(seen.runs)} runs; differences are from the first")
        yield indented(_runs(seen))
        for i, found in enumerate(seen.matches, start=2):
            said = f"{plural(found.matched, 'pair')} matched" if found.paired else "not paired"
            rest = f"{found.only_first:,} only in run 1, {found.only_other:,} only in run {i}"
            yield indented(Text(f"run {i}: {said} ({one_line(found.why)}); {rest}", style="dim"))
        for warning in seen.warnings:
            yield indented(Text(f"! {one_line(warning)}", style="yellow"))
        yield heading("Rates", "k/n (coverage) [95 % interval]")
        for metric in _shown(seen):
            yield indented(_metric(seen, metric))


def _shown(seen: Comparison) -> list[ComparedMetric]:
    return [m for m in seen.metrics if not m.name.endswith(".mean")]


def _runs(seen: Comparison) -> Table:
    grid = table("run", "label", "dataset", "view", "pairs", right=("run", "pairs"))
    for i, run in enumerate(seen.runs, start=1):
        name = Text(fold(run.name, 40))
        grid.add_row(f"{i}", Text(fold(run.label, 32), style="bold"), name, Text(fold(run.view, 28)), f"{run.pairs:,}")
    return grid


def _metric(seen: Comparison, metric: ComparedMetric) -> Table:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    title = Text(one_line(metric.name), style="bold")
    title.append(f"  {one_line(metric.tells)}", style="not bold dim")
    grid.add_row("·", title)
    for run, found, caveat in zip(seen.runs, metric.metrics, metric.caveats, strict=True):
        line = Text(f"{fold(run.label, 24)}  ", style="dim")
        line.append(number(found).line() if found else "not in this run", style="not dim")
        line.append(f" {caveat}" if caveat else "", style="not dim bold yellow")
        grid.add_row("", line)
    for difference in metric.differences:
        grid.add_row("", difference_line(seen, difference))
    return grid


def difference_line(seen: Comparison, difference: Difference) -> Text:
    """`+12.0 % [+8.1 %, +15.9 %] on 200 matched pairs; 30 only in B, 6 only in A; p < 0.001`."""
    first, other = fold(seen.runs[0].label, 24), fold(seen.runs[difference.run].label, 24)
    line = Text(f"{other} − {first}  ", style="dim")
    if difference.value is None or difference.low is None or difference.high is None:
        line.append("nothing scored in both", style="not dim")
        return line
    line.append(signed_share(difference.value), style="not dim bold")
    line.append(f" [{signed_share(difference.low)}, {signed_share(difference.high)}]", style="not dim")
    if not difference.paired:
        line.append(" unpaired")
        return line
    line.append(f" on {plural(difference.matched, 'matched pair')}; ")
    line.append(f"flagged only in {other} {difference.only_other:,}, only in {first} {difference.only_first:,}")
    if difference.p is not None:
        line.append(f"; McNemar {p_value(difference.p)}")
    if difference.p_adjusted is not None:
        line.append(f", adjusted {p_value(difference.p_adjusted)}")
    return line
