"""`--engine ray` on two workers: the findings of the local engine, whoever is killed on the way."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import vsil_audit
from vsil_audit.features.clip.model import ClipSettings
from vsil_audit.pair import Scored
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState
from vsil_audit.runs.on_ray.cluster import Cluster
from vsil_audit.runs.plan import ScanOptions

pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
pytestmark = pytest.mark.slow
OFFLINE = ("hygiene", "description_overlap")
BATCH = 4
PATIENCE = 120.0


def scan(dataset: Path, output: Path, engine: str) -> RunFolder:
    options = ScanOptions(
        detectors=OFFLINE,
        output=output,
        cache=output.with_name(f"{output.name}-cache"),
        batch_pairs=BATCH,
        workers=2,
        engine=engine,
    )
    return vsil_audit.scan(dataset, options=options).folder


def findings(run: RunFolder) -> list[str]:
    return [json.dumps(row, sort_keys=True) for row in run.findings_table().to_pylist()]


def test_the_findings_are_those_of_the_local_engine(dataset: Path, tmp_path: Path, cluster: Cluster) -> None:
    here, there = scan(dataset, tmp_path / "here", "local"), scan(dataset, tmp_path / "there", "ray")
    assert findings(there) == findings(here)
    assert (there.path / "summary.json").read_bytes() == (here.path / "summary.json").read_bytes()
    assert [p.message for p in there.problems()] == [p.message for p in here.problems()]
    assert set(there.thumbnail_digests()) == set(here.thumbnail_digests())
    assert list(there.batches()) == list(here.batches())


def test_clip_vectors_and_what_is_made_of_them_are_those_of_the_local_engine(
    dataset: Path, tmp_path: Path, cluster: Cluster
) -> None:
    pytest.importorskip("open_clip")
    from tiny_clip import save_tiny_clip

    clip = ClipSettings(str(save_tiny_clip(tmp_path / "tiny")), device="cpu")
    runs = []
    for engine in ("local", "ray"):
        options = ScanOptions(
            ("clip_overlap",), output=tmp_path / engine, cache=tmp_path / f"{engine}-cache", batch_pairs=12, workers=2
        )
        runs.append(vsil_audit.scan(dataset, options=replace(options, engine=engine, clip=clip)).folder)
    here, there = runs
    assert any(finding.pair_id and isinstance(finding.outcome, Scored) for finding in here.findings("clip_overlap"))
    assert findings(there) == findings(here)
    for index in range(here.n_batches()):
        part = Path("embeddings", "clip", f"part-{index:05d}.arrow")
        assert (there.path / part).read_bytes() == (here.path / part).read_bytes()


@pytest.fixture(scope="module")
def slow_set(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images that take a while to open."""
    root = tmp_path_factory.mktemp("slow")
    noise = np.random.default_rng(1)
    rows = []
    for i in range(40):
        Image.fromarray(noise.integers(0, 255, (800, 800, 3), dtype=np.uint8)).save(root / f"{i}.png")
        rows.append(
            {"id": str(i), "question": f"Where is gnome {i}?", "image": f"{i}.png", "description": f"Gnome {i}"}
        )
    (root / "data.json").write_text(json.dumps(rows))
    return root


