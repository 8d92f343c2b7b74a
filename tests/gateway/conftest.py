"""Real servers on loopback, small models with random weights, and a clock that runs as fast as the test."""

from __future__ import annotations

import asyncio
import heapq
import io
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest
from aiohttp import web
from PIL import Image
from tiny_models import save_tiny_llama, save_tiny_llava

from vsil_audit.gateway import ImagePart, Request
from vsil_audit.gateway.local import LocalProvider
from vsil_audit.gateway.provider import Reply

Result = TypeVar("Result")
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], AbstractAsyncContextManager[str]]


@pytest.fixture
def serve() -> Serve:
    """`async with serve(handler) as base_url`: a server that answers `POST …/chat/completions` with `handler`."""

    @asynccontextmanager
    async def serving(handler: Handler) -> AsyncIterator[str]:
        application = web.Application(client_max_size=64 << 20)
        application.router.add_post("/v1/chat/completions", handler)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        try:
            yield f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        finally:
            await runner.cleanup()

    return serving


@pytest.fixture
def completion() -> Callable[..., dict[str, Any]]:
    """A chat completion as endpoints answer it."""

    def make(text: str | None = "Fine.", finish: str = "stop", **message: Any) -> dict[str, Any]:
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1,
            "model": "a-model-2026-01-01",
            "choices": [
                {
                    "index": 0,
                    "message": {"role": "assistant", "content": text, **message},
                    "finish_reason": finish,
                    "logprobs": None,
                }
            ],
            "usage": {"prompt_tokens": 12, "completion_tokens": 3, "total_tokens": 15},
        }

    return make


class _FastLoop(asyncio.SelectorEventLoop):
    """A loop whose clock jumps to the next timer whenever nothing else is to be done."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]  # the loop's own queues
            while self._scheduled and self._scheduled[0]._cancelled:  # type: ignore[attr-defined]
                heapq.heappop(self._scheduled)._scheduled = False  # type: ignore[attr-defined]
            if self._scheduled:  # type: ignore[attr-defined]
                self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


@pytest.fixture
def simulate() -> Callable[[Coroutine[Any, Any, Result]], Result]:
    """Run a coroutine in simulated time: an hour of sleeping takes no time."""

    def run(coroutine: Coroutine[Any, Any, Result]) -> Result:
        loop = _FastLoop()
        try:
            return loop.run_until_complete(coroutine)
        finally:
            loop.close()

    return run


@pytest.fixture
def asked() -> Callable[[web.Request], Awaitable[str]]:
    """The text of a request's last message."""

    async def read(request: web.Request) -> str:
        content = json.loads(await request.read())["messages"][-1]["content"]
        return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)

    return read


@pytest.fixture(scope="session")
def local_models() -> None:
    """Skips what needs torch and transformers where they are not installed."""
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="models in this process need the extra [local]")


@pytest.fixture(scope="session")
def tiny_llama(local_models: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model for text alone."""
    return save_tiny_llama(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture(scope="session")
def tiny_llava(local_models: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a model that sees."""
    return save_tiny_llava(tmp_path_factory.mktemp("models") / "tiny-llava")


@pytest.fixture(scope="session")
def picture() -> Callable[[str], ImagePart]:
    """A small image of one colour."""

    def paint(color: str) -> ImagePart:
        target = io.BytesIO()
        Image.new("RGB", (60, 40), color).save(target, "PNG")
        return ImagePart.of_bytes(target.getvalue(), f"{color}.png")

    return paint


@pytest.fixture
def ask_at_once() -> Callable[..., list[Any]]:
    """`ask_at_once(folder, requests)`: asks them all together; each one's completion, parsed, or its AttemptError."""

    async def ask(folder: Path, requests: Sequence[Request], batch_size: int, timeout: float) -> list[Any]:
        provider = LocalProvider(str(folder), batch_size)
        try:
            asked = (provider.complete(request, timeout) for request in requests)
            outcomes = await asyncio.gather(*asked, return_exceptions=True)
        finally:
            await provider.close()
        return [json.loads(outcome.body) if isinstance(outcome, Reply) else outcome for outcome in outcomes]

    def run(folder: Path, requests: Sequence[Request], *, batch_size: int = 32, timeout: float = 60.0) -> list[Any]:
        return asyncio.run(ask(folder, requests, batch_size, timeout))

    return run
