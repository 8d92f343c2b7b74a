"""An OpenAI-compatible images endpoint on loopback: paints plain images, or does what a test tells it, and counts."""

from __future__ import annotations

import asyncio
import base64
import io
import json
import threading
import zlib
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from PIL import Image

Answering = Callable[[dict[str, Any], int], Awaitable[web.StreamResponse]]
"""From a request's body, and how many came before it, to the response."""


def painted(prompt: str, image_format: str = "PNG", side: int = 16) -> bytes:
    """An image whose colour the prompt decides."""
    target = io.BytesIO()
    color = zlib.crc32(prompt.encode()) & 0xFFFFFF
    Image.new("RGB", (side, side), (color >> 16, color >> 8 & 255, color & 255)).save(target, image_format)
    return target.getvalue()


def drawn(data: bytes, **more: Any) -> web.Response:
    """An answer that holds an image."""
    return web.json_response({"created": 1, "data": [{"b64_json": base64.b64encode(data).decode(), **more}]})


async def obliging(body: dict[str, Any], _number: int) -> web.StreamResponse:
    return drawn(painted(body["prompt"]))


class ImageServer:
    """`asked`: every body, in order; `painted`: images answered in full, by prompt; `headers`: of the last request.
    `files`: what GET finds."""

    def __init__(self, answer: Answering = obliging) -> None:
        self.answer = answer
        self.asked: list[dict[str, Any]] = []
        self.answered: Counter[str] = Counter()
        self.headers: dict[str, str] = {}
        self.paths: list[str] = []
        self.files: dict[str, bytes] = {}
        self.now = self.most_at_once = 0
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._port = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._port}/v1"

    def __enter__(self) -> ImageServer:
        self._thread.start()
        if not self._ready.wait(10):
            raise RuntimeError("the server did not start")
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _serve(self) -> None:
        asyncio.set_event_loop(self._loop)
        application = web.Application()
        application.router.add_post("/v1/images/generations", self._generations)
        application.router.add_get("/{path:.*}", self._file)
        runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.01)
        self._loop.run_until_complete(runner.setup())
        self._loop.run_until_complete(web.TCPSite(runner, "127.0.0.1", 0).start())
        self._port = runner.addresses[0][1]
        self._ready.set()
        self._loop.run_forever()
        self._loop.run_until_complete(runner.cleanup())
        for task in asyncio.all_tasks(self._loop):
            task.cancel()
        self._loop.run_until_complete(asyncio.sleep(0.01))
        self._loop.close()

    async def _generations(self, request: web.Request) -> web.StreamResponse:
        body = json.loads(await request.read())
        self.asked.append(body)
        self.headers = dict(request.headers)
        self.now += 1
        self.most_at_once = max(self.most_at_once, self.now)
        try:
            response = await self.answer(body, len(self.asked) - 1)
        finally:
            self.now -= 1
        if response.status == 200:
            self.answered[body["prompt"]] += 1
        return response

    async def _file(self, request: web.Request) -> web.StreamResponse:
        self.paths.append(request.path)
        if request.path not in self.files:
            return web.Response(status=404)
        return web.Response(body=self.files[request.path], content_type="image/png")
