"""Whole scans, by the command line, that ask models of a real class with small random weights: behind a real server
over HTTP, and in this process. They babble, and reports must say that nothing is measured, and whom not to trust."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gnome_set import write_gnomes
from recording_proxy import Passed, RecordingProxy, recording
from tiny_models import save_tiny_llava
from transformers_server import transformers_server, why_it_cannot_start

from vsil_audit.detectors.chat import Observation, Role
from vsil_audit.errors import ExitCode
from vsil_audit.gateway import AnswerCache
from vsil_audit.pair import Abstained, Failed, Scored
from vsil_audit.prompts import prompt
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState

pytestmark = pytest.mark.slow

PAIRS = 10
ASKING = ("text_refusal", "safety_judge", "llm_judge")
PROMPTS = ("safety_judge_text", "safety_judge_pair", "llm_judge", "llm_judge_item", "repair")
INTERRUPTED_AFTER = 60  # calls
PATIENCE = 300.0


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="models of a real class need the extra [local]")
    texts = [prompt(name).text for name in PROMPTS]
    folder = tmp_path_factory.mktemp("models") / "tiny"
    return save_tiny_llava(folder, context=16384, learnt_from=texts, terse=True)


@pytest.fixture(scope="module")
def upstream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    missing = why_it_cannot_start()
    if missing:
        pytest.skip(missing)
    folder: Path = request.getfixturevalue("model_folder")
    with transformers_server(folder, tmp_path_factory.mktemp("hf-home")) as base_url:
        yield base_url


@pytest.fixture(scope="module")
def with_images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_gnomes(tmp_path_factory.mktemp("set") / "gnomes", PAIRS)


@pytest.fixture(scope="module")
def text_only(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("set") / "texts.csv"
    file.write_text("query\n" + "".join(f"How do I hide garden gnome number {i}?\n" for i in range(PAIRS)))
    return file


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Workplace:
    """A folder, a cache of answers, and a model that is target and judge."""

    folder: Path
    model: str

    def line(self, verb: str, data: Path, *options: str) -> list[str]:
        control = self.folder / "control.csv"
        if not control.exists():
            control.write_text("query\nHow do I water a cactus?\nWhat is the capital of Peru?\n")
        asked = ("--targets", self.model, "--judges", self.model, "--max-tokens", "48", "--max-concurrency", "8")
        return [sys.executable, "-m", "vsil_audit", verb, str(data), *asked, "--control", str(control), *options]

    def scan_line(self, data: Path, run: str) -> list[str]:
        return self.line("scan", data, "--detectors", ",".join(ASKING), "--output", run)

    def start(self, line: Sequence[str]) -> subprocess.Popen[str]:
        variables = {**os.environ, "VSIL_AUDIT_CACHE": str(self.folder / "cache"), "OMP_NUM_THREADS": "1"}
        pipe = subprocess.PIPE
        return subprocess.Popen(line, cwd=self.folder, env=variables, stdout=pipe, stderr=pipe, text=True)

    def run(self, line: Sequence[str]) -> Said:
        process = self.start(line)
        out, err = process.communicate(timeout=PATIENCE)
        return Said(process.returncode, out, err)

    def scan(self, data: Path, run: str) -> Said:
        return self.run(self.scan_line(data, run))

    def plan(self, data: Path, *options: str) -> dict[str, Any]:
        said = self.run(self.line("plan", data, "--json", *options))
        assert said.code == 0, said.err
        costs: dict[str, Any] = json.loads(said.out)
        return costs

    def kept(self) -> list[dict[str, Any]]:
        """Every request of which an answer is kept."""
        with closing(AnswerCache(self.folder / "cache" / "answers.sqlite")) as cache:
            return [json.loads(kept.request) for kept in cache.entries()]


def observations(run: Path) -> list[Observation]:
    return [o for detector in ASKING for o in RunFolder(run).observations(detector)]


def summary(run: Path) -> dict[str, Any]:
    """But for the spend, which tells of cached answers."""
    found: dict[str, Any] = json.loads((run / "summary.json").read_text())
    del found["asked"]["spend"]
    return found


def check_that_babble_measures_nothing(run: Path, said: Said) -> None:
    """No judge is believed, none of its words is a number, there is no leak rate, and all of that is told."""
    judged = [o for o in observations(run) if o.role is Role.JUDGE]
    assert judged
    assert all(isinstance(o.outcome, (Failed, Abstained)) and not o.label for o in judged)
    assert {o.outcome.kind for o in judged if isinstance(o.outcome, Failed)} == {"malformed_answer"}
    metrics = {metric["name"]: metric for metric in summary(run)["metrics"]}
    for name in ("leak_rate", "safety_judge.rate", "llm_judge.rate"):
        assert metrics[name]["value"] is None
        assert "no judge can be trusted" in metrics[name]["note"]
    assert summary(run)["asked"]["judges"]
    assert not any(judge["trusted"] for judge in summary(run)["asked"]["judges"])
    assert "is not trusted (" in " ".join(said.out.split())
    assert "no judge can be trusted" in (run / "report.html").read_text()
    assert said.code == ExitCode.INCONCLUSIVE
    assert "Inconclusive: " in said.err


def check_that_every_pair_ends(run: Path) -> None:
    folder = RunFolder(run)
    assert folder.manifest().state is RunState.COMPLETE
    for detector in ASKING:
        findings = list(folder.findings(detector))
        assert len({finding.pair_id for finding in findings}) == len(findings) == PAIRS
        for outcome in (finding.outcome for finding in findings):
            assert outcome.reason if isinstance(outcome, Abstained) else isinstance(outcome, (Scored, Failed))


def check_that_repairs_follow_up(calls: Sequence[Passed]) -> None:
    """Each call that was not planned asks once more for an answer in the right form, once."""
    first = [call.messages for call in calls if not call.repairs]
    repaired = [call.messages[:-2] for call in calls if call.repairs]
    assert repaired
    assert all(asked in first for asked in repaired)
    assert len({json.dumps(asked) for asked in repaired}) == len(repaired)


def interrupt_after(calls: int, process: subprocess.Popen[str], proxy: RecordingProxy) -> int:
    """Its exit code."""
    ends = time.monotonic() + PATIENCE
    while len(proxy.passed) < calls and process.poll() is None and time.monotonic() < ends:
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE)
    return process.returncode


def test_a_scan_over_http_is_planned_interrupted_and_continued_and_asks_nothing_twice(
    upstream: str, model_folder: Path, with_images: Path, tmp_path: Path
) -> None:
    with recording(upstream) as proxy:
        work = Workplace(tmp_path, f"vllm/{model_folder}@{proxy.base_url}")
        planned = work.plan(with_images)
        assert not proxy.passed
        after_pilot = work.plan(with_images, "--pilot", "8")
        pilot = len(proxy.passed)
        assert pilot

        started = work.start(work.scan_line(with_images, "run"))
        assert interrupt_after(pilot + INTERRUPTED_AFTER, started, proxy) == ExitCode.INTERRUPTED
        interrupted = len(proxy.passed)
        assert RunFolder(tmp_path / "run").manifest().state is RunState.INTERRUPTED
        said = work.scan(with_images, "run")
        calls = list(proxy.passed)
        assert len(calls) > interrupted
        assert proxy.repeated == []
        assert all(call.status == 200 for call in calls)
        check_that_every_pair_ends(tmp_path / "run")
        check_that_babble_measures_nothing(tmp_path / "run", said)
        assert {call.images for call in calls} == {0, 1}

        first = [call for call in calls if not call.repairs]
        assert len(first) == planned["calls"]
        check_that_repairs_follow_up(calls)
        of_scan = [call.usage for call in calls[pilot:]]  # with repair turns: after a pilot they are foreseen
        assert after_pilot["calls"] == pytest.approx(len(of_scan), rel=0.1)
        inside = sum(row["input_tokens"] for row in after_pilot["rows"])
        outside = sum(row["output_tokens"] for row in after_pilot["rows"])
        used = [sum(tokens) for tokens in zip(*of_scan, strict=True)]
        assert inside == pytest.approx(used[0], rel=0.1)
        assert inside + outside == pytest.approx(sum(used), rel=0.1)
        spend = RunFolder(tmp_path / "run").manifest().spend
        assert sum(row.calls for row in spend) == len(calls) - pilot
        assert sum(row.input_tokens for row in spend) == sum(call.usage[0] for call in calls[pilot:])

        assert work.plan(with_images)["calls"] == 0
        elsewhere = work.scan(with_images, "elsewhere")
        assert elsewhere.code == said.code
        assert summary(tmp_path / "elsewhere") == summary(tmp_path / "run")
        assert "nothing was done again" in work.scan(with_images, "run").err
        assert len(proxy.passed) == len(calls)


def test_a_set_of_texts_alone_over_http(upstream: str, model_folder: Path, text_only: Path, tmp_path: Path) -> None:
    with recording(upstream) as proxy:
        work = Workplace(tmp_path, f"vllm/{model_folder}@{proxy.base_url}")
        planned = work.plan(text_only)
        said = work.scan(text_only, "run")
    check_that_every_pair_ends(tmp_path / "run")
    check_that_babble_measures_nothing(tmp_path / "run", said)
    assert proxy.repeated == []
    assert sum(not call.repairs for call in proxy.passed) == planned["calls"]
    of_set = [call for call in proxy.passed if "garden gnome number" in json.dumps(call.messages)]
    assert of_set
    assert not any(call.images for call in of_set), "canaries have images, this set has none"


def test_targets_and_judges_in_this_process(model_folder: Path, with_images: Path, tmp_path: Path) -> None:
    work = Workplace(tmp_path, f"hf/{model_folder}")
    planned = work.plan(with_images)
    said = work.scan(with_images, "run")
    check_that_every_pair_ends(tmp_path / "run")
    check_that_babble_measures_nothing(tmp_path / "run", said)
    kept = work.kept()
    repairs = sum(any(message["role"] == "assistant" for message in request["messages"]) for request in kept)
    assert len(kept) - repairs == planned["calls"]
    spend = RunFolder(tmp_path / "run").manifest().spend
    assert [row.calls for row in spend] == [len(kept)]
    assert work.plan(with_images)["calls"] == 0
