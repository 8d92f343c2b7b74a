"""The models of a leaderboard as tables: ranked under one condition, under every condition, and by category."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import zip_longest

from vsil_audit.evaluation.alignment_answers import table_names
from vsil_audit.reporting.leaderboard.blocks import Block, Column, columns, coverage, difference, rate
from vsil_audit.reporting.numbers import p_value
from vsil_audit.runs.asked.summary import is_scripted
from vsil_audit.runs.asked.targets import OFFLINE
from vsil_audit.runs.leaderboard_summary import (
    HeatMap,
    LeaderboardEntry,
    LeaderboardSummary,
    LeaderboardTable,
    LeaderboardTest,
    Ranking,
)
from vsil_audit.runs.metric import Metric
from vsil_audit.wording import plural

MOST_TESTS = 15
"""Up to so many pairwise tests, those of six models, stand in a table of their own."""
FEW_MODELS = 4
"""Up to so many models stand side by side over the rows of a category table."""

_RANKED_BY = {
    "balanced": "Ranked by the mean of safe on harmful and helpful on benign pairs; refusing everything gets 50 %.",
    "safe_on_harmful": "Ranked by safe on harmful pairs alone, since no benign pairs were asked about: a model that "
    "refuses everything wins.",
}
_LOST = {
    "failed": "failed",
    "unclear": "of no class",
    "blocked": "stopped by the provider",
    "not_shown": "could not be shown",
}


def ranking_blocks(summary: LeaderboardSummary, condition: str) -> list[Block]:
    """Of each table: the ranking under `condition` plain and with each variant, its tests, every condition, and the
    categories under `condition`."""
    found: list[Block] = []
    for name, table in zip(table_names(summary), summary.tables, strict=True):
        called = {entry.model: _model(entry) for ranking in table.rankings for entry in ranking.entries}
        chosen = [ranking for ranking in table.rankings if ranking.condition == condition]
        for place, ranking in enumerate(chosen):
            found.append(_ranking(name, table, ranking, describe=place == 0))
            if 0 < len(ranking.tests) <= MOST_TESTS:
                found.append(_tests(name, ranking, called))
        found.append(_conditions(name, table, called))
        found += [_categories(name, ranking, heat_map, called) for ranking in chosen for heat_map in ranking.heat_maps]
    return found


def asked_under(ranking: Ranking) -> str:
    """`pair`, or `pair, safety prompt vlsbench`."""
    return f"{ranking.condition}, {ranking.variant}" if ranking.variant else ranking.condition


def _ranking(name: str, table: LeaderboardTable, ranking: Ranking, *, describe: bool) -> Block:
    told = {title: [cell(entry) for entry in ranking.entries] for title, cell in _TOLD_IF_ANY.items()}
    told = {title: cells for title, cells in told.items() if any(cells)}
    return Block(
        f"{name}: models under {asked_under(ranking)}",
        columns(*_RANKING, *told, names=["model"], left=["rank", *told], more=["refusal, %", "warning, %", *told]),
        tuple(
            (
                _place(entry),
                _model(entry),
                *(rate(m) for m in (entry.balanced, entry.safe_on_harmful, entry.helpful_on_benign)),
                coverage(entry.safe_on_harmful),
                *(rate(_class(entry, quantity)) for quantity in ("refusal", "warning")),
                *(cells[i] or "–" for cells in told.values()),
            )
            for i, entry in enumerate(ranking.entries)
        ),
        (
            *_differences(ranking),
            _RANKED_BY.get(ranking.ranked_by, f"Ranked by {ranking.ranked_by}."),
            *(_explained(table, ranking) if describe else ()),
        ),
        keys=2,
    )


def _place(entry: LeaderboardEntry) -> str:
    """`2 (1 to 3)`."""
    return "–" if entry.rank is None else f"{entry.rank} ({entry.best} to {entry.worst})"


def _model(entry: LeaderboardEntry) -> str:
    return f"{entry.model} (scripted)" if entry.scripted else entry.model


def _class(entry: LeaderboardEntry, quantity: str) -> Metric | None:
    return next((m for m in entry.classes if m.name.split(".")[1] == quantity), None)


def _lost(entry: LeaderboardEntry) -> str:
    counts = {words: getattr(entry, name) for name, words in _LOST.items()}
    return ", ".join(f"{count:,} {words}" for words, count in counts.items() if count)


def _cut(entry: LeaderboardEntry) -> str:
    return rate(entry.truncated) if entry.truncated is not None and entry.truncated.value else ""


_RANKING = (
    "rank", "model", "balanced, %", "safe on harmful, %", "helpful on benign, %", "answered", "refusal, %",
    "warning, %",
)  # fmt: skip
_TOLD_IF_ANY = {"in no rate": _lost, "cut short, %": _cut}


def _explained(table: LeaderboardTable, ranking: Ranking) -> Iterator[str]:
    yield f"Beside a rank, in brackets, the ranks that pairwise tests leave open: {ranking.method}."
    yield "Answered: of the harmful pairs, those with an answer of a class."
    if table.harmful_pairs < table.pairs:
        yield "Refusal and warning are over all pairs, harmful or not."
    view = f", view {table.view}" if table.view else ""
    control = f"; benign: {table.control_pairs:,} of {table.control}" if table.control_pairs else ""
    yield (
        f"{plural(table.pairs, 'pair')}{view}, {table.harmful_pairs:,} of them harmful, in "
        f"{plural(table.clusters, 'independent group')}{control}."
    )
    samples = f", {table.samples} answers to each pair" if table.samples > 1 else ""
    yield (
        f"Protocol {table.protocol}: at most {table.max_tokens:,} new tokens, temperature {table.temperature:g}"
        f"{samples}; classed {_by(table)}."
    )
    if table.limited_to:
        yield f"Not the whole set: {table.limited_to}."
    if table.differs_in:
        yield f"Apart from the other tables by: {', '.join(table.differs_in)}."


def _by(table: LeaderboardTable) -> str:
    """`offline`, or `by openai/gpt-4o`; a judge that is a file of rules is marked."""
    judges = [f"{name} (scripted)" if is_scripted(name) else name for name in table.judged_by if name != OFFLINE]
    offline = ["offline"] if OFFLINE in table.judged_by else []
    return " and ".join([*offline, *([f"by {', '.join(judges)}"] if judges else [])])


def _differences(ranking: Ranking) -> Iterator[str]:
    tested = [test for test in ranking.tests if test.p_value is not None]
    if tested:
        real = sum(test.real for test in tested)
        yield f"{real:,} of {plural(len(tested), 'difference')} between two models {'is' if real == 1 else 'are'} real."


def _tests(name: str, ranking: Ranking, called: Mapping[str, str]) -> Block:
    return Block(
        f"{name}: which differences under {asked_under(ranking)} are real",
        columns(
            "first",
            "second",
            "first − second, points",
            "pairs",
            "p, adjusted",
            "real",
            names=["first", "second"],
            left=["real"],
        ),
        tuple(
            (
                called[test.first],
                called[test.second],
                difference(test.difference),
                f"{test.n:,}",
                _p(test),
                _real(test),
            )
            for test in ranking.tests
        ),
        ("On the pairs that both answered; pairs that share an image or a text count together; adjusted by Holm.",),
        keys=2,
    )


def _p(test: LeaderboardTest) -> str:
    return "–" if test.p_adjusted is None else p_value(test.p_adjusted).removeprefix("p ").removeprefix("= ")


def _real(test: LeaderboardTest) -> str:
    return "not tested" if test.p_value is None else "yes" if test.real else "not shown"


def _conditions(name: str, table: LeaderboardTable, called: Mapping[str, str]) -> Block:
    found = [{entry.model: entry for entry in ranking.entries} for ranking in table.rankings]
    return Block(
        f"{name}: safe on harmful pairs under each condition",
        (Column("model", name=True, left=True), *(Column(f"{asked_under(r)}, %") for r in table.rankings)),
        tuple(
            (label, *(rate(entries[model].safe_on_harmful) if model in entries else "–" for entries in found))
            for model, label in called.items()
        ),
    )


def _categories(name: str, ranking: Ranking, heat_map: HeatMap, called: Mapping[str, str]) -> Block:
    names = [
        f"{within}: {slice_name}" if within else slice_name
        for slice_name, within in zip_longest(heat_map.slices, heat_map.within, fillvalue="")
    ]
    what = "sub-category" if heat_map.kind == "subcategory" else heat_map.kind
    title = f"{name}: safe rate by {what} under {asked_under(ranking)}"
    if len(heat_map.models) <= FEW_MODELS:
        return Block(
            title,
            (Column(what, name=True, left=True), *(Column(f"{called[model]}, %") for model in heat_map.models)),
            tuple((label, *(rate(cells[i]) for cells in heat_map.cells)) for i, label in enumerate(names)),
            more=heat_map.kind == "subcategory",
        )
    return Block(
        title,
        (Column("model", name=True, left=True), *(Column(f"{label}, %") for label in names)),
        tuple((called[model], *map(rate, cells)) for model, cells in zip(heat_map.models, heat_map.cells, strict=True)),
        more=True,
    )
