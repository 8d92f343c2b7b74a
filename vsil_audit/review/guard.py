"""Who may ask the review server for anything: the page that it served itself, on this machine, with its token."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass

HEADER = "X-Review-Token"
PAGE_PATH = "/review/"
LOOPBACK = "127.0.0.1"


def new_token() -> str:
    """256 random bits."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True)
class Refusal:
    status: int
    why: str


@dataclass(frozen=True, slots=True)
class Guard:
    """`port`: the one that the server listens on."""

    token: str
    port: int

    @property
    def url(self) -> str:
        return f"http://{LOOPBACK}:{self.port}{PAGE_PATH}{self.token}"

    def refusal(self, method: str, path: str, headers: Mapping[str, str]) -> Refusal | None:
        """Why a request is refused; None for one that is served. `headers` finds names however they are capitalised.

        A page of another site that resolved its own name to this machine still names itself as the host; one that
        sends a request across origins names its origin, and our header makes its browser ask first, which is refused.
        """
        host = headers.get("Host", "")
        if host not in (f"{LOOPBACK}:{self.port}", f"localhost:{self.port}"):
            return Refusal(403, "this server answers under its loopback address only")
        origin = headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            return Refusal(403, "requests from other origins are refused")
        if method not in ("GET", "POST"):
            return Refusal(405, "only GET and POST are served")
        if path.startswith(PAGE_PATH):
            return None if self._is_token(path.removeprefix(PAGE_PATH)) else _MISSING
        if headers.get("Sec-Fetch-Site", "same-origin") != "same-origin":
            return Refusal(403, "requests from other origins are refused")
        if not self._is_token(headers.get(HEADER, "")):
            return _MISSING
        if method == "POST" and headers.get("Content-Type", "").partition(";")[0].strip() != "application/json":
            return Refusal(415, "only JSON is read")
        return None

    def _is_token(self, said: str) -> bool:
        return hmac.compare_digest(said.encode("utf-8", "replace"), self.token.encode())


_MISSING = Refusal(403, "open the link that `vsil-audit review` printed")
