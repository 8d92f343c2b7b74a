"""vsil-audit plan"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import click

from vsil_audit.cli.asking_options import asking, asking_options
from vsil_audit.cli.reading_options import reading_options, source_options
from vsil_audit.cli.run_options import run_option, run_options
from vsil_audit.cli.sections import SectionedCommand


@click.command("plan", cls=SectionedCommand)
@click.argument("path")
@reading_options
@asking_options
@run_options
@run_option(
    "--pilot",
    type=click.IntRange(min=1),
    metavar="N",
    help="Ask about N pairs first, and that share of the control, to learn lengths.",
)
@run_option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(path: str, pilot: int | None, as_json: bool, **given: Any) -> None:
    """Show what a scan of PATH would ask of models: calls, tokens in and out, money and time, for each detector.

    Nothing is spent without --pilot. Calls are counted by rehearsing the scan; kept answers are counted as free. Tokens
    and time are learnt from kept answers of the same model and kind, and guessed where there are none.

    \b
    Examples:
      vsil-audit plan vlsbench/ --judges openai/gpt-4o-mini --targets openai/gpt-4o-mini
      vsil-audit plan vlsbench/ --judges openai/gpt-4o-mini --pilot 20
    """
    from rich.console import Console

    from vsil_audit.audit import plan, plan_views
    from vsil_audit.cli.progress import progress_on
    from vsil_audit.reporting.plan_view import plan_json, plan_view
    from vsil_audit.runs.plan import ScanOptions

    reading = source_options(given)
    ask, gateway = asking(given)
    chosen = {name: value for name, value in given.items() if value is not None}
    options = replace(ScanOptions(), allow_remote=reading.allow_remote, ask=ask, gateway=gateway, **chosen)
    with progress_on(Console(stderr=True), quiet=as_json) as progress:
        planned = plan_views if reading.view == "all" else plan
        costs = planned(path, source_options=reading, options=options, pilot=pilot or 0, progress=progress)
    if as_json:
        click.echo(plan_json(costs))
    else:
        Console().print(plan_view(costs, has_pilot=True))
