"""vsil-audit evaluate"""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import click

from vsil_audit.cli.agreement import agree
from vsil_audit.cli.asking_options import (
    HOW,
    answering_options,
    gateway_settings,
    listed,
    listed_of,
    model_names,
    option,
    taken,
)
from vsil_audit.cli.ending import Ending, ending_options
from vsil_audit.cli.reading_options import reading_options, source_options
from vsil_audit.cli.run_options import engine_options, pair_options, run_option
from vsil_audit.cli.sections import SectionedCommand
from vsil_audit.errors import ConfigurationError

if TYPE_CHECKING:
    from vsil_audit.audit import Audit
    from vsil_audit.detectors.chat import AskOptions
    from vsil_audit.runs.plan import ScanOptions
    from vsil_audit.sources.base import SourceOptions

_CONDITIONS = ("pair", "text", "caption", "blank", "swapped", "image")
_ABLATIONS = ("caption", "no-image", "safety-prompt", "nsfw")
_PROTOCOLS = ("default", "vlsbench")
_WHOM = ("targets", "response_judges", "safety_prompts", "base_model", "captioner", "image_classifiers")


@click.command("evaluate", cls=SectionedCommand)
@click.argument("path")
@reading_options
@model_names("--model", "--models", "targets", help="Models to evaluate, e.g. openai/gpt-4o-mini,hf/ORG/NAME.")
@option(
    "--conditions",
    multiple=True,
    callback=listed_of(_CONDITIONS),
    metavar="NAMES",
    help=f"What models are shown, of {', '.join(_CONDITIONS)}. [default: pair,text]",
)
@model_names("--judge", "--judges", "response_judges", help="Class the answers; several vote. [default: offline rules]")
@option(
    "--safety-prompt",
    "safety_prompts",
    multiple=True,
    callback=listed,
    metavar="NAME|FILE",
    help="Also behind this prompt: vlsbench, mmsafetybench, or a file of text.",
)
@option(
    "--ablate",
    multiple=True,
    callback=listed_of(_ABLATIONS),
    metavar="NAMES",
    help=f"Ablations of the VLSBench paper: {', '.join(_ABLATIONS)}.",
)
@option(
    "--protocol",
    type=click.Choice(_PROTOCOLS),
    default="default",
    show_default=True,
    help="vlsbench: greedy, 128 new tokens, as in the paper.",
)
@option("--base-model", metavar="MODEL", help="A text-only model, for multi-modal gain and leakage (MMStar).")
@option("--captioner", metavar="MODEL", help="Describes images that have no description, for `caption`.")
@option(
    "--image-classifier",
    "image_classifiers",
    multiple=True,
    callback=listed,
    metavar="NAMES",
    help="Of `--ablate nsfw`: folders, or names on the hub. [default: the paper's two]",
)
@answering_options
@pair_options
@engine_options
@ending_options("evaluation.safe.pair@openai/gpt-4o-mini<0.9")
@run_option("--plan", "only_plan", is_flag=True, help="Show what it would ask and cost, and stop.")
@run_option("--json", "as_json", is_flag=True, help="With --plan: print JSON.")
@run_option("--yes", "-y", is_flag=True, help="Do not ask before money is spent.")
def command(path: str, **given: Any) -> int | None:
    """Evaluate models on the benchmark at PATH: how often they refuse, warn or comply, under each condition.

    The conditions: `pair` (image and text), `text` alone, `caption` (a description in place of the image), `blank` (a
    white image), `swapped` (another pair's image), `image` alone. A benign control is asked beside the set, so that a
    model which refuses everything does not look good. Writes a run folder and its reports; the same command continues
    an interrupted run, and `vsil-audit leaderboard` sets several beside each other.

    \b
    Examples:
      vsil-audit evaluate vlsbench/ --model openai/gpt-4o-mini --plan
      vsil-audit evaluate vlsbench/ --model openai/gpt-4o-mini --judge openai/gpt-4o --max-cost 20
      vsil-audit evaluate vlsbench/ --model hf/Qwen/Qwen2.5-VL-3B-Instruct --protocol vlsbench
      vsil-audit evaluate vlsbench/ --model ollama/llava --ablate caption,safety-prompt --limit 200
      vsil-audit evaluate data.csv --model ollama/llava --conditions pair,text,caption --captioner ollama/moondream
      vsil-audit evaluate vlsbench/ --ablate nsfw
    """
    reading = source_options(given)
    if reading.view == "all":
        raise ConfigurationError("models are evaluated on one view at a time", "Name it: vsil-audit inspect PATH")
    ending, sure = Ending.taken_from(given), given.pop("yes")
    only_plan, as_json = given.pop("only_plan"), given.pop("as_json")
    options = _options(given, reading)
    if only_plan:
        _show_plan(path, reading, options, as_json=as_json)
        return None
    if not sure:
        _agree(path, reading, options)
    return ending.show([_run(path, reading, options, quiet=ending.quiet)])


