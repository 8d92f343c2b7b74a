"""The leaderboard's page: what was measured as the summary says it, the paper apart and ranked with nothing."""

from __future__ import annotations

import re
from html import unescape
from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from leaderboard_summaries import names, summary

from vsil_audit.evaluation.alignment import Alignment, align
from vsil_audit.evaluation.alignment_groups import paper_groups
from vsil_audit.evaluation.paper import paper_tables
from vsil_audit.reporting import heat
from vsil_audit.reporting.leaderboard.letters import MOST_LETTERS, letters
from vsil_audit.reporting.leaderboard.page import leaderboard_page
from vsil_audit.reporting.leaderboard.strips import gap_strip, rank_strip, reach
from vsil_audit.reporting.numbers import number, signed_share
from vsil_audit.runs.leaderboard_summary import LeaderboardSummary


def words(html: str) -> str:
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def section(html: str, name: str) -> str:
    return html.partition(f'<section id="{name}"')[2].partition("<section")[0]


def changed(found: LeaderboardSummary, **update: object) -> LeaderboardSummary:
    """The summary with its only table's rankings changed in `update`."""
    table = found.tables[0]
    rankings = [ranking.model_copy(update=update) for ranking in table.rankings]
    return found.model_copy(update={"tables": [table.model_copy(update={"rankings": rankings})]})


@pytest.fixture(scope="module")
def alignment() -> Alignment:
    return align(paper_groups())


@pytest.mark.parametrize("count", [1, 3, 30])
def test_every_model_stands_with_rank_open_ranks_and_intervals(count: int) -> None:
    found = summary(names(count))
    html = leaderboard_page(found)
    rows = [
        words(row) for row in section(html, "table-1").partition("<tbody>")[2].partition("</table>")[0].split("<tr")[1:]
    ]
    entries = found.tables[0].rankings[0].entries
    assert len(rows) == count
    for row, entry in zip(rows, entries, strict=True):
        assert entry.model in row
        if entry.rank is None:
            assert "not ranked" in row
            continue
        open_ranks = "settled" if entry.best == entry.worst else f"{entry.best} to {entry.worst}"
        assert f"{entry.rank} {open_ranks}" in row
        balanced = number(entry.balanced)
        assert f"{balanced.value} {balanced.interval}" in row
        for metric in (entry.safe_on_harmful, entry.helpful_on_benign):
            assert f"{number(metric).value} {number(metric).counts} {number(metric).interval}" in row
        for metric in entry.classes[:3]:
            assert f"{number(metric).value} {number(metric).interval}" in row


def test_all_conditions_and_categories_stand_as_text() -> None:
    found = summary(names(3))
    html = leaderboard_page(found)
    text = words(section(html, "table-1"))
    for ranking in found.tables[0].rankings:
        for entry in ranking.entries:
            m = entry.safe_on_harmful
            assert f"{heat.value(m)} {heat.limits(m)} {number(m).counts}" in text
    for cells in found.tables[0].rankings[0].heat_maps[0].cells:
        for metric in cells:
            assert metric is None or f"{heat.value(metric)} {heat.limits(metric)} {number(metric).counts}" in text


def test_another_condition_can_stand_first() -> None:
    text = words(section(leaderboard_page(summary(names(3)), condition="text"), "table-1"))
    assert text.index("Without the image text") < text.index("Ranked with the image")


def test_scripted_models_are_labelled_wherever_they_are_named() -> None:
    html = leaderboard_page(summary(names(3)))
    named = html.count('mono">openai/gnome-2</bdi>')
    assert named == len(re.findall(r'mono">openai/gnome-2</bdi> <span class="scripted"', html)) > 5


def test_a_scripted_judge_marks_every_row() -> None:
    found = summary(names(3))
    table = found.tables[0].model_copy(update={"judged_by": ["openai/grader + scripted/judge.yaml"]})
    html = leaderboard_page(found.model_copy(update={"tables": [table]}))
    assert html.count("scripted judge") >= 2
    assert "partly scripted" in words(section(html, "table-1"))


def test_a_ranking_without_benign_queries_says_what_wins_it() -> None:
    text = words(leaderboard_page(changed(summary(names(3)), ranked_by="safe_on_harmful")))
    assert (
        "No benign query was asked. Ranked by safe on harmful pairs alone: a model that refuses everything wins."
        in text
    )
    assert "Helpful on benign" not in text


def test_the_matrix_frames_what_is_shown_and_nothing_else() -> None:
    found = summary(names(5))
    html = section(leaderboard_page(found), "table-1")
    matrix = html.partition('class="heat duels"')[2].partition("</table>")[0]
    real = sum(test.real for test in found.tables[0].rankings[0].tests)
    assert matrix.count('class="ahead"') == matrix.count('class="behind"') == real > 0
    assert matrix.count('class="unsettled"') == 2 * (10 - real)
    test = found.tables[0].rankings[0].tests[1]
    assert f"▲ {signed_share(test.difference.value or 0)}" in words(matrix)


