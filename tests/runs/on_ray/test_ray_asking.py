"""Asking on Ray: one actor asks, with the limits, the cache and the budget of the local engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import vsil_audit
from vsil_audit.detectors.chat import AskOptions
from vsil_audit.gateway.meter import Budget, BudgetReachedError
from vsil_audit.gateway.settings import GatewaySettings
from vsil_audit.pair import Finding
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState
from vsil_audit.runs.on_ray.cluster import Cluster
from vsil_audit.runs.plan import ScanOptions

pytest.importorskip("ray")
pytestmark = pytest.mark.slow

RULES = """
name: cautious
rules:
  - when: {pattern: "(?i)gnome [0-4]"}
    answer: "I'm sorry, but I can't help with that."
  - answer: "Sure. First look at what is in front of you."
"""


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    root = tmp_path / "set"
    root.mkdir()
    Image.new("RGB", (30, 30), "white").save(root / "0.png")
    rows = [{"id": str(i), "question": f"Where is gnome {i}?", "image": "0.png"} for i in range(10)]
    (root / "data.json").write_text(json.dumps(rows))
    return root


@pytest.fixture
def target(tmp_path: Path) -> str:
    (tmp_path / "target.yaml").write_text(RULES)
    return f"scripted/{tmp_path / 'target.yaml'}"


class Heard:
    def __init__(self) -> None:
        self.stages: dict[str, int] = {}
        self.remarks: list[str] = []

    def stage(self, name: str, total: int | None, unit: str) -> None:
        self.name = name
        self.stages[name] = 0

    def advance(self, steps: int) -> None:
        self.stages[self.name] += steps

    def remark(self, text: str) -> None:
        self.remarks.append(text)


def scan(dataset: Path, output: Path, engine: str, target: str, budget: Budget, heard: Heard) -> RunFolder:
    options = ScanOptions(
        ("text_refusal",),
        output=output,
        cache=output.with_name(f"cache-{output.name}"),
        batch_pairs=4,
        workers=2,
        engine=engine,
        ask=AskOptions(targets=(target,)),
        gateway=GatewaySettings(budget=budget),
    )
    return vsil_audit.scan(dataset, options=options, progress=heard).folder


def findings(run: RunFolder) -> list[Finding]:
    return list(run.findings("text_refusal"))


def test_models_are_asked_once_and_within_the_budget_of_the_run(
    dataset: Path, target: str, tmp_path: Path, cluster: Cluster
) -> None:
    here = scan(dataset, tmp_path / "here", "local", target, Budget(), Heard())
    with pytest.raises(BudgetReachedError) as met:
        scan(dataset, tmp_path / "there", "ray", target, Budget(max_calls=5), Heard())
    assert met.value.exit_code == 3
    begun = RunFolder(tmp_path / "there")
    assert begun.manifest().state is RunState.INTERRUPTED
    assert sum(row.calls for row in begun.manifest().spend) == 5

    heard = Heard()
    there = scan(dataset, tmp_path / "there", "ray", target, Budget(), heard)
    assert findings(there) == findings(here)
    assert list(there.observations("text_refusal")) == list(here.observations("text_refusal"))
    assert heard.stages["Detector text_refusal"] >= 10
    calls = [sum(row.calls for row in run.manifest().spend) for run in (here, there)]
    assert calls[0] == calls[1], "what was answered before the budget was reached was paid twice"
