"""How a run ends at the command line: its reports, what is printed, and the exit code."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsil_audit.cli.place_type import PlaceType
from vsil_audit.cli.run_options import run_option
from vsil_audit.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from vsil_audit.audit import Audit
    from vsil_audit.runs.thresholds import Threshold, Verdict

F = TypeVar("F", bound=Callable[..., Any])


def ending_options(fails_on: str) -> Callable[[F], F]:
    """Add --output, --overwrite, --fail-on, --min-coverage, --junit and --quiet. `fails_on`: an example."""

    def add(command: F) -> F:
        for option in reversed(_options(fails_on)):
            command = option(command)
        return command

    return add


def _options(fails_on: str) -> list[Callable[[F], F]]:
    return [
        run_option(
            "--output",
            "-o",
            type=PlaceType(file_okay=False),
            metavar="FOLDER",
            help="Run folder to write; s3://, gs:// and the like, too.",
        ),
        run_option("--overwrite", is_flag=True, help="Replace another run in that folder."),
        run_option("--fail-on", multiple=True, metavar="COND", help=f"Exit 1 when it holds, e.g. '{fails_on}'."),
        run_option(
            "--min-coverage",
            type=click.FloatRange(0, 1),
            default=0.5,
            show_default=True,
            help="Exit 3 when what was measured covers a smaller share of the pairs.",
        ),
        run_option("--junit", is_flag=True, help="Also write junit.xml into the run folder."),
        run_option("--quiet", "-q", is_flag=True, help="No progress and no summary; only errors."),
    ]


class Ending:
    """What the user sees of finished runs, and the exit code they make."""

    @classmethod
    def taken_from(cls, given: dict[str, Any]) -> Ending:
        """By the options of `ending_options`, which it takes out of a command's arguments; --output and --overwrite are
        the run's."""
        from vsil_audit.runs.thresholds import parse_threshold

        thresholds = [parse_threshold(text) for text in given.pop("fail_on")]
        return cls(given.pop("quiet"), given.pop("junit"), given.pop("min_coverage"), thresholds)

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