def test_remarks_stand_before_the_first_rank() -> None:
    text = words(leaderboard_page(summary(names(3), remarks=("two runs differ",))))
    assert text.index("two runs differ") < text.index("Best first")


def test_equal_summaries_give_equal_pages() -> None:
    assert leaderboard_page(summary(names(3))) == leaderboard_page(summary(names(3)))


# the paper


def test_the_papers_numbers_stand_apart_marked_and_unranked(alignment: Alignment) -> None:
    html = leaderboard_page(summary(names(3)), paper_tables(), alignment)
    paper = section(html, "paper")
    for row in paper_tables().responses:
        assert f"{row.model} " in words(paper)
        assert f"{row.total:.2f} %" in words(paper)
        assert row.model not in words(section(html, "table-1"))
    tables = paper.split("<table")[1:]
    assert len(tables) == 5
    for table in tables:
        assert "source: paper" in words(table.partition("</caption>")[0])
        assert "Rank" not in words(table)
    assert paper_tables().citation.line in words(paper)


def test_the_paper_changes_nothing_that_was_measured(alignment: Alignment) -> None:
    with_paper = leaderboard_page(summary(names(3)), paper_tables(), alignment)
    without = leaderboard_page(summary(names(3)))
    assert section(with_paper, "table-1").strip() == section(without, "table-1").strip()


def test_a_page_may_hold_the_paper_alone(alignment: Alignment) -> None:
    html = leaderboard_page(None, paper_tables(), alignment)
    assert "Best first" not in words(html)
    assert "Is text enough?" in words(html)


# alignment


def test_every_gap_stands_with_interval_verdict_and_source(alignment: Alignment) -> None:
    text = words(section(leaderboard_page(None, None, alignment), "alignment"))
    assert text.count("source: paper") == 2
    for row in alignment.rows:
        assert row.gap.value is not None
        assert signed_share(row.gap.value) in text
        assert row.says in text
        if row.gap.low is not None and row.gap.high is not None:
            assert f"[{signed_share(row.gap.low)}, {signed_share(row.gap.high)}]" in text
    assert "printed as 66.45" in text


def test_a_gap_is_drawn_where_it_lies(alignment: Alignment) -> None:
    row = next(r for r in alignment.rows if r.dataset == "VLSBench" and r.group == "LLaVA-1.5-7B")
    assert row.gap.value is not None
    far = reach([row]) / 100
    drawn = gap_strip(row, 0.05, far)
    at = float(re.findall(r'class="value" x1="([\d.]+)"', drawn)[0])
    assert at == pytest.approx(500 + 500 * row.gap.value / far, abs=0.1)
    left, width = map(float, re.findall(r'class="margin" x="([\d.]+)" y="0" width="([\d.]+)"', drawn)[0])
    assert (left, left + width) == pytest.approx((500 - 25 / far, 500 + 25 / far), abs=0.2)


def test_open_ranks_are_drawn_where_they_lie() -> None:
    entry = summary(names(4)).tables[0].rankings[0].entries[1]
    drawn = rank_strip(entry, 4)
    assert (entry.rank, entry.best, entry.worst) == (2, 1, 3)
    assert 'x="0.0" y="7" width="750.0"' in drawn
    assert 'class="value" x1="375.0"' in drawn


# letters


def shares_a_letter(found: dict[str, str], pair: tuple[str, str]) -> bool:
    return bool(set(found[pair[0]]) & set(found[pair[1]]))


@given(st.data())
def test_two_models_share_a_letter_exactly_where_they_are_not_shown_to_differ(data: st.DataObject) -> None:
    models = [f"m{i}" for i in range(data.draw(st.integers(1, 7)))]
    pairs = list(combinations(models, 2))
    differ = set(data.draw(st.lists(st.sampled_from(pairs), unique=True))) if pairs else set()
    found = letters(models, differ)
    assert found is not None
    assert all(found.values())
    for pair in pairs:
        assert shares_a_letter(found, pair) == (pair not in differ)


def test_letters_go_out_from_the_best_on() -> None:
    assert letters(["a", "b", "c"], [("a", "c")]) == {"a": "a", "b": "ab", "c": "b"}
    assert letters(["a", "b"], []) == {"a": "a", "b": "a"}


def test_where_letters_do_not_do_there_are_none() -> None:
    models = [f"m{i}" for i in range(MOST_LETTERS + 1)]
    assert letters(models, combinations(models, 2)) is None
    assert letters([], []) == {}
