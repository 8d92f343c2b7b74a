"""A leaderboard over finished evaluations: ranks and what is open of them, real differences, what is never mixed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from evaluated_runs import (
    PROMPTED,
    Asking,
    Evaluated,
    Habit,
    Put,
    Said,
    answers_all,
    evaluated,
    good,
    pairs_of,
    refuses_all,
)
from statsmodels.stats.multitest import multipletests

from vsil_audit.errors import ConfigurationError
from vsil_audit.pair import Abstained, Failed
from vsil_audit.runs.evaluation_summary import Evaluation
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.leaderboard import leaderboard
from vsil_audit.runs.leaderboard_summary import LeaderboardSummary, Ranking
from vsil_audit.runs.wholeness import impossible


def at(safe: float, helpful: float = 1.0, seed: int = 0) -> Habit:
    def say(put: Put) -> Said:
        luck = np.random.default_rng([seed, put.number, put.benign, sum(map(ord, put.condition))]).random()
        return "refusal" if luck < (1 - helpful if put.benign else safe) else "unsafe"

    return say


def run(path: Path, habits: dict[str, Habit], asking: Asking | None = None, n: int = 120) -> Evaluated:
    return evaluated(
        path, pairs_of(n, category=lambda i: "ab"[i % 2], subcategory=lambda i: "xyz"[i % 3]), habits, asking
    )


def board(*made: Evaluated) -> LeaderboardSummary:
    return leaderboard([one.folder for one in made])


def first(found: LeaderboardSummary, condition: str = "pair", variant: str = "") -> Ranking:
    rankings = found.tables[0].rankings
    return next(r for r in rankings if (r.condition, r.variant) == (condition, variant))


def test_who_refuses_everything_is_ranked_with_who_refuses_nothing(tmp_path: Path) -> None:
    habits: dict[str, Habit] = {"a/all": refuses_all, "b/none": answers_all, "c/good": good}
    ranking = first(board(run(tmp_path / "run", habits, Asking(control=60))))
    assert ranking.ranked_by == "balanced"
    assert [(e.model, e.rank, e.best, e.worst) for e in ranking.entries] == [
        ("c/good", 1, 1, 1),
        ("a/all", 2, 2, 3),
        ("b/none", 2, 2, 3),
    ]
    assert {(t.first, t.second): t.real for t in ranking.tests} == {
        ("a/all", "b/none"): False,
        ("a/all", "c/good"): True,
        ("b/none", "c/good"): True,
    }


def test_models_of_several_runs_over_the_same_pairs_are_compared_pair_by_pair(tmp_path: Path) -> None:
    asking = Asking(("pair", "text"), control=40)
    one = run(tmp_path / "one", {"a/x": at(0.8), "b/y": at(0.5)}, asking)
    two = run(tmp_path / "two", {"c/z": at(0.52, seed=1)}, asking)
    found = board(one, two)
    together = board(run(tmp_path / "all", {"a/x": at(0.8), "b/y": at(0.5), "c/z": at(0.52, seed=1)}, asking))
    assert len(found.tables) == 1
    assert [r.table for r in found.runs] == [0, 0]
    assert {e.model: e.run for e in first(found).entries} == {"a/x": 0, "b/y": 0, "c/z": 1}
    for condition in ("pair", "text"):
        mine, alone = first(found, condition), first(together, condition)
        assert mine.tests == alone.tests
        assert [(e.model, e.rank, e.best, e.worst) for e in mine.entries] == [
            (e.model, e.rank, e.best, e.worst) for e in alone.entries
        ]
    tests = first(found).tests
    assert [t.p_adjusted for t in tests] == pytest.approx(multipletests([t.p_value for t in tests], method="holm")[1])
    assert [t.n for t in tests] == [160, 160, 160]


def test_the_difference_is_that_of_the_balanced_figures(tmp_path: Path) -> None:
    found = first(board(run(tmp_path / "run", {"a/x": at(0.8, 0.6), "b/y": at(0.4, 0.9, seed=1)}, Asking(control=50))))
    values = {e.model: e.balanced.value or 0 for e in found.entries}
    [test] = found.tests
    assert test.difference.value == pytest.approx(values["a/x"] - values["b/y"])
    assert test.difference.low is not None
    assert test.difference.high is not None
    assert test.difference.low < test.difference.value < test.difference.high


def test_without_benign_pairs_the_safe_rate_ranks_and_a_remark_says_what_that_is_worth(tmp_path: Path) -> None:
    found = board(run(tmp_path / "run", {"a/all": refuses_all, "b/y": at(0.5)}, Asking(("pair",), control=0)))
    ranking = first(found)
    assert ranking.ranked_by == "safe_on_harmful"
    assert [e.model for e in ranking.entries] == ["a/all", "b/y"]
    assert "a model that refuses everything wins" in "\n".join(found.remarks)


def test_benign_pairs_whose_answers_have_no_class_leave_a_model_unranked(tmp_path: Path) -> None:
    """Else who answers nothing harmless would be ranked by refusals alone."""

    def mute_on(least: int) -> Habit:
        return lambda put: Abstained("unclear: empty") if put.benign and put.number >= least else "refusal"

    found = board(run(tmp_path / "run", {"a/mute": mute_on(0)}, Asking(("pair",))))
    assert first(found).ranked_by == "balanced"
    assert [(e.model, e.rank) for e in first(found).entries] == [("a/mute", None)]
    remarks = "\n".join(found.remarks)
    assert "a/mute is not ranked under pair: no benign pair has a classed answer." in remarks
    assert "No benign pairs were asked about" not in remarks
    found = board(run(tmp_path / "few", {"b/few": mute_on(2)}, Asking(("pair",))))
    assert "b/few under pair: classed answers to 2 of 20 benign pairs only." in found.remarks


def test_the_sets_own_safe_pairs_are_flipped_with_their_harmful_twins(tmp_path: Path) -> None:
    pairs = pairs_of(60, label=lambda i: "safe" if i % 2 else "unsafe", twin_of=lambda i: f"scene {i // 2}")

    def right(put: Put) -> Said:
        return "unsafe" if put.number % 2 else "refusal"

    def wrong(put: Put) -> Said:
        return "refusal" if put.number % 2 and put.number < 16 else right(put)

    made = evaluated(tmp_path / "run", pairs, {"a/right": right, "b/wrong": wrong}, Asking(("pair",), control=0))
    [test] = first(board(made)).tests
    assert test.p_value == pytest.approx(2 / 2**8), "eight scenes differ"
    assert test.difference.value == pytest.approx(8 / 30 / 2)


def test_a_model_without_answers_is_listed_and_not_ranked(tmp_path: Path) -> None:
    found = board(run(tmp_path / "run", {"a/dead": lambda put: Failed("timeout", ""), "b/y": good}))
    last = first(found).entries[-1]
    assert (last.model, last.rank, last.best, last.worst, last.failed) == ("a/dead", None, None, None, 120)
    assert first(found).tests == []
    assert "a/dead is not ranked under pair: no harmful pair has a classed answer." in "\n".join(found.remarks)


def test_a_model_of_two_runs_is_taken_from_the_first_and_that_is_said(tmp_path: Path) -> None:
    one, two = (run(tmp_path / name, {"a/x": at(0.5, seed=seed)}) for name, seed in (("one", 1), ("two", 2)))
    found = board(one, two)
    assert [e.run for e in first(found).entries] == [0]
    assert "a/x stands in several runs; the numbers are those of one, not of two." in found.remarks


@pytest.mark.parametrize(
    ("other", "why"),
    [
        (Asking(judged_by="openai/other"), "judge"),
        (Asking(protocol="vlsbench"), "protocol"),
        (Asking(asking={"control_fingerprint": "another"}), "benign control"),
        (Asking(asking={"temperature": 0.7}), "protocol"),
    ],
)
def test_runs_that_were_judged_or_asked_otherwise_are_not_ranked_together(
    tmp_path: Path, other: Asking, why: str
) -> None:
    found = board(run(tmp_path / "one", {"a/x": good}), run(tmp_path / "two", {"b/y": good}, other))
    assert [[e.model for e in t.rankings[0].entries] for t in found.tables] == [["a/x"], ["b/y"]]
    assert found.tables[1].differs_in == [why]
    assert f"two is not ranked with one: another {why}." in found.remarks


def test_other_data_and_other_choices_of_pairs_have_tables_of_their_own(tmp_path: Path) -> None:
    one, other, part = (run(tmp_path / name, {"a/x": good}) for name in ("one", "other", "part"))
    change(other.folder, fingerprint="g")
    manifest = part.folder.manifest()
    part.folder.write_manifest(manifest.model_copy(update={"config": manifest.config.model_copy(update={"limit": 50})}))
    found = board(one, other, part)
    assert [r.table for r in found.runs] == [0, 1, 2]
    assert "other: other data, so a table of its own" in "\n".join(found.remarks)
    assert "part is not ranked with one: another choice of pairs." in found.remarks


def change(folder: RunFolder, **update: object) -> None:
    folder.write_manifest(folder.manifest().model_copy(update=update))


def test_only_runs_with_captions_differ_by_their_captioner(tmp_path: Path) -> None:
    """A run without captions may stand beside either."""
    without = run(tmp_path / "without", {"a/x": good})
    captions = [
        run(tmp_path / name, {f"b/{name}": good}, Asking(("pair", "caption"), asking={"captioner": f"c/{name}"}))
        for name in ("one", "two")
    ]
    found = board(without, *captions)
    assert [r.table for r in found.runs] == [0, 0, 1]
    assert found.tables[1].differs_in == ["captioner"]


def test_variants_and_conditions_have_rankings_of_their_own(tmp_path: Path) -> None:
    asking = Asking(("pair", "text"), variants=("", PROMPTED))
    found = board(run(tmp_path / "run", {"a/x": at(0.5), "b/y": at(0.4)}, asking))
    assert [(r.condition, r.variant) for r in found.tables[0].rankings] == [
        ("pair", ""),
        ("text", ""),
        ("pair", PROMPTED),
        ("text", PROMPTED),
    ]


def test_base_models_are_not_ranked(tmp_path: Path) -> None:
    found = board(run(tmp_path / "run", {"a/x": good}, Asking(base=("c/base", good))))
    assert [e.model for e in first(found, "text").entries] == ["a/x"]


def test_heat_maps_are_the_safe_rates_by_category(tmp_path: Path) -> None:
    made = run(tmp_path / "run", {"a/x": at(0.5), "b/y": at(0.9)})
    category, subcategory = first(board(made)).heat_maps
    assert (category.models, category.slices) == (["b/y", "a/x"], ["a", "b"])
    assert set(subcategory.slices) == set("xyz")
    assert len(subcategory.within) == 3
    for heat in (category, subcategory):
        for model, cells in zip(heat.models, heat.cells, strict=True):
            assert cells == [made.row(model, slice_kind=heat.kind, slice=name).metric("safe") for name in heat.slices]


def test_a_run_that_evaluated_no_models_is_refused(tmp_path: Path) -> None:
    made = run(tmp_path / "run", {"a/x": good})
    made.folder.write_summary(made.folder.summary().model_copy(update={"evaluation": None}))
    with pytest.raises(ConfigurationError, match="holds no evaluation of models"):
        board(made)
    made.folder.write_summary(made.folder.summary().model_copy(update={"evaluation": Evaluation()}))
    with pytest.raises(ConfigurationError, match="holds no evaluation of models"):
        board(made)


def test_no_number_contradicts_itself_and_the_whole_survives_json(tmp_path: Path) -> None:
    asking = Asking(("pair", "text", "caption"), variants=("", PROMPTED), control=30)
    found = board(run(tmp_path / "run", {f"m/{i}": at(i / 10, 1 - i / 12, i) for i in range(8)}, asking))
    metrics = [
        m
        for ranking in found.tables[0].rankings
        for m in (
            *(t.difference for t in ranking.tests),
            *(m for e in ranking.entries for m in (*e.classes, e.safe_on_harmful, e.helpful_on_benign, e.balanced)),
        )
    ]
    assert [m.name for m in metrics if impossible(m)] == []
    assert LeaderboardSummary.model_validate_json(found.model_dump_json()) == found
