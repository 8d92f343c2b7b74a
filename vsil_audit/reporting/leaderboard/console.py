"""Blocks on a terminal: what does not fit beside each other stands below, with the names said again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from vsil_audit.reporting.console import heading, indented
from vsil_audit.reporting.leaderboard.blocks import Block
from vsil_audit.reporting.untrusted import fold, one_line

_INDENT = 2


@dataclass(frozen=True, slots=True)
class BlocksView:
    """A rich renderable; print it with any rich console."""

    blocks: Sequence[Block]

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = options.max_width - _INDENT
        for block in self.blocks:
            longest = max(12, min(40, width // 3) // block.keys)
            for part in block.split(width, lambda text: cell_len(one_line(text)), longest):
                yield heading(one_line(part.title))
                yield indented(_grid(part, longest), _INDENT)
                for note in part.notes:
                    yield indented(Text(one_line(note), style="dim"), _INDENT)


def _grid(block: Block, longest: int) -> Table:
    titles = [one_line(column.title) for column in block.columns]
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    for i, column in enumerate(block.columns):
        if i < block.keys:
            grid.add_column(Text(titles[i]), overflow="fold", max_width=longest)
        else:
            grid.add_column(Text(titles[i]), overflow="fold", justify="left" if column.left else "right")
    for row in block.rows:
        grid.add_row(
            *(
                Text(fold(text, 2 * longest), style="bold") if i < block.keys else Text(one_line(text))
                for i, text in enumerate(row)
            )
        )
    return grid