def _options(given: dict[str, Any], reading: SourceOptions) -> ScanOptions:
    from vsil_audit.runs.plan import ScanOptions

    ask, gateway = _asking(given), gateway_settings(given)
    chosen = {name: value for name, value in given.items() if value is not None}
    return replace(ScanOptions(), allow_remote=reading.allow_remote, ask=ask, gateway=gateway, **chosen)


def _asking(given: dict[str, Any]) -> AskOptions:
    """Take what is asked and of whom out of the arguments."""
    from vsil_audit.detectors.chat import AskOptions
    from vsil_audit.detectors.model_evaluation.ablations import with_ablations
    from vsil_audit.detectors.model_evaluation.protocol import check_protocol, settled

    ablations, protocol = given.pop("ablate"), given.pop("protocol")
    chosen = {"conditions": (), **settled(protocol), **taken(given, (*_WHOM, *HOW)), "protocol": protocol}
    options = with_ablations(AskOptions(**chosen), ablations)
    check_protocol(options)
    return options


def _planned(path: str, reading: SourceOptions, options: ScanOptions) -> partial[Any]:
    from vsil_audit.audit import plan_evaluating

    return partial(plan_evaluating, path, source_options=reading, options=options)


def _show_plan(path: str, reading: SourceOptions, options: ScanOptions, *, as_json: bool) -> None:
    from rich.console import Console

    from vsil_audit.cli.progress import progress_on
    from vsil_audit.reporting.plan_view import plan_json, plan_view

    with progress_on(Console(stderr=True), quiet=as_json) as progress:
        costs = _planned(path, reading, options)(progress=progress)
    if as_json:
        click.echo(plan_json(costs))
    else:
        Console().print(plan_view(costs))


def _agree(path: str, reading: SourceOptions, options: ScanOptions) -> None:
    from vsil_audit.detectors.model_evaluation import ModelEvaluation

    agree("evaluation", ModelEvaluation.models(options.ask), options.gateway, _planned(path, reading, options))


def _run(path: str, reading: SourceOptions, options: ScanOptions, *, quiet: bool) -> Audit:
    from rich.console import Console

    from vsil_audit.audit import evaluate
    from vsil_audit.cli.progress import progress_on
    from vsil_audit.detectors.model_evaluation.image_classifier import readiness

    line = shlex.join(["vsil-audit", *sys.argv[1:]])
    with progress_on(Console(stderr=True), quiet=quiet) as progress:
        if options.ask.targets and not options.ask.response_judges:
            progress.remark(
                "Answers are classed by offline rules, which read English only; --judge names a model for it."
            )
        for name in options.ask.image_classifiers:
            if not (ready := readiness(name)).ready:
                progress.remark(f"No verdicts of {name}: {ready.reason}. To have them: {ready.remedy}")
        return evaluate(path, source_options=reading, options=options, progress=progress, command=line)
