"""Options of the commands that build sets: what joins the finished set, and how it is published."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsil_audit.cli.sections import OptionIn
from vsil_audit.errors import ConfigurationError

if TYPE_CHECKING:
    from vsil_audit.builders.publishing import SetOptions

F = TypeVar("F", bound=Callable[..., Any])

_option = partial(click.option, cls=OptionIn, section="The finished set")
_NAMES = ("twins", "pool", "clip", "balance", "licence", "formats")


def finished_set_options(command: F) -> F:
    """Add the options; `set_options` takes them out of the command's arguments again."""
    options: list[Callable[[F], F]] = [
        _option(
            "--twins",
            type=click.Choice(["benign-image", "2x2"]),
            help="Set benign pairs beside: the same texts with harmless images, or whole blocks.",
        ),
        _option(
            "--pool",
            type=click.Path(exists=True, path_type=Path),
            help="Folder of benign images, or a benign benchmark, for --twins.",
        ),
        _option(
            "--clip",
            metavar="MODEL",
            default="",
            help="CLIP model that says which look alike, or none. [default: a scan's own, if it is here]",
        ),
        _option(
            "--balance",
            is_flag=True,
            help="Leave pairs out until length, pointing words and question form don't tell where a pair is from.",
        ),
        _option("--licence", metavar="ID", default="unknown", show_default=True, help="Of the source, for the card."),
        _option(
            "--format",
            "formats",
            type=click.Choice(["hf"]),
            multiple=True,
            help="hf: also as datasets.load_from_disk reads it, in OUT/hf.",
        ),
    ]
    for add in reversed(options):
        command = add(command)
    return command


def set_options(given: dict[str, Any]) -> SetOptions:
    """Take them out of a command's arguments. Raises ConfigurationError where one has no use without another."""
    from vsil_audit.builders.publishing import SetOptions
    from vsil_audit.builders.twins import TwinWay

    found = {name: given.pop(name) for name in _NAMES}
    for name, needed in (("pool", "twins"), ("clip", "pool")):
        if found[name] and not found[needed]:
            remedy = f"Give --{needed} too, or leave it out."
            raise ConfigurationError(f"--{name} is of no use without --{needed}", remedy)
    return SetOptions(
        twins=TwinWay(found["twins"]) if found["twins"] else None,
        pool=found["pool"],
        clip=found["clip"],
        balance=found["balance"],
        licence=found["licence"],
        hf="hf" in found["formats"],
    )
