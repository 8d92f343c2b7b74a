"""vsil-audit scan"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsil_audit.cli.asking_options import asking, asking_options
from vsil_audit.cli.reading_options import reading_options, source_options
from vsil_audit.cli.run_options import run_option, run_options
from vsil_audit.cli.sections import SectionedCommand
from vsil_audit.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from vsil_audit.audit import Audit
    from vsil_audit.runs.plan import ScanOptions
    from vsil_audit.runs.thresholds import Threshold, Verdict
    from vsil_audit.sources.base import SourceOptions


@click.command("scan", cls=SectionedCommand)
@click.argument("path")
@reading_options
@asking_options
@run_options
@run_option(
    "--output", "-o", type=click.Path(file_okay=False, path_type=Path), metavar="FOLDER", help="Run folder to write."
)
@run_option("--overwrite", is_flag=True, help="Replace another run in that folder.")
@run_option("--fail-on", multiple=True, metavar="COND", help="Exit 1 when it holds, e.g. 'suspected_rate>0.2'.")
@run_option(
    "--min-coverage",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Exit 3 when what was measured covers a smaller share of the pairs.",
)
@run_option(
    "--embedding-model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a sentence-transformers model, for similarity in description_overlap (extra [text]).",
)
@run_option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
@run_option("--junit", is_flag=True, help="Also write junit.xml into the run folder.")
@run_option("--quiet", "-q", is_flag=True, help="No progress and no summary; only errors.")
def command(path: str, **given: Any) -> int:
    """Scan the benchmark at PATH (a folder, a table, a hub id) with every detector that is ready here.

    Writes a run folder with all findings, report.html, report.json and pairs.csv, and prints a summary. Running the
    same command again continues an interrupted scan.

    \b
    Examples:
      vsil-audit scan mmsafetybench/
      vsil-audit scan figstep/ --view question
      vsil-audit scan hades/ --view all
      vsil-audit scan data.csv --text-column prompt --image-column file
      vsil-audit scan vlsbench/ --judges openai/gpt-4o-mini --targets ollama/llava --max-cost 5
      vsil-audit scan vlsbench/ --sample 500 --seed 1 --fail-on 'suspected_rate>0.2'
    """
    from vsil_audit.runs.thresholds import parse_threshold

    thresholds = [parse_threshold(text) for text in given.pop("fail_on")]
    reading = source_options(given)
    shown = _Shown(given.pop("quiet"), given.pop("junit"), given.pop("min_coverage"), thresholds)
    sure = given.pop("yes")
    options = _scan_options(given, reading)
    if not sure:
        _agree(path, reading, options)
    audits = _run(path, reading, options, quiet=shown.quiet)
    return shown.show(audits)


def _scan_options(given: dict[str, Any], reading: SourceOptions) -> ScanOptions:
    from vsil_audit.runs.plan import ScanOptions

    ask, gateway = asking(given)
    given = {name: value for name, value in given.items() if value is not None}
    return replace(ScanOptions(), allow_remote=reading.allow_remote, ask=ask, gateway=gateway, **given)


def _agree(path: str, reading: SourceOptions, options: ScanOptions) -> None:
    """Before money is spent: show how much, and ask. Raises ConfigurationError when the answer is no, or cannot be."""
    from vsil_audit.gateway.opening import is_billed

    asked = (*options.ask.targets, *options.ask.judges, *options.ask.response_judges)
    if not any(is_billed(model, options.gateway.for_model(model)["base_url"]) for model in asked):
        return
    from rich.console import Console

    from vsil_audit.audit import plan, plan_views
    from vsil_audit.cli.progress import progress_on
    from vsil_audit.reporting.plan_view import plan_view

    console = Console(stderr=True)
    with progress_on(console, quiet=False) as progress:
        planned = plan_views if reading.view == "all" else plan
        costs = planned(path, source_options=reading, options=options, progress=progress)
    if not costs.costs_money:
        return
    console.print(plan_view(costs))
    if not sys.stdin.isatty():
        raise ConfigurationError("this scan costs money, and nobody is there to agree", "Give --yes to go on.")
    if not click.confirm("Go on?", err=True):
        raise ConfigurationError("nothing was asked, and nothing spent", "--max-cost and --max-calls set a limit.")


def _run(path: str, reading: SourceOptions, options: ScanOptions, *, quiet: bool) -> list[Audit]:
    from rich.console import Console

    from vsil_audit.audit import scan, scan_views
    from vsil_audit.cli.progress import progress_on

    line = shlex.join(["vsil-audit", *sys.argv[1:]])
    with progress_on(Console(stderr=True), quiet=quiet) as progress:
        if reading.view == "all":
            return scan_views(path, source_options=reading, options=options, progress=progress, command=line)
        return [scan(path, source_options=reading, options=options, progress=progress, command=line)]


class _Shown:
    """What the user sees of finished scans, and the exit code they make."""

    def __init__(self, quiet: bool, junit: bool, min_coverage: float, thresholds: list[Threshold]) -> None:
        self.quiet = quiet
        self._junit = junit
        self._min_coverage = min_coverage
        self._thresholds = thresholds

    def show(self, audits: list[Audit]) -> int:
        from rich.console import Console

        from vsil_audit.cli.reports import write_reports

        console = Console()
        codes = []
        for audit in audits:
            verdicts = self._verdicts(audit)
            write_reports(audit, junit=self._junit, verdicts=verdicts)
            codes.append(self._exit_code(audit, verdicts))
            if not self.quiet:
                self._print(console, audit)
            self._explain(audit, verdicts)
        if len(audits) > 1 and not self.quiet:
            self._compare(console, audits)
        return max(codes, key=_SEVERITY.index)

    def _verdicts(self, audit: Audit) -> list[Verdict]:
        from vsil_audit.runs.thresholds import check

        return check(audit.summary, self._thresholds, self._min_coverage)

    @staticmethod
    def _print(console: Console, audit: Audit) -> None:
        from vsil_audit.reporting.console import summary_view

        console.print(summary_view(audit.folder))

    @staticmethod
    def _compare(console: Console, audits: list[Audit]) -> None:
        from vsil_audit.audit import compare
        from vsil_audit.reporting.compare import comparison_view

        console.print(comparison_view(compare(audits)))

    def _exit_code(self, audit: Audit, verdicts: list[Verdict]) -> ExitCode:
        from vsil_audit.runs.thresholds import Outcome

        outcomes = {verdict.outcome for verdict in verdicts}
        if Outcome.CROSSED in outcomes:
            return ExitCode.THRESHOLD_CROSSED
        if Outcome.INCONCLUSIVE in outcomes or self._inconclusive(audit):
            return ExitCode.INCONCLUSIVE
        return ExitCode.OK

    def _inconclusive(self, audit: Audit) -> list[str]:
        from vsil_audit.runs.conclusive import why_inconclusive

        return why_inconclusive(audit.summary, self._min_coverage)

    def _explain(self, audit: Audit, verdicts: list[Verdict]) -> None:
        """Thresholds and lack of coverage decide the exit code, so they are told even when quiet."""
        for verdict in verdicts:
            click.echo(f"--fail-on {verdict.threshold}: {verdict.outcome.value}. {verdict.reason}", err=True)
        for why in self._inconclusive(audit):
            click.echo(f"Inconclusive: {why}.", err=True)


_SEVERITY = [ExitCode.OK, ExitCode.INCONCLUSIVE, ExitCode.THRESHOLD_CROSSED]
