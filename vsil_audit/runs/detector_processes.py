"""Detectors at work side by side, in processes of their own: they are independent, and each needs only the run folder.

Not `multiprocessing`: it forks a process that has threads, or runs the caller's script again, and speaks in pickles.
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import tempfile
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any, BinaryIO, TypeAlias, cast

import numpy as np

import vsil_audit
from vsil_audit import errors
from vsil_audit.detectors.base import SetContext
from vsil_audit.errors import DetectorError, VsilAuditError
from vsil_audit.features.clip.in_use import ClipTexts
from vsil_audit.features.frames import read_frame, write_frame
from vsil_audit.runs.folder import RunFolder

_ATTEMPTS = 2
_START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from vsil_audit.runs.detector_worker import main
main()
"""
_Answers: TypeAlias = "queue.SimpleQueue[tuple[_Process, dict[str, Any] | None]]"


class _Process:
    """One child, which runs the detectors that it is given. `answers` gets what it says, and None when it ends."""

    def __init__(self, folder: RunFolder, context: SetContext, clip_texts: ClipTexts | None, answers: _Answers) -> None:
        package = str(Path(vsil_audit.__file__).resolve().parent.parent)
        search = json.dumps([package, *(entry for entry in sys.path if entry)])
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        # -I: the current folder, which may be a dataset, cannot put modules in our way
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module; no shell, no outside text
            [sys.executable, "-I", "-c", _START, search],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._stderr,
            env={"OMP_WAIT_POLICY": "PASSIVE", **os.environ},  # threads that wait leave the cores to the others
            start_new_session=True,  # Ctrl-C is the parent's to handle
        )
        self._to = cast("BinaryIO", self._process.stdin)
        self._from = cast("BinaryIO", self._process.stdout)
        threading.Thread(target=self._listen, args=(answers,), daemon=True).start()
        head = {
            "folder": str(folder.path.resolve() if isinstance(folder.path, Path) else folder.path),
            "n_pairs": context.n_pairs,
            "seed": context.seed,
            "options": dict(context.options),
            "clip": None if clip_texts is None else clip_texts.to_json(),
        }
        one = context.for_intervals is context.groups
        numbers = (context.groups,) if one else (context.groups, context.for_intervals)
        self._say(head, np.asarray(numbers, dtype=np.int64).tobytes())

    def give(self, detector: str) -> None:
        self._say({"detector": detector}, b"")

    def _say(self, head: dict[str, Any], body: bytes) -> None:
        with suppress(OSError):  # one that has died is told of by `answers`
            write_frame(self._to, json.dumps(head).encode(), body)

    def _listen(self, answers: _Answers) -> None:
        with suppress(OSError, ValueError):  # a pipe closed by `kill`
            while (frame := read_frame(self._from)) is not None:
                answers.put((self, json.loads(frame[0])))
        answers.put((self, None))

    def kill(self) -> str:
        """End it now and leave nothing of it behind. How it had ended, where it had: in its own last words."""
        self._process.kill()
        code = self._process.wait()
        self._stderr.seek(0)
        lines = self._stderr.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        for stream in (self._to, self._from, self._stderr):
            with suppress(OSError, ValueError):
                stream.close()
        death = f"signal {-code}" if code < 0 else f"exit code {code}"
        return f"{death}: {lines[-1][:200]}" if lines else death


def detect_in_processes(
    names: Sequence[str],
    folder: RunFolder,
    context: SetContext,
    processes: int,
    looked_at: Callable[[int], None],
    clip_texts: ClipTexts | None = None,
) -> list[str]:
    """Run the detectors called `names`, at most `processes` at once. `looked_at` is told of pairs as they are done.
    `clip_texts`: what encodes texts; each process makes one like it.

    Returns those that a new process cannot load (they are known to this one only). When one breaks the others are
    finished before its error is raised. A detector whose process dies is tried once more: perhaps memory was short.
    """
    work = _Work(deque(names), looked_at)
    answers: _Answers = queue.SimpleQueue()
    running: dict[_Process, str] = {}
    idle: list[_Process] = []
    try:
        while work.waiting or running:
            while work.waiting and len(running) < processes:
                process = idle.pop() if idle else _Process(folder, context, clip_texts, answers)
                running[process] = work.waiting.popleft()
                process.give(running[process])
            process, message = answers.get()
            if process not in running:
                continue
            if message is None:
                work.died(running.pop(process), process.kill())
            elif work.told(running[process], message):
                del running[process]
                idle.append(process)
    finally:
        for process in (*running, *idle):
            process.kill()
    if work.broken:
        raise work.broken[0]
    return work.unknown


class _Work:
    """Which detectors wait, and what became of the others."""

    def __init__(self, waiting: deque[str], looked_at: Callable[[int], None]) -> None:
        self.waiting = waiting
        self.unknown: list[str] = []
        self.broken: list[VsilAuditError] = []
        self._looked_at = looked_at
        self._pairs: Counter[str] = Counter()
        self._attempts: Counter[str] = Counter()

    def told(self, name: str, message: dict[str, Any]) -> bool:
        """What the process that runs `name` says; True when it is free again."""
        if "done" in message:
            more = message["done"] - self._pairs[name]
            if more > 0:  # a second attempt counts its way up again
                self._pairs[name] += more
                self._looked_at(more)
            return False
        if "unknown" in message:
            self.unknown.append(name)
        elif "error" in message:
            self.broken.append(_error(*message["error"]))
        return True

    def died(self, name: str, how: str) -> None:
        self._attempts[name] += 1
        if self._attempts[name] < _ATTEMPTS:
            self.waiting.append(name)
        else:
            self.broken.append(DetectorError(name, f"ended its process twice ({how})"))


def _error(kind: str, *said: str) -> VsilAuditError:
    """The error that a process met, of the same type where it is one of ours."""
    found = getattr(errors, kind, VsilAuditError)
    return cast("VsilAuditError", found(*said))
