"""How the terminal's views are laid out: headings, indented blocks, bullets, tables without frames."""

from __future__ import annotations

from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text


def heading(title: str, note: str = "") -> RenderableType:
    text = Text(title, style="bold")
    if note:
        text.append(f"  {note}", style="dim")
    return Padding(text, (1, 0, 0, 0))


def indented(renderable: RenderableType, by: int = 2) -> Padding:
    return Padding(renderable, (0, 0, 0, by))


def table(*columns: str, right: tuple[str, ...] = (), fold_column: str = "") -> Table:
    """A table without frame lines; columns named in `right` hold numbers; `fold_column` takes what width is left."""
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1), pad_edge=False, header_style="dim", show_edge=False)
    for name in columns:
        if name in right:
            grid.add_column(name, justify="right", no_wrap=True)
        elif name == fold_column:
            grid.add_column(name, overflow="fold", ratio=1, min_width=12)
        else:
            grid.add_column(name, overflow="fold", no_wrap=name in ("detector", "problem"))
    return grid


def bullet(body: RenderableType, sign: str = "·") -> RenderableType:
    grid = Table.grid(padding=(0, 1))
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold", ratio=1)
    grid.add_row(Text(sign), body)
    return indented(grid)
