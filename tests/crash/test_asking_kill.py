"""`kill -9` and Ctrl-C of a scan that asks models.

What is proven of `kill -9`: no answer that the cache had is ever asked for again; all that may be asked twice was in
flight at that moment, or had arrived in the 5 ms between two writes of the cache; and the findings, observations and
numbers in the end are those of a run that nothing disturbed. Of Ctrl-C: nothing at all is asked twice.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer
from gnome_set import write_gnomes

from vsil_audit.errors import ExitCode
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState

PAIRS = 60
KILLS = 10
CONCURRENCY = 8

SCAN = """
from dataclasses import replace
from vsil_audit.cli import scan
from vsil_audit.cli.main import main

made = scan._scan_options
scan._scan_options = lambda given, reading: replace(made(given, reading), batch_pairs=8)
main()
"""
"""The real command, with smaller batches."""


@pytest.fixture(scope="module")
def gnomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("sets")
    write_gnomes(folder / "control", 6, flaws=False)
    return write_gnomes(folder / "gnomes", PAIRS)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(latency=(0.005, 0.02)) as server:
        yield server


def start(
    server: ChatServer, gnomes: Path, folder: Path, detectors: str = "text_refusal,safety_judge,llm_judge"
) -> subprocess.Popen[bytes]:
    given = {
        "--detectors": detectors,
        "--targets": server.model("target"),
        "--judges": server.model("judge"),
        "--control": gnomes.with_name("control"),
        "--output": folder / "run",
        "--cache": folder / "cache",
        "--workers": 1,
        "--max-concurrency": CONCURRENCY,
    }
    arguments = ["scan", str(gnomes), *(str(part) for option in given.items() for part in option)]
    command = [sys.executable, "-c", SCAN, *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> str:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == ExitCode.INCONCLUSIVE, errors.decode()  # no judge like this server's can be trusted
    return errors.decode()


def wait_until_asked(server: ChatServer, process: subprocess.Popen[bytes], requests: int) -> bool:
    """Until so many more requests have arrived; whether the process still runs."""
    wanted = server.arrived.total() + requests
    while server.arrived.total() < wanted and process.poll() is None:
        time.sleep(0.001)
    return process.poll() is None


def received(cache: Path) -> set[str]:
    """The digests of the requests whose answers are kept."""
    if not (cache / "answers.sqlite").exists():
        return set()
    with closing(sqlite3.connect(cache / "answers.sqlite")) as database:
        return {json.loads(body)["id"] for (body,) in database.execute("SELECT body FROM answers")}


def observed(folder: Path) -> dict[str, list[str]]:
    run = RunFolder(folder)
    tables = {
        f"{kind} of {name}": list(getattr(run, kind)(name))
        for name in run.detectors()
        for kind in ("findings", "observations")
    }
    return {name: list(map(repr, rows)) for name, rows in tables.items()}


def numbers(folder: Path) -> dict[str, Any]:
    """The summary but for the spend, which after `kill -9` lacks what was not kept yet."""
    summary: dict[str, Any] = json.loads((folder / "summary.json").read_text())
    del summary["asked"]["spend"]
    return summary


@pytest.mark.slow
def test_killed_again_and_again_it_pays_for_no_answer_twice_that_it_has(
    server: ChatServer, gnomes: Path, tmp_path: Path
) -> None:
    finish(start(server, gnomes, tmp_path / "undisturbed"))
    asked_in_all = server.calls
    assert set(server.answered.values()) == {1}
    server.answered.clear()
    server.arrived.clear()

    rng = random.Random(3)
    killed = tmp_path / "killed"
    asked_when_received: dict[str, int] = {}
    answers_kept: list[int] = []
    for _ in range(KILLS):
        process = start(server, gnomes, killed)
        under_way = wait_until_asked(server, process, rng.randrange(1, asked_in_all // KILLS))
        time.sleep(rng.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert under_way, "no kill came while it asked: the test proves nothing"
        for digest in received(killed / "cache") - set(asked_when_received):
            asked_when_received[digest] = server.arrived[digest]
        answers_kept.append(len(asked_when_received))
    finish(start(server, gnomes, killed))

    assert len(asked_when_received) > asked_in_all // 4
    asked_again = {d: server.arrived[d] for d, times in asked_when_received.items() if server.arrived[d] != times}
    assert not asked_again, "it had these answers"
    assert received(killed / "cache") == set(server.answered), "no answer is lost"
    assert len(server.answered) == asked_in_all
    assert server.calls - asked_in_all <= KILLS * 2 * CONCURRENCY
    assert len(set(answers_kept)) > KILLS // 2, "the kills came at different places"

    assert observed(killed / "run") == observed(tmp_path / "undisturbed" / "run")
    assert numbers(killed / "run") == numbers(tmp_path / "undisturbed" / "run")


def test_interrupted_while_it_asks_it_keeps_what_it_paid_for_and_goes_on(
    server: ChatServer, gnomes: Path, tmp_path: Path
) -> None:
    for requests in (30, 150):
        process = start(server, gnomes, tmp_path)
        assert wait_until_asked(server, process, requests)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == 130, errors.decode()
        assert "the same command continues" in errors.decode()
        assert "Traceback" not in errors.decode()
        manifest = RunFolder(tmp_path / "run").manifest()
        assert manifest.state is RunState.INTERRUPTED
        assert sum(row.calls for row in manifest.spend) == server.calls
    said = finish(start(server, gnomes, tmp_path))
    assert "Continuing the run" in said
    assert Counter(server.answered.values()) == {1: server.calls}
    manifest = RunFolder(tmp_path / "run").manifest()
    assert manifest.state is RunState.COMPLETE
    assert sum(row.calls for row in manifest.spend) == server.calls


def test_interrupted_twice_it_ends_at_once_and_in_order(gnomes: Path, tmp_path: Path) -> None:
    with ChatServer(latency=(90, 90)) as server:
        process = start(server, gnomes, tmp_path)
        assert wait_until_asked(server, process, CONCURRENCY)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while b"again to leave them" not in (line := process.stderr.readline()):
            assert line, "it did not say that it waits"
        begun = time.monotonic()
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=300)
    assert time.monotonic() - begun < 30
    assert process.returncode == 130
    assert errors.decode().strip() == "Interrupted. What was done is kept; the same command continues."
    assert RunFolder(tmp_path / "run").manifest().state is RunState.INTERRUPTED


def test_interrupted_while_it_reads_it_has_asked_nothing_and_goes_on(
    server: ChatServer, gnomes: Path, tmp_path: Path
) -> None:
    process = start(server, gnomes, tmp_path)
    while not (tmp_path / "run" / "run.json").exists() and process.poll() is None:
        time.sleep(0.001)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors.decode()
    assert "Traceback" not in errors.decode()
    assert RunFolder(tmp_path / "run").manifest().state is RunState.INTERRUPTED
    finish(start(server, gnomes, tmp_path))
    assert Counter(server.answered.values()) == {1: server.calls}


def test_interrupted_while_offline_detectors_run_it_has_asked_nothing_and_goes_on(
    server: ChatServer, gnomes: Path, tmp_path: Path
) -> None:
    detectors = "hygiene,description_overlap,topic_probe,safety_judge"
    process = start(server, gnomes, tmp_path, detectors)
    assert process.stderr is not None
    while b"Detector topic_probe" not in (line := process.stderr.readline()):
        assert line, "it ended too soon"
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 130, errors.decode()
    assert "Traceback" not in errors.decode()
    assert RunFolder(tmp_path / "run").manifest().state is RunState.INTERRUPTED
    assert not server.arrived
    finish(start(server, gnomes, tmp_path, detectors))
    assert Counter(server.answered.values()) == {1: server.calls}
