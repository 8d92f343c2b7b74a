"""The contract between the gateway and whatever answers: an endpoint, a file of rules, a model in this process."""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple, Protocol, runtime_checkable

from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.messages import Request
from vsil_audit.pair import Json


class Reply(NamedTuple):
    """One paid-for response: the JSON text of an OpenAI chat completion, whoever made it, and its HTTP status
    (200; 4xx for a prompt that the provider blocked). `vsil_audit.gateway.completion.read_answer` reads it."""

    body: str
    status: int = 200


class Blame(str, Enum):
    """What a failed attempt says of the endpoint as a whole.

    NOTHING: it concerns this request. SATURATED: slow down (429, 503 with Retry-After). UNREACHABLE: a few in a row,
    for a while, mean that it is dead. SUSPECT: if every request ends so, it is of no use. FATAL: of no use, for sure.
    """

    NOTHING = "nothing"
    SATURATED = "saturated"
    UNREACHABLE = "unreachable"
    SUSPECT = "suspect"
    FATAL = "fatal"


class AttemptError(Exception):
    """One attempt brought no reply. `detail` is fit for people and files: it holds no key and no header.

    `retry`: whether asking again may help. `retry_after`: seconds that the server asked to wait. `charged`: whether the
    provider may have done, and billed, the work all the same. `sent`: whether the request may have reached it at all.
    """

    def __init__(
        self,
        kind: FailureKind,
        detail: str,
        *,
        retry: bool,
        blame: Blame = Blame.NOTHING,
        retry_after: float | None = None,
        charged: bool = False,
        sent: bool = True,
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.detail = detail
        self.retry = retry
        self.blame = blame
        self.retry_after = retry_after
        self.charged = charged
        self.sent = sent


@runtime_checkable
class Provider(Protocol):
    """Something that answers requests, one at a time from its caller's view; it may batch those in flight.

    `name`: `openai`, `ollama`, `scripted`, `hf` …; it and `model` and `identity` are part of every cache key, so
    `identity` holds whatever else decides the answers (base URL; for a model in this process: revision, precision).
    `billed`: whether the calls cost money for each token.
    """

    name: str
    model: str
    identity: Mapping[str, Json]
    billed: bool

    async def complete(self, request: Request, timeout: float) -> Reply:
        """One attempt, over within `timeout` seconds. Raises AttemptError and nothing else; retries nothing itself."""
        ...

    async def close(self) -> None: ...
