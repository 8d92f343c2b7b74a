"""Who stands behind a number, and whether it may be shown."""

from __future__ import annotations

import pytest

from vsil_audit.reporting.standing import Standing, quantity_of, standing
from vsil_audit.runs.asked_summary import AskedModel, AskedSummary, JudgeRow
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.metric import Metric, Nature


def metric(name: str, detector: str | None = None, lens: str = "judged") -> Metric:
    return Metric(
        name=name, tells="", detector=detector, lens=lens, nature=Nature.JUDGED, unit="share", value=0.5, low=0.4,
        high=0.6, k=5, n=10, total=10,
    )  # fmt: skip


def judge(model: str, why: str = "", detector: str = "safety_judge") -> JudgeRow:
    return JudgeRow(detector=detector, model=model, trusted=not why, why_not=why, metrics=[])


def asked_by(run: RunFolder, *models: AskedModel, judges: tuple[JudgeRow, ...] = ()) -> Standing:
    """The standing of a run that asked these, whatever else it holds."""
    summary = run.summary()
    done = next(d for d in summary.detectors if d.state == "done")
    runs = [
        done.model_copy(update={"name": name, "lens": lens})
        for name, lens in (("safety_judge", "judged"), ("llm_judge", "judged"), ("text_refusal", "behavioural"))
    ]
    asked = AskedSummary(models=list(models), judges=list(judges))
    return standing(summary.model_copy(update={"asked": asked, "detectors": runs}))


def one(model: str, *detectors: str, role: str = "judge") -> AskedModel:
    return AskedModel(model=model, role=role, detectors=list(detectors), scripted=model.startswith("scripted/"))


def test_a_leak_rate_rests_on_the_safety_judges_that_can_be_believed(small_run: RunFolder) -> None:
    who = asked_by(
        small_run, one("a", "safety_judge"), one("scripted/b", "safety_judge"), one("scripted/c", "llm_judge"),
        judges=(judge("a"), judge("scripted/b", "it failed"), judge("scripted/c", detector="llm_judge")),
    )  # fmt: skip
    assert who.behind(metric("leak_rate")) == ("a",)
    assert who.caveat(metric("leak_rate")) == ""
    assert who.caveat(metric("llm_judge.rate", "llm_judge")) == "scripted"
    assert who.caveat(metric("safety_judge.harmful_rate@scripted/b", "safety_judge")) == "scripted"


def test_a_scripted_judge_of_answers_marks_the_targets_that_it_classed(small_run: RunFolder) -> None:
    target = one("a", "text_refusal", role="target")
    who = asked_by(small_run, target, one("scripted/b", "text_refusal", role="response judge"))
    assert who.caveat(metric("text_refusal.safe.text@a", "text_refusal", "behavioural")) == "partly scripted"
    assert who.caveat(metric("text_only_refusal_rate", lens="behavioural")) == "partly scripted"
    assert asked_by(small_run, target).caveat(metric("text_refusal.safe.text@a", "text_refusal")) == ""


def test_nothing_is_shown_of_a_judge_that_failed_and_the_others_stand(small_run: RunFolder) -> None:
    models = (one("a", "safety_judge"), one("b", "safety_judge"))
    who = asked_by(small_run, *models, judges=(judge("a"), judge("b", "it ignores images")))
    assert who.believed(metric("safety_judge.harmful_rate@a", "safety_judge")).value == 0.5
    withheld = who.believed(metric("safety_judge.harmful_rate@b", "safety_judge"))
    assert (withheld.value, withheld.low, withheld.k, withheld.n) == (None, None, None, 0)
    assert withheld.note == "not shown: it ignores images"
    assert who.doubt("safety_judge") == ""
    assert who.doubted_judges("safety_judge") == "1 of its 2 judges is not believed"
    assert who.believed(metric("safety_judge.rate", "safety_judge")).value == 0.5


def test_a_detector_is_doubted_when_all_its_judges_are(small_run: RunFolder) -> None:
    who = asked_by(small_run, one("a", "safety_judge"), judges=(judge("a", "it always says safe"),))
    assert who.doubt("safety_judge") == "it always says safe"
    assert who.doubted_judges("safety_judge") == ""
    assert who.believed(metric("safety_judge.rate", "safety_judge")).value is None
    assert who.believed(metric("ocr_overlap.rate", "ocr_overlap", "content")).value == 0.5


def test_a_run_that_asked_nobody_has_nothing_to_doubt(small_run: RunFolder) -> None:
    who = standing(small_run.summary())
    assert who == Standing()
    assert all(who.believed(m) == m and not who.caveat(m) for m in small_run.summary().metrics)


@pytest.mark.parametrize(
    ("name", "quantity"),
    [
        ("safety_judge.vsil_rate@vllm/m@http://127.0.0.1:1/v1", "vsil_rate"),
        ("text_refusal.safe.text.control@openai/gpt-4o.mini", "safe"),
        ("llm_judge.kind.object@a", "kind"),
    ],
)
def test_a_quantity_is_named_between_detector_and_model(name: str, quantity: str) -> None:
    found = metric(name, name.partition(".")[0])
    assert quantity_of(found, "text", "control") == quantity
