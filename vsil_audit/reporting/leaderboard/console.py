"""Blocks on a terminal: what does not fit beside each other stands below, with the names said again."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich import box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

from vsil_audit.reporting.console_layout import heading, indented
from vsil_audit.reporting.leaderboard.blocks import Block
from vsil_audit.reporting.untrusted import fold, one_line
from vsil_audit.wording import plural

_INDENT = 2
_NARROWEST = 12
_LONGEST_TITLE = 48
_LINES = 4  # of a name, before the rest of it is only counted


@dataclass(frozen=True, slots=True)
class BlocksView:
    """A rich renderable; print it with any rich console."""

    blocks: Sequence[Block]
    notes: Sequence[str] = ()

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        width = options.max_width - _INDENT
        for block in (block.brief() for block in self.blocks if not block.more):
            longest = max(_NARROWEST, width // 3)
            for part in block.split(width, _cell_width, _title_width, longest):
                yield heading(one_line(part.title))
                yield indented(_grid(part, longest), _INDENT)
                for note in part.notes:
                    yield indented(Text(one_line(note), style="dim"), _INDENT)
        yield Text("")
        if left_out := list(_left_out(self.blocks)):
            yield Text(f"Not on a terminal, but with --format markdown, latex, html or json: {', '.join(left_out)}.")
        for note in self.notes:
            yield Text(one_line(note))


def _left_out(blocks: Sequence[Block]) -> Iterator[str]:
    titles = dict.fromkeys(column.title for block in blocks for column in block.columns if column.more)
    yield from (one_line(title).removesuffix(", %") for title in titles)
    if tables := sum(block.more for block in blocks):
        yield plural(tables, "table")


def _cell_width(text: str) -> int:
    return cell_len(one_line(text))


def _title_width(title: str) -> int:
    """Of its longest word: a title is wrapped."""
    return max(map(cell_len, _title(title).split()), default=0)


def _title(title: str) -> str:
    return fold(title, _LONGEST_TITLE)


def _grid(block: Block, longest: int) -> Table:
    grid = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim", show_edge=False)
    for i, column in enumerate(block.columns):
        grid.add_column(
            Text(_title(column.title)),
            overflow="fold",
            justify="left" if column.left else "right",
            max_width=longest if i < block.keys else None,
        )
    for row in block.rows:
        grid.add_row(
            *(
                Text(fold(text, _LINES * longest), style="bold") if i < block.keys else Text(one_line(text))
                for i, text in enumerate(row)
            )
        )
    return grid
