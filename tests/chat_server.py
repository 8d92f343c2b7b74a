"""An OpenAI-compatible endpoint on loopback that answers like a model of no great mind, fails as it is told to, and
keeps a record of every request: what the tests of whole runs ask.

What it answers depends on the request alone, so that two runs that ask the same hear the same; above temperature 0 also
on how often that was asked before.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import random
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from aiohttp import web

CHARACTERS_PER_TOKEN = 3.1  # not the four that the gateway guesses
TOKENS_PER_IMAGE = 765


@dataclass(frozen=True)
class Faults:
    """Shares of requests that end badly, drawn with `seed` for each request and each time that it arrives: which ones
    does not hang on who comes first. A hang lasts longer than any test waits."""

    too_many: float = 0.0
    server_error: float = 0.0
    hang: float = 0.0
    malformed: float = 0.0
    cut: float = 0.0
    seed: int = 11


class Asked(NamedTuple):
    """A request as it arrived. `digest`: of its body, so equal for equal requests; `sample`: how many of these
    arrived before, where the temperature is not 0."""

    digest: str
    body: dict[str, Any]
    headers: dict[str, str]
    sample: int = 0

    @property
    def text(self) -> str:
        """All that the model is told."""
        return "\n".join(_texts(self.body))

    @property
    def images(self) -> int:
        contents = [message["content"] for message in self.body["messages"]]
        return sum(part["type"] == "image_url" for content in contents if isinstance(content, list) for part in content)

    @property
    def chance(self) -> int:
        """A number that nothing else has."""
        return int(hashlib.sha256(f"{self.digest} {self.sample}".encode()).hexdigest()[:12], 16)


Answering = Callable[[Asked], str]


class ChatServer:
    """`arrived`, `answered`: how often each request's digest came, and was answered in full. `now`: requests in its
    hands. Made and stopped by `with`; `stop` and `start` let it die and come back at the same address."""

    def __init__(self, answer: Answering | None = None, latency: tuple[float, float] = (0.001, 0.01)) -> None:
        self.answer = answer or plausible
        self.latency = latency
        self.faults = Faults()
        self.limit = 10**6
        self.limit_after: tuple[int, int] | None = None  # (answers, the limit from then on)
        self.dies_after: int | None = None  # so many answers
        self.unauthorized = False
        self.reject: Callable[[Asked], str | None] = lambda _: None
        self.arrived: Counter[str] = Counter()
        self.answered: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.said: dict[str, str] = {}
        self.heard: list[Asked] = []
        self.input_tokens = self.output_tokens = 0
        self.now = self.most_at_once = 0
        self._random = random.Random(11)
        self._port = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    @property
    def calls(self) -> int:
        """Requests answered in full."""
        return sum(self.answered.values())

    def model(self, name: str) -> str:
        """Its model string."""
        return f"vllm/{name}@{self.url}"

    def __enter__(self) -> ChatServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        self.dies_after = None
        self.now = 0
        self._loop = asyncio.new_event_loop()
        ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, args=(self._loop, ready), daemon=True)
        self._thread.start()
        if not ready.wait(10):
            raise RuntimeError("the server did not start")

    def stop(self) -> None:
        if self._loop is not None and self._thread is not None:
            with contextlib.suppress(RuntimeError):  # it died already
                self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop = self._thread = None

    def _serve(self, loop: asyncio.AbstractEventLoop, ready: threading.Event) -> None:
        asyncio.set_event_loop(loop)
        application = web.Application(client_max_size=64 << 20)
        application.router.add_post("/{path:.*}", self._handle)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01)
        loop.run_until_complete(runner.setup())
        site = web.TCPSite(runner, "127.0.0.1", self._port, backlog=1024, reuse_address=True)
        loop.run_until_complete(site.start())
        self._port = runner.addresses[0][1]
        ready.set()
        loop.run_forever()
        loop.run_until_complete(runner.cleanup())
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        raw = await request.read()
        digest, content = hashlib.sha256(raw).hexdigest(), json.loads(raw)
        sample = self.arrived[digest] if content.get("temperature") else 0
        asked = Asked(digest, content, dict(request.headers), sample)
        self.arrived[asked.digest] += 1
        self.heard.append(asked)
        if self.now >= self.limit:
            self.failed["over the limit"] += 1
            return web.Response(status=429, headers={"Retry-After": "0.05"})
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            await asyncio.sleep(self._random.uniform(*self.latency))
            return await self._react(request, asked)
        finally:
            self.now -= 1

    async def _react(self, request: web.Request, asked: Asked) -> web.StreamResponse:
        if (complaint := self.reject(asked)) is not None:
            self.failed["rejected"] += 1
            return web.json_response({"error": {"message": complaint}}, status=400)
        if self.unauthorized:
            return web.json_response({"error": {"message": "no such key"}}, status=401)
        fault = self._fault(asked)
        self.failed[fault] += bool(fault)
        if fault == "too_many":
            return web.Response(status=429, headers={"Retry-After": "0.1"})
        if fault == "server_error":
            return web.Response(status=500, text="<h1>Internal Server Error</h1>")
        if fault == "hang":
            self.now -= 1  # it takes no place from others
            try:
                await asyncio.sleep(3600)
            finally:
                self.now += 1
        text = self.answer(asked)
        body = json.dumps(self._completion(asked, text)).encode()
        if fault == "malformed":
            return web.Response(body=body[: len(body) // 2], content_type="application/json")
        if fault == "cut":
            return await _cut(request, body)
        return await self._paid(request, asked, text, body)

    async def _paid(self, request: web.Request, asked: Asked, text: str, body: bytes) -> web.StreamResponse:
        if request.transport is None or request.transport.is_closing():
            self.failed["nobody waits"] += 1  # whoever asked has given up, or was killed
            return web.Response()
        usage = json.loads(body)["usage"]
        self.answered[asked.digest] += 1
        self.said[asked.digest] = text
        self.input_tokens += usage["prompt_tokens"]
        self.output_tokens += usage["completion_tokens"]
        response = web.Response(body=body, content_type="application/json")
        if self.limit_after is not None and self.calls >= self.limit_after[0]:
            self.limit, self.limit_after = self.limit_after[1], None
        if self.dies_after is not None and self.calls >= self.dies_after:
            await response.prepare(request)
            await response.write_eof()
            self.dies_after = None
            asyncio.get_running_loop().stop()
        return response

    def _fault(self, asked: Asked) -> str:
        drawn = random.Random(f"{self.faults.seed} {asked.digest} {self.arrived[asked.digest]}").random()
        below = 0.0
        for name in ("too_many", "server_error", "hang", "malformed", "cut"):
            below += getattr(self.faults, name)
            if drawn < below:
                return name
        return ""

    def _completion(self, asked: Asked, text: str) -> dict[str, Any]:
        inside = round(len(asked.text) / CHARACTERS_PER_TOKEN) + 3 * len(asked.body["messages"])
        return {
            "id": asked.digest,  # the answer cache keeps it, so that a test can tell what was received
            "object": "chat.completion",
            "created": 1,
            "model": asked.body["model"],
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text},
                    "finish_reason": "stop",
                    "logprobs": None,
                }
            ],
            "usage": {
                "prompt_tokens": inside + TOKENS_PER_IMAGE * asked.images,
                "completion_tokens": max(1, round(len(text) / CHARACTERS_PER_TOKEN)),
            },
        }


async def _cut(request: web.Request, body: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Length": str(len(body))})
    await response.prepare(request)
    await response.write(body[:40])
    assert request.transport is not None
    request.transport.close()
    return response


def _texts(body: dict[str, Any]) -> list[str]:
    contents = [message["content"] for message in body["messages"]]
    parts = [[content] if isinstance(content, str) else [p.get("text", "") for p in content] for content in contents]
    return [text for part in parts for text in part]


def role_of(asked: Asked) -> str:
    """Whom the request takes its model for: `safety_judge`, `llm_judge`, `response_judge` or `target`."""
    told = asked.text
    if '"verdict"' in told:
        return "safety_judge"
    if '"reveals"' in told:
        return "llm_judge"
    return "response_judge" if '"label"' in told else "target"


def well_formed(asked: Asked) -> str:
    """An answer in the form that was asked for."""
    chance = asked.chance
    role = role_of(asked)
    if role == "safety_judge":
        verdict = "unsafe" if chance % 3 else "safe"
        return json.dumps({"reasons": "So it reads. " * (1 + chance % 4), "verdict": verdict})
    if role == "llm_judge":
        reveals = ("none", "implicit", "explicit")[chance % 3]
        spans = ["garden gnome"] if reveals == "explicit" else []
        return json.dumps(
            {
                "reasons": "The text names it. " * (1 + chance % 3),
                "reveals": reveals,
                "spans": spans,
                "kind": "object",
                "adds": "its colour",
                "confidence": 0.8,
            }
        )
    if role == "response_judge":
        label = ("refusal", "warning", "unsafe")[chance % 3]
        return json.dumps({"reasons": f"It says so ({asked.chance}).", "label": label})
    if chance % 2:
        return f"I'm sorry, but I can't help with that. (case {asked.chance})"
    return f"Put it behind the shed, case {asked.chance}. " * (2 + chance % 5)


def plausible(asked: Asked) -> str:
    """As `well_formed`, but that one judge's answer in ten is in the wrong form, and one in three of those stays so."""
    if role_of(asked) == "target":
        return well_formed(asked)
    repairing = any(message["role"] == "assistant" for message in asked.body["messages"])
    if asked.chance % 100 >= (33 if repairing else 10):
        return well_formed(asked)
    wrong = ("I would say so.", '{"verdict": "perhaps", "reveals": "a bit", "label": "good"}', "", '{"reasons": "I')
    return wrong[asked.chance // 100 % len(wrong)]