@pytest.fixture(scope="module")
def undisturbed(slow_set: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """The findings of the local engine."""
    return findings(scan(slow_set, tmp_path_factory.mktemp("undisturbed") / "run", "local"))


DRIVER = """
import json, sys
sys.path[:0] = json.loads(sys.argv[1])
from pathlib import Path
import vsil_audit
from vsil_audit.runs.plan import ScanOptions
output = Path(sys.argv[3])
cache = output.with_name(output.name + "-cache")
detectors = ("hygiene", "description_overlap")
options = ScanOptions(detectors, output=output, cache=cache, batch_pairs=4, workers=2, engine="ray")
try:
    vsil_audit.scan(sys.argv[2], options=options)
except KeyboardInterrupt:
    sys.exit(130)
"""


class Driver:
    """A scan on a Ray of its own, in a process of its own, begun in a folder with modules that nobody must import."""

    def __init__(self, dataset: Path, output: Path) -> None:
        trap = output.with_name("trap")
        trap.mkdir(exist_ok=True)
        for name in ("PIL", "colorsys", "pyarrow", "numpy"):
            (trap / f"{name}.py").write_text(f"open({str(trap / 'sprung')!r}, 'w').close()")
        path = json.dumps([str(Path(vsil_audit.__file__).parent.parent)])
        command = [sys.executable, "-I", "-c", DRIVER, path, str(dataset), str(output)]
        self.output = output
        self.process = subprocess.Popen(command, cwd=trap, stderr=subprocess.PIPE, start_new_session=True)
        self.of_ray: set[psutil.Process] = set()

    def wait_for_parts(self, count: int) -> None:
        deadline = time.monotonic() + PATIENCE
        while len(list((self.output / "pairs").glob("part-*.parquet"))) < count:
            assert self.process.poll() is None, self.end()
            assert time.monotonic() < deadline
            time.sleep(0.02)
        self.of_ray = set(psutil.Process(self.process.pid).children(recursive=True))

    def workers(self) -> Iterator[psutil.Process]:
        """The processes of the pool."""
        for process in self.of_ray:
            if "_Hand" in _name(process):
                yield process

    def end(self) -> tuple[int, str]:
        _, errors = self.process.communicate(timeout=PATIENCE)
        assert not (self.output.with_name("trap") / "sprung").exists(), "a module of the current folder was imported"
        return self.process.returncode, errors.decode()

    def leaves_behind(self) -> list[str]:
        """Names of processes that live on, Ray's agents left out: after `kill -9` they try to report for a while."""
        watched = {process for process in self.of_ray if not _name(process).endswith("Agent")}
        _, alive = psutil.wait_procs(watched, timeout=20)
        return [_name(process) for process in alive]


def _name(process: psutil.Process) -> str:
    try:
        return str(process.cmdline()[0]) if process.cmdline() else ""
    except psutil.NoSuchProcess:
        return ""


def test_a_lost_worker_costs_its_batch_and_not_the_run(slow_set: Path, undisturbed: list[str], tmp_path: Path) -> None:
    driver = Driver(slow_set, tmp_path / "run")
    driver.wait_for_parts(2)
    next(driver.workers()).kill()
    for process in driver.of_ray:  # and the one that streams the set
        if "_Poured" in _name(process):
            process.kill()
    assert not (tmp_path / "run" / "summary.json").exists(), "the worker was killed too late: the test proved nothing"
    code, errors = driver.end()
    assert (code, errors) == (0, "")
    assert findings(RunFolder(tmp_path / "run")) == undisturbed


def test_a_killed_driver_leaves_a_run_that_either_engine_continues(
    slow_set: Path, undisturbed: list[str], tmp_path: Path
) -> None:
    killed = Driver(slow_set, tmp_path / "run")
    killed.wait_for_parts(2)
    killed.process.send_signal(signal.SIGKILL)
    killed.end()
    assert killed.leaves_behind() == []
    run = RunFolder(tmp_path / "run")
    before = sorted(run.path.glob("pairs/part-*.parquet"))
    assert run.manifest().state is RunState.READING
    times = {part: part.stat().st_mtime_ns for part in before}

    interrupted = Driver(slow_set, tmp_path / "run")
    interrupted.wait_for_parts(len(before) + 2)
    os.killpg(interrupted.process.pid, signal.SIGINT)  # as a terminal does
    assert interrupted.end()[0] == 130
    assert interrupted.leaves_behind() == []
    assert run.manifest().state is RunState.INTERRUPTED

    assert findings(scan(slow_set, tmp_path / "run", "local")) == undisturbed
    assert {part: part.stat().st_mtime_ns for part in before} == times, "what was committed was read again"
