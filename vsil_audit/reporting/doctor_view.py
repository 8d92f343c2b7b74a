"""`vsil-audit doctor` on a terminal: what can run here, and the one command that enables each of the others."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.console import Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from vsil_audit.reporting.untrusted import one_line
from vsil_audit.wording import plural


@dataclass(frozen=True, slots=True)
class Item:
    """A detector, a way to models, or a maker of images, and whether it can be used here; `remedy` is the one command
    that enables it."""

    name: str
    asks: str
    ready: bool
    reason: str = ""
    remedy: str = ""


def doctor_view(
    detectors: Sequence[Item],
    ways: Sequence[Item] = (),
    torch_fault: str = "",
    torch_remedy: str = "",
    images: Sequence[Item] = (),
) -> RenderableType:
    """Detectors, ways to models and makers of images, those that are ready first; each of the others with why not and
    its remedy.

    `torch_fault`: what torchvision says when it does not fit the installed torch, told before anything else. A command
    is one line however long, to be copied: print the view with `crop=False`.
    """
    parts: list[RenderableType] = []
    if torch_fault:
        fault = f"! torch and torchvision do not fit each other: {one_line(torch_fault)}"
        parts += [Text(fault, style="bold red"), Padding(Text(torch_remedy, style="cyan"), (0, 0, 1, 2))]
    parts += _listed(detectors, "detector", "can run here", "cannot")
    if ways:
        parts += [Text(), *_listed(ways, "way to models", "open here", "closed", "ways to models")]
    if images:
        parts += [Text(), *_listed(images, "image generator", "can be used here", "cannot")]
    return Group(*parts)


def _listed(
    items: Sequence[Item], noun: str, can: str, cannot: str, nouns: str | None = None
) -> Iterator[RenderableType]:
    ready = [item for item in items if item.ready]
    missing = [item for item in items if not item.ready]
    yield Text(f"{plural(len(ready), noun, nouns)} {can}", style="bold")
    yield _states(ready, "ready", "green")
    if missing:
        yield Padding(Text(f"{plural(len(missing), noun, nouns)} {cannot}", style="bold"), (1, 0, 0, 0))
        yield _states(missing, "missing", "yellow")


def _states(states: Sequence[Item], word: str, style: str) -> RenderableType:
    return Group(*(part for state in states for part in _state(state, word, style)))


def _state(state: Item, word: str, style: str) -> Iterator[RenderableType]:
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style=style)
    grid.add_column(overflow="fold", ratio=1)
    said = Text(one_line(state.name), style="bold")
    said.append(f"  {one_line(state.asks)}", style="not bold dim")
    if state.reason:
        said.append(f"\n{one_line(state.reason)}", style="not bold")
    grid.add_row(word, said)
    yield Padding(grid, (0, 0, 0, 2))
    if state.remedy:
        indent = " " * (2 + len(word) + 2)
        yield Text(f"{indent}{one_line(state.remedy)}", style="cyan", no_wrap=True, overflow="ignore")
