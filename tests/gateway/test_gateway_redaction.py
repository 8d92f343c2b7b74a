"""A planted key appears in no artefact: answers, failures, errors, logs, cache, export, reports, tracebacks."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import time
import traceback
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from vsil_audit.gateway import Answer, AnswerCache, CallFailure, Message, Request, RetryPolicy, open_gateway
from vsil_audit.gateway.endpoints import endpoint
from vsil_audit.gateway.transport import Transport

Serve = Callable[[Callable[[web.Request], Awaitable[web.StreamResponse]]], AbstractAsyncContextManager[str]]
KEY = 'sk-planted-"7f3a91c2e4"'  # quotes, so that it looks different inside JSON


@pytest.mark.parametrize(
    "reaction", ["echo", "echo 400", "echo 401", "echo 429", "echo 500", "malformed", "cut", "reset"]
)
def test_the_key_is_sent_and_shows_nowhere(
    serve: Serve,
    completion: Callable[..., dict[str, Any]],
    reaction: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setenv("VSIL_AUDIT_CACHE", str(tmp_path))
    monkeypatch.setenv("VLLM_API_KEY", KEY)
    caplog.set_level(logging.DEBUG)
    received: list[str] = []

    async def handler(request: web.Request) -> web.StreamResponse:
        said = request.headers["Authorization"]
        received.append(said)
        if reaction == "reset":
            assert request.transport is not None
            request.transport.abort()
        if reaction == "malformed":
            return web.Response(text=f"your key is {said}")
        if reaction == "cut":
            response = web.StreamResponse(headers={"Content-Length": "1000"})
            await response.prepare(request)
            await response.write(said.encode())
            assert request.transport is not None
            request.transport.close()
            return response
        if reaction == "echo":
            return web.json_response(completion(f"your key is {said}"))
        return web.json_response({"error": {"message": f"bad key {said}", "code": said}}, status=int(reaction[5:]))

    shown: list[str] = []

    async def run() -> None:
        retry = RetryPolicy(base=0.001, longest=0.002, attempt_timeout=1, total_timeout=1)
        async with serve(handler) as url, open_gateway(f"vllm/m@{url}", retry=retry) as gateway:
            outcome = await gateway.ask(Request((Message.user("what is my key?"),)))
            shown.extend(
                [repr(outcome), str(gateway.provider), repr(gateway.spend), json.dumps(gateway.spend.to_json())]
            )
            if isinstance(outcome, Answer):
                shown.extend([outcome.body, outcome.text])
                assert "your key is" in outcome.text
            try:
                gateway.check()
                await gateway.provider.complete(Request((Message.user("again"),)), 1.0)
            except Exception as error:  # noqa: BLE001 - whatever it is
                text = io.StringIO()
                traceback.print_exception(error, file=text)
                shown.extend([text.getvalue(), repr(error), repr(error.__context__), repr(error.__cause__)])

    asyncio.run(run())
    assert received[0] == f"Bearer {KEY}"
    cache = AnswerCache()
    shown.extend(kept.to_json() for kept in cache.entries())
    cache.close()
    shown.append(caplog.text)
    written = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    for part in (KEY, "7f3a91c2e4"):
        assert not any(part in text for text in shown)
        assert part.encode() not in written


@pytest.mark.parametrize("spell", ["as it is", "slashes escaped", "codes", "some codes", "JSON in JSON"])
def test_the_key_is_hidden_however_json_spells_it(
    serve: Serve,
    completion: Callable[..., dict[str, Any]],
    spell: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    key = 'sk-or/v1/"planted\\+Key='
    monkeypatch.setenv("VSIL_AUDIT_CACHE", str(tmp_path))
    monkeypatch.setenv("VLLM_API_KEY", key)

    def spelt() -> str:
        if spell == "as it is":
            return json.dumps(key)[1:-1]
        if spell == "slashes escaped":
            return json.dumps(key)[1:-1].replace("/", "\\/")
        if spell == "JSON in JSON":
            return json.dumps(json.dumps(json.dumps(key)[1:-1])[1:-1])[1:-1]
        every = 1 if spell == "codes" else 3
        return "".join(f"\\u{ord(c):04X}" if n % every == 0 else json.dumps(c)[1:-1] for n, c in enumerate(key))

    async def handler(request: web.Request) -> web.StreamResponse:
        body = json.dumps(completion("your key is KEY, caf\u00e9")).replace("KEY", spelt())
        assert (key in json.loads(body)["choices"][0]["message"]["content"]) is (spell != "JSON in JSON")
        return web.Response(text=body, content_type="application/json")

    async def run() -> Answer | CallFailure:
        async with serve(handler) as url, open_gateway(f"vllm/m@{url}") as gateway:
            return await gateway.ask(Request((Message.user("what is my key?"),)))

    answer = asyncio.run(run())
    assert isinstance(answer, Answer)
    assert answer.text == "your key is [key], caf\u00e9"


def test_a_response_of_nothing_but_escapes_is_searched_in_no_time() -> None:
    transport = Transport(endpoint("vllm/m@http://127.0.0.1:9/v1", environment={"VLLM_API_KEY": KEY}))
    begun = time.monotonic()
    transport.redact("\\" * 3_000_000 + "u")
    assert time.monotonic() - begun < 10
