"""The server as anything but its own page meets it: only the page with the token, from this machine, gets an answer."""

from __future__ import annotations

import http.client
import io
import json
import socket
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from PIL import Image
from review_server import ReviewServer, draw_set, start_review

from vsil_audit.review.guard import HEADER, Guard, new_token
from vsil_audit.review.page import review_page


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReviewServer]:
    folder = tmp_path_factory.mktemp("server")
    draw_set(folder / "set")
    (folder / "set" / "images" / "5.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    server = start_review(folder / "set", "--annotator", "ann", cwd=folder)
    yield server
    server.kill()


class Asking:
    def __init__(self, server: ReviewServer) -> None:
        self.host = server.origin.removeprefix("http://")
        self.token = server.token

    def __call__(
        self, path: str, headers: Mapping[str, str | None] | None = None, method: str = "GET", body: object = None
    ) -> tuple[int, bytes, http.client.HTTPMessage]:
        """As our own page asks, but for what `headers` say; None leaves one out."""
        sent = {HEADER: self.token, "Host": self.host, "Content-Type": "application/json"} | dict(headers or {})
        connection = http.client.HTTPConnection(self.host, timeout=20)
        connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
        data = b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        for name, value in sent.items():
            if value is not None:
                connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(data)))
        connection.endheaders(data)
        response = connection.getresponse()
        answer = response.status, response.read(), response.headers
        connection.close()
        return answer


@pytest.fixture
def ask(server: ReviewServer) -> Asking:
    return Asking(server)


def test_our_own_page_is_answered(ask: Asking) -> None:
    status, body, _ = ask("/api/about")
    assert status == 200
    assert json.loads(body)["items"] == 6


