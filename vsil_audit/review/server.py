"""The review server: loopback only, one page, everything else behind a token. It writes no log of requests."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, TypeAlias, TypeVar

from vsil_audit.errors import ConfigurationError
from vsil_audit.features.facts import ImageError
from vsil_audit.pair import Json
from vsil_audit.review.desk import Desk
from vsil_audit.review.guard import LOOPBACK, PAGE_PATH, Guard, new_token
from vsil_audit.review.page import review_page
from vsil_audit.review.pictures import Pictures

if TYPE_CHECKING:
    from aiohttp import web

Handler: TypeAlias = "Callable[[web.Request], Awaitable[web.StreamResponse]]"
T = TypeVar("T", str, int, bool)

_LARGEST_REQUEST = 64 << 10
_IMAGES_AT_ONCE = 4
_HEADERS: Mapping[str, str] = {
    "Cache-Control": "no-store",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), microphone=(), geolocation=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def serve(desk: Desk, pictures: Pictures, ready: Callable[[str], None], port: int = 0) -> None:
    """Serve until interrupted. `ready` is told the link once it can be opened; `port` 0: any that is free.

    Raises ConfigurationError when the port is taken.
    """
    asyncio.run(_serve(desk, pictures, ready, port))


async def _serve(desk: Desk, pictures: Pictures, ready: Callable[[str], None], port: int) -> None:
    from aiohttp import web

    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((LOOPBACK, port))
    except (OSError, OverflowError) as error:
        listening.close()
        raise ConfigurationError(
            f"cannot listen on port {port}: {getattr(error, 'strerror', None) or error}",
            "Choose another --port, or none.",
        ) from error
    guard = Guard(new_token(), listening.getsockname()[1])
    runner = web.AppRunner(application(desk, pictures, guard), access_log=None)
    await runner.setup()
    try:
        await web.SockSite(runner, listening).start()
        ready(guard.url)
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


def application(desk: Desk, pictures: Pictures, guard: Guard) -> web.Application:
    """The routes, behind the guard."""
    from aiohttp import web

    @web.middleware
    async def guarded(request: web.Request, handler: Handler) -> web.StreamResponse:
        refused = guard.refusal(request.method, request.path, request.headers)
        if refused is not None:
            response: web.StreamResponse = web.Response(status=refused.status, text=refused.why)
        else:
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = web.Response(status=error.status, text=error.reason)
            except ConfigurationError as error:
                response = web.json_response({"error": str(error)}, status=400)
        response.headers.update(_HEADERS)
        if "Content-Security-Policy" not in response.headers:
            response.headers["Content-Security-Policy"] = "default-src 'none'; frame-ancestors 'none'"
        return response

    app = web.Application(middlewares=[guarded], client_max_size=_LARGEST_REQUEST)
    routes = _Routes(desk, pictures)
    app.router.add_get(PAGE_PATH + "{token}", routes.page)
    app.router.add_get("/api/about", routes.about)
    app.router.add_get("/api/item", routes.item)
    app.router.add_get("/api/image/{digest}/{kind}", routes.image)
    for name in ("join", "label", "note", "skip", "undo"):
        app.router.add_post(f"/api/{name}", getattr(routes, name))
    return app


class _Routes:
    def __init__(self, desk: Desk, pictures: Pictures) -> None:
        self._desk, self._pictures = desk, pictures
        self._page = review_page()
        self._images = asyncio.Semaphore(_IMAGES_AT_ONCE)

    async def page(self, _: web.Request) -> web.Response:
        from aiohttp import web

        headers = {"Content-Security-Policy": self._page.policy}
        return web.Response(text=self._page.html, content_type="text/html", headers=headers)

    async def about(self, _: web.Request) -> web.Response:
        return _json(self._desk.about())

    async def item(self, request: web.Request) -> web.Response:
        """At `position`, or the next one to do `after` a position."""
        annotator = request.query.get("annotator", "")
        if "position" in request.query:
            return _json(self._desk.item(annotator, _number(request.query["position"])))
        position = self._desk.next_position(annotator, _number(request.query.get("after", "-1")))
        return _json(None if position is None else self._desk.item(annotator, position))

    async def image(self, request: web.Request) -> web.Response:
        from aiohttp import web

        kinds = {"blurred": self._pictures.blurred, "full": self._pictures.full}
        kind = kinds.get(request.match_info["kind"])
        if kind is None:
            raise web.HTTPNotFound
        async with self._images:
            found = await asyncio.to_thread(kind, request.match_info["digest"])
        if found is None:
            raise web.HTTPNotFound
        if isinstance(found, ImageError):
            return web.json_response({"error": f"{found.kind.replace('_', ' ')}: {found.detail}"}, status=410)
        return web.Response(body=found, content_type="image/jpeg")

    async def join(self, request: web.Request) -> web.Response:
        said = await _read(request)
        return _json({"name": self._desk.join(_field(said, "name", str))})

    async def label(self, request: web.Request) -> web.Response:
        said = await _read(request)
        value = None if said.get("value") is None else _field(said, "value", str)
        return _json(self._desk.label(*_whose(said), _field(said, "criterion", str), value))

    async def note(self, request: web.Request) -> web.Response:
        said = await _read(request)
        return _json(self._desk.note(*_whose(said), _field(said, "text", str)))

    async def skip(self, request: web.Request) -> web.Response:
        said = await _read(request)
        return _json(self._desk.skip(*_whose(said), skipped=_field(said, "skipped", bool)))

    async def undo(self, request: web.Request) -> web.Response:
        said = await _read(request)
        return _json(self._desk.undo(_field(said, "annotator", str), _field(said, "event", int)))


def _json(value: Json) -> web.Response:
    from aiohttp import web

    return web.json_response(value)


async def _read(request: web.Request) -> dict[str, object]:
    try:
        said = await request.json()
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ConfigurationError("this is not JSON") from error
    if not isinstance(said, dict):
        raise ConfigurationError("this is not an object")
    return said


def _whose(said: Mapping[str, object]) -> tuple[str, int]:
    return _field(said, "annotator", str), _field(said, "item", int)


def _field(said: Mapping[str, object], name: str, kind: type[T]) -> T:
    value = said.get(name)
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise ConfigurationError(f"{name} is missing, or of another kind")
    return value


def _number(said: str) -> int:
    try:
        return int(said)
    except ValueError as error:
        raise ConfigurationError("a position is a number") from error
