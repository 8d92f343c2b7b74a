"""Models are asked in a run: every subject once, committed batch by batch, resumable, nothing paid twice."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from vsil_audit.audit import load
from vsil_audit.detectors import registry
from vsil_audit.detectors.base import DetectorSpec, Lens, Need, Readiness, Unit
from vsil_audit.detectors.chat import (
    Ask,
    AskContext,
    AskOptions,
    Observation,
    Part,
    Question,
    Subject,
)
from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway import Budget, BudgetReachedError, CallFailure, Message, NoProviderError, Request
from vsil_audit.gateway.limiter import Limits
from vsil_audit.gateway.settings import GatewaySettings
from vsil_audit.pair import Failed, Finding, Pair, Scored, Verdict
from vsil_audit.runs.execute import execute
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState
from vsil_audit.runs.plan import ScanOptions, ScanPlan, plan_scan
from vsil_audit.runs.progress import Silent
from vsil_audit.runs.subjects import LEAST_CANARIES

MakeDataset = Callable[..., Path]


class Echo:
    """Asks every judge for the text of each subject, and of the pair with its own and another's image."""

    spec = DetectorSpec(
        name="echo",
        asks="What is said?",
        lens=Lens.JUDGED,
        unit=Unit.PAIR,
        needs=frozenset({Need.CHAT}),
        value="0 or 1",
    )
    prompts = ("repair",)
    examines = frozenset({Part.SET, Part.CANARY})

    @classmethod
    def readiness(cls) -> Readiness:
        return Readiness(ready=True)

    @classmethod
    def models(cls, options: AskOptions) -> tuple[str, ...]:
        return options.judges

    def prepare(self, context: AskContext) -> None:
        self._models = context.options.judges

    def canaries(self, count: int) -> Sequence[Subject]:
        return [Subject(Pair(f"canary {i}", f"canary text {i}"), part=Part.CANARY) for i in range(count)]

    async def examine(self, subject: Subject, ask: Ask) -> Sequence[Observation]:
        if subject.pair.text.startswith("break"):
            raise RuntimeError("it broke")
        shown = {"text": (), "pair": subject.images, "swapped": subject.swapped}
        found = []
        for model in self._models:
            for condition, images in shown.items():
                if condition != "text" and not images:
                    continue
                question = Question(Request((Message.user(*images, subject.pair.text),)), "fine")
                answer = await ask(model, question)
                outcome = Failed(answer.kind.value, answer.detail) if isinstance(answer, CallFailure) else Scored(1.0)
                said = "" if isinstance(answer, CallFailure) else answer.text
                found.append(
                    Observation(
                        subject.pair.id, model, condition, outcome, part=subject.part, label="unsafe", answer=said
                    )
                )
        return found

    def finding(self, pair: Pair, observations: Sequence[Observation]) -> Finding:
        return Finding("echo", pair.id, Scored(float(len(observations))), Verdict.LEAK)


@pytest.fixture(autouse=True)
def echo_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "BUILT_IN", {**registry.BUILT_IN, "echo": f"{__name__}:Echo"})


@pytest.fixture
def script(tmp_path: Path) -> Callable[[str], str]:
    def write(rules: str) -> str:
        file = tmp_path / "rules.yaml"
        file.write_text(rules)
        return f"scripted/{file}"

    return write


def planned(root: Path, folder: Path, model: str, **gateway: object) -> ScanPlan:
    options = ScanOptions(
        detectors=("hygiene",),
        output=folder,
        batch_pairs=4,
        workers=1,
        ask=AskOptions(judges=(model,)),
        gateway=GatewaySettings(limits=Limits(max_concurrency=3), **gateway),  # type: ignore[arg-type]
    )
    plan = plan_scan(load(root), "set", options)
    return replace(plan, chat_detectors=(Echo,))


def paid_calls(folder: RunFolder) -> int:
    return sum(row.calls for row in folder.manifest().spend)


def test_each_subject_is_observed_once_and_each_pair_has_its_finding_in_order(
    make_dataset: MakeDataset, tmp_path: Path, script: Callable[[str], str]
) -> None:
    model = script("rules: [{answer: fine}]")
    folder = execute(planned(make_dataset(10), tmp_path / "run", model), Silent())
    observed = Counter((o.pair_id, o.condition) for o in folder.observations("echo"))
    ids = [f"q{i}" for i in range(10)]
    assert set(observed.values()) == {1}
    assert {(i, c) for i in ids for c in ("text", "pair", "swapped")} < set(observed)
    assert sum(o.part is Part.CANARY for o in folder.observations("echo")) == LEAST_CANARIES
    assert [f.pair_id for f in folder.findings("echo")] == ids
    assert folder.manifest().state is RunState.COMPLETE
    assert paid_calls(folder) == 10 * 3 + LEAST_CANARIES


