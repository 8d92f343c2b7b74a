"""A run that could not measure what was asked for is inconclusive, and says why."""

from __future__ import annotations

import pytest

from vsil_audit.runs.asked_summary import AskedSummary, JudgeRow
from vsil_audit.runs.conclusive import why_inconclusive
from vsil_audit.runs.evaluation_summary import EvaluatedModel, Evaluation
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.summary import DatasetSummary, DetectorRun, Summary


def content(n: int) -> Metric:
    return Metric(name="suspected_rate", tells="", nature=Nature.MEASURED, unit="share", value=0.0, n=n, total=10)


def detector(name: str, lens: str, scored: int, state: str = "done") -> DetectorRun:
    return DetectorRun(name=name, asks="?", lens=lens, unit="pair", value="", version=1, state=state, scored=scored)


def summary(
    *detectors: DetectorRun, suspected: int = 10, judges: tuple[JudgeRow, ...] = (), pairs: int = 10
) -> Summary:
    dataset = DatasetSummary(name="set", layout="generic", view="", mapping={}, pairs=pairs, rows_unreadable=0)
    asked = AskedSummary(judges=list(judges)) if judges else None
    return Summary(dataset=dataset, metrics=[content(suspected)], lenses=[], detectors=list(detectors), asked=asked)


def judge(name: str = "safety_judge", *, trusted: bool) -> JudgeRow:
    return JudgeRow(detector=name, model="m", trusted=trusted, why_not="" if trusted else "never varies", metrics=[])


def test_an_offline_run_rests_on_the_content_lens() -> None:
    not_run = detector("safety_judge", "judged", 0, "unavailable")
    assert not why_inconclusive(summary(not_run, suspected=5), 0.5)
    (why,) = why_inconclusive(summary(not_run, suspected=4), 0.5)
    assert "suspected_rate covers 4 of 10 pairs" in why


def test_where_models_answered_the_content_lens_may_have_nothing_to_look_at() -> None:
    assert not why_inconclusive(summary(detector("text_refusal", "behavioural", 10), suspected=0), 0.5)


@pytest.mark.parametrize(("name", "lens"), [("text_refusal", "behavioural"), ("llm_judge", "judged")])
def test_what_was_asked_of_models_must_be_covered(name: str, lens: str) -> None:
    (why,) = why_inconclusive(summary(detector(name, lens, 2)), 0.5)
    assert f"{name} covers 2 of 10 pairs" in why


def test_a_model_of_whom_nothing_is_known_is_not_evaluated() -> None:
    evaluation = Evaluation(models=[EvaluatedModel(model="a/x", truncated=content(0))])
    [why] = why_inconclusive(summary().model_copy(update={"evaluation": evaluation}), 0.5)
    assert why == "a/x was measured on no pair"


def test_judges_of_whom_nobody_can_be_believed_conclude_nothing() -> None:
    ran = detector("safety_judge", "judged", 10)
    (why,) = why_inconclusive(summary(ran, judges=(judge(trusted=False),)), 0.5)
    assert "m: never varies" in why
    assert not why_inconclusive(summary(ran, judges=(judge(trusted=False), judge(trusted=True))), 0.5)


def test_a_judge_is_believed_in_what_it_was_tested_for() -> None:
    ran = (detector("safety_judge", "judged", 10), detector("llm_judge", "judged", 10))
    judges = (judge("safety_judge", trusted=True), judge("llm_judge", trusted=False))
    (why,) = why_inconclusive(summary(*ran, judges=judges), 0.5)
    assert why.startswith("llm_judge: no judge")


def test_no_pair_is_nothing() -> None:
    assert why_inconclusive(summary(pairs=0), 0.5) == ["no pair could be read"]
