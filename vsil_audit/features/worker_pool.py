"""Processes that work on images for us, and survive each other's deaths.

Not `multiprocessing`: its pools break as a whole when one worker dies, its spawned children run the caller's script
again, and its messages are pickles. A worker here is a plain child that speaks frames over its own two pipes.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO, BinaryIO, cast

import vsil_audit
from vsil_audit.features.frames import PIPE_BYTES, read_frame, with_room, write_frame
from vsil_audit.features.time_limits import TimeLimits

WORKER_MODULE = "vsil_audit.features.image_worker"
_KEPT_ENVIRONMENT = ("PATH", "HOME", "LANG", "LC_ALL", "LC_CTYPE", "TMPDIR", "TEMP", "TMP", "SYSTEMROOT")
_LIBRARY_PATHS = ("LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "LD_PRELOAD")
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS")
_START = """
import importlib, json, sys
sys.path[:] = json.loads(sys.argv[1])
importlib.import_module(sys.argv[2]).main()
"""
_START_SECONDS = 120.0


class WorkerDiedError(Exception):
    """The worker ended before it answered. `timed_out` when it was ended here, for taking too long."""

    def __init__(self, detail: str, *, timed_out: bool = False) -> None:
        super().__init__(detail)
        self.timed_out = timed_out


class WorkerStartError(Exception):
    """No worker can be started here; the message says why."""


def available_cpus() -> int:
    """CPUs that this process may use: its affinity, and its container's share of time rounded up. At least 1."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()[:2]
        if quota != "max":
            count = min(count, -(-int(quota) // int(period)))
    except (OSError, ValueError, ZeroDivisionError):
        pass
    return max(1, count)


class Worker:
    """One child process. Used by one thread at a time."""

    def __init__(self, module: str, limits: TimeLimits) -> None:
        """Start it and wait until it is ready. Raises WorkerStartError."""
        self._limits = limits
        self._ending = threading.Lock()  # who signals it and who waits for it take turns: else its id may be another's
        package = str(Path(vsil_audit.__file__).resolve().parent.parent)
        search = json.dumps([package, *(entry for entry in sys.path if entry)])
        self._stderr: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the process
        try:
            # -I: neither the current folder, which may be a dataset, nor the user's site can put modules in our way
            self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module; no shell, no outside text
                [sys.executable, "-I", "-c", _START, search, module],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                bufsize=PIPE_BYTES,
                env=_environment(),
                start_new_session=True,  # Ctrl-C is the parent's to handle
            )
        except OSError as error:
            self._stderr.close()
            raise WorkerStartError(f"a process for images cannot be started: {error.strerror or error}") from error
        self._to = with_room(cast("BinaryIO", self._process.stdin))
        self._from = with_room(cast("BinaryIO", self._process.stdout))
        with limits.within(_START_SECONDS, self._signal) as limit:
            ready = read_frame(self._from)
        if ready is None or limit.passed:
            detail = self._end_of_stderr()
            self.kill()
            raise WorkerStartError(f"a process for images ended as it began: {detail}")

    @property
    def pid(self) -> int:
        return self._process.pid

    def ask(self, head: bytes, body: bytes, timeout: float) -> tuple[bytes, bytes]:
        """Its answer. Raises WorkerDiedError after `timeout` seconds too; the worker is then of no more use."""
        with self._limits.within(timeout, self._signal) as limit:
            try:
                write_frame(self._to, head, body)
                answer = read_frame(self._from)
            except (OSError, ValueError):  # a broken pipe, or a pipe closed by `kill`
                answer = None
        if answer is not None and not limit.passed:
            return answer
        detail = self._end_of_stderr()
        self.kill()
        if limit.passed:
            raise WorkerDiedError(f"it took longer than {timeout:g} s", timed_out=True)
        raise WorkerDiedError(f"the process that opened it died ({detail})")

    def kill(self) -> None:
        """End it now, and leave nothing of it behind."""
        self._end()
        for stream in (self._to, self._from, self._stderr):
            with suppress(OSError, ValueError):
                stream.close()

    def _signal(self) -> None:
        with self._ending:
            self._process.kill()

    def _end(self) -> int:
        with self._ending:
            self._process.kill()
            return self._process.wait()

    def _end_of_stderr(self) -> str:
        """How it ended, in its own last words where it had any."""
        death = _death(self._end())
        try:
            self._stderr.seek(0)
            lines = self._stderr.read()[-2000:].decode("utf-8", "replace").strip().splitlines()
        except ValueError:  # closed by `kill` in another thread
            lines = []
        return f"{death}: {lines[-1][:200]}" if lines else death


def _environment() -> dict[str, str]:
    """What a worker needs to run, and no more: it opens hostile files, so it is not given anybody's keys."""
    kept = {name: os.environ[name] for name in (*_KEPT_ENVIRONMENT, *_LIBRARY_PATHS) if name in os.environ}
    return kept | dict.fromkeys(_ONE_THREAD, "1")


def _death(code: int) -> str:
    if code >= 0:
        return f"exit code {code}"
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    return f"{name}, perhaps out of memory" if name == "SIGKILL" else name


class WorkerPool:
    """At most `size` workers, started when needed, replaced when they die. Safe to use from many threads."""

    def __init__(self, size: int, module: str = WORKER_MODULE) -> None:
        self._module = module
        self._limits = TimeLimits()
        self._lock = threading.Lock()
        self._running: set[Worker] = set()
        self._closed = False
        self._free: queue.LifoQueue[Worker | None] = queue.LifoQueue()
        for _ in range(size):
            self._free.put(None)  # a place for a worker; last in first out prefers those that already run

    def ask(self, head: bytes, body: bytes, timeout: float) -> tuple[bytes, bytes]:
        """The answer of whichever worker is free first. Raises WorkerDiedError or WorkerStartError."""
        worker = self._free.get()
        kept: Worker | None = None
        try:
            worker = worker or self._start()
            answer = worker.ask(head, body, timeout)
            kept = worker
        finally:
            if kept is None and worker is not None:
                with self._lock:
                    self._running.discard(worker)
            self._free.put(kept)
        return answer

    def pids(self) -> tuple[int, ...]:
        with self._lock:
            return tuple(worker.pid for worker in self._running)

    def close(self) -> None:
        """End all workers; questions in flight end with WorkerDiedError."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, set()
        for worker in running:
            worker.kill()
        self._limits.close()

    def _start(self) -> Worker:
        worker = Worker(self._module, self._limits)
        with self._lock:
            if not self._closed:
                self._running.add(worker)
                return worker
        worker.kill()
        raise WorkerStartError("the pool is closed")
