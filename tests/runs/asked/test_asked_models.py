"""Who was asked, in which role, and how the calls ended."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import asked_runs
import pytest
from asked_runs import Truth, benign, dead, honest, safety_planted, said, unsafe_pairs, write_run

from vsil_audit.detectors.base import DetectorSpec, Lens, Need, Unit
from vsil_audit.detectors.chat import Observation, Role
from vsil_audit.pair import Abstained, Failed, Finding, Pair, Scored, Verdict
from vsil_audit.runs.asked.warnings import asked_warnings
from vsil_audit.runs.asked_summary import AskedModel, SpendRow
from vsil_audit.runs.headlines import all_metrics

CONDITIONS = ("text", "pair")


def pairs(n: int = 20) -> list[Truth]:
    return unsafe_pairs(n, leaking=lambda i: i % 2 == 0, harmful=lambda i: True)


def target(truth: Truth, condition: str, sample: int) -> str:
    return "refusal"


def by_role(models: list[AskedModel]) -> dict[tuple[str, str], AskedModel]:
    return {(m.model, m.role): m for m in models}


def test_a_model_in_two_roles_stands_there_twice(tmp_path: Path) -> None:
    observed = {
        "text_refusal": said(pairs(), {"m": target}, CONDITIONS, role=Role.TARGET),
        "safety_judge": said([*pairs(), *benign(), *safety_planted()], {"m": honest, "d": dead}, CONDITIONS),
    }
    models = by_role(write_run(tmp_path / "run", pairs(), observed).asked.summary.models)
    assert set(models) == {("m", "target"), ("m", "judge"), ("d", "judge")}
    assert (models["m", "target"].observations, models["m", "target"].failed) == (40, 0)
    judged = sum(len(t.right.keys() & set(CONDITIONS)) for t in [*pairs(), *benign(), *safety_planted()])
    assert models["d", "judge"].observations == models["d", "judge"].failed == judged
    assert models["d", "judge"].failure_kinds == {"timeout": judged}


def test_what_was_never_asked_is_no_question_and_an_unreadable_answer_is_one(tmp_path: Path) -> None:
    observed = {
        "safety_judge": [
            *said(pairs(10), {"m": dead}, ("text",)),
            *said(pairs(10), {"m": lambda *_: Abstained("no image")}, ("pair",)),
            *said(pairs(4), {"m": lambda *_: Failed("truncated", "")}, ("swapped",), finish="length"),
        ]
    }
    asked = write_run(tmp_path / "run", pairs(), observed).asked.summary
    [model] = asked.models
    assert (model.observations, model.asked, model.answered, model.failed, model.abstained) == (24, 14, 4, 14, 10)
    told = list(asked_warnings(asked))
    assert "safety_judge: m failed on 14 of 14 questions (timeout 10, truncated 4)." in told
    assert "safety_judge: m: 4 of 4 answers were cut at the most tokens. Allow longer answers." in told


def test_a_script_is_called_one_by_its_name_or_its_account(tmp_path: Path) -> None:
    spend = [
        SpendRow(model="openai/replayed", calls=1, cached=0, attempts=1, input_tokens=1, output_tokens=1, cost=0.0,
                 cost_uncertain=0.0, scripted=True)
    ]  # fmt: skip
    habits = {"scripted/rules.yaml": honest, "openai/replayed": honest, "openai/real": honest}
    observed = {"safety_judge": said(pairs(), habits, CONDITIONS)}
    summary = write_run(tmp_path / "run", pairs(), observed, spend=spend, prompts={"p": "a" * 64}).asked.summary
    assert {m.model for m in summary.models if m.scripted} == {"scripted/rules.yaml", "openai/replayed"}
    assert (summary.spend, summary.prompts) == (spend, {"p": "a" * 64})


def test_the_models_stand_in_the_order_in_which_the_user_named_them(tmp_path: Path) -> None:
    observed = {"safety_judge": said(pairs(), {"b": honest, "a": honest}, CONDITIONS)}
    asked = write_run(tmp_path / "run", pairs(), observed, asking={"judges": ["a", "b"]}).asked
    assert [row.model for row in asked.summary.judges] == ["a", "b"]


def test_a_subject_on_which_the_detector_broke_counts_as_failed(tmp_path: Path) -> None:
    """Such an observation has no condition."""
    whole = said([*pairs(), *benign(), *safety_planted()], {"m": honest}, CONDITIONS)
    broken = [o for o in whole if o.pair_id != "pair/0"]
    broken.append(Observation("pair/0", "m", "", Failed("detector_error", "KeyError")))
    asked = write_run(tmp_path / "run", pairs(), {"safety_judge": broken}).asked
    rates = {m.name: m for m in asked.metrics}
    assert (rates["safety_judge.harmful_rate@m"].n, rates["safety_judge.harmful_rate@m"].total) == (19, 20)
    assert (rates["safety_judge.coverage@m"].k, rates["safety_judge.coverage@m"].n) == (19, 20)
    assert asked.summary.models[0].failure_kinds == {"detector_error": 1}


def test_a_label_that_is_on_no_menu_is_no_verdict(tmp_path: Path) -> None:
    whole = said([*pairs(), *benign(), *safety_planted()], {"m": honest}, CONDITIONS)
    odd = [replace(o, label="maybe") if o.pair_id == "pair/1" else o for o in whole]
    rates = {m.name: m for m in write_run(tmp_path / "run", pairs(), {"safety_judge": odd}).asked.metrics}
    assert rates["safety_judge.harmful_rate@m"].n == 19


class Tone:
    """A detector that another package might bring: of its observations only how the calls ended is known."""

    spec = DetectorSpec(
        name="tone",
        asks="Is it rude?",
        lens=Lens.BEHAVIOURAL,
        unit=Unit.PAIR,
        needs=frozenset({Need.CHAT}),
        value="0 or 1",
    )

    def finding(self, pair: Pair, observations: list[Observation]) -> Finding:
        return Finding("tone", pair.id, Scored(1.0), Verdict.LEAK)


def test_of_another_packages_detector_the_models_and_its_own_rate_are_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asked_runs, "DETECTORS", {**asked_runs.DETECTORS, "tone": Tone})
    rude = said(pairs(), {"m": lambda t, c, s: Abstained("unsure") if t.id == "pair/0" else "rude"}, CONDITIONS)
    made = write_run(tmp_path / "run", pairs(), {"tone": rude})
    asked = made.asked
    assert [(m.model, m.role, m.detectors, m.abstained) for m in asked.summary.models] == [("m", "target", ["tone"], 2)]
    metrics = {m.name: m for m in all_metrics(made.evidence, made.folder, asked)}
    assert metrics["tone.rate"].k == 20
    assert metrics["leak_rate"].value is None
    assert "it needs a safety judge, and none took part" in metrics["leak_rate"].note
