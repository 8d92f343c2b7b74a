"""vsil-audit build"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from vsil_audit.cli.building_options import agree_to_build, building_options, online_options, show_built
from vsil_audit.cli.run_options import run_option, run_options
from vsil_audit.cli.sections import SectionedCommand
from vsil_audit.cli.set_options import finished_set_options
from vsil_audit.errors import ConfigurationError

if TYPE_CHECKING:
    from vsil_audit.builders.online.options import OnlineOptions
    from vsil_audit.builders.taxonomy import Taxonomy
    from vsil_audit.runs.cost_plan import CostPlan
    from vsil_audit.runs.plan import ScanOptions


@click.command("build", cls=SectionedCommand)
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), help="Folder of the new set.")
@click.option("--taxonomy", default="vlsbench", show_default=True, help="Categories: a shipped one, or a YAML file.")
@click.option("--per-subcategory", type=click.IntRange(min=1), metavar="N", help="Queries to try for each.")
@click.option(
    "--from-images",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="Folder of images to begin with; they are kept as they are.",
)
@click.option(
    "--font",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="TrueType or OpenType file for words that are drawn. [default: Pillow's own, Latin only]",
)
@building_options
@finished_set_options
@run_options
@run_option("--quiet", "-q", is_flag=True, help="No progress.")
def command(
    out: Path,
    *,
    taxonomy: str,
    per_subcategory: int | None,
    from_images: Path | None,
    font: Path | None,
    quiet: bool,
    **given: Any,
) -> int:
    """Build a new set in which what makes a pair unsafe is in its image alone, from a taxonomy or from images.

    A model thinks of scenes and of queries about them, texts are rewritten until they pass the gates, images are made,
    checked and refined. Test queries and images only: no answers are ever written. Running the same command again
    continues an interrupted build; nothing is paid for twice.

    \b
    Examples:
      vsil-audit build --per-subcategory 12 --editor openai/gpt-4o --image-generator diffusers --out new
      vsil-audit build --from-images pictures/ --editor openai/gpt-4o --judges ollama/llama-guard3 --out new
    """
    from rich.console import Console

    from vsil_audit.builders.online.build import build
    from vsil_audit.builders.online.terms import acknowledge
    from vsil_audit.builders.taxonomy import read_taxonomy
    from vsil_audit.cli.progress import progress_on

    if (per_subcategory is None) == (from_images is None):
        raise ConfigurationError(
            "it is not clear what to begin with", "Give --per-subcategory N, or --from-images FOLDER."
        )
    sure = given["yes"]
    options = online_options(given, font, lambda **more: _scan_options(given, **more))
    acknowledge(options.scan.cache, acknowledged=options.acknowledge_use)
    categories = read_taxonomy(taxonomy)
    if not sure:
        agree_to_build("build", options, lambda: _expected(options, categories, per_subcategory, from_images))
    line = shlex.join(["vsil-audit", *sys.argv[1:]])
    with progress_on(Console(stderr=True), quiet=quiet) as progress:
        built = build(
            out,
            options,
            taxonomy=categories,
            per_subcategory=per_subcategory or 0,
            from_images=from_images,
            progress=progress,
            command=line,
        )
    return show_built([built])


def _expected(
    options: OnlineOptions, taxonomy: Taxonomy, per_subcategory: int | None, from_images: Path | None
) -> CostPlan:
    from vsil_audit.builders.online.costing import expected_cost
    from vsil_audit.builders.online.scenarios import QUERIES, elements, pictures
    from vsil_audit.images import ImageLimits

    if from_images is not None:
        images = len(pictures(from_images, taxonomy, ImageLimits(max_pixels=options.scan.max_pixels)))
        return expected_cost(replace(options, keep_images=True), QUERIES * images, images=images)
    seeds = list(elements(taxonomy, per_subcategory or 0))
    return expected_cost(options, sum(seed.queries for seed in seeds), scenes=len(seeds))


def _scan_options(given: dict[str, Any], **more: Any) -> ScanOptions:
    from vsil_audit.runs.plan import ScanOptions

    named = {name: value for name, value in given.items() if value is not None}
    return replace(ScanOptions(), **named, **more)
