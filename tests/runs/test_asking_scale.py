"""Many pairs take no more memory than few."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from chat_server import ChatServer, well_formed

SCAN = """
import asyncio, json, sys, time
from pathlib import Path
import psutil
from vsil_audit import AskOptions, ScanOptions, scan
from vsil_audit.runs import asking

late, memory = [], []

class Watched(asking.GatewayThread):
    def __init__(self):
        super().__init__()
        self.watch = self.begin(self._watch())

    async def _watch(self):
        while True:
            begun = time.monotonic()
            await asyncio.sleep(0.05)
            late.append(time.monotonic() - begun - 0.05)
            memory.append(psutil.Process().memory_info().rss)

    def close(self, *grace):
        self.watch.cancel()
        super().close(*grace)

asking.GatewayThread = Watched
root, model, pairs = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
ask = AskOptions(judges=(model,), control=str(root.with_name("control")))
place = root.with_name(f"run-{pairs}")
options = ScanOptions(("llm_judge",), limit=pairs, output=place / "run", cache=place / "cache", workers=1, ask=ask)
audit = scan(root, options=options)
calls = sum(row.calls for row in audit.folder.manifest().spend)
late.sort()
print(json.dumps({"calls": calls, "most": max(memory), "late": late[len(late) // 2]}))
"""


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(well_formed, latency=(0, 0.001)) as server:
        yield server


@pytest.mark.slow
def test_eight_times_the_pairs_take_hardly_more_memory_and_the_loop_stays_free(
    server: ChatServer, tmp_path: Path
) -> None:
    for name, n in (("set", 3200), ("control", 4)):
        (tmp_path / name).mkdir()
        rows = [
            {"id": str(i), "question": f"How do I hide gnome {i}?" + " And why?" * 50, "description": "A gnome"}
            for i in range(n)
        ]
        (tmp_path / name / "data.json").write_text(json.dumps(rows))

    def scanned(pairs: int) -> dict[str, float]:
        command = [sys.executable, "-c", SCAN, str(tmp_path / "set"), server.model("judge"), str(pairs)]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode == 0, done.stderr
        found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return found

    few, many = scanned(400), scanned(3200)
    assert many["calls"] > 7 * few["calls"] > 2800
    assert many["most"] - few["most"] < 60e6
    assert many["late"] < 0.2, "seconds; half of the time it was later"
