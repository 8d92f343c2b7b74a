"""What `vsil-audit leaderboard` shows, in every format."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from vsil_audit.errors import ConfigurationError
from vsil_audit.evaluation.alignment import Alignment, align
from vsil_audit.evaluation.alignment_answers import set_answers, table_names
from vsil_audit.evaluation.alignment_groups import paper_groups, read_groups
from vsil_audit.evaluation.paper import PaperTables, paper_tables
from vsil_audit.reporting.leaderboard.blocks import Block
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.leaderboard import leaderboard as ranked
from vsil_audit.runs.leaderboard_summary import LeaderboardSummary
from vsil_audit.runs.metric import Model

if TYPE_CHECKING:
    from vsil_audit.reporting.leaderboard.console import BlocksView

WIDTH = 100


class LeaderboardReport(Model):
    """`leaderboard`: of the runs, where any were named, to be read under `condition`; `alignment`: of the groups of
    checkpoints, the paper's among them where its tables are shown; `paper`: its tables, apart from all measured."""

    schema_version: int = 1
    condition: str = "pair"
    leaderboard: LeaderboardSummary | None = None
    alignment: Alignment | None = None
    paper: PaperTables | None = None
    warnings: list[str] = Field(default_factory=list)


def leaderboard(
    runs: Sequence[RunFolder], group: Path | None, *, paper: bool, condition: str, margin: float
) -> LeaderboardReport:
    """See `vsil_audit.leaderboard`."""
    if not 0 < margin < 1:
        raise ConfigurationError(f"a margin of {margin} is no share between 0 and 1", "For 5 points give 0.05.")
    groups = [*(read_groups(group) if group else ()), *(paper_groups() if paper else ())]
    summary = ranked(runs) if runs else None
    answers = set_answers(runs, summary, condition) if summary and group else []
    alignment = align(groups, answers, margin) if groups else None
    return LeaderboardReport(
        condition=condition,
        leaderboard=summary,
        alignment=alignment,
        paper=paper_tables() if paper else None,
        warnings=[
            *(summary.remarks if summary else []),
            *_not_asked(summary, condition),
            *(alignment.warnings if alignment else []),
        ],
    )


def _not_asked(summary: LeaderboardSummary | None, condition: str) -> Iterator[str]:
    for name, table in zip(table_names(summary), summary.tables, strict=True) if summary else ():
        if condition not in table.conditions:
            asked = ", ".join(table.conditions)
            yield f"{name}: no model was asked under {condition}, so none is ranked; --condition may be {asked}."


def blocks(report: LeaderboardReport) -> list[Block]:
    """The tables, in order: what was measured, the alignment comparison, and what the paper printed."""
    from vsil_audit.reporting.leaderboard.alignment_blocks import alignment_blocks
    from vsil_audit.reporting.leaderboard.paper_blocks import paper_blocks
    from vsil_audit.reporting.leaderboard.ranking_blocks import ranking_blocks

    found = ranking_blocks(report.leaderboard, report.condition) if report.leaderboard else []
    if report.alignment:
        found += alignment_blocks(report.alignment, report.paper or paper_tables())
    if report.paper:
        found += paper_blocks(report.paper)
    return found


def notes(report: LeaderboardReport) -> list[str]:
    """Warnings, and whom the paper's numbers are to be cited by, wherever any are shown."""
    shown = any(block.paper for block in blocks(report))
    return [*report.warnings, *([f"The paper: {paper_tables().citation.line}"] if shown else [])]


def view(report: LeaderboardReport) -> BlocksView:
    """A rich renderable."""
    from vsil_audit.reporting.leaderboard.console import BlocksView

    return BlocksView(blocks(report), notes(report))


def render(report: LeaderboardReport, form: str) -> str:
    """As `console` text of 100 columns, `markdown`, `latex`, `html` or `json`; equal reports give equal text. Raises
    ConfigurationError for another format."""
    match form:
        case "console":
            return _plain(view(report))
        case "markdown":
            from vsil_audit.reporting.leaderboard import markdown

            return markdown.render(blocks(report), notes(report))
        case "latex":
            from vsil_audit.reporting.leaderboard import latex

            return latex.render(blocks(report), notes(report))
        case "html":
            from vsil_audit.reporting.leaderboard.page import leaderboard_page

            return leaderboard_page(
                report.leaderboard,
                report.paper,
                report.alignment,
                condition=report.condition,
                warnings=report.warnings,
            )
        case "json":
            return report.model_dump_json(indent=2) + "\n"
        case _:
            raise ConfigurationError(f"there is no format {form}", "console, markdown, latex, html or json")


def _plain(renderable: Any) -> str:
    from rich.console import Console

    console = Console(file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(renderable)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
