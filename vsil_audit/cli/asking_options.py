"""Options that say which models are asked, what, how fast and for how much: the same for every command that asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from vsil_audit.cli.sections import OptionIn

if TYPE_CHECKING:
    from vsil_audit.detectors.chat import AskOptions
    from vsil_audit.gateway.settings import GatewaySettings

F = TypeVar("F", bound=Callable[..., Any])

SECTION = "Asking models"
option = partial(click.option, cls=OptionIn, section=SECTION)
"""An option under that heading."""

_CONDITIONS = ("text", "pair", "swapped", "blank")
_WHOM = ("targets", "judges", "response_judges")
HOW = ("conditions", "samples", "temperature", "max_tokens", "image_side", "control")
_BUDGET = ("max_cost", "max_calls")
_LIMITS = ("max_concurrency", "max_rpm", "max_tpm")


def listed(_ctx: click.Context, _param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
    """`a,b` and repeated options alike, each once, in order."""
    names = (name.strip() for value in values for name in value.split(","))
    return tuple(dict.fromkeys(name for name in names if name))


def listed_of(choices: Sequence[str]) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[str, ...]]:
    """As `listed`, where each must be one of `choices`."""

    def chosen(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> tuple[str, ...]:
        names = listed(ctx, param, values)
        for name in names:
            if name not in choices:
                raise click.BadParameter(f"{name!r} is not one of {', '.join(choices)}")
        return names

    return chosen


def asking_options(command: F) -> F:
    """Add the options; `asking` takes them out of the command's arguments again."""
    options = [
        model_names(
            "--targets", "--target", help="Models that answer the queries, e.g. openai/gpt-4o-mini,hf/ORG/NAME."
        ),
        model_names("--judges", "--judge", help="Models that judge the queries; several make a panel."),
        model_names(
            "--response-judges", "--response-judge", help="Models that class the answers. [default: offline rules]"
        ),
        option(
            "--conditions",
            multiple=True,
            callback=listed_of(_CONDITIONS),
            metavar="NAMES",
            help=f"What targets are shown, of {', '.join(_CONDITIONS)}. [default: text,pair]",
        ),
        option("--judge-samples", metavar="N", type=click.IntRange(min=1), help="Verdicts of each judge. [default: 1]"),
    ]
    command = answering_options(command)
    for add in reversed(options):
        command = add(command)
    return command


def answering_options(command: F) -> F:
    """Add those that hold for every model that answers queries, and for every endpoint."""
    file = click.Path(exists=True, dir_okay=False, path_type=Path)
    options = [
        option("--samples", metavar="N", type=click.IntRange(min=1), help="Answers of each target. [default: 1]"),
        option("--temperature", metavar="T", type=click.FloatRange(min=0), help="[default: 0; 1 with several samples]"),
        option("--max-tokens", metavar="N", type=click.IntRange(min=1), help="Of an answer. [default: 1024]"),
        option(
            "--image-side",
            metavar="N",
            type=click.IntRange(min=16),
            help="Longest side sent, in pixels. [default: 1024]",
        ),
        option("--control", metavar="PATH", help="A benign benchmark beside it. [default: a small one of ours]"),
        option(
            "--base-url", metavar="URL", help="Address of the models that name none (any OpenAI-compatible endpoint)."
        ),
        option(
            "--max-cost",
            metavar="X",
            type=click.FloatRange(min=0),
            help="Stop before the run, all its sessions, costs more (exit 3).",
        ),
        option(
            "--max-calls",
            metavar="N",
            type=click.IntRange(min=0),
            help="Stop before the run makes more calls (exit 3).",
        ),
        option("--max-concurrency", metavar="N", type=click.IntRange(min=1), help="Calls in flight. [default: 32]"),
        option("--max-rpm", metavar="N", type=click.IntRange(min=1), help="Calls a minute, for each model."),
        option("--max-tpm", metavar="N", type=click.IntRange(min=1), help="Tokens a minute, for each model."),
        option("--timeout", metavar="SECONDS", type=click.FloatRange(min=0.1), help="For one attempt. [default: 120]"),
        option("--prices", type=file, help="YAML file of prices that go before the shipped ones."),
    ]
    for add in reversed(options):
        command = add(command)
    return command


def model_names(*names: str, help: str) -> Callable[[F], F]:  # noqa: A002 - click's own word
    """An option that names models, separated by commas or repeated."""
    return option(*names, multiple=True, callback=listed, metavar="MODELS", help=help)


def asking(given: dict[str, Any]) -> tuple[AskOptions, GatewaySettings]:
    """Take the options out of a command's arguments. Raises ConfigurationError where they contradict each other."""
    from vsil_audit.detectors.chat import AskOptions

    return AskOptions(**taken(given, (*_WHOM, *HOW, "judge_samples"))), gateway_settings(given)


def taken(given: dict[str, Any], names: Sequence[str]) -> dict[str, Any]:
    """Those of the options that the user gave, taken out of a command's arguments, as fields of AskOptions. Raises
    ConfigurationError where they contradict each other."""
    from vsil_audit.detectors.chat import Condition
    from vsil_audit.errors import ConfigurationError

    values = {name: given.pop(name) for name in names}
    chosen = {name: value for name, value in values.items() if value not in (None, ())}
    if "conditions" in chosen:
        chosen["conditions"] = tuple(Condition(name) for name in chosen["conditions"])
    several = max(chosen.get("samples", 1), chosen.get("judge_samples", 1)) > 1
    if several and chosen.get("temperature") == 0:
        raise ConfigurationError(
            "several samples at temperature 0 are one and the same answer", "Give a --temperature above 0, or 1 sample."
        )
    if several:
        chosen.setdefault("temperature", 1.0)
    return chosen


def gateway_settings(given: dict[str, Any]) -> GatewaySettings:
    """Take the options about endpoints and budgets out of a command's arguments."""
    from vsil_audit.gateway.limiter import Limits
    from vsil_audit.gateway.meter import Budget
    from vsil_audit.gateway.retry import RetryPolicy
    from vsil_audit.gateway.settings import GatewaySettings

    limits = {name: value for name in _LIMITS if (value := given.pop(name)) is not None}
    budget = {name: value for name in _BUDGET if (value := given.pop(name)) is not None}
    timeout = given.pop("timeout")
    retry = RetryPolicy(timeout, max(timeout, RetryPolicy().total_timeout)) if timeout is not None else RetryPolicy()
    return GatewaySettings(
        base_url=given.pop("base_url"),
        limits=Limits(**limits),
        budget=Budget(**budget),
        prices=given.pop("prices"),
        cache=given.get("cache"),
        retry=retry,
    )
