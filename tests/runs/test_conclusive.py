"""A run that could not measure what was asked for is inconclusive, and says why."""

from __future__ import annotations

import pytest

from vsil_audit.runs.asked_summary import AskedSummary, JudgeRow
from vsil_audit.runs.conclusive import why_inconclusive
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.summary import DatasetSummary, DetectorRun, Summary


def metric(name: str, n: int, detector: str | None = None, value: float | None = 0.0, note: str = "") -> Metric:
    return Metric(
        name=name,
        tells="",
        detector=detector,
        nature=Nature.JUDGED,
        unit="share",
        value=value,
        n=n,
        total=10,
        note=note,
    )


def summary(*metrics: Metric, judges: tuple[JudgeRow, ...] = (), pairs: int = 10) -> Summary:
    ran = {m.detector for m in metrics if m.detector} | {"ocr_overlap", "text_refusal"}
    detectors = [
        DetectorRun(name=n, asks="?", lens="", unit="pair", value="", version=1, state="done") for n in sorted(ran)
    ]
    dataset = DatasetSummary(name="set", layout="generic", view="", mapping={}, pairs=pairs, rows_unreadable=0)
    asked = AskedSummary(judges=list(judges)) if judges else None
    return Summary(dataset=dataset, metrics=list(metrics), lenses=[], detectors=detectors, asked=asked)


def judge(*, trusted: bool) -> JudgeRow:
    return JudgeRow(detector="safety_judge", model="m", trusted=trusted, metrics=[])


def test_an_offline_run_rests_on_the_content_lens() -> None:
    assert not why_inconclusive(summary(metric("suspected_rate", 5)), 0.5)
    (why,) = why_inconclusive(summary(metric("suspected_rate", 4)), 0.5)
    assert "suspected_rate covers 4 of 10 pairs" in why


def test_where_models_answered_the_content_lens_may_have_nothing_to_look_at() -> None:
    assert not why_inconclusive(summary(metric("suspected_rate", 0), metric("text_only_refusal_rate", 10)), 0.5)


@pytest.mark.parametrize("name", ["text_only_refusal_rate", "safety_judge.rate", "llm_judge.rate"])
def test_what_was_asked_of_models_must_be_covered(name: str) -> None:
    found = summary(metric("suspected_rate", 10), metric(name, 2, name.split(".")[0] if "." in name else None))
    assert [name in why for why in why_inconclusive(found, 0.5)] == [True]


def test_a_judge_that_nobody_can_believe_concludes_nothing() -> None:
    leak_rate = metric("leak_rate", 0, value=None, note="no judge can be trusted")
    rate = metric("safety_judge.rate", 10, "safety_judge")
    (why,) = why_inconclusive(summary(leak_rate, rate, judges=(judge(trusted=False),)), 0.5)
    assert "no judge can be trusted" in why
    assert not why_inconclusive(summary(leak_rate, rate, judges=(judge(trusted=False), judge(trusted=True))), 0.5)


def test_no_pair_is_nothing() -> None:
    assert why_inconclusive(summary(pairs=0), 0.5) == ["no pair could be read"]
