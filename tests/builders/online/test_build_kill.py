"""`kill -9` and Ctrl-C of a conversion with models.

What is proven: no answer and no image that was kept is ever asked for again; what may be paid for twice was in flight
at that moment, or had arrived between two writes of the cache; and the records and the set in the end are those of a
conversion that nothing disturbed.
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
from build_server import Cast, Plan, Studio, write_set

from vsil_audit.builders.folder import BuildFolder
from vsil_audit.errors import ExitCode

KILLS = 6
CONCURRENCY = 2
WAYS = (("good",), ("leaky", "good"), ("tame", "drifting", "leaky"), ("paled",))
PLANS = {
    name: Plan(
        f"{kind} gnome", WAYS[place % 4], carries=place % 2 == 0, checks=((True,), (False, True))[place % 3 == 0]
    )
    for place, (name, kind) in enumerate(
        zip(
            ("Ada", "Ben", "Cid", "Dot", "Eva", "Fay", "Gus", "Hal", "Ivy", "Jon"),
            ("garden", "brass", "plastic", "stone", "iron", "clay", "tin", "wooden", "copper", "marble"),
            strict=True,
        )
    )
}

CONVERT = """
from dataclasses import replace
from vsil_audit.cli import convert
from vsil_audit.cli.main import main

made = convert._scan_options
convert._scan_options = lambda given, reading, **more: replace(made(given, reading, **more), batch_pairs=3)
main()
"""
"""The real command, with smaller batches."""


@pytest.fixture
def studio() -> Iterator[Studio]:
    with Studio(Cast(PLANS), latency=(0.005, 0.02)) as studio:
        yield studio


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_set(tmp_path_factory.mktemp("sets") / "set", PLANS, harmless=("Zoe",), described=True)


def start(studio: Studio, source: Path, folder: Path) -> subprocess.Popen[bytes]:
    given = {
        "--editor": studio.model("editor"),
        "--vision": studio.model("vision"),
        "--image-generator": f"images/artist@{studio.url}",
        "--detectors": "description_overlap",
        "--out": folder / "out",
        "--cache": folder / "cache",
        "--workers": 1,
        "--max-concurrency": CONCURRENCY,
    }
    arguments = ["convert", str(source), *(str(part) for option in given.items() for part in option)]
    command = [sys.executable, "-c", CONVERT, *arguments, "--acknowledge-use"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def finish(process: subprocess.Popen[bytes]) -> None:
    _, errors = process.communicate(timeout=120)
    assert process.returncode == ExitCode.OK, errors.decode()


def wait_until_asked(studio: Studio, process: subprocess.Popen[bytes], requests: int) -> bool:
    """Until so many more requests have arrived; whether the process still runs."""
    wanted = studio.arrived.total() + requests
    while studio.arrived.total() < wanted and process.poll() is None:
        time.sleep(0.001)
    return process.poll() is None


def answers_kept(cache: Path) -> set[str]:
    """The digests of the requests whose answers are kept."""
    if not (cache / "answers.sqlite").exists():
        return set()
    with closing(sqlite3.connect(cache / "answers.sqlite")) as database:
        return {json.loads(body)["id"] for (body,) in database.execute("SELECT body FROM answers")}


def prompts_kept(studio: Studio, cache: Path) -> set[str]:
    """The prompts whose images are kept."""
    files = [file for file in (cache / "images").rglob("*") if file.is_file() and not file.name.startswith(".")]
    return {studio.prompts[json.loads(file.read_bytes().partition(b"\n")[0])["sha256"]] for file in files}


def came_to(folder: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The records and the set, but for the bytes of images, which are others each time that they are drawn."""
    records = [record.to_json() | {"source": None} for record in BuildFolder(folder / "out").records()]
    rows = json.loads((folder / "out" / "data.json").read_text())
    assert all((folder / "out" / row["image_path"]).is_file() for row in rows)
    return _undrawn(records), _undrawn(rows)


def _undrawn(told: Any) -> Any:
    if isinstance(told, dict):
        return {name: _undrawn(value) for name, value in told.items() if name not in ("digest", "call", "image_path")}
    return [_undrawn(one) for one in told] if isinstance(told, (list, tuple)) else told


@pytest.mark.slow
def test_killed_again_and_again_it_pays_for_nothing_twice_that_it_has(
    studio: Studio, source: Path, tmp_path: Path
) -> None:
    finish(start(studio, source, tmp_path / "undisturbed"))
    answers, images = len(studio.answered), len(studio.drawn)
    assert set(studio.answered.values()) == set(studio.drawn.values()) == {1}
    arrived = studio.arrived.total()
    for counter in (studio.arrived, studio.answered, studio.drawn):
        counter.clear()

    rng = random.Random(3)
    killed = tmp_path / "killed"
    asked_when_kept: dict[str, int] = {}
    drawn_when_kept: dict[str, int] = {}
    in_time = 0
    for _ in range(KILLS):
        process = start(studio, source, killed)
        in_time += wait_until_asked(studio, process, rng.randrange(1, arrived // KILLS))
        time.sleep(rng.uniform(0, 0.02))
        process.send_signal(signal.SIGKILL)
        process.communicate()
        for digest in answers_kept(killed / "cache") - set(asked_when_kept):
            asked_when_kept[digest] = studio.arrived[digest]
        for prompt in prompts_kept(studio, killed / "cache") - set(drawn_when_kept):
            drawn_when_kept[prompt] = studio.drawn[prompt]
    finish(start(studio, source, killed))

    assert in_time > KILLS // 2, "on a busy machine a build may end between two kills, but not before most of them"
    assert len(asked_when_kept) > answers // 4
    assert drawn_when_kept, "no image was kept before a kill: the test proves nothing about images"
    assert {d: studio.arrived[d] for d in asked_when_kept} == asked_when_kept, "it had these answers"
    assert {p: studio.drawn[p] for p in drawn_when_kept} == drawn_when_kept, "it had these images"
    assert len(studio.drawn) == images
    assert studio.calls - answers <= KILLS * 3 * CONCURRENCY
    for disturbed, calm in zip(came_to(killed), came_to(tmp_path / "undisturbed"), strict=True):
        assert len(disturbed) == len(calm)
        for one, other in zip(disturbed, calm, strict=True):
            assert one == other


def test_interrupted_it_pays_for_nothing_twice(studio: Studio, source: Path, tmp_path: Path) -> None:
    process = start(studio, source, tmp_path)
    assert wait_until_asked(studio, process, 12)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == ExitCode.INTERRUPTED, errors.decode()
    assert BuildFolder(tmp_path / "out").manifest().state == "interrupted"
    spent = sum(row.calls for row in BuildFolder(tmp_path / "out").manifest().spend)
    assert spent == studio.calls + studio.drawn.total()
    finish(start(studio, source, tmp_path))
    assert set(studio.answered.values()) == {1}
    assert set(studio.drawn.values()) == {1}
    assert Counter(row.model for row in BuildFolder(tmp_path / "out").manifest().spend).total() == 3
