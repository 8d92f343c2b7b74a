"""A server that does all that servers do wrong: every question ends answered or failed with its reason, no answer that
was paid for is paid for again, and when the server dies that is said soon."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web

from vsil_audit.gateway import (
    Answer,
    AnswerCache,
    CallFailure,
    FailureKind,
    Limits,
    Message,
    NoProviderError,
    Patience,
    Request,
    RetryPolicy,
    open_gateway,
)

QUESTIONS = 600


class FaultyServer:
    """2 % 429 with Retry-After, 1 % 500, 1 % of each: hanging, malformed JSON, half a body; at most `limit` calls at
    once, the rest are turned away; a question that holds "forbidden" is always a 400."""

    def __init__(
        self, completion: Callable[..., dict[str, Any]], asked: Callable[[web.Request], Awaitable[str]]
    ) -> None:
        self._completion, self._asked = completion, asked
        self._rng = random.Random(11)
        self.limit = 64
        self.now = 0
        self.answered: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.runner: web.AppRunner | None = None

    async def start(self) -> str:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", self._handle)
        self.runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
        await self.runner.setup()
        await web.TCPSite(self.runner, "127.0.0.1", 0, backlog=512).start()
        return f"http://127.0.0.1:{self.runner.addresses[0][1]}/v1"

    async def die(self) -> None:
        assert self.runner is not None
        await self.runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        text = await self._asked(request)
        if self.now >= self.limit:
            self.faults["over the limit"] += 1
            return web.Response(status=429, headers={"Retry-After": "0.05"})
        self.now += 1
        try:
            await asyncio.sleep(self._rng.uniform(0.002, 0.02))
            return await self._react(request, text)
        finally:
            self.now -= 1

    async def _react(self, request: web.Request, text: str) -> web.StreamResponse:
        if "forbidden" in text:
            return web.json_response({"error": {"message": "bad request"}}, status=400)
        draw = self._rng.random()
        body = json.dumps(self._completion(f"You asked: {text}")).encode()
        if draw < 0.02:
            self.faults["429"] += 1
            return web.Response(status=429, headers={"Retry-After": "0.1"})
        if draw < 0.03:
            self.faults["500"] += 1
            return web.Response(status=500, text="<h1>Internal Server Error</h1>")
        if draw < 0.04:
            self.faults["hang"] += 1
            self.now -= 1  # it hangs before it takes a place from others
            try:
                await asyncio.sleep(60)
            finally:
                self.now += 1
        if draw < 0.05:
            self.faults["malformed"] += 1
            return web.Response(body=body[: len(body) // 2], content_type="application/json")
        if draw < 0.06:
            self.faults["cut"] += 1
            response = web.StreamResponse(headers={"Content-Length": str(len(body))})
            await response.prepare(request)
            await response.write(body[:40])
            assert request.transport is not None
            request.transport.close()
            return response
        self.answered[text] += 1
        return web.Response(body=body, content_type="application/json")


@pytest.fixture
def server(completion: Callable[..., dict[str, Any]], asked: Callable[[web.Request], Awaitable[str]]) -> FaultyServer:
    return FaultyServer(completion, asked)


def questions(first: int, last: int) -> list[Request]:
    return [Request((Message.user(f"forbidden {n}" if n % 50 == 7 else f"question {n}"),)) for n in range(first, last)]


RETRY = RetryPolicy(attempt_timeout=2.0, total_timeout=90, base=0.02, longest=0.2, timeout=4, malformed=5)


def test_every_question_ends_and_every_answer_is_paid_for_once(server: FaultyServer) -> None:
    async def run() -> None:
        url = await server.start()
        cache = AnswerCache()
        limits, patience = Limits(max_concurrency=32), Patience(seconds=1.0)
        async with open_gateway(f"vllm/m@{url}", cache=cache, retry=RETRY, limits=limits, patience=patience) as gateway:
            outcomes: dict[int, Answer | CallFailure] = {}
            async for asked in gateway.ask_many(questions(0, QUESTIONS)):
                outcomes[asked.index] = asked.outcome
                if len(outcomes) == QUESTIONS // 2:
                    server.limit = 4  # the sudden drop
            assert sorted(outcomes) == list(range(QUESTIONS))
            for index, outcome in outcomes.items():
                if index % 50 == 7:
                    assert isinstance(outcome, CallFailure)
                    assert outcome.kind is FailureKind.PERMANENT
                else:
                    assert isinstance(outcome, Answer), outcome
                    assert outcome.text == f"You asked: question {index}"
            assert all(server.faults[fault] for fault in ("429", "500", "hang", "malformed", "cut", "over the limit"))
            assert set(server.answered.values()) == {1}
            assert len(server.answered) == len(cache) == gateway.spend.calls == QUESTIONS * 49 // 50
            assert gateway.limiter.concurrency < 16
            gateway.check()

            await server.die()
            begun = time.monotonic()
            later = [asked.outcome async for asked in gateway.ask_many(questions(QUESTIONS - 50, 2 * QUESTIONS))]
            assert time.monotonic() - begun < RETRY.total_timeout / 3
            kinds = Counter(o.kind if isinstance(o, CallFailure) else "answered" for o in later)
            assert kinds["answered"] == 49, "what is kept needs no server"
            assert kinds[FailureKind.NO_PROVIDER] == len(later) - 49
            with pytest.raises(NoProviderError):
                gateway.check()
        cache.close()

    asyncio.run(run())


def test_a_server_that_dies_under_load_is_given_up_soon_and_what_it_answered_is_kept(server: FaultyServer) -> None:
    async def run() -> None:
        url = await server.start()
        patience = Patience(seconds=1.0)
        async with open_gateway(f"vllm/m@{url}", retry=RETRY, patience=patience) as gateway:
            answered = failed = 0
            death = 0.0
            async for asked in gateway.ask_many(questions(0, 5000)):
                answered += isinstance(asked.outcome, Answer)
                failed += isinstance(asked.outcome, CallFailure)
                if answered == 200 and not death:
                    death = time.monotonic()
                    await server.die()
            assert answered + failed == 5000
            assert time.monotonic() - death < RETRY.total_timeout / 3
            assert len(gateway.cache) == answered >= 200
            with pytest.raises(NoProviderError):
                gateway.check()

    asyncio.run(run())


def test_a_short_outage_is_sat_out(server: FaultyServer) -> None:
    async def run() -> None:
        url = await server.start()
        async with open_gateway(f"vllm/m@{url}", retry=RETRY, patience=Patience(seconds=5)) as gateway:
            outcomes = []
            async for asked in gateway.ask_many(questions(8, 400)):
                outcomes.append(asked.outcome)
                if len(outcomes) == 100:
                    await server.die()
                    asyncio.get_running_loop().call_later(0.5, lambda: asyncio.ensure_future(again(url)))
            assert all(isinstance(o, Answer) or o.kind is FailureKind.PERMANENT for o in outcomes)
            gateway.check()

    async def again(url: str) -> None:
        application = web.Application()
        application.router.add_post("/v1/chat/completions", server._handle)
        server.runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.05)
        await server.runner.setup()
        await web.TCPSite(server.runner, "127.0.0.1", int(url.split(":")[2].split("/")[0])).start()

    asyncio.run(run())
