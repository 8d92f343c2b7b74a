"""vsil-audit scan"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsil_audit.cli.agreement import agree
from vsil_audit.cli.asking_options import asking, asking_options
from vsil_audit.cli.clip_options import clip_options, clip_settings
from vsil_audit.cli.ending import Ending, ending_options
from vsil_audit.cli.reading_options import reading_options, source_options
from vsil_audit.cli.run_options import engine_options, run_option, run_options
from vsil_audit.cli.sections import SectionedCommand

if TYPE_CHECKING:
    from vsil_audit.audit import Audit
    from vsil_audit.runs.plan import ScanOptions
    from vsil_audit.sources.base import SourceOptions


@click.command("scan", cls=SectionedCommand)
@click.argument("path")
@reading_options
@asking_options
@clip_options
@run_options
@engine_options
@ending_options("suspected_rate>0.2")
@run_option(
    "--embedding-model",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of a sentence-transformers model, for similarity in description_overlap (extra [text]).",
)
@run_option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
def command(path: str, **given: Any) -> int:
    """Scan the benchmark at PATH (a folder, a table, a URL as s3://…, a hub id) with every detector that is ready here.

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
    reading = source_options(given)
    ending = Ending.taken_from(given)
    sure = given.pop("yes")
    options = _scan_options(given, reading)
    if not sure:
        _agree(path, reading, options)
    audits = _run(path, reading, options, quiet=ending.quiet)
    return ending.show(audits)


def _scan_options(given: dict[str, Any], reading: SourceOptions) -> ScanOptions:
    from vsil_audit.runs.plan import ScanOptions

    ask, gateway = asking(given)
    clip = clip_settings(given)
    given = {name: value for name, value in given.items() if value is not None}
    return replace(ScanOptions(), allow_remote=reading.allow_remote, ask=ask, gateway=gateway, clip=clip, **given)


def _agree(path: str, reading: SourceOptions, options: ScanOptions) -> None:
    from vsil_audit.audit import plan, plan_views

    asked = (*options.ask.targets, *options.ask.judges, *options.ask.response_judges)
    planned = plan_views if reading.view == "all" else plan
    agree("scan", asked, options.gateway, partial(planned, path, source_options=reading, options=options))


def _run(path: str, reading: SourceOptions, options: ScanOptions, *, quiet: bool) -> list[Audit]:
    from rich.console import Console

    from vsil_audit.audit import scan, scan_views
    from vsil_audit.cli.progress import progress_on

    line = shlex.join(["vsil-audit", *sys.argv[1:]])
    with progress_on(Console(stderr=True), quiet=quiet) as progress:
        if reading.view == "all":
            return scan_views(path, source_options=reading, options=options, progress=progress, command=line)
        return [scan(path, source_options=reading, options=options, progress=progress, command=line)]