def test_the_swapped_image_is_another_pairs_and_the_same_in_every_session(
    make_dataset: MakeDataset, tmp_path: Path, script: Callable[[str], str]
) -> None:
    model = script("rules: [{answer: fine}]")
    first = execute(planned(make_dataset(10), tmp_path / "run", model), Silent())
    again = execute(planned(tmp_path / "benchmark", tmp_path / "again", model), Silent())
    assert paid_calls(first) == 30 + LEAST_CANARIES
    assert paid_calls(again) == 0  # every request was the same, and stood in the cache


def test_a_used_up_budget_leaves_the_rest_open_and_the_next_session_pays_only_that(
    make_dataset: MakeDataset, tmp_path: Path, script: Callable[[str], str]
) -> None:
    root, model = make_dataset(10), script("rules: [{answer: fine}]")
    with pytest.raises(BudgetReachedError):
        execute(planned(root, tmp_path / "run", model, budget=Budget(max_calls=17)), Silent())
    folder = RunFolder(tmp_path / "run")
    assert folder.manifest().state is RunState.INTERRUPTED
    assert paid_calls(folder) == 17
    assert not folder.has_findings("echo", 2)
    execute(planned(root, tmp_path / "run", model), Silent())
    assert folder.manifest().state is RunState.COMPLETE
    assert paid_calls(folder) == 30 + LEAST_CANARIES
    assert all(isinstance(f.outcome, Scored) for f in folder.findings("echo"))


def test_a_dead_endpoint_ends_the_run_and_leaves_it_open(make_dataset: MakeDataset, tmp_path: Path) -> None:
    model = "vllm/nobody@http://127.0.0.1:9/v1"
    with pytest.raises(NoProviderError):
        execute(planned(make_dataset(6), tmp_path / "run", model), Silent())
    folder = RunFolder(tmp_path / "run")
    assert folder.manifest().state is RunState.INTERRUPTED
    assert not list(folder.observations("echo"))


def test_a_call_that_failed_for_good_is_an_observation_that_failed(
    make_dataset: MakeDataset, tmp_path: Path, script: Callable[[str], str]
) -> None:
    model = script("rules: [{when: {text: 'gnome number 3'}, error: {kind: permanent}}, {answer: fine}]")
    folder = execute(planned(make_dataset(10), tmp_path / "run", model), Silent())
    failed = [o for o in folder.observations("echo") if isinstance(o.outcome, Failed)]
    assert {o.pair_id for o in failed} == {"q3"}


def test_a_detector_that_breaks_on_a_subject_costs_that_subject_only(
    make_dataset: MakeDataset, tmp_path: Path, script: Callable[[str], str]
) -> None:
    root, model = make_dataset(6), script("rules: [{answer: fine}]")
    rows = json.loads((root / "data.json").read_text())
    rows[2]["question"] = "break it"
    (root / "data.json").write_text(json.dumps(rows))
    folder = execute(planned(root, tmp_path / "run", model), Silent())
    outcomes = {f.pair_id: f.outcome for f in folder.findings("echo")}
    assert outcomes["q2"] == Failed("detector_error", "RuntimeError: it broke")
    assert sum(isinstance(o, Scored) for o in outcomes.values()) == 5


def test_images_that_stand_in_a_table_are_kept_for_the_models(
    make_dataset: MakeDataset, tmp_path: Path, script: Callable[[str], str]
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    images = [(make_dataset(4, "source") / "images" / f"{i}.png").read_bytes() for i in range(1)]
    images += [(tmp_path / "source" / "images" / f"{i}.png").read_bytes() for i in range(1, 4)]
    table = pa.table({"question": [f"What is {i}?" for i in range(4)], "image": [{"bytes": b} for b in images]})
    (tmp_path / "embedded").mkdir()
    pq.write_table(table, tmp_path / "embedded" / "data.parquet")
    model = script("rules: [{when: {condition: pair}, answer: seen}, {answer: read}]")
    folder = execute(planned(tmp_path / "embedded", tmp_path / "run", model), Silent())
    said = {(o.pair_id, o.condition): o.answer for o in folder.observations("echo") if o.part is Part.SET}
    assert len(said) == 12
    assert {answer for (_, condition), answer in said.items() if condition != "text"} == {"seen"}


def test_naming_no_model_leaves_detectors_that_ask_out(make_dataset: MakeDataset) -> None:
    with pytest.raises(ConfigurationError, match="no model was named"):
        plan_scan(load(make_dataset(2)), "set", ScanOptions(detectors=("safety_judge",)))
