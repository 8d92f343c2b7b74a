"""What a scan would ask and cost, on a terminal and as JSON."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from vsil_audit.reporting.untrusted import one_line
from vsil_audit.wording import plural

if TYPE_CHECKING:
    from vsil_audit.runs.cost_plan import CostPlan, ModelCost


def plan_view(costs: CostPlan, *, has_pilot: bool = False) -> RenderableType:
    """A row for each detector and model, the total, and what the numbers rest on. `has_pilot`: the command that shows
    it takes --pilot."""
    if not costs.rows:
        return Text(
            "No model is named: nothing would be asked, and nothing spent. Name some with --judges PROVIDER/MODEL or "
            "--targets PROVIDER/MODEL."
        )
    table = Table(box=None, pad_edge=False, header_style="dim")
    table.add_column("detector", overflow="fold")
    table.add_column("model", overflow="fold")
    for name in ("calls", "kept", "tokens in", "out", "US $"):
        table.add_column(name, justify="right", no_wrap=True)
    for row in costs.rows:
        table.add_row(*_cells(row))
    table.add_section()
    inside = sum(row.input_tokens for row in costs.rows)
    out = sum(row.output_tokens for row in costs.rows)
    kept = sum(row.cached for row in costs.rows)
    total = ("in all", "", f"{costs.calls:,}", f"{kept:,}", f"{inside:,.0f}", f"{out:,.0f}", money(costs.cost))
    table.add_row(*total, style="bold")
    return Group(
        Text(_about(costs)), Text(), table, Text(), *(Text(note) for note in _notes(costs, has_pilot=has_pilot))
    )


def plan_json(costs: CostPlan) -> str:
    """The same numbers as JSON."""
    rows = [
        {
            "detector": row.detector,
            "model": row.model,
            "calls": row.calls,
            "kept": row.cached,
            "calls_with_learnt_tokens": row.learnt,
            "input_tokens": round(row.input_tokens),
            "output_tokens": round(row.output_tokens),
            "most_output_tokens": round(row.most_output_tokens),
            "cost": row.cost,
            "most_cost": row.most_cost,
            "seconds": row.seconds(costs.concurrency),
            "price_checked": row.price.checked if row.price else None,
        }
        for row in costs.rows
    ]
    whole = {
        "calls": costs.calls,
        "cost": costs.cost,
        "most_cost": costs.most_cost,
        "currency": "USD",
        "seconds": costs.seconds,
        "subjects": costs.subjects,
        "notes": costs.notes,
        "rows": rows,
    }
    return json.dumps(whole, indent=2, ensure_ascii=False)


def money(value: float | None) -> str:
    """US dollars with as many places as matter; `?` where a price is not known."""
    if value is None:
        return "?"
    return f"{value:,.2f}" if value >= 1 or not value else f"{value:.4f}"


def _cells(row: ModelCost) -> tuple[str, ...]:
    tokens = f"{row.input_tokens:,.0f}", f"{row.output_tokens:,.0f}"
    return (row.detector, one_line(row.model), f"{row.calls:,}", f"{row.cached:,}", *tokens, money(row.cost))


def _about(costs: CostPlan) -> str:
    subjects = costs.subjects
    return (
        f"{plural(subjects.get('set', 0), 'pair')}, {plural(subjects.get('control', 0), 'benign control')}, "
        f"{plural(subjects.get('canary', 0), 'canary', 'canaries')}. Expected; retries come on top, and where a "
        "model was never asked, repair turns:"
    )


def _notes(costs: CostPlan, *, has_pilot: bool) -> list[str]:
    guessed = sum(row.calls - row.learnt for row in costs.rows)
    notes = [one_line(note) for note in costs.notes]
    if costs.most_cost is not None and costs.costs_money:
        notes.append(f"At most {money(costs.most_cost)} US dollars, were every answer as long as it may be.")
    if any(row.price is None and row.calls for row in costs.rows):
        unknown = ", ".join(dict.fromkeys(one_line(row.model) for row in costs.rows if row.price is None and row.calls))
        notes.append(f"The price of {unknown} is not known; give it with --prices FILE.")
    dates = sorted({row.price.checked for row in costs.rows if row.price and row.price.checked})
    if dates:
        notes.append(f"Prices as of {dates[0]}; providers change them.")
    if costs.seconds is not None:
        notes.append(f"About {_duration(costs.seconds)} with {costs.concurrency} calls in flight.")
    else:
        notes.append("How long it takes is not known: no answer of these models is kept yet.")
    if guessed:
        learn = "; --pilot 20 learns them from a few real answers" if has_pilot else ""
        notes.append(f"The tokens of {guessed:,} calls are a guess{learn}.")
    return notes


def _duration(seconds: float) -> str:
    if seconds < 90:
        return plural(round(seconds), "second")
    return plural(round(seconds / 60), "minute") if seconds < 5400 else f"{seconds / 3600:.1f} hours"
