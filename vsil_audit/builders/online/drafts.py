"""Many drafts under way at once, committed batch by batch.

A batch is committed when every draft of it has come to an end of its own. Where an endpoint died or the budget was used
up, drafts are left open: answers and images that were paid for are kept by content, and the next session finds them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.online.session import LeftOpenError, Session
from vsil_audit.builders.record import Record
from vsil_audit.errors import VsilAuditError

S = TypeVar("S")

_DRAFTS_A_CALL = 2  # under way for each call that may be in flight: a draft asks one to three things at a time


@dataclass(slots=True)
class _Open(Generic[S]):
    """A batch under way, and the records of it so far, by place."""

    index: int
    subjects: Sequence[S]
    records: dict[int, Record] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.records) == len(self.subjects)


class Drafts(Generic[S]):
    """`batches`: index and subjects of each that is not committed, drawn as their turn comes. `make`: raises
    LeftOpenError where the draft waits for the next session. `done`: drafts finished so far."""

    def __init__(
        self,
        out: BuildFolder,
        session: Session,
        batches: Iterator[tuple[int, Sequence[S]]],
        make: Callable[[S], Awaitable[Record]],
        broken: Callable[[S, Exception], Record],
    ) -> None:
        """`broken`: the record of a draft at which the builder itself broke."""
        self.done = 0
        self._out, self._session, self._batches = out, session, batches
        self._make, self._broken = make, broken
        self._left_open = False
        self._stopped: Exception | None = None

    async def run(self) -> None:
        """Raises what left drafts open (NoProviderError, BudgetReachedError), or what kept records from the disk."""
        slots = asyncio.Semaphore(_DRAFTS_A_CALL * self._session.concurrency)
        tasks: set[asyncio.Task[None]] = set()
        try:
            while (found := await asyncio.to_thread(next, self._batches, None)) is not None:
                batch = _Open(*found)
                if batch.complete:
                    await self._commit(batch)
                for place in range(len(batch.subjects)):
                    await slots.acquire()
                    if self._left_open or self._stopped is not None:
                        break
                    task = asyncio.create_task(self._one(batch, place, slots))
                    tasks.add(task)
                    task.add_done_callback(tasks.discard)
                if self._left_open or self._stopped is not None:
                    break
            while tasks:
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        if self._stopped is not None:
            raise self._stopped
        if self._left_open:
            self._session.check()

    async def _one(self, batch: _Open[S], place: int, slots: asyncio.Semaphore) -> None:
        subject = batch.subjects[place]
        try:
            batch.records[place] = await self._make(subject)
        except LeftOpenError:
            self._left_open = True
            return
        except VsilAuditError as error:  # a full disk, say: it ends the session
            self._stopped = error
            return
        except Exception as error:  # noqa: BLE001 - a defect at one draft must not cost the others
            batch.records[place] = self._broken(subject, error)
        finally:
            slots.release()
        self.done += 1
        if batch.complete:
            await self._commit(batch)

    async def _commit(self, batch: _Open[S]) -> None:
        try:
            records = [batch.records[place] for place in range(len(batch.subjects))]
            await asyncio.to_thread(self._out.write_records, batch.index, records)
            await asyncio.to_thread(self._session.keep_spend)
        except Exception as error:  # noqa: BLE001 - raised when the others have come to their end
            self._stopped = error
