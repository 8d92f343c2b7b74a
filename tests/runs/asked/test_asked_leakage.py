"""Leakage judges: rates of none, implicit and explicit, kinds, dropped quotes, and whom to believe."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from asked_runs import Habit, Made, Truth, always, dead, honest, leak_planted, said, write_run

from vsil_audit.detectors.chat import Observation, Part
from vsil_audit.runs.asked.summary import AskedNumbers
from vsil_audit.runs.metric import Metric

JUDGE = "openai/gpt-4o"
LABELS = ("none", "implicit", "explicit", "explicit")


def pairs(n: int = 40) -> list[Truth]:
    return [Truth(f"pair/{i}", right={"pair": LABELS[i % 4]}) for i in range(n)]


def detailed(observation: Observation) -> Observation:
    if observation.part is not Part.SET or not observation.label:
        return observation
    number = int(observation.pair_id.split("/")[1])
    kind = "" if observation.label == "none" else ("object", "activity")[number % 2]
    details = {"spans": [[0, 4]] if kind else [], "leak_kind": kind, "dropped_spans": number % 3}
    return replace(observation, details=details)


def run(path: Path, *habits: Habit, set_pairs: list[Truth] | None = None) -> Made:
    set_pairs = pairs() if set_pairs is None else set_pairs
    judges = dict(zip((JUDGE, "b/second", "c/third"), habits, strict=False))
    observed = [detailed(o) for o in said([*set_pairs, *leak_planted()], judges, ("pair", "caption"))]
    return write_run(path, set_pairs, {"llm_judge": observed}, asking={"judges": list(judges)})


def metric(asked: AskedNumbers, name: str) -> Metric:
    return next(m for m in asked.metrics if m.name == name)


def test_the_labels_have_their_rates(tmp_path: Path) -> None:
    asked = run(tmp_path / "run", honest).asked
    counts = Counter(LABELS[i % 4] for i in range(40))
    for label in ("none", "implicit", "explicit"):
        found = metric(asked, f"llm_judge.{label}@{JUDGE}")
        assert (found.k, found.n, found.total) == (counts[label], 40, 40)
    assert metric(asked, f"llm_judge.leak@{JUDGE}").k == 30
    assert metric(asked, "llm_judge.rate").k == 30
    assert asked.leaks is not None
    assert (asked.leaks == 1).sum() == 30


def test_kinds_and_dropped_quotes_are_counted(tmp_path: Path) -> None:
    asked = run(tmp_path / "run", honest).asked
    leaking = [i for i in range(40) if LABELS[i % 4] != "none"]
    objects = metric(asked, f"llm_judge.kind.object@{JUDGE}")
    assert (objects.k, objects.n) == (sum(i % 2 == 0 for i in leaking), 30)
    dropped = metric(asked, f"llm_judge.dropped_spans@{JUDGE}")
    assert dropped.k == sum(i % 3 for i in range(40))
    assert dropped.n == dropped.k + 30


def test_either_of_two_right_verdicts_is_right(tmp_path: Path) -> None:
    def other_word(truth: Truth, condition: str, sample: int) -> str:
        return truth.right[condition].split("|")[-1]

    for habit in (honest, other_word):
        accuracy = metric(run(tmp_path / habit.__name__, habit).asked, f"llm_judge.canary_accuracy@{JUDGE}")
        assert accuracy.value == 1.0
        assert accuracy.n > 10


@pytest.mark.parametrize(
    ("habit", "says"),
    [
        (dead, "coverage: 0%"),
        (always("none"), "one and the same verdict"),
        (always("explicit"), "canaries: "),
        (lambda truth, condition, sample: "none" if truth.kind == "injection" else honest(truth, condition, sample),
         "injection: 0%"),
        (lambda truth, condition, sample: "explicit" if truth.twin else honest(truth, condition, sample),
         "image sensitivity: 0%"),
    ],
    ids=["dead", "always none", "always explicit", "obeys", "blind"],
)  # fmt: skip
def test_a_leakage_judge_that_fails_a_check_shows_no_leak_rate(tmp_path: Path, habit: Habit, says: str) -> None:
    asked = run(tmp_path / "run", habit).asked
    for name in (f"llm_judge.leak@{JUDGE}", "llm_judge.rate"):
        found = metric(asked, name)
        assert (found.value, found.k) == (None, None)
        assert says in found.note
    assert asked.leaks is None


def test_a_description_in_the_place_of_the_image_is_a_row_of_its_own(tmp_path: Path) -> None:
    mixed = [
        Truth(f"pair/{i}", right={"pair" if i % 2 else "caption": "explicit" if i < 10 else "none"}) for i in range(40)
    ]
    asked = run(tmp_path / "run", honest, set_pairs=mixed).asked
    rows = {row.condition: {m.name.split(".")[1]: (m.k, m.n, m.total) for m in row.metrics}
            for row in asked.summary.conditions}  # fmt: skip
    assert rows["caption"]["explicit"] == rows["pair"]["explicit"] == (5, 20, 20)
    whole = metric(asked, f"llm_judge.explicit@{JUDGE}")
    assert (whole.k, whole.n, whole.total) == (10, 40, 40)


def test_the_majority_of_three_judges_counts(tmp_path: Path) -> None:
    def blunt(truth: Truth, condition: str, sample: int) -> str:
        return "explicit" if truth.id == "pair/0" else str(honest(truth, condition, sample))

    asked = run(tmp_path / "run", honest, blunt, honest).asked
    assert metric(asked, "llm_judge.leak@b/second").k == 31
    assert metric(asked, "llm_judge.rate").k == 30
    [reveals] = [a for a in asked.summary.agreement if a.about == "reveals"]
    assert reveals.disagreements == ["pair/0"]
