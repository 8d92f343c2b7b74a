"""Requests in flight become batches, run one after another in a thread of their own: the event loop never waits."""

from __future__ import annotations

import asyncio
from collections.abc import Hashable
from concurrent.futures import Executor
from dataclasses import dataclass, replace

from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.local.fitting import Fitting
from vsil_audit.gateway.local.generation import Job, Outcome
from vsil_audit.gateway.provider import AttemptError, Reply

_QUIET_SECONDS = 0.01
_LONGEST_GATHERING = 1.0


@dataclass(slots=True, eq=False)
class _Waiting:
    job: Job
    group: Hashable
    outcome: asyncio.Future[Outcome]


class Batches:
    """Collects the jobs of one event loop. Those that come while a batch runs make the next: the oldest, and those with
    equal parameters and as many images that are nearest to it in length.

    `preparing`: requests that are about to become jobs, which a batch waits for, a second at most.
    """

    def __init__(self, fitting: Fitting, executor: Executor) -> None:
        self.preparing = 0
        self._fitting = fitting
        self._executor = executor
        self._waiting: list[_Waiting] = []
        self._batch: list[_Waiting] = []
        self._running: asyncio.Task[None] | None = None

    async def answer(self, job: Job) -> Reply:
        """Raises AttemptError. A job whose task is cancelled is dropped, or ended where it is."""
        outcome: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        job.wanted = lambda: not outcome.done()
        self._waiting.append(_Waiting(job, _group(job), outcome))
        if self._running is None or self._running.done():
            self._running = asyncio.create_task(self._run())
        found = await outcome
        if isinstance(found, AttemptError):
            raise found
        return found

    def stop(self) -> None:
        """End every job where it is."""
        for entry in (*self._waiting, *self._batch):
            if not entry.outcome.done():
                entry.outcome.set_result(closed())

    async def _run(self) -> None:
        while self._waiting:
            await self._gather()
            self._batch = self._next()
            if self._batch:
                await self._run_batch(self._batch)
            self._batch = []

    async def _run_batch(self, batch: list[_Waiting]) -> None:
        jobs = [entry.job for entry in batch]
        try:
            outcomes = await asyncio.get_running_loop().run_in_executor(self._executor, self._fitting.run, jobs)
        except Exception as defect:  # noqa: BLE001 - whoever asked must see it, rather than wait for ever
            for entry in batch:
                if not entry.outcome.done():
                    entry.outcome.set_exception(defect)
            return
        for entry, outcome in zip(batch, outcomes, strict=True):
            if not entry.outcome.done():
                entry.outcome.set_result(outcome)

    async def _gather(self) -> None:
        """Until nothing more has come for a moment, or there is enough for a batch."""
        loop = asyncio.get_running_loop()
        ends = loop.time() + _LONGEST_GATHERING
        came = 0
        while len(self._waiting) < self._size(self._waiting[0]):
            if len(self._waiting) == came and (not self.preparing or loop.time() >= ends):
                return
            came = len(self._waiting)
            await asyncio.sleep(_QUIET_SECONDS)

    def _size(self, entry: _Waiting) -> int:
        return self._fitting.size(len(entry.job.pixels))

    def _next(self) -> list[_Waiting]:
        """Taken out of those that wait, shortest first. Empty when nobody waits any more."""
        self._waiting = [entry for entry in self._waiting if not entry.outcome.done()]
        if not self._waiting:
            return []
        oldest = self._waiting[0]
        alike = sorted((entry for entry in self._waiting if entry.group == oldest.group), key=lambda e: e.job.length)
        size = self._size(oldest)
        first = max(0, min(alike.index(oldest) - size // 2, len(alike) - size))
        batch = alike[first : first + size]
        taken = set(map(id, batch))
        self._waiting = [entry for entry in self._waiting if id(entry) not in taken]
        return batch


def closed() -> AttemptError:
    """What becomes of requests in flight when the model is given up."""
    return AttemptError(FailureKind.TRANSIENT, "the model was closed", retry=False)


def _group(job: Job) -> Hashable:
    """What the jobs of a batch have in common. Seeds may differ: each row has its own."""
    return replace(job.request.parameters, seed=None, json_schema=None), len(job.pixels), job.as_text
