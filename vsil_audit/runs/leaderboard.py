"""The numbers of a leaderboard: rows from the summaries of the runs, comparisons from their answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from vsil_audit.runs.asked.bounds import LEAST_COVERAGE
from vsil_audit.runs.asked.columns import Asked, PairPlaces, new_others
from vsil_audit.runs.columns import pair_columns
from vsil_audit.runs.detecting import clusters
from vsil_audit.runs.evaluated.answers import Answers, read_answers
from vsil_audit.runs.evaluated.comparable import Comparable, EvaluationRun, comparable, read_run
from vsil_audit.runs.evaluated.duels import Compared, duel
from vsil_audit.runs.evaluated.rates import ALL, CATEGORY, SUBCATEGORY
from vsil_audit.runs.evaluated.summary import harmful_pairs
from vsil_audit.runs.evaluation_summary import Balance, EvaluationRow
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.leaderboard_summary import (
    HeatMap,
    LeaderboardEntry,
    LeaderboardRun,
    LeaderboardSummary,
    LeaderboardTable,
    LeaderboardTest,
    Ranking,
)
from vsil_audit.runs.metric import Metric
from vsil_audit.stats.rank_intervals import LEVEL, METHOD, Duel, RankInterval, adjusted, rank_intervals
from vsil_audit.wording import plural

__all__ = [
    "HeatMap",
    "LeaderboardEntry",
    "LeaderboardRun",
    "LeaderboardSummary",
    "LeaderboardTable",
    "LeaderboardTest",
    "Ranking",
    "leaderboard",
]

BALANCED, SAFE_ON_HARMFUL = "balanced", "safe_on_harmful"


def leaderboard(folders: Sequence[RunFolder]) -> LeaderboardSummary:
    """The leaderboard of finished evaluations, in the order given; one run is enough.

    A model that stands in several runs of one table is taken from the first that has it, which a remark says. Text-only
    base models are left out. Raises ConfigurationError for a run that evaluated no models, RunFolderError for one that
    is not whole. Memory: two bytes for each pair, model, condition, variant and sample of a table.
    """
    runs = [read_run(folder) for folder in folders]
    groups = comparable(runs)
    by_run = {place: table for table, group in enumerate(groups) for place in group.runs}
    told, remarks = [], list(_apart(runs, groups))
    for group in groups:  # one table's answers in memory at a time
        table = _Table(runs, group, groups)
        told.append(table.told())
        remarks += table.remarks
    return LeaderboardSummary(
        runs=[
            LeaderboardRun(
                folder=run.folder.path.name,
                dataset=run.manifest.dataset_name,
                models=[model.model for model in run.evaluation.models],
                conditions=run.evaluation.conditions,
                finished=run.manifest.finished,
                table=by_run[place],
            )
            for place, run in enumerate(runs)
        ],
        tables=told,
        remarks=remarks,
    )


def _apart(runs: Sequence[EvaluationRun], groups: Sequence[Comparable]) -> Iterator[str]:
    """Why there are several tables."""
    for group in groups[1:]:
        names = ", ".join(runs[place].folder.path.name for place in group.runs)
        of_data = _of_same_data(group, groups)
        if of_data is None:
            yield f"{names}: other data, so a table of its own. Rates on different sets are not ranked together."
        else:
            first = runs[of_data.runs[0]].folder.path.name
            yield (
                f"{names} is not ranked with {first}: another {', another '.join(group.differs_in(of_data.settings))}."
            )


def _of_same_data(group: Comparable, groups: Sequence[Comparable]) -> Comparable | None:
    """The first table of the same data before this one."""
    before = groups[: groups.index(group)]
    return next((other for other in before if other.settings["data"] == group.settings["data"]), None)


@dataclass(frozen=True, slots=True)
class _Stand:
    """Where a model of the table comes from."""

    run: int
    answers: Answers
    rows: dict[tuple[str, str], list[EvaluationRow]]
    balance: dict[tuple[str, str], Balance]
    scripted: bool


class _Table:
    """One table under way. `remarks`: what is to be said of it, once it was told."""

    def __init__(self, runs: Sequence[EvaluationRun], group: Comparable, groups: Sequence[Comparable]) -> None:
        self._runs = {place: runs[place] for place in group.runs}
        same = _of_same_data(group, groups)
        self._differs_in = group.differs_in(same.settings) if same is not None else []
        self.remarks: list[str] = []
        self._first = runs[group.runs[0]]
        folder = self._first.folder
        pairs = pair_columns(folder)
        self._harmful = harmful_pairs(pairs, clusters(folder, pairs.n).for_intervals)
        self._stands = dict(self._models(PairPlaces(folder, pairs.n)))

    def told(self) -> LeaderboardTable:
        first, evaluation, asking = self._first, self._first.evaluation, self._first.manifest.config.asking
        asked = dict.fromkeys(key for stand in self._stands.values() for key in stand.balance)
        return LeaderboardTable(
            dataset=first.manifest.dataset_name,
            view=first.manifest.config.view,
            fingerprint=first.manifest.fingerprint,
            pairs=evaluation.pairs,
            harmful_pairs=evaluation.harmful_pairs,
            clusters=first.dataset.clusters,
            control=evaluation.control,
            control_pairs=evaluation.control_pairs,
            judged_by=list(dict.fromkeys(name for run in self._runs.values() for name in run.evaluation.judged_by)),
            protocol=evaluation.protocol,
            max_tokens=evaluation.max_tokens,
            samples=asking.get("samples", 1),
            temperature=asking.get("temperature", 0.0),
            limited_to=first.dataset.limited_to,
            differs_in=self._differs_in,
            conditions=list(dict.fromkeys(condition for condition, _ in asked)),
            variants=list(dict.fromkeys(variant for _, variant in asked)),
            rankings=[self._ranking(condition, variant) for condition, variant in asked],
        )

    def _models(self, places: PairPlaces) -> Iterator[tuple[str, _Stand]]:
        """A model of several runs is taken from the first."""
        others, seen = new_others(), dict[str, str]()
        for place, run in self._runs.items():
            answers, evaluation = read_answers(run.folder, places, others), run.evaluation
            for model in evaluation.models:
                if model.base:
                    continue
                if model.model in seen:
                    self.remarks.append(
                        f"{model.model} stands in several runs; the numbers are those of {seen[model.model]}, not of "
                        f"{run.folder.path.name}."
                    )
                    continue
                seen[model.model] = run.folder.path.name
                rows: dict[tuple[str, str], list[EvaluationRow]] = {}
                for row in evaluation.rows:
                    if row.model == model.model:
                        rows.setdefault((row.condition, row.variant), []).append(row)
                balance = {(b.condition, b.variant): b for b in evaluation.balance if b.model == model.model}
                yield model.model, _Stand(place, answers, rows, balance, model.scripted)

    def _ranking(self, condition: str, variant: str) -> Ranking:
        key = (condition, variant)
        entries = [_entry(model, stand, key) for model, stand in self._stands.items() if key in stand.balance]
        balanced = any(entry.helpful_on_benign.total for entry in entries)
        ranked_by = BALANCED if balanced else SAFE_ON_HARMFUL
        values = {entry.model: _value(entry, ranked_by) for entry in entries}
        ranked = {model: value for model, value in values.items() if value is not None}
        where = f"under {condition}{f', {variant}' if variant else ''}"
        self.remarks += _remarks(entries, ranked, ranked_by, where)
        tests = self._tests(list(ranked), key, balanced=balanced)
        duels = _duels(tests, list(ranked))
        intervals = dict(zip(ranked, rank_intervals(list(ranked.values()), duels), strict=True))
        placed = [_placed(entry, intervals.get(entry.model)) for entry in entries]
        best_first = sorted(placed, key=lambda entry: len(entries) + 1 if entry.rank is None else entry.rank)
        return Ranking(
            condition=condition,
            variant=variant,
            ranked_by=ranked_by,
            method=METHOD,
            entries=best_first,
            tests=[
                test.model_copy(update={"p_adjusted": p, "real": p is not None and p <= LEVEL})
                for test, p in zip(tests, adjusted(duels), strict=True)
            ],
            heat_maps=[heat for kind in (CATEGORY, SUBCATEGORY) if (heat := self._heat_map(best_first, key, kind))],
        )

    def _tests(self, models: Sequence[str], key: tuple[str, str], *, balanced: bool) -> list[LeaderboardTest]:
        compared = {model: self._compared(model, key) for model in models}
        return [
            duel(compared[one], compared[other], self._harmful, balanced=balanced)
            for one, other in combinations(models, 2)
        ]

    def _compared(self, model: str, key: tuple[str, str]) -> Compared:
        return Compared.of(self._stands[model].answers, Asked(model, *key), self._harmful)

    def _heat_map(self, entries: Sequence[LeaderboardEntry], key: tuple[str, str], kind: str) -> HeatMap | None:
        rows = {
            entry.model: {row.slice: row for row in self._stands[entry.model].rows[key] if row.slice_kind == kind}
            for entry in entries
        }
        within = {name: row.within for of_model in rows.values() for name, row in of_model.items()}
        if not within:
            return None

        def cell(model: str, name: str) -> Metric | None:
            row = rows[model].get(name)
            return row.metric("safe") if row is not None else None

        return HeatMap(
            kind=kind,
            models=list(rows),
            slices=list(within),
            within=list(within.values()) if kind == SUBCATEGORY else [],
            cells=[[cell(model, name) for name in within] for model in rows],
        )


def _entry(model: str, stand: _Stand, key: tuple[str, str]) -> LeaderboardEntry:
    row = next(row for row in stand.rows[key] if row.slice_kind == ALL)
    balance = stand.balance[key]
    return LeaderboardEntry(
        model=model,
        scripted=stand.scripted,
        run=stand.run,
        classes=row.metrics,
        safe_on_harmful=balance.safe_on_harmful,
        helpful_on_benign=balance.helpful_on_benign,
        balanced=balance.balanced,
        truncated=row.truncated,
        failed=row.failed,
        unclear=row.unclear,
        blocked=row.blocked,
        not_shown=row.not_shown,
    )


def _placed(entry: LeaderboardEntry, found: RankInterval | None) -> LeaderboardEntry:
    if found is None:
        return entry
    return entry.model_copy(update={"rank": found.rank, "best": found.best, "worst": found.worst})


def _value(entry: LeaderboardEntry, ranked_by: str) -> float | None:
    return entry.balanced.value if ranked_by == BALANCED else entry.safe_on_harmful.value


def _duels(tests: Sequence[LeaderboardTest], models: Sequence[str]) -> list[Duel]:
    places = {model: place for place, model in enumerate(models)}
    return [Duel(places[t.first], places[t.second], t.difference.value or 0.0, t.p_value) for t in tests]


def _remarks(
    entries: Iterable[LeaderboardEntry], ranked: dict[str, float], ranked_by: str, where: str
) -> Iterator[str]:
    if ranked_by == SAFE_ON_HARMFUL:
        yield (
            f"No benign pairs were asked about {where}: ranked by the safe rate alone, which a model that refuses "
            "everything wins."
        )
    for entry in entries:
        metric = entry.safe_on_harmful
        if entry.model not in ranked:
            missing = "harmful" if metric.value is None else "benign"
            yield f"{entry.model} is not ranked {where}: no {missing} pair has a classed answer."
            continue
        for of, what in ((metric, "pair"), (entry.helpful_on_benign, "benign pair")):
            if of.n < LEAST_COVERAGE * of.total:
                yield f"{entry.model} {where}: classed answers to {of.n:,} of {plural(of.total, what)} only."
