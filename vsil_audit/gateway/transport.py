"""HTTP with one endpoint, over aiohttp: bounded in time and size, without redirects, and never showing the key.

Spoken to directly: against a loopback server the `openai` SDK costs 1.3 ms of CPU a request on its aiohttp transport
(1.6 to 3.4 ms on its default one), aiohttp itself 0.2 ms (`benchmarks/gateway_speed.py`).
"""

from __future__ import annotations

import asyncio
import io
import re
import urllib.request
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from yarl import URL

from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.classify import classify
from vsil_audit.gateway.deadlines import Deadlines
from vsil_audit.gateway.endpoints import Endpoint, Secret, is_loopback
from vsil_audit.gateway.provider import AttemptError, Blame, Reply

if TYPE_CHECKING:
    import aiohttp

_MOST_BODY_BYTES = 32 * 1024 * 1024
_CONNECT_SECONDS = 10.0
_LARGE_BODY = 1024 * 1024
_REDACTED = "[key]"
_ESCAPED = frozenset('"\\/')  # what JSON may write with a backslash before it; anything may stand as a code


class Transport:
    """Sends to one endpoint, with its key. Belongs to the event loop in which it is first used."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
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

    async def post(self, url: URL, body: bytes, timeout: float) -> Reply:
        """The reply to a JSON body, of status 200 or of a prompt that was blocked. Raises AttemptError for all else."""
        data = body if len(body) <= _LARGE_BODY else io.BytesIO(body)  # aiohttp sends a stream in pieces
        status, headers, content = await self._exchange("POST", url, timeout, data=data)
        text = self.redact(content.decode("utf-8", "replace"))
        if status == 200:
            return Reply(text)
        found = classify(status, headers, text)
        if isinstance(found, Reply):
            return found
        if status == 401:
            found.detail += f" (it is read from {' or '.join(self._endpoint.key_variables)})"
        raise found

    async def get(self, url: URL, timeout: float) -> bytes:
        """The bytes behind an address of the endpoint's own. Raises AttemptError."""
        status, headers, content = await self._exchange("GET", url, timeout)
        if status == 200:
            return content
        found = classify(status, headers, self.redact(content.decode("utf-8", "replace")))
        if isinstance(found, AttemptError):
            raise found
        raise AttemptError(FailureKind.PERMANENT, f"HTTP {status}", retry=False)

    async def _exchange(
        self, method: str, url: URL, timeout: float, **arguments: Any
    ) -> tuple[int, Mapping[str, str], bytes]:
        if self._session is None:
            self._open()
        assert self._session is not None
        try:
            with self._deadlines.within(timeout):
                async with self._session.request(method, url, **arguments, **self._arguments) as response:
                    return response.status, response.headers, await self._read(response)
        except self._errors as error:
            failed = self._failure(error, timeout)
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

    def redact(self, text: str) -> str:
        """The text with the key taken out, however JSON spells it."""
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
        return self.redact(" ".join(text.split()))[:200]

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
