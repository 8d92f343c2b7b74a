"""vsil-audit calibrate"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vsil_audit.audit import Audit
    from vsil_audit.calibration.draws import Drawn


@click.command("calibrate")
@click.argument("run", type=click.Path(path_type=Path))
@click.option(
    "--labels",
    type=click.Path(dir_okay=False, path_type=Path),
    multiple=True,
    help="People's labels: CSV, TSV, JSON Lines …; may be repeated.",
)
@click.option(
    "--sample/--elsewhere",
    default=None,
    help="The labelled items are a random part of the set, or they are not. Default: those that --draw drew are.",
)
@click.option("--draw", type=click.IntRange(min=1), metavar="N", help="Draw N pairs to label, at random.")
@click.option(
    "--of",
    "drawn_of",
    type=click.Choice(["pairs", "responses"]),
    default="pairs",
    show_default=True,
    help="What to draw: pairs, or answers of target models.",
)
@click.option("--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="The .csv file to fill in.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draw.")
@click.option("--quiet", "-q", is_flag=True, help="Print no table; warnings are still told.")
def command(
    run: Path,
    labels: tuple[Path, ...],
    sample: bool | None,
    draw: int | None,
    drawn_of: str,
    output: Path | None,
    seed: int,
    quiet: bool,
) -> None:
    """How far can the judges of RUN be believed? Set people's labels beside what they said.

    Gives each judge's sensitivity, specificity and kappa, and the rates of the run corrected for the judge's errors;
    they are kept in the run folder, and its reports show them. Labels stand in a table with a column id and any of
    text_harmful, pair_harmful (yes or no), leak (none, implicit, explicit), or response_class (refusal, warning,
    unsafe) with model and condition; with a column annotator, several people may label an item.

    \b
    Examples:
      vsil-audit calibrate my-run --draw 150 --output to-label.csv
      vsil-audit calibrate my-run --labels to-label.csv
    """
    from vsil_audit.audit import Audit
    from vsil_audit.errors import ConfigurationError

    if bool(labels) == (draw is not None):
        raise ConfigurationError(
            "Give either --labels FILE, or --draw N --output FILE.csv.",
            "`vsil-audit calibrate RUN --draw 150 --output to-label.csv` makes a file to fill in.",
        )
    if labels and output is not None:
        raise ConfigurationError("--output goes with --draw; labels are kept in the run folder.", "Leave it out.")
    if draw is not None and sample is not None:
        raise ConfigurationError("What is drawn is drawn at random.", "Give --sample or --elsewhere with --labels.")
    audit = Audit.open(run)
    if draw is None:
        _calibrate(audit, labels, sample, quiet=quiet)
        return
    if output is None:
        raise ConfigurationError("--draw needs a file to write.", "Name it with --output FILE.csv.")
    from vsil_audit.audit import draw_to_label

    _say_drawn(audit, draw_to_label(audit, draw, output, seed=seed, responses=drawn_of == "responses"), run)


def _calibrate(audit: Audit, labels: tuple[Path, ...], sample: bool | None, *, quiet: bool) -> None:
    from rich.console import Console

    from vsil_audit.audit import calibrate
    from vsil_audit.cli.reports import REPORT_FILES, write_report
    from vsil_audit.reporting.calibration_view import calibration_view
    from vsil_audit.reporting.untrusted import one_line

    found = calibrate(audit, labels, sample=sample)
    for form in ("html", "json", "csv"):
        write_report(audit, form)
    if not quiet:
        Console().print(calibration_view(found, audit.summary))
        click.echo(f"\nKept in {audit.path}; {REPORT_FILES['html']} shows it.")
        return
    for warning in found.warnings:
        click.echo(one_line(warning), err=True)
    for unused in found.unused:
        click.echo(f"not used: {unused.tells}: {unused.count:,}", err=True)


def _say_drawn(audit: Audit, drawn: Drawn, run: Path) -> None:
    """What to do with the file, and how wide the intervals will be."""
    from vsil_audit.calibration.precision import half_width, labels_for

    what = "answers" if drawn.responses else "pairs"
    click.echo(f"Drew {drawn.count:,} of {drawn.of:,} {what} at random: {drawn.file}")
    click.echo(f"Images are named as in {audit.folder.manifest().dataset_path}")
    click.echo(f"Fill in {', '.join(drawn.columns)}, then: vsil-audit calibrate {run} --labels {drawn.file}")
    click.echo(f"Shares will be known within about ±{100 * half_width(drawn.count):.0f} points, or better.")
    if drawn.harmful is not None:
        n = round(drawn.count * drawn.harmful)
        click.echo(f"V, of the {n:,} or so that are harmful, within about ±{100 * half_width(n):.0f} points.")
    needed = ", ".join(f"±{points}: {labels_for(points / 100):,}" for points in (10, 5, 3))
    click.echo(f"Labels for other precisions: {needed}. A good judge makes it fewer.")
