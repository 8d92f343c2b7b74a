"""vsil-audit compare"""

from __future__ import annotations

from pathlib import Path

import click

from vsil_audit.cli.place_type import PlaceType
from vsil_audit.places.addresses import Place


@click.command("compare")
@click.argument("runs", nargs=-1, required=True, type=PlaceType())
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Also write the comparison as a page.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), help="Also write it as JSON.")
def command(runs: tuple[Place, ...], html: Path | None, json_file: Path | None) -> None:
    """Put two or more finished RUNs side by side, paired where their pairs' ids match.

    Views of one benchmark share their pairs' ids; two benchmarks are compared unpaired.

    \b
    Examples:
      vsil-audit compare runs/hades runs/hades-instruction
      vsil-audit compare runs/mybench runs/benign-control --html comparison.html
    """
    from rich.console import Console

    from vsil_audit.audit import compare
    from vsil_audit.reporting.compare import comparison_view, render_comparison_html, render_comparison_json
    from vsil_audit.runs.folder import write_atomically

    comparison = compare(list(runs))
    if html is not None:
        write_atomically(html, render_comparison_html(comparison).encode("utf-8", "replace"))
    if json_file is not None:
        write_atomically(json_file, render_comparison_json(comparison).encode("utf-8", "replace"))
    Console().print(comparison_view(comparison))
