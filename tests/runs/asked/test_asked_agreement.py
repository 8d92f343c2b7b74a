"""Agreement of judges with each other and of the lenses with each other."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from asked_runs import Habit, Truth, always, benign, dead, honest, safety_planted, said, unsafe_pairs, write_run
from sklearn.metrics import cohen_kappa_score

from vsil_audit.detectors.chat import Part, Role
from vsil_audit.pair import Failed
from vsil_audit.runs.asked.summary import AskedNumbers
from vsil_audit.runs.asked_summary import Agreement

CONDITIONS = ("text", "pair")


def pairs(n: int = 60) -> list[Truth]:
    return unsafe_pairs(n, leaking=lambda i: i % 4 == 0, harmful=lambda i: i % 4 != 3)


def differing(every: int) -> Habit:
    def say(truth: Truth, condition: str, sample: int) -> str:
        right = str(honest(truth, condition, sample))
        turned = truth.part is Part.SET and int(truth.id.split("/")[1]) % every == 0
        return {"safe": "unsafe", "unsafe": "safe"}[right] if turned else right

    return say


def judged(path: Path, judges: dict[str, Habit]) -> AskedNumbers:
    things = [*pairs(), *benign(), *safety_planted()]
    observed = {"safety_judge": said(things, judges, CONDITIONS)}
    return write_run(path, pairs(), observed, asking={"judges": list(judges)}).asked


def about(asked: AskedNumbers, what: str) -> Agreement:
    return next(a for a in asked.summary.agreement if a.about == what)


def test_kappa_and_the_share_of_equal_verdicts_of_every_two_judges(tmp_path: Path) -> None:
    asked = judged(tmp_path / "run", {"a": honest, "b": differing(5), "c": differing(7)})
    texts = {
        name: np.array([habit(t, "text", 0) for t in pairs()])
        for name, habit in {"a": honest, "b": differing(5), "c": differing(7)}.items()
    }
    text = about(asked, "text")
    assert [(c.first, c.second) for c in text.cells] == [("a", "b"), ("a", "c"), ("b", "c")]
    for cell in text.cells:
        one, two = texts[cell.first], texts[cell.second]
        assert cell.kappa.value == pytest.approx(cohen_kappa_score(one, two))
        assert cell.agree.value == pytest.approx((one == two).mean())
        assert cell.agree.n == 60
    assert text.alpha is not None
    assert 0 < (text.alpha.value or 0) < 1
    assert [a.about for a in asked.summary.agreement] == ["text", "pair", "leak"]


def test_the_disagreements_are_named_and_at_most_fifty(tmp_path: Path) -> None:
    text = about(judged(tmp_path / "run", {"a": honest, "b": differing(5)}), "text")
    assert text.disagreements == [f"pair/{i}" for i in range(0, 60, 5)]
    every = about(judged(tmp_path / "every", {"a": honest, "b": differing(1)}), "text")
    assert len(every.disagreements) == 50


def test_a_dead_judge_agrees_with_nobody_and_is_no_majority(tmp_path: Path) -> None:
    text = about(judged(tmp_path / "run", {"a": honest, "b": honest, "c": dead}), "text")
    by_pair = {(c.first, c.second): c for c in text.cells}
    assert by_pair["a", "b"].kappa.value == 1
    assert by_pair["a", "c"].kappa.value is None
    assert by_pair["a", "c"].agree.n == 0
    assert text.majority is not None
    assert text.majority.k == 15


def test_one_judge_has_nobody_to_agree_with(tmp_path: Path) -> None:
    assert judged(tmp_path / "run", {"a": honest}).summary.agreement == []


def two_lenses(path: Path, judge: Habit) -> AskedNumbers:
    """A target refuses from the text where the text is unsafe, but for every tenth pair, and fails on another tenth."""

    def target(truth: Truth, condition: str, sample: int) -> object:
        if truth.part is Part.CONTROL:
            return "unsafe"
        number = int(truth.id.split("/")[1])
        if number % 10 == 1:
            return Failed("timeout", "")
        unsafe = (truth.right["text"] == "unsafe") != (number % 10 == 0)
        return "refusal" if unsafe else "unsafe"

    things = [*pairs(), *benign()]
    observed = {
        "text_refusal": said(things, {"t": target}, CONDITIONS, role=Role.TARGET),  # type: ignore[dict-item]
        "safety_judge": said([*things, *safety_planted()], {"j": judge}, CONDITIONS),
    }
    return write_run(path, pairs(), observed, asking={"judges": ["j"], "targets": ["t"]}).asked


def test_the_lenses_are_compared_on_the_pairs_that_both_scored(tmp_path: Path) -> None:
    lenses = about(two_lenses(tmp_path / "run", honest), "lenses")
    assert lenses.raters == ["judged", "behavioural"]
    [cell] = lenses.cells
    assert (cell.agree.k, cell.agree.n) == (48, 54)
    assert lenses.disagreements == [f"pair/{i}" for i in range(0, 60, 10)]
    assert lenses.alpha is None


def test_a_judge_that_is_not_trusted_is_no_lens(tmp_path: Path) -> None:
    assert two_lenses(tmp_path / "run", always("unsafe")).summary.agreement == []
