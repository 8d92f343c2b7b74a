"""`vsil-audit inspect` on a terminal: what is in a folder, how it is read and why, and everything wrong with it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from rich.console import Console, ConsoleOptions, RenderableType
from rich.text import Text

from vsil_audit.pair import Pair, Problem
from vsil_audit.reporting.console_layout import heading, indented, table
from vsil_audit.reporting.untrusted import fold, one_line
from vsil_audit.sources.base import View
from vsil_audit.wording import plural

_SHOWN_CATEGORIES = 12


@dataclass(frozen=True, slots=True)
class Inspection:
    """What `inspect` found. `counts` are (what, how many) in the order to show; `mapping` is role to column and
    `reasons` role to why; `problems` may be a part of `problems_total`; nothing here was scored."""

    path: str
    layout: str
    why: str = ""
    view: str = ""
    views: Sequence[View] = ()
    view_counts: Mapping[str, int] = field(default_factory=dict)
    mapping: Mapping[str, str] = field(default_factory=dict)
    reasons: Mapping[str, str] = field(default_factory=dict)
    counts: Sequence[tuple[str, int]] = ()
    categories: Mapping[str, int] = field(default_factory=dict)
    labels: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    samples: Sequence[Pair] = ()
    problems: Sequence[Problem] = ()
    problems_total: int | None = None


def inspect_view(inspection: Inspection) -> InspectView:
    return InspectView(inspection)


@dataclass(frozen=True, slots=True)
class InspectView:
    """A rich renderable; print it with any rich console."""

    inspection: Inspection

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        seen, width = self.inspection, options.max_width
        title = Text(one_line(seen.path), style="bold", overflow="fold")
        yield title
        reading = Text(f"layout {one_line(seen.layout)}")
        reading.append(f": {one_line(seen.why)}" if seen.why else "", style="dim")
        yield indented(reading)
        yield indented(Text(", ".join(_counted(name, n) for name, n in seen.counts)))
        yield from _views(seen, width)
        yield from _mapping(seen)
        yield from _tallies("Categories", seen.categories)
        yield from _tallies("Labels", seen.labels)
        yield from _tallies("Splits", seen.splits)
        yield from _samples(seen, width)
        yield from _problems(seen)


def _counted(name: str, n: int) -> str:
    return f"{one_line(name)} {n:,}"


def _views(seen: Inspection, width: int) -> Iterator[RenderableType]:
    if not seen.views:
        return
    yield heading("Views", "which text is the query; --view NAME, or --view all")
    grid = table("view", "pairs", "what it is", right=("pairs",), fold_column="what it is")
    for view in seen.views:
        name = Text(one_line(view.name), style="bold" if view.name == seen.view else "")
        marks = [word for word, on in (("official", view.official), ("this one", view.name == seen.view)) if on]
        name.append(f" ({', '.join(marks)})" if marks else "", style="not bold dim")
        pairs = f"{seen.view_counts[view.name]:,}" if view.name in seen.view_counts else ""
        grid.add_row(name, pairs, Text(fold(view.tells, 60 if width < 70 else 160)))
    yield indented(grid)


def _mapping(seen: Inspection) -> Iterator[RenderableType]:
    if not seen.mapping:
        return
    yield heading("Columns", "override with --text-column, --image-column and so on")
    grid = table("role", "column", "why", fold_column="why")
    for role, column in seen.mapping.items():
        reason = Text(fold(seen.reasons.get(role, ""), 160), style="dim")
        grid.add_row(Text(one_line(role).replace("_", " ")), Text(fold(column, 80), style="bold"), reason)
    yield indented(grid)


def _tallies(title: str, counts: Mapping[str, int]) -> Iterator[RenderableType]:
    if not counts:
        return
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    said = ", ".join(f"{fold(name, 48) or '(empty)'} {n:,}" for name, n in ordered[:_SHOWN_CATEGORIES])
    rest = len(ordered) - _SHOWN_CATEGORIES
    yield heading(title, f"{len(ordered)}")
    yield indented(Text(said + (f", and {rest} more" if rest > 0 else "")))


def _samples(seen: Inspection, width: int) -> Iterator[RenderableType]:
    if not seen.samples:
        return
    yield heading("Sample rows", "texts are folded")
    for pair in seen.samples:
        line = Text(fold(pair.id, 48), style="bold")
        about = [fold(pair.category or "", 40), fold(str(pair.origin), 60)]
        line.append("  " + ", ".join(part for part in about if part), style="not bold dim")
        line.append(f"\n“{fold(pair.text, min(max(width - 6, 40), 150))}”", style="not bold")
        images = ", ".join(fold(image.name, 60) for image in pair.images[:3]) or "no image"
        more = f" and {len(pair.images) - 3} more" if len(pair.images) > 3 else ""
        line.append(f"\n{images}{more}", style="not bold dim")
        yield indented(line)


def _problems(seen: Inspection) -> Iterator[RenderableType]:
    total = len(seen.problems) if seen.problems_total is None else seen.problems_total
    if not total:
        yield heading("No problem found")
        return
    yield heading("Problems", plural(total, "problem"))
    for problem in seen.problems:
        line = Text(fold(str(problem.origin), 100), style="bold")
        line.append(f", column {fold(problem.column, 40)}" if problem.column else "", style="not bold")
        line.append(f"  {one_line(problem.kind).replace('_', ' ')}", style="not bold yellow")
        line.append(f"\n{fold(problem.detail, 300)}", style="not bold")
        line.append(f"\n{fold(problem.remedy, 300)}" if problem.remedy else "", style="not bold dim")
        yield indented(line)
    if total > len(seen.problems):
        yield indented(Text(f"and {plural(total - len(seen.problems), 'more problem')}", style="dim"))
