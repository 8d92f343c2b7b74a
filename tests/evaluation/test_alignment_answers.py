"""The answers of runs, gathered by set, in an alignment comparison."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluated_runs import Asking, Put, evaluated, pairs_of

from vsil_audit.evaluation.alignment import align
from vsil_audit.evaluation.alignment_answers import set_answers, table_names
from vsil_audit.evaluation.alignment_groups import AlignmentGroup, Checkpoint
from vsil_audit.evaluation.paper import AlignmentRole
from vsil_audit.pair import Failed
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.leaderboard import leaderboard

N = 120


def refuses_first(k: int, *, text: int = 0):
    """Refuses `k` pairs when it sees the image, `text` of them when it does not."""
    return lambda put: "refusal" if put.number < (text if put.condition == "text" else k) else "unsafe"


def run(path: Path, habits, n: int = N, **asking) -> RunFolder:
    return evaluated(path, pairs_of(n), habits, Asking(**asking)).folder


def answers_of(*runs: RunFolder, condition: str = "pair"):
    return set_answers(runs, leaderboard(runs), condition)


GROUP = AlignmentGroup(
    "gnomes",
    {
        AlignmentRole.BASE: (Checkpoint("x/base"),),
        AlignmentRole.TEXT: (Checkpoint("x/text"),),
        AlignmentRole.MULTIMODAL: (Checkpoint("x/mm"),),
    },
)
HABITS = {"x/base": refuses_first(12, text=60), "x/text": refuses_first(60, text=60), "x/mm": refuses_first(96)}


def test_one_run_of_all_checkpoints_gives_the_paired_gap(tmp_path: Path) -> None:
    found = answers_of(run(tmp_path / "run", HABITS))
    (row,) = align([GROUP], found).rows
    assert row.paired
    assert row.gap.n == N
    assert row.gap.value == pytest.approx(36 / N)
    assert row.text_aligned.gain is not None
    assert row.text_aligned.gain.value == pytest.approx(48 / N)
    assert row.multimodal_aligned.checkpoints[0].safe.k == 96


def test_checkpoints_evaluated_in_runs_of_their_own_are_matched_by_pair(tmp_path: Path) -> None:
    runs = [run(tmp_path / name.replace("/", "-"), {name: habit}) for name, habit in HABITS.items()]
    found = answers_of(*runs)
    together = answers_of(run(tmp_path / "run", HABITS))
    assert align([GROUP], found).rows == align([GROUP], together).rows


def test_another_condition_is_another_comparison(tmp_path: Path) -> None:
    found = answers_of(run(tmp_path / "run", HABITS), condition="text")
    (row,) = align([GROUP], found).rows
    assert row.condition == "text"
    assert row.gap.value == pytest.approx(-60 / N)


def test_runs_that_another_judge_classed_are_not_compared(tmp_path: Path) -> None:
    text = run(tmp_path / "text", {"x/text": HABITS["x/text"]})
    images = run(tmp_path / "images", {"x/mm": HABITS["x/mm"]}, judged_by="openai/other")
    found = answers_of(text, images)
    assert [set(each.rates) for each in found] == [{"x/text"}, {"x/mm"}]
    assert align([GROUP], found).rows == []


def test_a_model_in_several_runs_of_a_set_is_taken_from_the_first(tmp_path: Path) -> None:
    first = run(tmp_path / "first", HABITS)
    second = run(tmp_path / "second", {"x/text": refuses_first(0)})
    (found,) = answers_of(first, second)
    assert found.rates["x/text"].k == 60
    assert np.nansum(found.safe["x/text"]) == 60


def test_a_condition_that_was_not_asked_gives_nothing(tmp_path: Path) -> None:
    assert answers_of(run(tmp_path / "run", HABITS), condition="caption") == []


def test_scripted_checkpoints_are_marked(tmp_path: Path) -> None:
    name = "scripted/text.yaml"
    found = answers_of(run(tmp_path / "run", {name: HABITS["x/text"], "x/mm": HABITS["x/mm"]}))
    group = AlignmentGroup(
        "g", {AlignmentRole.TEXT: (Checkpoint(name),), AlignmentRole.MULTIMODAL: (Checkpoint("x/mm"),)}
    )
    (row,) = align([group], found).rows
    assert [c.scripted for c in row.text_aligned.checkpoints] == [True]
    assert [c.scripted for c in row.multimodal_aligned.checkpoints] == [False]


def test_failures_are_no_answers(tmp_path: Path) -> None:
    def mostly_fails(put: Put):
        return Failed("timeout", "") if put.number % 3 else "refusal"

    found = answers_of(run(tmp_path / "run", {"x/text": mostly_fails, "x/mm": refuses_first(N)}))
    assert np.isnan(found[0].safe["x/text"]).sum() == N - N // 3
    (row,) = align([GROUP], found).rows
    assert not row.paired
    assert row.gap.value == pytest.approx(0)
    assert (row.gap.n, row.gap.total) == (N // 3, N)


def test_pairs_that_the_set_labels_safe_do_not_count(tmp_path: Path) -> None:
    pairs = pairs_of(N, label=lambda i: "safe" if i < 60 else "unsafe")
    folder = evaluated(tmp_path / "run", pairs, HABITS).folder
    (row,) = align([GROUP], answers_of(folder)).rows
    assert row.gap.n == 60
    assert row.gap.value == pytest.approx(36 / 60)


def test_pairs_that_share_a_text_go_together(tmp_path: Path) -> None:
    pairs = pairs_of(N, text=lambda i: f"How do I polish gnome {i // 4}?")
    apart = answers_of(run(tmp_path / "apart", HABITS))
    together = answers_of(evaluated(tmp_path / "together", pairs, HABITS).folder)
    assert len(set(together[0].groups.tolist())) == N // 4
    wide, narrow = (align([GROUP], found).rows[0].gap for found in (together, apart))
    assert wide.high - wide.low > 1.5 * (narrow.high - narrow.low)


def test_two_sets_of_one_name_are_told_apart(tmp_path: Path) -> None:
    runs = [run(tmp_path / "a", HABITS), run(tmp_path / "b", HABITS)]
    manifest = runs[1].manifest()
    config = manifest.config.model_copy(update={"view": "other"})
    runs[1].write_manifest(manifest.model_copy(update={"config": config}))
    summary = leaderboard(runs)
    assert table_names(summary) == ["gnomes, default", "gnomes, other"]
    assert [found.dataset for found in set_answers(runs, summary)] == table_names(summary)
