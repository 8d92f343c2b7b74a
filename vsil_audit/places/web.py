"""The HTTP client of http(s):// places: it stays with the server that the user named."""

from __future__ import annotations

from typing import Any

_CONNECT_SECONDS = 30
_SILENT_SECONDS = 60


async def staying_client(**given: Any) -> Any:
    """An aiohttp session that refuses a redirect to another scheme, host or port, and never waits for ever."""
    import aiohttp

    async def refuse_to_leave(_session: Any, _context: Any, redirect: Any) -> None:
        target = redirect.response.headers.get("Location", "")
        wanted = redirect.url.join(type(redirect.url)(target))
        if wanted.origin() != redirect.url.origin():
            raise PermissionError(f"the server sends on to another one, {wanted.host}, which is not followed")

    trace = aiohttp.TraceConfig()
    trace.on_request_redirect.append(refuse_to_leave)
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS)
    return aiohttp.ClientSession(**{"timeout": timeout, **given, "trace_configs": [trace]})
