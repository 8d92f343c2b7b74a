"""vsil-audit convert"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsil_audit.cli.building_options import (
    agree_to_build,
    building_options,
    nothing_online,
    online_options,
    show_built,
)
from vsil_audit.cli.reading_options import reading_options, source_options
from vsil_audit.cli.run_options import run_option, run_options
from vsil_audit.cli.sections import SectionedCommand
from vsil_audit.cli.set_options import finished_set_options, set_options

if TYPE_CHECKING:
    from vsil_audit.builders.finishing import Built
    from vsil_audit.gateway.meter import Spent
    from vsil_audit.runs.cost_plan import CostPlan
    from vsil_audit.runs.plan import ScanOptions
    from vsil_audit.sources.base import SourceOptions


@click.command("convert", cls=SectionedCommand)
@click.argument("path")
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the new set.")
@click.option("--offline", is_flag=True, help="Without any model: leaked phrases give way to pointing words.")
@click.option(
    "--font",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TrueType or OpenType file for words that are drawn. [default: Pillow's own, Latin only]",
)
@building_options
@finished_set_options
@reading_options
@run_options
@run_option("--quiet", "-q", is_flag=True, help="No progress.")
def command(path: str, out: Path, *, offline: bool, font: Path | None, quiet: bool, **given: Any) -> int:
    """Make a leak-free set of the benchmark at PATH: texts that say what their image shows are rewritten.

    With --editor a model rewrites the texts of pairs that leak. Each candidate must pass gates: its text is safe by
    itself for every judge, does not say what the image shows, and is unsafe and coherent with the image. Images that
    do not carry the harm are made anew, checked and refined. With --offline the phrases that the content detectors
    find in a query are replaced ("the item shown in the image"), and drawn into the image where it does not carry them.

    The set is scanned again, and what could not be fixed is listed. Running the same command again continues an
    interrupted conversion; nothing is paid for twice. With --view all each view becomes a set, in a folder below --out.

    \b
    Examples:
      vsil-audit convert hades/ --view instruction --offline --out hades-leak-free
      vsil-audit convert figstep/ --editor openai/gpt-4o --judges openai/gpt-4o-mini,ollama/llama-guard3 --out new
    """
    from rich.console import Console

    from vsil_audit.audit import view_names
    from vsil_audit.cli.progress import progress_on
    from vsil_audit.runs.spending import spent

    reading = source_options(given)
    views = {out: reading}
    if reading.view == "all":
        usual = replace(reading, view=None)
        views = {out / name: replace(usual, view=name) for name in view_names(path, usual)}
    line = shlex.join(["vsil-audit", *sys.argv[1:]])
    convert = _offline(given, reading, font) if offline else _online(path, given, list(views.values()), font)
    with progress_on(Console(stderr=True), quiet=quiet) as progress:
        done: list[Built] = []
        for folder, one in views.items():
            before = spent(row for built in done for row in built.summary.spend)
            done.append(convert(path, folder, before, source_options=one, progress=progress, command=line))
    return show_built(done)


def _offline(given: dict[str, Any], reading: SourceOptions, font: Path | None) -> Callable[..., Built]:
    from vsil_audit.builders.convert import ConvertOptions, convert_offline

    nothing_online(given)
    publish = set_options(given)
    options = ConvertOptions(_scan_options(given, reading), font, publish)

    def convert(path: str, out: Path, _: Spent, **how: Any) -> Built:
        return convert_offline(path, out, options=options, **how)

    return convert


def _online(
    path: str, given: dict[str, Any], views: Sequence[SourceOptions], font: Path | None
) -> Callable[..., Built]:
    """With consent, where it costs money; views share one budget."""
    from vsil_audit.audit import load
    from vsil_audit.builders.online.convert import convert, with_spent
    from vsil_audit.builders.online.costing import expected_cost
    from vsil_audit.builders.online.terms import acknowledge
    from vsil_audit.runs.reading import count_pairs

    sure = given["yes"]
    options = online_options(given, font, partial(_scan_options, given, views[0]))

    acknowledge(options.scan.cache, acknowledged=options.acknowledge_use)

    def expected() -> CostPlan:
        most = options.scan.limit or options.scan.sample
        found = [count_pairs(load(path, options=reading), most) for reading in views]
        return expected_cost(options, sum(found))

    if not sure:
        agree_to_build("conversion", options, expected)

    def converted(path: str, out: Path, before: Spent, **how: Any) -> Built:
        return convert(path, out, replace(options, scan=with_spent(options.scan, before)), **how)

    return converted


def _scan_options(given: dict[str, Any], reading: SourceOptions, **more: Any) -> ScanOptions:
    from vsil_audit.runs.plan import ScanOptions

    named = {name: value for name, value in given.items() if value is not None}
    return replace(ScanOptions(), allow_remote=reading.allow_remote, **named, **more)
