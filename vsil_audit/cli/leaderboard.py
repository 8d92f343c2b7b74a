"""vsil-audit leaderboard"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from vsil_audit.reporting.leaderboard.report import LeaderboardReport

_FORMATS = ("console", "markdown", "latex", "html", "json")
_BY_SUFFIX = {".md": "markdown", ".tex": "latex", ".html": "html", ".htm": "html", ".json": "json"}
_CONDITIONS = ("pair", "text", "caption", "blank", "swapped", "image")


@click.command("leaderboard")
@click.argument("runs", nargs=-1, type=click.Path(path_type=Path))
@click.option(
    "--group",
    type=click.Path(dir_okay=False, path_type=Path),
    help="YAML that names base, text_aligned and multimodal_aligned checkpoints: is text enough on these sets?",
)
@click.option("--paper", is_flag=True, help="Also show the VLSBench paper's own tables, apart and unranked.")
@click.option(
    "--condition",
    type=click.Choice(_CONDITIONS),
    default="pair",
    show_default=True,
    help="What models are ranked, and checkpoints compared, under.",
)
@click.option(
    "--margin",
    type=click.FloatRange(0, 100, min_open=True, max_open=True),
    default=5.0,
    show_default=True,
    metavar="POINTS",
    help="With --group or --paper: text is enough where images gain less than this.",
)
@click.option(
    "--format",
    "form",
    type=click.Choice(_FORMATS),
    help="[default: by the file's suffix, else console]",
)
@click.option(
    "--output", "-o", type=click.Path(dir_okay=False, path_type=Path), help="Write there, not to the terminal."
)
def command(
    runs: tuple[Path, ...],
    group: Path | None,
    paper: bool,
    condition: str,
    margin: float,
    form: str | None,
    output: Path | None,
) -> None:
    """Rank the models of evaluation RUNs, with intervals and the uncertainty of ranks.

    Runs of one set are matched pair by pair. With --group, checkpoints aligned with text alone stand beside checkpoints
    aligned with images: where the difference is near zero, the set's texts give its risks away. The paper's numbers
    are shown apart from what was measured, and never ranked with it.

    \b
    Examples:
      vsil-audit leaderboard runs/gpt runs/qwen runs/llava
      vsil-audit leaderboard runs/* --condition text --format latex -o table.tex
      vsil-audit leaderboard runs/* --group checkpoints.yaml -o leaderboard.html
      vsil-audit leaderboard --paper
    """
    from vsil_audit.audit import leaderboard
    from vsil_audit.errors import ConfigurationError

    if not (runs or group or paper):
        raise ConfigurationError(
            "there is nothing to show",
            "Name runs of `vsil-audit evaluate`, a --group, or --paper for the paper's tables.",
        )
    chosen = form or (_BY_SUFFIX.get(output.suffix.lower()) if output else None) or "console"
    found = leaderboard(list(runs), group=group, paper=paper, condition=condition, margin=margin / 100)
    if output is None:
        _print(found, chosen)
        return
    from vsil_audit.reporting.leaderboard.report import render
    from vsil_audit.runs.folder import write_atomically

    write_atomically(output, render(found, chosen).encode("utf-8", "replace"))
    click.echo(f"Written to {output}", err=True)


def _print(found: LeaderboardReport, form: str) -> None:
    from vsil_audit.reporting.leaderboard.report import render, view

    if form == "console":
        from rich.console import Console

        Console().print(view(found))
    else:
        click.echo(render(found, form), nl=False)
