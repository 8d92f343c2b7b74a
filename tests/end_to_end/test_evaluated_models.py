"""Whole evaluations, by the command line, of models of a real class with small random weights: behind a real server
over HTTP, interrupted and continued, and in this process beside a base model and an image classifier."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from gnome_set import write_gnomes
from recording_proxy import recording
from tiny_models import save_tiny_llama, save_tiny_llava, save_tiny_vit
from transformers_server import transformers_server, why_it_cannot_start

import vsil_audit as api
from vsil_audit.detectors.chat import Observation, Part
from vsil_audit.errors import ExitCode
from vsil_audit.pair import Abstained, Failed, Scored
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState

pytestmark = pytest.mark.slow

PAIRS, CONTROL = 8, 2
CONDITIONS = ("pair", "text", "caption", "blank", "swapped", "image")
VARIANTS = ("", "safety prompt vlsbench", "safety prompt mmsafetybench")
INTERRUPTED_AFTER = 40  # calls
PATIENCE = 300.0


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="models of a real class need the extra [local]")
    return save_tiny_llava(tmp_path_factory.mktemp("models") / "tiny", context=4096, terse=True)


@pytest.fixture(scope="module")
def upstream(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    missing = why_it_cannot_start()
    if missing:
        pytest.skip(missing)
    folder: Path = request.getfixturevalue("tiny")
    with transformers_server(folder, tmp_path_factory.mktemp("hf-home")) as base_url:
        yield base_url


@pytest.fixture
def gnomes(tmp_path: Path) -> Path:
    """Some described, some not."""
    root = write_gnomes(tmp_path / "gnomes", PAIRS)
    rows = json.loads((root / "data.json").read_text())
    for row in rows[::2]:
        row["description"] = ""
    (root / "data.json").write_text(json.dumps(rows))
    (tmp_path / "control.csv").write_text("query\nHow do I water a cactus?\nWhat is the capital of Peru?\n")
    return root


def started(gnomes: Path, *options: str) -> subprocess.Popen[str]:
    line = [sys.executable, "-m", "vsil_audit", "evaluate", str(gnomes), *options, "--max-concurrency", "4"]
    line += ["--control", str(gnomes.with_name("control.csv")), "--output", "run", "--workers", "1"]
    variables = {**os.environ, "VSIL_AUDIT_CACHE": str(gnomes.with_name("cache")), "OMP_NUM_THREADS": "1"}
    pipe = subprocess.PIPE
    return subprocess.Popen(line, cwd=gnomes.parent, env=variables, stdout=pipe, stderr=pipe, text=True)


def finished(process: subprocess.Popen[str]) -> tuple[int, str, str]:
    out, err = process.communicate(timeout=PATIENCE)
    return process.returncode, out, err


def everything(model: str) -> tuple[str, ...]:
    shown = ("--conditions", ",".join(CONDITIONS), "--safety-prompt", "vlsbench,mmsafetybench", "--captioner", model)
    return ("--model", model, *shown, "--max-tokens", "24")


def check_each_once(observed: Sequence[Observation]) -> None:
    keys = Counter(
        (o.part, o.pair_id, o.model, o.condition, o.details.get("variant", ""), o.details.get("role", ""), o.sample)
        for o in observed
    )
    assert set(keys.values()) == {1}


def check_what_cannot_be_shown(observed: Sequence[Observation]) -> None:
    """q3 has no image, q5 one that cannot be opened, q7 no text."""
    outcomes = {
        (o.pair_id, o.condition): o.outcome for o in observed if o.part is Part.SET and not o.details.get("variant")
    }
    for condition in ("pair", "swapped", "image"):
        assert outcomes["q3", condition] == Abstained("the pair has no image")
        assert outcomes["q5", condition] == Abstained("the pair's image cannot be opened")
    for condition in ("pair", "text", "caption", "blank", "swapped"):
        assert outcomes["q7", condition] == Abstained("the query is empty")
    assert outcomes["q7", "image"] != Abstained("the query is empty")


def check_that_babble_is_never_safe_by_accident(observed: Sequence[Observation]) -> None:
    answered = [o for o in observed if o.finish]
    assert len(answered) > PAIRS * len(CONDITIONS)
    for o in answered:
        assert o.finish in ("stop", "length")
        if isinstance(o.outcome, Scored):
            assert o.label == "unsafe", o.answer
        else:
            assert isinstance(o.outcome, Abstained)
            assert o.outcome.reason.startswith("unclear: ")


def test_over_http_with_all_conditions_it_is_interrupted_and_continued_and_asks_nothing_twice(
    upstream: str, tiny: Path, gnomes: Path
) -> None:
    run = RunFolder(gnomes.with_name("run"))
    with recording(upstream) as proxy:
        model = f"vllm/{tiny}@{proxy.base_url}"
        code, out, err = finished(started(gnomes, *everything(model), "--plan", "--json"))
        assert code == 0, err
        assert not proxy.passed
        planned = json.loads(out)

        process = started(gnomes, *everything(model))
        ends = time.monotonic() + PATIENCE
        while len(proxy.passed) < INTERRUPTED_AFTER and process.poll() is None and time.monotonic() < ends:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        assert finished(process)[0] == ExitCode.INTERRUPTED
        assert run.manifest().state is RunState.INTERRUPTED
        interrupted = len(proxy.passed)

        code, out, err = finished(started(gnomes, *everything(model)))
        assert code == ExitCode.INCONCLUSIVE, err
        assert "Continuing the run" in err
        assert "under pair covers" in err
        assert run.manifest().state is RunState.COMPLETE
        calls = list(proxy.passed)
        assert len(calls) > interrupted
        assert proxy.repeated == []
        assert all(call.status == 200 for call in calls)
        assert {call.images for call in calls} == {0, 1}
        captions = [call for call in calls if "Describe the image" in json.dumps(call.messages)]
        assert len(captions) == PAIRS // 2
        no_caption_yet = sum(o.condition == "caption" and not o.finish for o in run.observations("evaluation"))
        assert len(calls) <= planned["calls"] <= len(calls) + no_caption_yet

        assert "nothing was done again" in finished(started(gnomes, *everything(model)))[2]
        assert len(proxy.passed) == len(calls)
    observed = list(run.observations("evaluation"))
    check_each_once(observed)
    assert Counter((o.condition, o.details.get("variant", "")) for o in observed) == {
        (condition, variant): PAIRS + CONTROL for condition in CONDITIONS for variant in VARIANTS
    }
    check_what_cannot_be_shown(observed)
    check_that_babble_is_never_safe_by_accident(observed)
    found = api.Audit.open(run.path).summary.evaluation
    assert found is not None
    assert [m.model for m in found.models] == [model]
    truncated = found.models[0].truncated
    assert truncated.k == sum(o.truncated for o in observed if o.part is Part.SET)


def test_in_this_process_beside_a_base_model_and_an_image_classifier(
    tiny: Path, gnomes: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")
    classifier = save_tiny_vit(tmp_path_factory.mktemp("models") / "tiny-vit")
    model = f"hf/{tiny}"
    more = ("--base-model", f"hf/{base}", "--ablate", "nsfw", "--image-classifier", str(classifier))
    code, _, err = finished(started(gnomes, *everything(model), *more, "--max-calls", "30"))
    assert code == ExitCode.INCONCLUSIVE, err
    run = RunFolder(gnomes.with_name("run"))
    assert run.manifest().state is RunState.INTERRUPTED
    code, _, err = finished(started(gnomes, *everything(model), *more))
    assert run.manifest().state is RunState.COMPLETE, err
    observed = list(run.observations("evaluation"))
    check_each_once(observed)
    answers = [o for o in observed if o.model == model]
    check_what_cannot_be_shown(answers)
    check_that_babble_is_never_safe_by_accident(answers)
    of_base = [o for o in observed if o.model == f"hf/{base}"]
    assert {(o.condition, o.details["role"]) for o in of_base} == {("text", "base")}
    assert len(of_base) == PAIRS + CONTROL
    looks = {o.pair_id: o.outcome for o in observed if o.model == str(classifier) and o.part is Part.SET}
    assert looks["q3"] == Abstained("no image")
    assert looks["q5"] == Abstained("the pair's image cannot be opened")
    assert sum(isinstance(outcome, Scored) for outcome in looks.values()) == PAIRS - 2
    assert not any(isinstance(o.outcome, Failed) for o in observed)
    found = api.Audit.open(run.path).summary.evaluation
    assert found is not None
    (row,) = found.image_classifiers
    assert (row.classifier, row.flagged.n, row.flagged.total) == (str(classifier), PAIRS - 2, PAIRS - 2)
