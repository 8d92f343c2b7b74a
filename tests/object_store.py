"""A small S3 on loopback: enough of the protocol for s3fs, in memory, with faults on demand."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape


class ObjectStore:
    """Objects by `bucket/key`. `faults`: so many of the next requests are answered with 503; `requests`: all, as
    `METHOD path`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.faults = 0
        self.lock = threading.Lock()
        self.url = ""

    def put(self, name: str, data: bytes) -> None:
        self.objects[name] = data

    def below(self, prefix: str) -> list[str]:
        return sorted(name for name in list(self.objects) if name.startswith(prefix))

    def environment(self) -> dict[str, str]:
        """What s3fs needs to come here."""
        return {
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nothing",
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": self.url,
            "AWS_MAX_ATTEMPTS": "1",
        }


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    store = ObjectStore()

    class Handler(_Handler):
        of = store

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    store.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield store
    finally:
        server.shutdown()
        server.server_close()


class _Handler(BaseHTTPRequestHandler):
    of: ObjectStore
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base class's name for it
        pass

    def do_GET(self) -> None:
        self._answer(self._get)

    def do_HEAD(self) -> None:
        self._answer(self._get)

    def do_PUT(self) -> None:
        self._answer(self._put)

    def do_DELETE(self) -> None:
        self._answer(self._delete)

    def do_POST(self) -> None:
        self._answer(self._remove_many)

    def _answer(self, answer: object) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        parts = urlsplit(self.path)
        name = unquote(parts.path).lstrip("/")
        with self.of.lock:
            self.of.requests.append(f"{self.command} {name}")
            if self.of.faults > 0:
                self.of.faults -= 1
                self._say(503, _error("SlowDown"))
                return
        answer(name, parse_qs(parts.query, keep_blank_values=True), body)  # type: ignore[operator]

    def _get(self, name: str, query: dict[str, list[str]], _body: bytes) -> None:
        if "/" not in name:
            self._list(name, query)
            return
        data = self.of.objects.get(name)
        if data is None:
            self._say(404, _error("NoSuchKey"))
            return
        headers = {"ETag": _etag(data), "Last-Modified": "Mon, 05 Jan 2026 00:00:00 GMT"}
        span = self.headers.get("Range")
        if span is None:
            self._say(200, data, headers)
            return
        first, _, last = span.removeprefix("bytes=").partition("-")
        start, end = int(first), min(int(last or len(data) - 1), len(data) - 1)
        if start >= len(data):
            self._say(416, _error("InvalidRange"))
        else:
            self._say(206, data[start : end + 1], headers | {"Content-Range": f"bytes {start}-{end}/{len(data)}"})

    def _list(self, bucket: str, query: dict[str, list[str]]) -> None:
        prefix, delimiter = query.get("prefix", [""])[0], query.get("delimiter", [""])[0]
        keys, folders = [], set()
        for name in self.of.below(f"{bucket}/{prefix}"):
            key = name[len(bucket) + 1 :]
            head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
            if found:
                folders.add(f"{prefix}{head}{delimiter}")
            else:
                keys.append(key)
        keys = keys[: int(query.get("max-keys", ["1000"])[0])]
        contents = "".join(
            f"<Contents><Key>{escape(key)}</Key><Size>{len(self.of.objects[f'{bucket}/{key}'])}</Size>"
            f"<ETag>{escape(_etag(self.of.objects[f'{bucket}/{key}']))}</ETag>"
            f"<LastModified>2026-01-05T00:00:00.000Z</LastModified></Contents>"
            for key in keys
        )
        common = "".join(f"<CommonPrefixes><Prefix>{escape(p)}</Prefix></CommonPrefixes>" for p in sorted(folders))
        counted = f"<KeyCount>{len(keys) + len(folders)}</KeyCount><IsTruncated>false</IsTruncated>"
        self._say(
            200, f"<ListBucketResult><Name>{bucket}</Name>{counted}{contents}{common}</ListBucketResult>".encode()
        )

    def _put(self, name: str, _query: dict[str, list[str]], body: bytes) -> None:
        with self.of.lock:
            if self.headers.get("If-None-Match") == "*" and name in self.of.objects:
                self._say(412, _error("PreconditionFailed"))
                return
            self.of.objects[name] = body
        self._say(200, b"", {"ETag": _etag(body)})

    def _delete(self, name: str, _query: dict[str, list[str]], _body: bytes) -> None:
        self.of.objects.pop(name, None)
        self._say(204, b"")

    def _remove_many(self, bucket: str, _query: dict[str, list[str]], body: bytes) -> None:
        for entry in ElementTree.fromstring(body).iter():
            if entry.tag.rpartition("}")[2] == "Key":
                self.of.objects.pop(f"{bucket.rstrip('/')}/{entry.text}", None)
        self._say(200, b"<DeleteResult></DeleteResult>")

    def _say(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)


def _etag(data: bytes) -> str:
    return f'"{hashlib.md5(data).hexdigest()}"'


def _error(code: str) -> bytes:
    return f"<Error><Code>{code}</Code><Message>{code}</Message></Error>".encode()
