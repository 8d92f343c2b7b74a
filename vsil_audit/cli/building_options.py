"""Options of the commands that build sets with models: who does what, and what it may cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsil_audit.cli.asking_options import gateway_settings, model_names
from vsil_audit.cli.sections import OptionIn
from vsil_audit.cli.set_options import set_options
from vsil_audit.errors import ConfigurationError, ExitCode

if TYPE_CHECKING:
    from vsil_audit.builders.finishing import Built
    from vsil_audit.builders.online.options import OnlineOptions
    from vsil_audit.runs.cost_plan import CostPlan
    from vsil_audit.runs.plan import ScanOptions

F = TypeVar("F", bound=Callable[..., Any])

SECTION = "Building with models"
_option = partial(click.option, cls=OptionIn, section=SECTION)
_asking = partial(click.option, cls=OptionIn, section="Asking models")
_WHO = ("editor", "judges", "vision", "image_generator", "keep_images", "rule", "acknowledge_use")
_HOW = (
    "base_url",
    "max_cost",
    "max_calls",
    "max_concurrency",
    "max_rpm",
    "max_tpm",
    "timeout",
    "prices",
)


def building_options(command: F) -> F:
    """Add the options; `online_options` takes them out of the command's arguments again."""
    number, share = click.IntRange(min=1), click.FloatRange(min=0)
    options: list[Callable[[F], F]] = [
        _option("--editor", metavar="MODEL", help="Model that rewrites the texts and writes image prompts."),
        model_names("--judges", help="Panel that must call every text safe by itself. [default: the editor]"),
        _option("--vision", metavar="MODEL", help="Model that looks at images and pairs. [default: the editor]"),
        _option("--image-generator", metavar="NAME", help="Maker of images. [default: none, images stay as they are]"),
        _option("--keep-images", is_flag=True, help="Make no image, even where one does not carry the harm."),
        _option(
            "--rule",
            type=click.Choice(["unanimous", "majority"]),
            default="unanimous",
            show_default=True,
            help="How many of the judges must let a text pass.",
        ),
        _option("--acknowledge-use", is_flag=True, help="Agree to what building with models is for; needed once."),
        _asking("--base-url", metavar="URL", help="Address of the models that name none."),
        _asking("--max-cost", metavar="X", type=share, help="Stop before the build, all its sessions, costs more."),
        _asking("--max-calls", metavar="N", type=click.IntRange(min=0), help="Stop before it makes more calls."),
        _asking("--max-concurrency", metavar="N", type=number, help="Calls in flight. [default: 32]"),
        _asking("--max-rpm", metavar="N", type=number, help="Calls a minute, for each model."),
        _asking("--max-tpm", metavar="N", type=number, help="Tokens a minute, for each model."),
        _asking("--timeout", metavar="SECONDS", type=click.FloatRange(min=0.1), help="For one attempt."),
        _asking(
            "--prices",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="YAML file of prices that go before the shipped ones.",
        ),
        _asking("--yes", "-y", is_flag=True, help="Do not ask before money is spent."),
    ]
    for add in reversed(options):
        command = add(command)
    return command


def nothing_online(given: dict[str, Any]) -> None:
    """Take the options out of the arguments of a command that asks no model. Raises ConfigurationError where the user
    gave any that only such a one has a use for."""
    used = [name for name in (*_WHO, *_HOW) if given.pop(name) not in (None, (), False, "unanimous")]
    given.pop("yes")
    if used:
        option = used[0].replace("_", "-")
        raise ConfigurationError(f"--{option} is of no use with --offline", "Leave out the one or the other.")


def online_options(given: dict[str, Any], font: Path | None, scan: Callable[..., ScanOptions]) -> OnlineOptions:
    """Take them out of a command's arguments. `scan(gateway=…)` makes the scan's options of the others."""
    from vsil_audit.builders.gates.panel import Rule
    from vsil_audit.builders.generators.opening import GeneratorOptions
    from vsil_audit.builders.online.options import OnlineOptions

    who = {name: given.pop(name) for name in _WHO}
    given.pop("yes")
    settings = gateway_settings(given)
    if not who["editor"]:
        raise ConfigurationError("no model was named that rewrites texts", "Name one with --editor PROVIDER/MODEL.")
    return OnlineOptions(
        editor=who["editor"],
        judges=who["judges"],
        vision=who["vision"] or "",
        generator=who["image_generator"],
        keep_images=who["keep_images"],
        rule=Rule(who["rule"]),
        acknowledge_use=who["acknowledge_use"],
        publish=set_options(given),
        drawing=GeneratorOptions(font),
        scan=scan(gateway=settings),
    )


def agree_to_build(what: str, options: OnlineOptions, expected: Callable[[], CostPlan]) -> None:
    """Show about what it costs, and ask."""
    from vsil_audit.cli.agreement import agree

    generator = options.open_generator()
    agree(
        what,
        options.models,
        options.scan.gateway,
        lambda progress: expected(),  # noqa: ARG005 - it takes no time
        paid=generator is not None and generator.paid,
    )


def show_built(built: Sequence[Built]) -> ExitCode:
    """What came of it; inconclusive where a set has no pair."""
    from rich.console import Console

    from vsil_audit.reporting.build_console import build_view

    for one in built:
        Console().print(build_view(one.summary, one.path))
    return ExitCode.OK if all(one.summary.emitted for one in built) else ExitCode.INCONCLUSIVE
