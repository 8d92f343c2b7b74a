"""A leaderboard as one HTML page that opens from disk; it computes no new number.

What was measured is ranked; what the paper printed stands apart, marked as the paper's, and is ranked with nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsil_audit.evaluation.alignment import Alignment, AlignmentRow
from vsil_audit.evaluation.alignment_answers import table_names
from vsil_audit.evaluation.alignment_groups import PAPER
from vsil_audit.evaluation.paper import PaperTables
from vsil_audit.evaluation.paper.tables import PaperDataset
from vsil_audit.reporting import heat
from vsil_audit.reporting.asked_page import WITH
from vsil_audit.reporting.evaluation_parts import condition_words
from vsil_audit.reporting.heat import Duel, DuelMatrix, duel_matrix
from vsil_audit.reporting.leaderboard import strips
from vsil_audit.reporting.leaderboard.letters import letters
from vsil_audit.reporting.page import render_page
from vsil_audit.reporting.standing import SCRIPTED_TELLS, Standing
from vsil_audit.runs.asked.bounds import LEAST_COVERAGE, MOST_TRUNCATED
from vsil_audit.runs.asked.summary import is_scripted
from vsil_audit.runs.evaluated.balance import CHANCE
from vsil_audit.runs.leaderboard_summary import LeaderboardEntry, LeaderboardSummary, LeaderboardTable, Ranking
from vsil_audit.runs.metric import Metric, Nature

RANKED_BY = {"balanced": "balanced", "safe_on_harmful": "safe on harmful pairs"}


def leaderboard_page(
    summary: LeaderboardSummary | None,
    paper: PaperTables | None = None,
    alignment: Alignment | None = None,
    *,
    condition: str = "pair",
    warnings: Sequence[str] | None = None,
) -> str:
    """The page. Each table opens on its ranking under `condition`, the plain query. `warnings`: None: those of
    `summary` and `alignment`."""
    said = [*(summary.remarks if summary else []), *(alignment.warnings if alignment else [])]
    tables, who = table_views(summary, condition) if summary else [], _standing(summary)
    return render_page(
        "leaderboard.html.j2",
        styles=("page.css", "report.css", "asked.css", "heat.css", "evaluation.css", "leaderboard.css"),
        scripts=("page.js",),
        summary=summary,
        tables=tables,
        models=len({entry.model for view in tables for r in view.table.rankings for entry in r.entries}),
        paper=paper,
        alignment=alignment,
        warnings=said if warnings is None else warnings,
        standing=who,
        scripted_tells=SCRIPTED_TELLS,
        heat=heat,
        strips=strips,
        even=_even(),
        class_of=class_of,
        with_words=WITH,
        ranked_words=RANKED_BY,
        paper_rate=_paper_rate,
        sized=lambda n: PaperDataset(n=n),
        scripted_row=lambda row: _scripted_row(row, who),
        least_coverage=LEAST_COVERAGE,
        most_truncated=MOST_TRUNCATED,
    )


@dataclass(frozen=True, slots=True)
class RankingView:
    """One ranking with the letters of its models (None where there are too many) and who is ahead of whom."""

    ranking: Ranking
    title: str
    letters: dict[str, str] | None
    matrix: DuelMatrix

    @property
    def ranked(self) -> int:
        return sum(entry.rank is not None for entry in self.ranking.entries)

    @property
    def real(self) -> int:
        return sum(test.real for test in self.ranking.tests)


@dataclass(frozen=True, slots=True)
class TableView:
    """Models that can be compared: the ranking that stands first, and the others."""

    name: str
    table: LeaderboardTable
    main: RankingView | None
    others: list[RankingView]
    overview: list[tuple[LeaderboardEntry, list[LeaderboardEntry | None]]]

    @property
    def rankings(self) -> list[RankingView]:
        return [*([self.main] if self.main else []), *self.others]


def table_views(summary: LeaderboardSummary, condition: str) -> list[TableView]:
    """In the summary's order."""
    return [_table(name, table, condition) for name, table in zip(table_names(summary), summary.tables, strict=True)]


def _table(name: str, table: LeaderboardTable, condition: str) -> TableView:
    views = [_ranking(ranking) for ranking in table.rankings]
    views.sort(key=lambda view: (view.ranking.condition != condition, bool(view.ranking.variant)))
    found = [{entry.model: entry for entry in view.ranking.entries} for view in views]
    first = {model: entry for entries in reversed(found) for model, entry in entries.items()}
    models = dict.fromkeys(entry.model for view in views for entry in view.ranking.entries)
    return TableView(
        name=name,
        table=table,
        main=views[0] if views else None,
        others=views[1:],
        overview=[(first[model], [entries.get(model) for entries in found]) for model in models],
    )


def _ranking(ranking: Ranking) -> RankingView:
    ranked = [entry.model for entry in ranking.entries if entry.rank is not None]
    duels = [Duel(t.first, t.second, t.difference, t.n, t.p_adjusted, t.real) for t in ranking.tests]
    title = condition_words(ranking.condition, ranking.variant)
    return RankingView(
        ranking,
        title,
        letters(ranked, [(t.first, t.second) for t in ranking.tests if t.real]) if ranking.tests else None,
        duel_matrix(title[:1].upper() + title[1:], ranked, duels),
    )


def class_of(entry: LeaderboardEntry, name: str) -> Metric | None:
    """`refusal`, `warning`, `unsafe` or `safe` of an entry."""
    return next((m for m in entry.classes if m.name.split(".")[1] == name), None)


def _standing(summary: LeaderboardSummary | None) -> Standing:
    """Whose answers, or verdicts on them, come from a file of rules."""
    tables = summary.tables if summary else []
    models = {entry.model for table in tables for r in table.rankings for entry in r.entries if entry.scripted}
    judges = {name for table in tables for names in table.judged_by for name in names.split(" + ") if is_scripted(name)}
    return Standing(scripted=frozenset(models | judges))


def _scripted_row(row: AlignmentRow, who: Standing) -> str:
    """`scripted` or `partly scripted`, where checkpoints measured here are; the paper's are nobody's script."""
    if row.source == PAPER:
        return ""
    return who.label(c.name for role in (row.text_aligned, row.multimodal_aligned) for c in role.checkpoints)


def _even() -> Metric:
    tells = "refuses everything, or nothing"
    return Metric(name="even", tells=tells, nature=Nature.MEASURED, unit="share", value=CHANCE)


def _paper_rate(per_cent: float, size: PaperDataset) -> Metric:
    """A printed rate with the interval that its set's size gives it, for a bar and its words."""
    found = size.interval(per_cent / 100)
    return Metric(
        name="paper", tells="printed in the paper", nature=Nature.JUDGED, unit="share", value=found.value,
        low=found.low, high=found.high, interval=found.method, n=found.n, total=found.n,
    )  # fmt: skip
