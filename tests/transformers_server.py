"""A real OpenAI-compatible server on loopback: `transformers serve` with a model from a folder."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

NEEDS = ("torch", "transformers", "fastapi", "uvicorn", "openai", "accelerate")


def why_it_cannot_start() -> str | None:
    """What is not installed; None when all is there."""
    missing = [package for package in NEEDS if find_spec(package) is None]
    return f"transformers serve needs {', '.join(missing)}: install the extra [dev]" if missing else None


@contextmanager
def transformers_server(model: Path, home: Path, *, patience: float = 120.0) -> Iterator[str]:
    """The base URL of a server of `model`, up within `patience` seconds; about 10 on an idle machine.

    `home`: an empty folder, its `HF_HOME`; its log is `server.log` in there. Requests name the model by its path.
    Raises RuntimeError, with the end of the log, when it does not start.
    """
    (home / "hub").mkdir(parents=True, exist_ok=True)  # it fails without
    port = _free_port()
    command = [sys.executable, "-m", "transformers.cli.transformers", "serve", str(model)]
    variables = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1"}
    with (home / "server.log").open("wb") as log:
        server = subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)], stdout=log, stderr=log, env=variables
        )
    try:
        _wait_until_up(server, port, home / "server.log", patience)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _wait_until_up(server: subprocess.Popen[bytes], port: int, log: Path, patience: float) -> None:
    ends = time.monotonic() + patience
    while server.poll() is None and time.monotonic() < ends:
        if _answers(f"http://127.0.0.1:{port}/health"):
            return
        time.sleep(0.2)
    raise RuntimeError(f"transformers serve did not start:\n{log.read_text(errors='replace')[-2000:]}")


def _answers(url: str) -> bool:
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with direct.open(url, timeout=5):
            return True
    except OSError:
        return False
