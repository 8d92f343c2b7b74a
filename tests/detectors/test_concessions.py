"""What an endpoint rejects is left out and asked again, and remembered for each model."""

from __future__ import annotations

import asyncio

import pytest

from vsil_audit.detectors.chat import Question
from vsil_audit.detectors.concessions import Concession, Concessions
from vsil_audit.gateway import Answer, CallFailure, FailureKind, Finish, Message, Parameters, Request

FULL = Question(
    Request(
        (Message.system("Judge."), Message.user("This?")), Parameters(top_logprobs=5, json_schema={"type": "object"})
    ),
    "yes",
)
MINIMAL = Request(
    (Message.user("Judge.\n", "This?"),), Parameters(temperature=None, top_logprobs=None, json_schema=None)
)


class Endpoint:
    """Takes a request without any of the things that it says it does not know."""

    def __init__(self, **complaints: str) -> None:
        self._complaints = complaints
        self.asked: list[Request] = []

    async def __call__(self, model: str, question: Question) -> Answer | CallFailure:
        self.asked.append(question.request)
        await asyncio.sleep(0)
        parameters = question.request.parameters
        has = {
            "logprobs": parameters.top_logprobs is not None,
            "json_schema": parameters.json_schema is not None,
            "temperature": parameters.temperature is not None,
            "system": question.request.messages[0].role == "system",
        }
        for name, complaint in self._complaints.items():
            if has[name]:
                return CallFailure(FailureKind.PERMANENT, f"HTTP 400: {complaint}")
        return Answer("yes", Finish.STOP)


COMPLAINTS = {
    "logprobs": "This model does not support logprobs.",
    "json_schema": "This response_format type is unavailable now",
    "temperature": "Unsupported value: 'temperature' does not support 0 with this model.",
    "system": "System role not supported",
}


@pytest.mark.parametrize("name", COMPLAINTS)
def test_what_the_error_names_is_left_out(name: str) -> None:
    endpoint, concessions = Endpoint(**{name: COMPLAINTS[name]}), Concessions()
    outcome = asyncio.run(concessions.around(endpoint)("m", FULL))  # type: ignore[arg-type]  # a coroutine
    assert isinstance(outcome, Answer)
    assert concessions.made("m") == {Concession(name)}
    assert len(endpoint.asked) == 2


def test_one_thing_after_the_other_until_nothing_is_left_to_concede() -> None:
    endpoint, concessions = Endpoint(**COMPLAINTS), Concessions()
    assert isinstance(asyncio.run(concessions.around(endpoint)("m", FULL)), Answer)  # type: ignore[arg-type]
    assert endpoint.asked[-1] == MINIMAL
    assert len(endpoint.asked) == 5


def test_it_is_remembered_for_that_model_only() -> None:
    endpoint, concessions = Endpoint(logprobs=COMPLAINTS["logprobs"]), Concessions()

    async def run() -> None:
        ask = concessions.around(endpoint)
        await ask("m", FULL)
        await ask("m", FULL)
        assert len(endpoint.asked) == 3
        await ask("another", FULL)
        assert len(endpoint.asked) == 5

    asyncio.run(run())


def test_questions_asked_at_once_learn_from_the_same_error() -> None:
    endpoint, concessions = Endpoint(logprobs=COMPLAINTS["logprobs"]), Concessions()

    async def run() -> list[Answer | CallFailure]:
        ask = concessions.around(endpoint)
        return await asyncio.gather(*(ask("m", FULL) for _ in range(4)))

    assert all(isinstance(outcome, Answer) for outcome in asyncio.run(run()))
    assert len(endpoint.asked) == 8


@pytest.mark.parametrize(
    "failure",
    [
        CallFailure(FailureKind.PERMANENT, "HTTP 404: no such model"),
        CallFailure(FailureKind.TRANSIENT, "HTTP 500: logprobs worker crashed"),
        CallFailure(FailureKind.BUDGET, "the budget of 3 calls is used up"),
    ],
)
def test_other_failures_come_back_at_once(failure: CallFailure) -> None:
    asked = []

    async def ask(model: str, question: Question) -> Answer | CallFailure:
        asked.append(question)
        return failure

    assert asyncio.run(Concessions().around(ask)("m", FULL)) == failure  # type: ignore[arg-type]  # a coroutine
    assert asked == [FULL]


def test_an_error_that_names_what_was_not_asked_for_comes_back() -> None:
    failure = CallFailure(FailureKind.PERMANENT, "HTTP 400: system message missing; temperature must be set; logprobs")

    async def ask(model: str, question: Question) -> Answer | CallFailure:
        return failure

    minimal = Question(MINIMAL, "yes")
    assert asyncio.run(Concessions().around(ask)("m", minimal)) == failure  # type: ignore[arg-type]  # a coroutine