@pytest.mark.parametrize(
    "headers",
    [
        {HEADER: None},
        {HEADER: ""},
        {HEADER: "0" * 43},
        {HEADER: None, "Cookie": f"{HEADER}=x"},
        {"Host": "evil.example"},
        {"Host": "evil.example:80"},
        {"Host": "127.0.0.1.nip.io"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Sec-Fetch-Site": "none"},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["/api/about", "/api/item?annotator=ann&position=0", "/api/image/0/full", "/", "/x"])
def test_others_are_refused(ask: Asking, path: str, headers: dict[str, str | None]) -> None:
    status, body, answered = ask(path, headers)
    assert status == 403
    assert ask.token.encode() not in body
    assert b"hide" not in body
    assert answered["Access-Control-Allow-Origin"] is None


@pytest.mark.parametrize("path", ["/", "/review/", "/review/x", "/review", "/review/%2e%2e", "//"])
def test_the_page_needs_the_token_too(ask: Asking, path: str) -> None:
    assert ask(path, {HEADER: None})[0] == 403


def test_the_page_says_nothing_of_the_data_and_its_policy_lets_nothing_in(ask: Asking, server: ReviewServer) -> None:
    status, body, headers = ask(f"/review/{server.token}", {HEADER: None, "Sec-Fetch-Site": "cross-site"})
    assert status == 200
    assert body.decode() == review_page().html
    assert b"hide" not in body
    assert server.token.encode() not in body
    policy = dict(part.strip().split(" ", 1) for part in headers["Content-Security-Policy"].split(";"))
    assert policy["default-src"] == policy["frame-ancestors"] == policy["form-action"] == policy["base-uri"] == "'none'"
    assert policy["img-src"] == "blob:"
    assert policy["connect-src"] == "'self'"
    assert "unsafe" not in headers["Content-Security-Policy"]
    assert headers["Cache-Control"] == "no-store"
    assert headers["Referrer-Policy"] == "no-referrer"
    for mark in (b"http://", b"https://", b"<link", b"src=", b" onclick="):
        assert mark not in body


@pytest.mark.parametrize("method", ["OPTIONS", "PUT", "DELETE", "PATCH", "TRACE"])
def test_other_methods_are_refused(ask: Asking, method: str) -> None:
    assert ask("/api/label", method=method)[0] == 405


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", None])
def test_a_form_of_another_page_cannot_label(ask: Asking, kind: str | None) -> None:
    said = {"annotator": "ann", "item": 1, "criterion": "text_harmful", "value": "yes"}
    assert ask("/api/label", {"Content-Type": kind}, "POST", said)[0] == 415


@pytest.mark.parametrize(
    "said",
    [
        {},
        [],
        "x",
        b"{",
        b"\xff\xfe",
        b"[" * 30_000,
        {"annotator": "ann", "item": 1, "criterion": "text_harmful", "value": "maybe"},
        {"annotator": "ann", "item": 1, "criterion": "note", "value": "yes"},
        {"annotator": "ann", "item": 99, "criterion": "text_harmful", "value": "yes"},
        {"annotator": "ann", "item": True, "criterion": "text_harmful", "value": "yes"},
        {"annotator": "ann", "item": 10**30, "criterion": "text_harmful", "value": "yes"},
        {"annotator": "eve", "item": 1, "criterion": "text_harmful", "value": "yes"},
        {"annotator": "\ud800", "item": 1, "criterion": "text_harmful", "value": "yes"},
    ],
    ids=lambda said: str(said)[:60],
)
def test_what_is_no_label_is_refused_in_words(ask: Asking, said: object) -> None:
    status, body, _ = ask("/api/label", method="POST", body=said)
    assert status == 400
    assert json.loads(body)["error"]
    assert json.loads(ask("/api/about")[1])["annotators"][0]["done"] == 0


def test_requests_that_are_too_large_or_odd_do_no_harm(ask: Asking) -> None:
    assert ask("/api/note", method="POST", body=b" " * (1 << 17))[0] == 413
    long = {"annotator": "ann", "item": 1, "text": "x" * 5_000}
    assert ask("/api/note", method="POST", body=long)[0] == 400
    lone = {"annotator": "ann", "item": 1, "text": "a lone \ud800 surrogate"}
    assert ask("/api/note", method="POST", body=lone)[0] == 200
    assert ask("/api/undo", method="POST", body={"annotator": "ann", "event": 1 << 80})[0] == 200
    assert ask("/api/item?annotator=ann&position=x")[0] == 400
    assert ask("/api/item?annotator=ann&position=99")[0] == 400
    assert ask("/api/join", method="POST", body={"name": "eve"})[0] == 400, "only who was invited"


def test_images_are_served_by_digest_alone_and_drawn_anew(ask: Asking) -> None:
    items = [json.loads(ask(f"/api/item?annotator=ann&position={i}")[1]) for i in range(6)]
    by_id = {item["id"]: item["images"][0] for item in items}
    status, jpeg, headers = ask(f"/api/image/{by_id['p1']['digest']}/full")
    assert (status, headers["Content-Type"]) == (200, "image/jpeg")
    assert Image.open(io.BytesIO(jpeg)).size == (320, 240)
    status, preview, _ = ask(f"/api/image/{by_id['p1']['digest']}/blurred")
    assert Image.open(io.BytesIO(preview)).size == (480, 360)
    assert by_id["p5"]["digest"] == ""
    assert "corrupt" in by_id["p5"]["error"] or "truncated" in by_id["p5"]["error"]
    for path in ("0" * 64, "..%2f..%2fdata.json", "images%2f1.png", "%00"):
        assert ask(f"/api/image/{path}/full")[0] == 404
    assert ask(f"/api/image/{by_id['p1']['digest']}/raw")[0] == 404


def test_it_listens_on_loopback_alone(server: ReviewServer) -> None:
    port = int(server.origin.rpartition(":")[2])
    others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)} - {"127.0.0.1"}
    for address in (*sorted(str(other) for other in others), "127.0.0.2"):
        with pytest.raises(OSError, match=r"refused|unreachable|timed out"):
            socket.create_connection((address, port), timeout=3).close()


def test_tokens_are_long_and_never_the_same() -> None:
    tokens = {new_token() for _ in range(50)}
    assert len(tokens) == 50
    assert min(map(len, tokens)) >= 43
    guard = Guard("tökén", 80)
    assert guard.refusal("GET", "/api/about", {"Host": "127.0.0.1:80", HEADER: "\udcff"}) is not None


def test_a_taken_port_is_told(server: ReviewServer, tmp_path: Path, vsil_audit: object) -> None:
    port = server.origin.rpartition(":")[2]
    said = vsil_audit("review", draw_set(tmp_path / "set"), "--port", port)  # type: ignore[operator]  # a fixture's call
    assert said.code == 2
    assert f"cannot listen on port {port}" in said.err


def test_two_annotators_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    server = start_review(draw_set(tmp_path / "set"), "--annotator", "ann", "--annotator", "bo", cwd=tmp_path)
    ask = Asking(server)
    answers = {"ann": "yes", "bo": "no"}

    def label(name: str) -> None:
        for position in range(6):
            item = json.loads(ask(f"/api/item?annotator={name}&position={position}")[1])["item"]
            said = {"annotator": name, "item": item, "criterion": "text_harmful", "value": answers[name]}
            assert ask("/api/label", method="POST", body=said)[0] == 200

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(label, answers))
    for name, value in answers.items():
        items = [json.loads(ask(f"/api/item?annotator={name}&position={place}")[1]) for place in range(6)]
        assert {item["labels"]["text_harmful"] for item in items} == {value}
        assert len({item["item"] for item in items}) == 6
    assert server.interrupt() == 130
