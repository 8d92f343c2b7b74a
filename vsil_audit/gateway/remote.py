"""OpenAI-compatible endpoints, over aiohttp.

Spoken to directly: against a loopback server the `openai` SDK costs 1.3 ms of CPU a request on its aiohttp transport
(1.6 to 3.4 ms on its default one), aiohttp itself 0.2 ms (`benchmarks/gateway_speed.py`).
"""

from __future__ import annotations

import asyncio
import io
import re
import urllib.request
from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from yarl import URL

from vsil_audit.features.facts import ImageError
from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.classify import classify
from vsil_audit.gateway.completion import BodyWriter
from vsil_audit.gateway.deadlines import Deadlines
from vsil_audit.gateway.endpoints import Endpoint, Secret, is_loopback
from vsil_audit.gateway.image_url import RecentImages
from vsil_audit.gateway.messages import ImagePart, Request
from vsil_audit.gateway.provider import AttemptError, Blame, Reply
from vsil_audit.pair import Json

if TYPE_CHECKING:
    import aiohttp

_MOST_BODY_BYTES = 32 * 1024 * 1024
_CONNECT_SECONDS = 10.0
_LARGE_BODY = 1024 * 1024
_REDACTED = "[key]"
_ESCAPED = frozenset('"\\/')  # what JSON may write with a backslash before it; anything may stand as a code


