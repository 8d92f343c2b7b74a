"""What a model's endpoint does not take of a request, found out by its error, and left out from then on.

Endpoints that call themselves compatible differ: some reject log-probabilities, a JSON schema, a temperature, or a
system message, and say so in their error. None of these is worth a failed question.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from enum import Enum

from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.gateway.answers import Answer, CallFailure, FailureKind
from vsil_audit.gateway.messages import Message, Request


class Concession(str, Enum):
    """What a request can do without. A system message is not lost: it becomes the beginning of the user's."""

    LOGPROBS = "logprobs"
    JSON_SCHEMA = "json_schema"
    TEMPERATURE = "temperature"
    SYSTEM = "system"


_NAMED = {
    Concession.LOGPROBS: re.compile(r"log_?probs?|log probabilit", re.IGNORECASE),
    Concession.JSON_SCHEMA: re.compile(r"response.?format|json.?schema|structured.?output|guided", re.IGNORECASE),
    Concession.TEMPERATURE: re.compile(r"temperature", re.IGNORECASE),
    Concession.SYSTEM: re.compile(r"system\W*(?:role|message|prompt|instruction)|role\W*system", re.IGNORECASE),
}


class Concessions:
    """What each model was found not to take. One for a detector: what one question taught holds for the next.

    It changes which request is sent, never which one is answered: one that an endpoint rejects has no answer, so a run
    that goes on after a kill learns it again by one rejected call for each question in flight, and pays nothing twice.
    """

    def __init__(self) -> None:
        self._made: dict[str, frozenset[Concession]] = {}

    def made(self, model: str) -> frozenset[Concession]:
        return self._made.get(model, frozenset())

    def around(self, ask: Ask) -> Ask:
        """`ask`, which asks again without what the endpoint's error names."""

        async def conceding(model: str, question: Question) -> Answer | CallFailure:
            while True:
                request = question.request
                for concession in sorted(self.made(model)):
                    request = _WITHOUT[concession](request)
                outcome = await ask(model, replace(question, request=request))
                rejected = _rejected(outcome, request)
                if not rejected:
                    return outcome
                self._made[model] = self.made(model) | rejected

        return conceding


def _rejected(outcome: Answer | CallFailure, request: Request) -> frozenset[Concession]:
    """What the error names, of what the request has."""
    if not isinstance(outcome, CallFailure) or outcome.kind is not FailureKind.PERMANENT:
        return frozenset()
    return frozenset(
        concession
        for concession, named in _NAMED.items()
        if named.search(outcome.detail) and _WITHOUT[concession](request) != request
    )


def _without_logprobs(request: Request) -> Request:
    return replace(request, parameters=replace(request.parameters, top_logprobs=None))


def _without_schema(request: Request) -> Request:
    return replace(request, parameters=replace(request.parameters, json_schema=None))


def _without_temperature(request: Request) -> Request:
    return replace(request, parameters=replace(request.parameters, temperature=None))


def _without_system(request: Request) -> Request:
    first, *rest = request.messages
    if first.role != "system" or not rest or rest[0].role != "user":
        return request
    return replace(request, messages=(Message.user(f"{first.text}\n", *rest[0].parts), *rest[1:]))


_WITHOUT: dict[Concession, Callable[[Request], Request]] = {
    Concession.LOGPROBS: _without_logprobs,
    Concession.JSON_SCHEMA: _without_schema,
    Concession.TEMPERATURE: _without_temperature,
    Concession.SYSTEM: _without_system,
}
