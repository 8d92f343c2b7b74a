"""A leaderboard as one HTML page."""

from __future__ import annotations

from vsil_audit.reporting.leaderboard.report import LeaderboardReport, blocks, notes
from vsil_audit.reporting.page import render_page


def render_html(report: LeaderboardReport) -> str:
    """The page, which opens from disk."""
    sets = dict.fromkeys(table.dataset for table in report.leaderboard.tables) if report.leaderboard else {}
    return render_page(
        "leaderboard_tables.html.j2",
        styles=("page.css", "report.css"),
        scripts=("page.js",),
        heading=", ".join(sets) or "Is text enough?",
        blocks=blocks(report),
        notes=notes(report),
    )
