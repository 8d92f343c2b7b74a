"""A table of a leaderboard as plain text in columns: what it says, before a console, Markdown or LaTeX sets it.

Names in cells, headers and notes come from runs and files, and are untrusted: each format escapes all that it sets.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from vsil_audit.reporting.numbers import share as as_percent
from vsil_audit.reporting.numbers import signed_share
from vsil_audit.runs.metric import Metric

GAP = 2


@dataclass(frozen=True, slots=True)
class Column:
    """`name`: holds names of models, sets and the like. `left`: set on the left, as words are. `more`: left out on a
    terminal, which says so."""

    title: str
    name: bool = False
    left: bool = False
    more: bool = False


@dataclass(frozen=True, slots=True)
class Block:
    """One table. The first `keys` columns are said again where the others do not fit beside each other.

    `paper`: every number of it was printed in the paper, and none was computed from answers. `more`: left out on a
    terminal, which says so."""

    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...] = ()
    keys: int = 1
    paper: bool = False
    more: bool = False

    def brief(self) -> Block:
        """Without the columns that are `more`."""
        kept = [i for i, column in enumerate(self.columns) if not column.more]
        rows = tuple(tuple(row[i] for i in kept) for row in self.rows)
        return replace(self, columns=tuple(self.columns[i] for i in kept), rows=rows)

    def split(
        self, width: int, cell: Callable[[str], int], title: Callable[[str], int], longest_key: int
    ) -> list[Block]:
        """The block as several, each at most `width` wide where one column can be; notes follow the last. `cell` and
        `title` tell how wide a cell and a column's title are set; a key column is at most `longest_key` wide."""
        widths = [
            max([title(column.title), *(cell(row[i]) for row in self.rows)]) for i, column in enumerate(self.columns)
        ]
        keys = list(range(self.keys))
        taken = sum(min(widths[i], longest_key) + GAP for i in keys)
        parts: list[list[int]] = []
        used = width + 1
        for i in range(self.keys, len(self.columns)):
            if used + widths[i] > width:
                parts.append([])
                used = taken
            parts[-1].append(i)
            used += widths[i] + GAP
        return [
            replace(
                self,
                title=self.title if len(parts) == 1 else f"{self.title} ({number} of {len(parts)})",
                columns=tuple(self.columns[i] for i in keys + part),
                rows=tuple(tuple(row[i] for i in keys + part) for row in self.rows),
                notes=self.notes if number == len(parts) else (),
            )
            for number, part in enumerate(parts or [[]], start=1)
        ]


def points(share: float) -> str:
    """A share in per cent without its sign, for columns whose header has it: `13.8`, `<0.1`, `100`."""
    return as_percent(share).removesuffix(" %")


def rate(metric: Metric | None) -> str:
    """`13.8 [12.4, 15.3] 309/2,241`, all in per cent; `13.8 [–]` without interval; `–` where there is no value."""
    if metric is None or metric.value is None:
        return "–"
    return f"{points(metric.value)}{limits(metric.low, metric.high)}{'' if metric.k is None else f' {counts(metric)}'}"


def limits(low: float | None, high: float | None) -> str:
    """` [12.4, 15.3]`, or ` [–]` where there is no interval."""
    return " [–]" if low is None or high is None else f" [{points(low)}, {points(high)}]"


def difference(metric: Metric | None) -> str:
    """`+15.1 [+12.8, +17.4]`, in percentage points."""
    if metric is None or metric.value is None:
        return "–"
    value, low, high = (
        None if number is None else signed_share(number).removesuffix(" pp")
        for number in (metric.value, metric.low, metric.high)
    )
    return f"{value} [–]" if low is None or high is None else f"{value} [{low}, {high}]"


def counts(metric: Metric | None) -> str:
    """`309/2,241`, or `n = 2,241`."""
    if metric is None or metric.value is None or (metric.k is None and not metric.n):
        return "–"
    return f"n = {metric.n:,}" if metric.k is None else f"{metric.k:,}/{metric.n:,}"


def coverage(metric: Metric | None) -> str:
    """`2,212/2,241`: how many are counted, of how many."""
    return "–" if metric is None else f"{metric.n:,}/{metric.total:,}"


def columns(
    *titles: str, names: Sequence[str] = (), left: Sequence[str] = (), more: Sequence[str] = ()
) -> tuple[Column, ...]:
    return tuple(Column(t, name=t in names, left=t in left or t in names, more=t in more) for t in titles)
