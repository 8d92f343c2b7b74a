"""The gateway against a real server of a real model class, with small random weights, over HTTP on loopback."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest
from transformers_server import transformers_server, why_it_cannot_start

from vsil_audit.gateway import Answer, AnswerCache, Finish, ImagePart, Message, Parameters, Request
from vsil_audit.gateway.opening import open_gateway

SHORT = Parameters(max_tokens=12)


@pytest.fixture(scope="module")
def model(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The model string of a tiny LLaVA behind HTTP."""
    missing = why_it_cannot_start()
    if missing:
        pytest.skip(missing)
    folder: Path = request.getfixturevalue("tiny_llava")
    with transformers_server(folder, tmp_path_factory.mktemp("hf-home")) as base_url:
        yield f"vllm/{folder}@{base_url}"


def questions(picture: Callable[[str], ImagePart]) -> list[Request]:
    red, blue = picture("red"), picture("blue")
    system = Message.system("Answer briefly.")
    return [
        Request((Message.user("What is shown?"),), SHORT),
        Request((system, Message.user("What is shown?")), SHORT),
        Request((Message.user("What is shown?", red),), SHORT),
        Request((Message.user("What is shown?", blue),), SHORT),
        Request((Message.user("Compare", red, blue),), SHORT),
    ]


def test_text_and_images_are_answered_once(model: str, tmp_path: Path, picture: Callable[[str], ImagePart]) -> None:
    asked = questions(picture)

    async def ask(cache: AnswerCache) -> tuple[list[Answer], int]:
        async with open_gateway(model, cache=cache) as gateway:
            outcomes = await asyncio.gather(*(gateway.ask(request) for request in asked))
            for outcome in outcomes:
                assert isinstance(outcome, Answer), outcome
            return outcomes, gateway.spend.attempts

    with closing(AnswerCache(tmp_path / "answers.sqlite")) as cache:
        answers, attempts = asyncio.run(ask(cache))
        again, attempts_again = asyncio.run(ask(cache))
    assert (attempts, attempts_again) == (len(asked), 0)
    assert [answer.text for answer in again] == [answer.text for answer in answers]
    assert len({answer.text for answer in answers}) == len(asked)
    assert all(answer.finish in (Finish.STOP, Finish.LENGTH) for answer in answers)
    read = [answer.usage.input_tokens or 0 for answer in answers]
    assert [read[2] - read[0], read[3] - read[0]] == [16, 16]


def test_the_same_model_in_this_process_says_the_same(
    model: str, tmp_path: Path, tiny_llava: Path, picture: Callable[[str], ImagePart]
) -> None:
    """Prompt, image and greedy choice are the same by two ways."""

    async def ask(name: str, cache: AnswerCache) -> list[tuple[str, int | None]]:
        async with open_gateway(name, cache=cache) as gateway:
            answers = await asyncio.gather(*(gateway.ask(request) for request in questions(picture)))
            return [(a.text, a.usage.input_tokens) for a in answers if isinstance(a, Answer)]

    with closing(AnswerCache(tmp_path / "answers.sqlite")) as cache:
        served = asyncio.run(ask(model, cache))
        local = asyncio.run(ask(f"hf/{tiny_llava}", cache))
    assert len(local) == len(served) == len(questions(picture))
    assert local == served
