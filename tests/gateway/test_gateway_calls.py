"""The gateway against real servers: what is asked once, what is kept, what stops it."""

from __future__ import annotations

import asyncio
import base64
import gc
import io
import json
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import pytest
from aiohttp import web
from PIL import Image

from vsil_audit.errors import ExitCode
from vsil_audit.gateway import (
    Answer,
    AnswerCache,
    Budget,
    BudgetReachedError,
    CallFailure,
    FailureKind,
    Finish,
    Gateway,
    GatewayThread,
    ImagePart,
    Limits,
    Message,
    Meter,
    NoProviderError,
    Parameters,
    Patience,
    Request,
    RetryPolicy,
    open_gateway,
)

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], AbstractAsyncContextManager[str]]
Make = Callable[..., dict[str, Any]]
Asked = Callable[[web.Request], Awaitable[str]]
QUICK = RetryPolicy(base=0.001, longest=0.01)


def question(text: object, **parameters: Any) -> Request:
    return Request((Message.user(str(text)),), Parameters(**parameters))


@asynccontextmanager
async def gateway_to(url: str, **options: Any) -> AsyncIterator[Gateway]:
    async with open_gateway(f"vllm/m@{url}", retry=options.pop("retry", QUICK), **options) as gateway:
        yield gateway


class Counting:
    """A server that answers each question with itself, and counts."""

    def __init__(self, completion: Make, asked: Asked, seconds: float = 0.0) -> None:
        self.questions: list[str] = []
        self.bodies: list[dict[str, Any]] = []
        self.headers: list[Any] = []
        self.now = self.most = 0
        self._completion, self._asked, self._seconds = completion, asked, seconds

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        self.now += 1
        self.most = max(self.most, self.now)
        text = await self._asked(request)
        self.questions.append(text)
        self.bodies.append(json.loads(await request.read()))
        self.headers.append(request.headers)
        await asyncio.sleep(self._seconds)
        self.now -= 1
        return web.json_response(self._completion(f"You asked: {text}"))


@pytest.fixture
def counting(completion: Make, asked: Asked) -> Counting:
    return Counting(completion, asked)


