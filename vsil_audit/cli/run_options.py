"""Options that say which pairs and detectors take part, and where things are kept: the same for a scan and its plan."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from vsil_audit.cli.sections import OptionIn

F = TypeVar("F", bound=Callable[..., Any])

SECTION = "Run"
run_option = partial(click.option, cls=OptionIn, section=SECTION)
"""An option under that heading."""


def names(_ctx: click.Context, _param: click.Parameter, value: str | None) -> tuple[str, ...] | None:
    """`a,b` as a tuple; None where the option was not given."""
    return tuple(name.strip() for name in value.split(",") if name.strip()) if value is not None else None


def run_options(command: F) -> F:
    """Add --detectors and --skip, and `pair_options`."""
    options = [
        run_option(
            "--detectors",
            callback=names,
            metavar="NAMES",
            help="Only these, separated by commas: see `vsil-audit doctor`.",
        ),
        run_option("--skip", callback=names, metavar="NAMES", help="All but these, separated by commas."),
    ]
    command = pair_options(command)
    for option in reversed(options):
        command = option(command)
    return command


def pair_options(command: F) -> F:
    """Add --limit, --sample, --seed, --max-pixels, --workers, --batch-pairs and --cache."""
    folder = click.Path(file_okay=False, path_type=Path)
    number = click.IntRange(min=1)
    options = [
        run_option("--limit", type=number, metavar="N", help="Only the first N pairs."),
        run_option("--sample", type=number, metavar="N", help="N pairs drawn at random."),
        run_option(
            "--seed",
            type=int,
            default=0,
            metavar="N",
            show_default=True,
            help="Of --sample and of every random choice.",
        ),
        run_option("--max-pixels", type=number, metavar="N", help="Refuse larger images. [default: 64 million]"),
        run_option("--workers", type=number, metavar="N", help="Processes for images. [default: the CPUs available]"),
        run_option(
            "--batch-pairs",
            type=number,
            metavar="N",
            help="Pairs a batch, of which each is a few files; 4096 for millions of pairs. [default: 256]",
        ),
        run_option("--cache", type=folder, metavar="FOLDER", help="Where features and models' answers are kept."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def engine_options(command: F) -> F:
    """Add --engine and --ray-address."""
    options = [
        run_option(
            "--engine",
            type=click.Choice(["local", "ray"]),
            default="local",
            show_default=True,
            help="Work on this machine, or on a Ray cluster (extra [ray]).",
        ),
        run_option(
            "--ray-address",
            metavar="HOST:PORT",
            help="Of the cluster; `auto`: the one that this machine is in. [default: Ray is started here]",
        ),
    ]
    for option in reversed(options):
        command = option(command)
    return command
