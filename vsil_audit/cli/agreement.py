"""The question before money is spent."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import click

from vsil_audit.errors import ConfigurationError

if TYPE_CHECKING:
    from vsil_audit.gateway.settings import GatewaySettings
    from vsil_audit.runs.cost_plan import CostPlan


def agree(
    what: str, asked: Sequence[str], settings: GatewaySettings, plan: Callable[..., CostPlan], *, paid: bool = False
) -> None:
    """Show what `what` would cost by `plan(progress=…)`, and ask; nothing where none of the models `asked` is billed,
    nor anything else `paid` for.

    Raises ConfigurationError when the answer is no, or nobody is there to give one.
    """
    from vsil_audit.gateway.opening import is_billed

    if not paid and not any(is_billed(model, settings.for_model(model)["base_url"]) for model in asked):
        return
    from rich.console import Console

    from vsil_audit.cli.progress import progress_on
    from vsil_audit.reporting.plan_view import plan_view

    console = Console(stderr=True)
    with progress_on(console, quiet=False) as progress:
        costs = plan(progress=progress)
    if not costs.costs_money:
        return
    console.print(plan_view(costs))
    if not sys.stdin.isatty():
        raise ConfigurationError(f"this {what} costs money, and nobody is there to agree", "Give --yes to go on.")
    if not click.confirm("Go on?", err=True):
        raise ConfigurationError("nothing was asked, and nothing spent", "--max-cost and --max-calls set a limit.")