def test_an_answer_comes_with_all_that_is_known_of_it(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        async with serve(counting) as url, gateway_to(url) as gateway:
            answer = await gateway.ask(question("why?", seed=4))
            assert isinstance(answer, Answer)
            assert (answer.text, answer.finish, answer.provider) == ("You asked: why?", Finish.STOP, "vllm")
            assert answer.model == "a-model-2026-01-01"
            assert answer.raw["id"] == "chatcmpl-1"
            assert answer.seconds > 0
            assert not answer.cached
            assert counting.bodies == [
                {
                    "model": "m",
                    "messages": [{"role": "user", "content": "why?"}],
                    "max_tokens": 512,
                    "temperature": 0.0,
                    "seed": 4,
                }
            ]
            assert "Authorization" not in counting.headers[0]

    asyncio.run(run())


def test_the_second_run_asks_nothing(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        async with serve(counting) as url:
            for again in (False, True):
                async with gateway_to(url) as gateway:
                    outcomes = [a.outcome async for a in gateway.ask_many(question(n) for n in range(50))]
                    assert all(isinstance(o, Answer) and o.cached is again for o in outcomes)
                    assert (gateway.spend.calls, gateway.spend.cached) == ((0, 50) if again else (50, 0))
        assert len(counting.questions) == 50

    asyncio.run(run())


def test_equal_requests_in_flight_are_one_call(serve: Serve, completion: Make, asked: Asked) -> None:
    async def run() -> None:
        server = Counting(completion, asked, seconds=0.05)
        async with serve(server) as url, gateway_to(url) as gateway:
            alone = await asyncio.gather(*(gateway.ask(question("same")) for _ in range(20)))
            together = [a.outcome async for a in gateway.ask_many([question("twice"), question("twice")])]
        assert server.questions == ["same", "twice"]
        assert sum(isinstance(a, Answer) and not a.cached for a in alone) == 1
        assert sum(isinstance(a, Answer) and not a.cached for a in together) == 1
        assert (gateway.spend.calls, gateway.spend.shared) == (2, 20)

    asyncio.run(run())


def test_samples_above_temperature_zero_are_calls_of_their_own(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        async with serve(counting) as url, gateway_to(url) as gateway:
            for temperature, calls in ((0.0, 1), (0.8, 3)):
                requests = [Request((Message.user("q"),), Parameters(temperature=temperature), n) for n in range(3)]
                before = len(counting.questions)
                _ = [a async for a in gateway.ask_many(requests)]
                assert len(counting.questions) - before == calls

    asyncio.run(run())


def test_an_endless_stream_is_drawn_as_it_is_answered(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        drawn = 0

        def endless() -> Any:
            nonlocal drawn
            while True:
                drawn += 1
                yield question(drawn)

        async with serve(counting) as url, gateway_to(url, limits=Limits(max_concurrency=4)) as gateway:
            seen = []
            many = gateway.ask_many(endless())
            async for asked in many:
                seen.append(asked)
                if len(seen) == 40:
                    break
            await many.aclose()  # type: ignore[attr-defined]  # it is an async generator
            assert drawn <= 40 + 2 * 12
            assert counting.most <= 4
            for one in seen:
                assert isinstance(one.outcome, Answer)
                assert one.outcome.text == f"You asked: {one.index + 1}"

    asyncio.run(run())


def test_what_drawing_a_request_raises_is_raised(serve: Serve, counting: Counting) -> None:
    def broken() -> Any:
        yield question(1)
        raise LookupError("the dataset ended badly")

    async def run() -> None:
        async with serve(counting) as url, gateway_to(url) as gateway:
            _ = [a async for a in gateway.ask_many(broken())]

    with pytest.raises(LookupError):
        asyncio.run(run())


def test_images_travel_as_data_urls_of_the_stated_size(serve: Serve, counting: Counting) -> None:
    target = io.BytesIO()
    Image.new("RGB", (2000, 500), "green").save(target, "PNG")
    part = ImagePart.of_bytes(target.getvalue(), max_side=256)

    async def run() -> None:
        async with serve(counting) as url, gateway_to(url) as gateway:
            answer = await gateway.ask(Request((Message.user("see", part),)))
            assert isinstance(answer, Answer)
            text, image = counting.bodies[0]["messages"][0]["content"]
            assert text == {"type": "text", "text": "see"}
            sent = base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,"))
            assert Image.open(io.BytesIO(sent)).size == (256, 64)
            spoilt = await gateway.ask(Request((Message.user("see", ImagePart.of_bytes(b"no image")),)))
            assert isinstance(spoilt, CallFailure)
            assert (spoilt.kind, spoilt.attempts) == (FailureKind.IMAGE, 0)
            assert len(counting.bodies) == 1

    asyncio.run(run())


def test_a_body_of_many_megabytes_is_sent(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        async with serve(counting) as url, gateway_to(url) as gateway:
            answer = await gateway.ask(question("x" * 3_000_000))
            assert isinstance(answer, Answer)
            assert len(counting.questions[0]) == 3_000_000

    asyncio.run(run())


def test_a_filtered_answer_and_a_blocked_prompt_are_kept_like_any_answer(serve: Serve, completion: Make) -> None:
    calls = []

    async def handler(request: web.Request) -> web.StreamResponse:
        body = await request.text()
        calls.append(body)
        if "blocked" in body:
            return web.json_response({"error": {"code": "content_policy_violation", "message": "no"}}, status=400)
        return web.json_response(completion("half", "content_filter"))

    async def run() -> None:
        async with serve(handler) as url:
            for _ in range(2):
                async with gateway_to(url) as gateway:
                    finishes = [(await gateway.ask(question(q))) for q in ("blocked", "filtered")]
                    assert [f.finish for f in finishes if isinstance(f, Answer)] == [
                        Finish.BLOCKED,
                        Finish.CONTENT_FILTER,
                    ]
        assert len(calls) == 2

    asyncio.run(run())


def test_the_budget_stops_it_and_a_larger_one_goes_on(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        async with serve(counting) as url:
            meter = Meter(Budget(max_calls=30))
            async with gateway_to(url, meter=meter) as gateway:
                outcomes = [a.outcome async for a in gateway.ask_many(question(n) for n in range(100))]
                failed = [o for o in outcomes if isinstance(o, CallFailure)]
                assert (len(outcomes), len(failed)) == (100, 70)
                assert all(f.kind is FailureKind.BUDGET and f.resumable for f in failed)
                with pytest.raises(BudgetReachedError):
                    gateway.check()
            assert len(counting.questions) == 30
            async with gateway_to(url) as gateway:
                outcomes = [a.outcome async for a in gateway.ask_many(question(n) for n in range(100))]
                assert all(isinstance(o, Answer) for o in outcomes)
                gateway.check()
        assert len(counting.questions) == len(set(counting.questions)) == 100

    asyncio.run(run())


def test_several_models_share_one_budget(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        cache, meter = AnswerCache(), Meter(Budget(max_calls=10))
        async with serve(counting) as url:
            judges = [open_gateway(f"vllm/{name}@{url}", cache=cache, meter=meter) for name in "ab"]
            for judge in judges:
                _ = [a async for a in judge.ask_many(question(n) for n in range(8))]
                await judge.close()
        assert [spend.calls for spend in meter.spends()] == [8, 2]
        cache.close()

    asyncio.run(run())


def test_retry_after_is_waited_for(serve: Serve, completion: Make) -> None:
    times = []

    async def handler(request: web.Request) -> web.StreamResponse:
        times.append(time.monotonic())
        if len(times) == 1:
            return web.Response(status=429, headers={"Retry-After": "0.3"})
        return web.json_response(completion())

    async def run() -> None:
        async with serve(handler) as url, gateway_to(url) as gateway:
            assert isinstance(await gateway.ask(question(1)), Answer)
            assert times[1] - times[0] >= 0.3
            assert gateway.spend.retries == {"rate_limit": 1}

    asyncio.run(run())


def test_a_hanging_call_ends_with_its_timeout(serve: Serve) -> None:
    async def handler(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(30)
        return web.Response()

    async def run() -> None:
        retry = RetryPolicy(attempt_timeout=0.2, total_timeout=60, base=0.001, longest=0.01)
        async with serve(handler) as url, gateway_to(url, retry=retry) as gateway:
            begun = time.monotonic()
            outcome = await gateway.ask(question(1))
            assert isinstance(outcome, CallFailure)
            assert (outcome.kind, outcome.attempts) == (FailureKind.TIMEOUT, 2)
            assert time.monotonic() - begun < 20
            assert gateway.meter.calls == 2, "it may have been charged"

    asyncio.run(run())


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.mark.parametrize("address", ["http://127.0.0.1:{port}/v1", "http://no-such-host.invalid/v1"])
def test_where_nobody_is_it_gives_up_quickly_and_says_why(address: str) -> None:
    async def run() -> None:
        url = address.format(port=free_port())
        patience = Patience(at_first=0.5)
        async with gateway_to(url, patience=patience, retry=RetryPolicy(base=0.05, longest=0.1)) as gateway:
            begun = time.monotonic()
            outcomes = [a.outcome async for a in gateway.ask_many(question(n) for n in range(500))]
            assert time.monotonic() - begun < 30
            assert all(isinstance(o, CallFailure) and o.kind is FailureKind.NO_PROVIDER for o in outcomes)
            assert len(outcomes) == 500
            with pytest.raises(NoProviderError, match="no connection") as caught:
                gateway.check()
            assert caught.value.exit_code is ExitCode.NO_PROVIDER
            assert isinstance(await gateway.ask(question("later")), CallFailure)

    asyncio.run(run())


@pytest.mark.parametrize(("status", "says"), [(401, "API key"), (404, "no such model"), (402, "credit")])
def test_an_endpoint_that_will_not_have_us_is_left_alone(serve: Serve, status: int, says: str) -> None:
    calls = []

    async def handler(request: web.Request) -> web.StreamResponse:
        calls.append(1)
        return web.json_response({"error": {"message": "no such model"}}, status=status)

    async def run() -> None:
        async with serve(handler) as url, gateway_to(url, limits=Limits(max_concurrency=8)) as gateway:
            _ = [a async for a in gateway.ask_many(question(n) for n in range(300))]
            assert len(calls) < 30
            with pytest.raises(NoProviderError, match=says):
                gateway.check()

    asyncio.run(run())


def test_one_kind_of_request_that_is_refused_does_not_close_the_endpoint(serve: Serve, counting: Counting) -> None:
    """A model without eyes: every request with an image is a quick 404, those without take their time."""

    async def handler(request: web.Request) -> web.StreamResponse:
        if b"image_url" in await request.read():
            return web.json_response({"error": {"message": "No endpoints support image input"}}, status=404)
        await asyncio.sleep(0.02)
        return await counting(request)

    target = io.BytesIO()
    Image.new("RGB", (20, 20)).save(target, "PNG")
    part = ImagePart.of_bytes(target.getvalue())

    async def run() -> None:
        async with serve(handler) as url, gateway_to(url, limits=Limits(max_concurrency=8)) as gateway:
            requests = [Request((Message.user(str(n), *([part] if n % 2 else [])),)) for n in range(200)]
            outcomes = {a.index: a.outcome async for a in gateway.ask_many(requests)}
            for index, outcome in outcomes.items():
                assert isinstance(outcome, CallFailure if index % 2 else Answer)
            gateway.check()

    asyncio.run(run())


def test_a_redirect_is_not_followed_with_the_key(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        async with serve(counting) as target:

            async def handler(request: web.Request) -> web.StreamResponse:
                raise web.HTTPTemporaryRedirect(f"{target}/chat/completions")

            async with serve(handler) as url, gateway_to(url) as gateway:
                assert isinstance(await gateway.ask(question(1)), CallFailure)
        assert counting.questions == []

    asyncio.run(run())


def test_a_response_without_end_does_not_fill_the_memory(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsil_audit.gateway.transport._MOST_BODY_BYTES", 1 << 20)
    sent = 0

    async def handler(request: web.Request) -> web.StreamResponse:
        nonlocal sent
        response = web.StreamResponse()
        await response.prepare(request)
        while sent < 1 << 28:
            await response.write(b"x" * (1 << 16))
            sent += 1 << 16
        return response

    async def run() -> None:
        async with serve(handler) as url, gateway_to(url) as gateway:
            outcome = await gateway.ask(question(1))
            assert isinstance(outcome, CallFailure)
            assert outcome.kind is FailureKind.MALFORMED
        assert sent < 1 << 26

    asyncio.run(run())


def test_an_answer_that_nobody_waits_for_any_more_is_kept(serve: Serve, completion: Make, asked: Asked) -> None:
    async def run() -> None:
        server = Counting(completion, asked, seconds=0.2)
        async with serve(server) as url:
            async with gateway_to(url) as gateway:
                waiting = asyncio.ensure_future(gateway.ask(question("paid")))
                while not server.questions:
                    await asyncio.sleep(0.01)
                waiting.cancel()
                await asyncio.sleep(0)
            async with gateway_to(url) as gateway:
                answer = await gateway.ask(question("paid"))
                assert isinstance(answer, Answer)
                assert answer.cached
        assert server.questions == ["paid"]

    asyncio.run(run())


def test_thousands_that_are_given_up_take_no_turn_from_others(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        limits = Limits(max_concurrency=1, max_rpm=600)
        async with serve(counting) as url, gateway_to(url, limits=limits) as gateway:
            given_up = [asyncio.ensure_future(gateway.ask(question(n))) for n in range(3000)]
            await asyncio.sleep(0)
            for waiting in given_up:
                waiting.cancel()
            begun = time.monotonic()
            assert isinstance(await gateway.ask(question("the last")), Answer)
            assert time.monotonic() - begun < 60  # their turns would take five minutes
        assert len(counting.questions) <= 3

    asyncio.run(run())


def test_closing_waits_for_what_was_sent_and_sends_no_more(serve: Serve, completion: Make, asked: Asked) -> None:
    async def run() -> None:
        server = Counting(completion, asked, seconds=0.2)
        async with serve(server) as url:
            gateway = open_gateway(f"vllm/m@{url}", limits=Limits(max_concurrency=4))
            waiting = [asyncio.ensure_future(gateway.ask(question(n))) for n in range(20)]
            while len(server.questions) < 4:
                await asyncio.sleep(0.005)
            await gateway.close()
            outcomes = await asyncio.gather(*waiting)
            assert sum(isinstance(o, Answer) for o in outcomes) == 4
            assert {o.kind for o in outcomes if isinstance(o, CallFailure)} == {FailureKind.CANCELLED}
            assert len(server.questions) == 4
            late = await gateway.ask(question("late"))
            assert isinstance(late, CallFailure)

    asyncio.run(run())


def test_plain_code_asks_too_and_beside_a_running_loop(serve: Serve, counting: Counting) -> None:
    async def run() -> None:
        async with serve(counting) as url:

            def plain() -> None:
                with GatewayThread() as thread:
                    gateway = thread.open(lambda: open_gateway(f"vllm/m@{url}"))
                    outcomes = gateway.ask_all(question(n) for n in range(30))
                    assert [o.text for o in outcomes if isinstance(o, Answer)] == [f"You asked: {n}" for n in range(30)]
                    for asked in gateway.ask_many(question(n) for n in range(100)):
                        assert asked.outcome
                        break
                    assert isinstance(gateway.ask(question("x")), Answer)
                    gateway.check()

            await asyncio.to_thread(plain)

    asyncio.run(run())


def test_what_still_waits_when_the_thread_ends_is_ended_with_it() -> None:
    heard = []

    async def waiting() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            heard.append("ended")

    with GatewayThread() as thread:
        thread.begin(waiting())
    assert heard == ["ended"]


def test_a_defect_of_a_provider_is_raised_to_whoever_asked() -> None:
    class Broken:
        name, model, billed = "broken", "m", False

        def __init__(self) -> None:
            self.identity: dict[str, str] = {}

        async def complete(self, request: Request, timeout: float) -> Any:
            raise ZeroDivisionError("a defect")

        async def close(self) -> None:
            pass

    async def run() -> None:
        async with Gateway(Broken(), cache=AnswerCache(memory=True)) as gateway:
            with pytest.raises(ZeroDivisionError):
                await gateway.ask(question(1))
            with pytest.raises(ZeroDivisionError):
                _ = [a async for a in gateway.ask_many([question(2)])]
            assert gateway.limiter.in_flight == 0

    asyncio.run(run())


def test_nothing_is_left_behind(serve: Serve, counting: Counting, recwarn: pytest.WarningsRecorder) -> None:
    async def run() -> None:
        async with serve(counting) as url, gateway_to(url) as gateway:
            _ = [a async for a in gateway.ask_many(question(n) for n in range(20))]
            assert gateway.limiter.in_flight == 0
            assert not gateway._calls

    asyncio.run(run())
    gc.collect()
    assert [w for w in recwarn if "unclosed" in str(w.message).lower()] == []
