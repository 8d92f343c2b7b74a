"""Stands before a model server and keeps a record of every call that passes."""

from __future__ import annotations

import http.client
import json
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

_LONGEST = 120.0


@dataclass(frozen=True)
class Passed:
    """A request and what the server said to it."""

    request: bytes
    status: int
    response: bytes

    @property
    def messages(self) -> list[dict[str, Any]]:
        asked: list[dict[str, Any]] = json.loads(self.request)["messages"]
        return asked

    @property
    def images(self) -> int:
        contents = (message["content"] for message in self.messages)
        return sum(part["type"] == "image_url" for content in contents if isinstance(content, list) for part in content)

    @property
    def repairs(self) -> bool:
        """Whether it asks again for what was asked in another form before."""
        return any(message["role"] == "assistant" for message in self.messages)

    @property
    def usage(self) -> tuple[int, int]:
        """Tokens in and out."""
        usage = json.loads(self.response)["usage"]
        return usage["prompt_tokens"], usage["completion_tokens"]


class RecordingProxy(ThreadingHTTPServer):
    """`passed`: every call, in the order in which they were answered."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, upstream: str) -> None:
        self.upstream = urlsplit(upstream)
        self.passed: list[Passed] = []
        super().__init__(("127.0.0.1", 0), _Handler)

    @property
    def base_url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{self.upstream.path}"

    @property
    def repeated(self) -> list[bytes]:
        """Requests that came more than once."""
        return [request for request, times in Counter(call.request for call in self.passed).items() if times > 1]

    def handle_error(self, *_: object) -> None:
        """Who asks may be interrupted, and break its connections: say nothing."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: RecordingProxy

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["Content-Length"]))
        where = self.server.upstream
        connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=_LONGEST)
        try:
            connection.request("POST", self.path, asked, {"Content-Type": "application/json"})
            response = connection.getresponse()
            said = response.read()
        finally:
            connection.close()
        self.server.passed.append(Passed(asked, response.status, said))
        self.send_response(response.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def recording(upstream: str) -> Iterator[RecordingProxy]:
    """A proxy of the server with that base URL."""
    proxy = RecordingProxy(upstream)
    serving = threading.Thread(target=proxy.serve_forever, daemon=True)
    serving.start()
    try:
        yield proxy
    finally:
        proxy.shutdown()
        serving.join()
        proxy.server_close()
