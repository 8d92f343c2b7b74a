"""Work on the gateways' thread, watched from the main one: its progress, its spend, what the cache warns of."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from vsil_audit.gateway import GatewayThread
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.spending import SpendingAccount

GRACE_WHEN_INTERRUPTED = 10.0
"""Seconds that an interrupted session waits for answers on their way."""
_LISTEN_SECONDS = 0.1


@dataclass(slots=True)
class Watch:
    """`account` is kept once a second; `warnings` are those of the answer cache, and may grow: each is told once."""

    thread: GatewayThread
    account: SpendingAccount[Any]
    warnings: Sequence[str]
    progress: Progress
    _warned: int = 0

    def carry_out(self, work: Coroutine[Any, Any, None], done: Callable[[], int]) -> None:
        """Run it to its end and tell how much is `done`. Raises what it raises; an interrupt here cancels it."""
        told = 0
        future = self.thread.begin(work)
        try:
            while True:
                finished, _ = concurrent.futures.wait([future], timeout=_LISTEN_SECONDS)
                now = done()
                self.progress.advance(now - told)
                told = now
                self.account.keep_now_and_then()
                for warning in self.warnings[self._warned :]:
                    self.progress.remark(warning)
                    self._warned += 1
                if finished:
                    future.result()
                    return
        except BaseException:
            future.cancel()
            concurrent.futures.wait([future], timeout=1)
            raise
