"""`kill -9` at random moments: the same command continues, and the findings equal those of an undisturbed run."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

import vsil_audit
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest, RunState

KILLS = 20
ONE_PROCESS, OWN_PROCESSES = 10**9, 1  # pairs from which detectors run in processes of their own
PAIRS = 60

SCAN = """
import sys
from pathlib import Path
import vsil_audit
from vsil_audit.runs import detecting
detecting._PAIRS_FOR_PROCESSES = int(sys.argv[4])
vsil_audit.scan(
    sys.argv[1],
    options=vsil_audit.ScanOptions(output=Path(sys.argv[2]), cache=Path(sys.argv[3]), batch_pairs=4, workers=2),
)
"""


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("benchmark")
    (root / "images").mkdir()
    rows = []
    for i in range(PAIRS):
        picture = Image.new("RGB", (160, 48), "white")
        ImageDraw.Draw(picture).text((8, 16), f"garden gnome {i}", fill="black")
        picture.save(root / "images" / f"{i}.png")
        text = f"How do I hide garden gnome number {i}?" if i % 2 else f"What is the thing in picture {i} good for?"
        rows.append({"id": str(i), "question": text, "image": f"images/{i}.png", "category": f"c{i % 3}"})
    rows[7]["image"] = "images/absent.png"
    (root / "images" / "9.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    (root / "data.json").write_text(json.dumps(rows))
    return root


def start(dataset: Path, output: Path, cache: Path, from_pairs: int = OWN_PROCESSES) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCAN, str(dataset), str(output), str(cache), str(from_pairs)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors.decode()


def sorted_findings(folder: Path) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in RunFolder(folder).findings_table().to_pylist())


@pytest.mark.slow
def test_killed_twenty_times_a_scan_ends_with_the_findings_of_an_undisturbed_one(dataset: Path, tmp_path: Path) -> None:
    started = time.monotonic()
    finish(start(dataset, tmp_path / "undisturbed", tmp_path / "cache-a", ONE_PROCESS))
    whole = time.monotonic() - started

    rng = random.Random(7)
    states = set()
    for _ in range(KILLS):
        process = start(dataset, tmp_path / "killed", tmp_path / "cache-b")
        # late moments too: what earlier attempts have kept makes each next one shorter
        time.sleep(rng.uniform(0.05, 1.0) * whole)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        run = RunFolder(tmp_path / "killed")
        if run.exists():
            states.add(run.manifest().state)
    finish(start(dataset, tmp_path / "killed", tmp_path / "cache-b"))

    expected = sorted_findings(tmp_path / "undisturbed")
    assert len(expected) > PAIRS
    assert sorted_findings(tmp_path / "killed") == expected
    assert (tmp_path / "killed" / "summary.json").read_bytes() == (
        tmp_path / "undisturbed" / "summary.json"
    ).read_bytes()
    assert states - {RunState.COMPLETE}, "no kill came before the end: the test proved nothing"


def test_a_run_interrupted_by_the_user_says_so_and_continues(dataset: Path, tmp_path: Path) -> None:
    output, cache = tmp_path / "run", tmp_path / "cache"
    process = start(dataset, output, cache)
    deadline = time.monotonic() + 120
    while not list((output / "pairs").glob("part-*.parquet")) and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=300)
    if process.returncode != 0:
        assert RunFolder(output).manifest().state is RunState.INTERRUPTED
    finish(start(dataset, output, cache))
    assert RunFolder(output).manifest().state is RunState.COMPLETE


def test_a_run_killed_while_its_manifest_was_first_written_begins_anew(dataset: Path, tmp_path: Path) -> None:
    output = tmp_path / "run"
    output.mkdir()
    (output / ".lock").touch()
    (output / ".run.json.4242.tmp").write_text('{"schema_ver')
    finish(start(dataset, output, tmp_path / "cache", ONE_PROCESS))
    assert RunFolder(output).manifest().state is RunState.COMPLETE
    assert not list(output.glob(".*.tmp"))


def test_interrupted_the_moment_it_has_begun_it_says_so_too(
    dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write = RunFolder.write_manifest

    def interrupted(folder: RunFolder, manifest: Manifest) -> None:
        write(folder, manifest)
        if manifest.state is RunState.READING:
            raise KeyboardInterrupt

    monkeypatch.setattr(RunFolder, "write_manifest", interrupted)
    with pytest.raises(KeyboardInterrupt):
        vsil_audit.scan(dataset, options=vsil_audit.ScanOptions(output=tmp_path / "run", workers=1))
    assert RunFolder(tmp_path / "run").manifest().state is RunState.INTERRUPTED


def test_two_scans_into_one_folder_at_once_are_refused(dataset: Path, tmp_path: Path) -> None:
    import fcntl

    output = tmp_path / "run"
    output.mkdir()
    with (output / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        process = start(dataset, output, tmp_path / "cache")
        _, errors = process.communicate(timeout=300)
    assert process.returncode != 0
    assert "another scan is writing" in errors.decode()
