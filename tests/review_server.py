"""A set of mild pictures, and `vsil-audit review` of it as a process of its own: started, killed, started again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from PIL import Image, ImageDraw

THINGS = ("garden gnome", "tin whistle", "paper kite", "clay teapot", "toy trumpet", "wool sock")
SQUARE = 8


def draw_set(root: Path, texts: list[str] | None = None) -> Path:
    """Six pairs; each picture is a fine chequerboard, which no blurred copy can look like."""
    (root / "images").mkdir(parents=True)
    rows = []
    for i, text in enumerate(texts or [f"How do I hide this {thing}?" for thing in THINGS]):
        picture = Image.new("RGB", (320, 240), "white")
        draw = ImageDraw.Draw(picture)
        for x in range(0, 320, SQUARE):
            for y in range(0, 240, SQUARE):
                if (x + y) // SQUARE % 2:
                    draw.rectangle((x, y, x + SQUARE - 1, y + SQUARE - 1), fill=(20 * i, 0, 0))
        picture.save(root / "images" / f"{i}.png")
        rows.append({"id": f"p{i}", "question": text, "image": f"images/{i}.png", "category": f"c{i % 2}"})
    (root / "data.json").write_text(json.dumps(rows), encoding="utf-8")
    return root


@dataclass
class ReviewServer:
    """`url` is the link that was printed."""

    process: subprocess.Popen[str]
    url: str
    said: list[str]

    @property
    def origin(self) -> str:
        return self.url.partition("/review/")[0]

    @property
    def token(self) -> str:
        return self.url.rpartition("/")[2]

    def kill(self) -> None:
        """As a crash does it: the process hears nothing of it."""
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(timeout=30)
        self._close()

    def interrupt(self) -> int:
        """As Ctrl-C does it; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(timeout=30)
        self._close()
        return code

    def _close(self) -> None:
        for stream in (self.process.stdout, self.process.stderr):
            if stream is not None:
                stream.close()


def start_review(path: Path, *arguments: str, cwd: Path | None = None) -> ReviewServer:
    command = [sys.executable, "-m", "vsil_audit", "review", str(path), *arguments]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "PYTHONUNBUFFERED": "1", "OMP_NUM_THREADS": "1"},
    )
    said, until = [], time.monotonic() + 60
    assert process.stdout is not None
    while time.monotonic() < until and (line := process.stdout.readline()):
        said.append(line.strip())
        if line.startswith("Labels are kept"):
            return ReviewServer(process, next(s for s in said if s.startswith("Open ")).removeprefix("Open "), said)
    process.kill()
    raise AssertionError(f"the server did not start: {said} {process.communicate(timeout=30)}")
