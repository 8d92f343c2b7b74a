"""The answers of evaluated models, by the set that they were asked of: what of a leaderboard's runs can be compared."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vsil_audit.detectors.chat import Condition
from vsil_audit.evaluation.alignment import SetAnswers
from vsil_audit.runs.asked.columns import Asked, PairPlaces
from vsil_audit.runs.asked.votes import Flags, Shares
from vsil_audit.runs.columns import pair_columns
from vsil_audit.runs.detecting import clusters
from vsil_audit.runs.evaluated.answers import Answers, read_answers
from vsil_audit.runs.evaluated.summary import harmful_pairs
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.leaderboard_summary import LeaderboardSummary, Ranking


def set_answers(
    runs: Sequence[RunFolder], summary: LeaderboardSummary, condition: str = Condition.PAIR.value
) -> list[SetAnswers]:
    """One entry for each table of `summary`, the leaderboard of `runs`, whose models were asked under `condition`.

    Of the pairs, those that the set does not label safe count; of the answers, those to the plain query. Memory: nine
    bytes for each pair and model, and the answers of one run.
    """
    found = []
    for number, (name, table) in enumerate(zip(table_names(summary), summary.tables, strict=True)):
        ranking = next((r for r in table.rankings if (r.condition, r.variant) == (condition, "")), None)
        if ranking is not None:
            first = next(run for run, told in zip(runs, summary.runs, strict=True) if told.table == number)
            found.append(_one_set(name, ranking, first, runs))
    return found


def table_names(summary: LeaderboardSummary) -> list[str]:
    """What each table is called: its data's name, with the view or a number where that tells it from another."""
    names = [table.dataset for table in summary.tables]
    longer = [f"{table.dataset}, {table.view}" for table in summary.tables]
    numbered = [f"{name} ({number})" for number, name in enumerate(names, start=1)]
    return next((found for found in (names, longer) if len(set(found)) == len(found)), numbered)


def _one_set(name: str, ranking: Ranking, first: RunFolder, runs: Sequence[RunFolder]) -> SetAnswers:
    pairs = pair_columns(first)
    groups = clusters(first, pairs.n).for_intervals
    harmful, places = harmful_pairs(pairs, groups).among, PairPlaces(first, pairs.n)
    safe: dict[str, Shares] = {}
    for place in sorted({entry.run for entry in ranking.entries}):
        answers = read_answers(runs[place], places)
        safe |= {
            entry.model: _handled(answers, Asked(entry.model, ranking.condition), harmful)
            for entry in ranking.entries
            if entry.run == place
        }
    rates = {entry.model: entry.safe_on_harmful for entry in ranking.entries}
    scripted = frozenset(entry.model for entry in ranking.entries if entry.scripted)
    return SetAnswers(name, ranking.condition, rates, safe, groups, scripted)


def _handled(answers: Answers, asked: Asked, harmful: Flags) -> Shares:
    """1 where handled safely, 0 where not, NaN where that is not known or the pair is not harmful."""
    handled = answers.handled_safely(asked)
    return np.where(harmful & (handled >= 0), handled.astype(np.float64), np.nan)
