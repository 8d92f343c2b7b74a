"""Time limits of questions to other processes: one thread watches over all of them."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


class TimeLimit:
    """One limit. `passed`: whether it was exceeded; its `expire` was then called, once."""

    __slots__ = ("expire", "passed", "until")

    def __init__(self, until: float, expire: Callable[[], None]) -> None:
        self.until = until
        self.expire = expire
        self.passed = False


class TimeLimits:
    """Calls what is to happen when a limit passes, from a thread of its own that most limits never wake. Safe to use
    from many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._running: set[TimeLimit] = set()
        self._thread: threading.Thread | None = None
        self._wakes_at = 0.0
        self._closed = False

    @contextmanager
    def within(self, seconds: float, expire: Callable[[], None]) -> Iterator[TimeLimit]:
        """While this is open: when it takes longer than `seconds`, `expire` is called. That never happens after it is
        left, so that `expire` may end a process which nothing else waits for. It must not block."""
        limit = TimeLimit(time.monotonic() + seconds, expire)
        with self._changed:
            if self._thread is None:
                thread = threading.Thread(target=self._watch, daemon=True, name="time limits")
                thread.start()
                self._thread = thread
            self._running.add(limit)
            if limit.until < self._wakes_at:
                self._changed.notify()
        try:
            yield limit
        finally:
            with self._changed:
                self._running.discard(limit)
                if self._closed:
                    self._changed.notify()

    def close(self) -> None:
        """End the thread when nothing is left to be watched."""
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _watch(self) -> None:
        with self._changed:
            while self._running or not self._closed:
                now = time.monotonic()
                for limit in [limit for limit in self._running if limit.until <= now]:
                    self._running.discard(limit)
                    limit.passed = True
                    with suppress(Exception):  # the others must be watched on
                        limit.expire()
                self._wakes_at = min((limit.until for limit in self._running), default=now + threading.TIMEOUT_MAX / 2)
                if self._running or not self._closed:
                    self._changed.wait(self._wakes_at - now)
            self._thread = None
