"""vsil-audit convert"""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import click

from vsil_audit.cli.reading_options import reading_options, source_options
from vsil_audit.cli.run_options import run_option, run_options
from vsil_audit.cli.sections import SectionedCommand
from vsil_audit.errors import ConfigurationError


@click.command("convert", cls=SectionedCommand)
@click.argument("path")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the new set.")
@click.option("--offline", is_flag=True, help="Without any model: leaked phrases give way to pointing words.")
@click.option(
    "--font",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TrueType or OpenType file for words that are drawn. [default: Pillow's own, Latin only]",
)
@reading_options
@run_options
@run_option("--quiet", "-q", is_flag=True, help="No progress.")
def command(path: str, out: Path, *, offline: bool, font: Path | None, quiet: bool, **given: Any) -> int:
    """Make a leak-free set of the benchmark at PATH: texts that say what their image shows are rewritten.

    With --offline the phrases that the content detectors find in a query are replaced ("the item shown in the image"),
    and drawn into the image where it does not carry them. The set is scanned again, and what could not be fixed is
    listed. Running the same command again continues an interrupted conversion.

    \b
    Examples:
      vsil-audit convert hades/ --view instruction --offline --out hades-leak-free
      vsil-audit convert mmsafetybench/ --view question --offline --out mmsb-leak-free
    """
    from dataclasses import replace

    from rich.console import Console

    from vsil_audit.builders.convert import ConvertOptions, convert_offline
    from vsil_audit.cli.progress import progress_on
    from vsil_audit.reporting.build_console import build_view
    from vsil_audit.runs.plan import ScanOptions

    if not offline:
        raise ConfigurationError("converting with models is not built yet", "Give --offline to convert without any.")
    reading = source_options(given)
    named = {name: value for name, value in given.items() if value is not None}
    options = ConvertOptions(replace(ScanOptions(), allow_remote=reading.allow_remote, **named), font)
    line = shlex.join(["vsil-audit", *sys.argv[1:]])
    with progress_on(Console(stderr=True), quiet=quiet) as progress:
        built = convert_offline(path, out, source_options=reading, options=options, progress=progress, command=line)
    Console().print(build_view(built.summary, built.path))
    return 0