class RemoteProvider:
    """One model of one OpenAI-compatible endpoint. Retries, limits and cache are the gateway's."""

    def __init__(self, endpoint: Endpoint, images: RecentImages | None = None) -> None:
        self.name = endpoint.provider
        self.model = endpoint.model
        self.billed = endpoint.billed
        self.identity: Mapping[str, Json] = MappingProxyType({"base_url": endpoint.base_url})
        self._endpoint = endpoint
        self._images = images or RecentImages()
        self._bodies = BodyWriter(endpoint.model, endpoint.max_tokens_field)
        self._url = URL(endpoint.chat_url)
        self._session: aiohttp.ClientSession | None = None
        self._errors: tuple[type[Exception], ...] = ()
        self._deadlines = Deadlines()
        self._hide = _spellings(endpoint.key)
        self._escape = "\\" if endpoint.key and not _ESCAPED.isdisjoint(endpoint.key.reveal()) else "\\u"
        self._headers = {"Content-Type": "application/json", "Accept": "application/json", "User-Agent": "vsil-audit"}
        if endpoint.key is not None:
            self._headers["Authorization"] = f"Bearer {endpoint.key.reveal()}"
        self._arguments: dict[str, Any] = {"allow_redirects": False}
        proxy = _proxy(endpoint.base_url)
        if proxy:
            self._arguments["proxy"] = proxy

    def __repr__(self) -> str:
        return f"RemoteProvider({self.name}/{self.model} at {self._endpoint.base_url})"

    async def complete(self, request: Request, timeout: float) -> Reply:
        """One attempt. Raises AttemptError."""
        urls = await self._data_urls(request) if request.images else {}
        body = self._bodies.body(request, urls)
        if self._session is None:
            self._open()
        try:
            with self._deadlines.within(timeout):
                status, headers, text = await self._post(body)
        except self._errors as error:
            failed = self._failure(error, timeout)
        else:
            if status == 200:
                return Reply(text)
            found = classify(status, headers, text)
            if isinstance(found, Reply):
                return found
            failed = found
            if status == 401:
                failed.detail += f" (it is read from {' or '.join(self._endpoint.key_variables)})"
        raise failed from None  # the original may carry the request's headers, and so the key

    def _open(self) -> None:
        import aiohttp

        self._errors = (aiohttp.ClientError, asyncio.TimeoutError, OSError, ValueError)
        self._session = aiohttp.ClientSession(
            headers=self._headers,
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),  # the limiter limits
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS),
        )

    async def _post(self, body: bytes) -> tuple[int, Mapping[str, str], str]:
        assert self._session is not None
        data = body if len(body) <= _LARGE_BODY else io.BytesIO(body)  # aiohttp sends a stream in pieces
        async with self._session.post(self._url, data=data, **self._arguments) as response:
            content = await self._read(response)
            return response.status, response.headers, self._redact(content.decode("utf-8", "replace"))

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, of at most 32 MB when unpacked: a server must not fill the memory."""
        first = await response.content.readany()
        if response.content.at_eof():
            return first
        pieces, size = [first], len(first)
        while not response.content.at_eof():
            piece = await response.content.readany()
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BODY_BYTES:
                detail = f"a response of more than {_MOST_BODY_BYTES:,} bytes"
                raise AttemptError(FailureKind.MALFORMED, detail, retry=False, charged=True)
        return b"".join(pieces)

    async def _data_urls(self, request: Request) -> dict[ImagePart, str]:
        urls: dict[ImagePart, str] = {}
        for part in request.images:
            url = await asyncio.to_thread(self._images.get, part)
            if isinstance(url, ImageError):
                detail = f"{part.name}: {url.kind}: {url.detail}"
                raise AttemptError(FailureKind.IMAGE, detail, retry=False, sent=False)
            urls[part] = url
        return urls

    def _redact(self, text: str) -> str:
        key = self._endpoint.key
        if self._hide is None or key is None:
            return text
        text = text.replace(key.reveal(), _REDACTED)
        return self._hide.sub(_REDACTED, text) if self._escape in text else text

    def _failure(self, error: BaseException, timeout: float) -> AttemptError:
        """What went wrong on the way, in words that hold neither headers nor keys."""
        import aiohttp

        where = urlsplit(self._endpoint.base_url).netloc
        if isinstance(error, aiohttp.ClientSSLError):
            detail = f"{where}: the TLS certificate or handshake failed: {self._words(error)}"
            return AttemptError(FailureKind.PERMANENT, detail, retry=False, blame=Blame.FATAL, sent=False)
        if isinstance(error, aiohttp.ConnectionTimeoutError):
            detail = f"{where}: no connection within {min(timeout, _CONNECT_SECONDS):g} s"
            return AttemptError(FailureKind.TRANSIENT, detail, retry=True, blame=Blame.UNREACHABLE, sent=False)
        if isinstance(error, aiohttp.ClientConnectorError):
            detail = f"{where}: no connection: {self._words(error.os_error)}"
            return AttemptError(FailureKind.TRANSIENT, detail, retry=True, blame=Blame.UNREACHABLE, sent=False)
        if isinstance(error, asyncio.TimeoutError):
            detail = f"{where}: no complete response within {timeout:g} s"
            return AttemptError(FailureKind.TIMEOUT, detail, retry=True, blame=Blame.UNREACHABLE, charged=True)
        if isinstance(error, aiohttp.ClientPayloadError):
            return AttemptError(FailureKind.TRANSIENT, f"{where}: the response broke off", retry=True, charged=True)
        if isinstance(error, (aiohttp.ClientConnectionError, ConnectionError)):
            detail = f"{where}: the connection broke: {self._words(error)}"
            return AttemptError(FailureKind.TRANSIENT, detail, retry=True, blame=Blame.UNREACHABLE, charged=True)
        detail = f"{where}: the response cannot be read ({type(error).__name__})"
        return AttemptError(FailureKind.MALFORMED, detail, retry=True, charged=True)

    def _words(self, error: BaseException) -> str:
        text = (error.strerror if isinstance(error, OSError) else None) or str(error) or type(error).__name__
        return self._redact(" ".join(text.split()))[:200]

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()
            self._session = None


def _proxy(base_url: str) -> str | None:
    """The proxy that the environment names for this address, looked up once."""
    parts = urlsplit(base_url)
    if is_loopback(base_url) or urllib.request.proxy_bypass(parts.netloc):
        return None
    return urllib.request.getproxies().get(parts.scheme)


def _spellings(key: Secret | None) -> re.Pattern[str] | None:
    """The key as it may stand in a response: as it is, or in JSON that may itself stand in JSON."""
    if key is None or len(key.reveal()) < 8:
        return None
    return re.compile("".join(map(_spelling, key.reveal())))


def _spelling(character: str) -> str:
    """Bounded, so that no response can make the search long."""
    code = "".join(f"[{digit}{digit.upper()}]" for digit in f"{ord(character):04x}")
    if character == "\\":
        return rf"\\{{1,16}}(?:u{code})?"
    escapes = r"\\{0,15}" if character in _ESCAPED else ""
    return rf"(?:{escapes}{re.escape(character)}|\\{{1,15}}u{code})"
