"""Requests on their way, and those who wait for their outcomes."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import TypeAlias

from vsil_audit.gateway.answers import Answer, CallFailure
from vsil_audit.gateway.messages import Request

Outcome: TypeAlias = "Answer | CallFailure"


@dataclass(frozen=True, slots=True)
class Asked:
    """One of many: `index` counts the requests as they were given, from 0."""

    index: int
    request: Request
    outcome: Answer | CallFailure


class Asker(ABC):
    """Somebody who wants an outcome. `deliver` is called once, unless `wanted` was set to False before."""

    __slots__ = ("wanted",)

    def __init__(self) -> None:
        self.wanted = True

    @abstractmethod
    def deliver(self, outcome: Outcome | Exception) -> None: ...


class FutureAsker(Asker):
    """Somebody who awaits it."""

    __slots__ = ("future",)

    def __init__(self) -> None:
        super().__init__()
        self.future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()

    def deliver(self, outcome: Outcome | Exception) -> None:
        if self.future.done():
            return
        if isinstance(outcome, Exception):
            self.future.set_exception(outcome)
        else:
            self.future.set_result(outcome)


class Call:
    """One request on its way, and everybody who asked it."""

    __slots__ = ("askers", "canonical", "key", "over", "request", "sent", "task", "tokens")

    def __init__(self, key: bytes, canonical: str, request: Request, asker: Asker) -> None:
        self.key = key
        self.canonical = canonical
        self.request = request
        self.askers = [asker]
        self.tokens = 0  # of the input, as estimated; 0 where nobody needs to know
        self.sent = False
        self.over = False
        self.task: asyncio.Task[None] | None = None  # none while it waits for its first place

    @property
    def wanted(self) -> bool:
        return self.askers[0].wanted or any(asker.wanted for asker in self.askers)
