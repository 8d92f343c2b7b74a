"""An API key that stands in the environment gets into nothing that a run leaves or says, even where the endpoint gives
it back in answers and errors."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from chat_server import Asked, ChatServer, Faults, role_of, well_formed
from gnome_set import write_gnomes

KEY = 'sk-planted/"7f3a91c2e4=='


def parrot(asked: Asked) -> str:
    """Says the key in every answer, and in every field of it."""
    said = f"You sent {asked.headers['Authorization']}"
    if role_of(asked) == "target":
        return f"{said}. {well_formed(asked)}"
    fields = json.loads(well_formed(asked))
    return json.dumps({name: said if name in ("reasons", "adds") else value for name, value in fields.items()})


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(parrot, latency=(0, 0.002)) as server:
        server.faults = Faults(server_error=0.02, malformed=0.02)
        yield server


def complain(asked: Asked) -> str | None:
    if "number 11?" in asked.text:
        return f"I do not like {asked.headers['Authorization']}"
    return "no images for Bearer " + KEY if asked.images and asked.chance % 9 == 0 else None


def everything(folder: Path) -> Iterator[tuple[str, str]]:
    """The content of every file, as far as it is packed unpacked: name, text."""
    for file in sorted(p for p in folder.rglob("*") if p.is_file()):
        yield file.name, file.read_bytes().decode("latin-1")
        if file.suffix == ".parquet":
            yield file.name, json.dumps(pq.read_table(file).to_pylist(), default=str, ensure_ascii=False)
        if file.suffix == ".sqlite":
            with closing(sqlite3.connect(file)) as database:
                for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                    rows = database.execute(f"SELECT * FROM {table}").fetchall()
                    yield f"{file.name}: {table}", "\n".join(map(str, rows))


def scan(
    server: ChatServer, root: Path, where: Path, *models: str, **environment: str
) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vsil_audit", "scan", str(root), *models, "--junit", "--workers", "1"]
    command += ["--control", str(root.with_name("control")), "-o", str(where / "run"), "--cache", str(where / "cache")]
    given = {**os.environ, "OMP_NUM_THREADS": "1", **environment}
    return subprocess.run(command, env=given, capture_output=True, text=True, timeout=300, check=False)


@pytest.mark.parametrize("address", ["in the model string", "--base-url"])
def test_a_planted_key_is_nowhere(server: ChatServer, tmp_path: Path, address: str) -> None:
    write_gnomes(tmp_path / "control", 4, flaws=False)
    root = write_gnomes(tmp_path / "gnomes", 20)
    server.reject = complain
    models: tuple[str, ...]
    if address == "--base-url":
        models = ("--targets", "openai/target", "--judges", "together/org/judge", "--base-url", server.url)
        environment = {"VSIL_AUDIT_API_KEY": KEY, "OPENAI_API_KEY": "not-for-this-address"}
    else:
        models = ("--targets", server.model("target"), "--judges", server.model("judge"))
        environment = {"VLLM_API_KEY": KEY}
    done = scan(server, root, tmp_path / "place", *models, **environment)
    assert done.returncode == 3, done.stderr  # complete; such judges cannot be trusted
    assert {asked.headers["Authorization"] for asked in server.heard} == {f"Bearer {KEY}"}

    written = list(everything(tmp_path / "place"))
    assert any("You sent Bearer [key]" in text for _, text in written), "the answers are there, and were looked into"
    assert any("I do not like Bearer [key]" in text for _, text in written)
    forms = {KEY, json.dumps(KEY)[1:-1], KEY.partition('"')[0], KEY.partition('"')[2]}
    for name, text in (*written, ("stdout", done.stdout), ("stderr", done.stderr)):
        for form in forms:
            assert form not in text, name


def test_a_planted_key_is_in_no_message_of_a_scan_that_ends_badly(server: ChatServer, tmp_path: Path) -> None:
    write_gnomes(tmp_path / "control", 4, flaws=False)
    root = write_gnomes(tmp_path / "gnomes", 20)
    models = ("--judges", server.model("judge"), "--detectors", "safety_judge")
    for ending, code in (("unauthorized", 4), ("budget", 3), ("bad key", 2)):
        server.unauthorized = ending == "unauthorized"
        budget = ("--max-calls", "5") if ending == "budget" else ()
        key = KEY + ("\n\u20ac" if ending == "bad key" else "")
        done = scan(server, root, tmp_path / "place", *models, *budget, VLLM_API_KEY=key)
        assert done.returncode == code, (ending, done.stderr)
        assert "Error:" in done.stderr
        assert KEY[:10] not in done.stdout + done.stderr
