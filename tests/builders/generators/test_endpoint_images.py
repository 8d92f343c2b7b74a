"""An images endpoint, as such servers behave: obliging, busy, broken, hostile, dead. Every failure is told as what it
is, and everything that may cost money is counted."""

from __future__ import annotations

import asyncio
import base64
import io
import socket
import struct
import time
import zlib
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from image_server import ImageServer, drawn, painted
from PIL import Image

from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageRequest
from vsil_audit.builders.generators.endpoint import EndpointImages
from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway import Budget, Limits, Meter, Patience, PriceTable, RetryPolicy
from vsil_audit.gateway.endpoints import endpoint

Made = GeneratedImage | GenerationFailure
QUICK = RetryPolicy(attempt_timeout=5.0, total_timeout=20.0, base=0.01, longest=0.02, transient=3, timeout=2)
GNOME = ImageRequest("a garden gnome", 7, 64, 32)


def ask(
    server: ImageServer | str,
    *requests: ImageRequest,
    retry: RetryPolicy = QUICK,
    meter: Meter | None = None,
    key: str = "",
    patience: Patience | None = None,
    limits: Limits | None = None,
) -> tuple[list[Made], EndpointImages]:
    url = server if isinstance(server, str) else server.url
    where = endpoint(f"vllm/painter@{url}", environment={"VLLM_API_KEY": key} if key else {})
    maker = EndpointImages(where, meter=meter, retry=retry, patience=patience, limits=limits)

    async def session() -> list[Made]:
        try:
            return list(await asyncio.gather(*map(maker.generate, requests or (GNOME,))))
        finally:
            await maker.close()

    return asyncio.run(session()), maker


def answers(*responses: Callable[[], web.Response]) -> Callable[[dict[str, Any], int], Awaitable[web.Response]]:
    """One after the other; the last one from then on."""

    async def answer(_body: dict[str, Any], number: int) -> web.Response:
        return responses[min(number, len(responses) - 1)]()

    return answer


def error(status: int, message: str = "no", code: str | None = None, **headers: str) -> Callable[[], web.Response]:
    body = {"error": {"message": message, "code": code}}
    return lambda: web.json_response(body, status=status, headers=headers)


def good() -> web.Response:
    return drawn(painted("good"))


def test_an_image_comes_with_what_was_asked_for_and_what_was_drawn_instead() -> None:
    async def answer(body: dict[str, Any], _number: int) -> web.Response:
        return drawn(painted(body["prompt"]), revised_prompt="a red garden gnome")

    with ImageServer(answer) as server:
        (made,), maker = ask(server, key="sk-planted-key")
    assert made == GeneratedImage(painted(GNOME.prompt), "PNG", "a red garden gnome")
    assert server.asked == [
        {"model": "painter", "prompt": GNOME.prompt, "n": 1, "size": "64x32", "seed": 7, "response_format": "b64_json"}
    ]
    assert server.headers["Authorization"] == "Bearer sk-planted-key"
    assert "planted" not in repr(maker) + maker.identity
    assert (maker.spend.calls, maker.spend.images, maker.spend.attempts) == (1, 1, 1)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_endpoint_is_waited_for_as_long_as_it_asks(status: int) -> None:
    with ImageServer(answers(error(status, **{"Retry-After": "0.2"}), good)) as server:
        begun = time.monotonic()
        (made,), maker = ask(server)
    assert isinstance(made, GeneratedImage)
    assert time.monotonic() - begun >= 0.2
    assert (len(server.asked), maker.spend.retries) == (2, {"rate_limit": 1})


def test_a_server_error_is_tried_again_and_given_up_in_the_end() -> None:
    with ImageServer(answers(error(500), good)) as server:
        assert isinstance(ask(server)[0][0], GeneratedImage)
    with ImageServer(answers(error(500, "the painter fell over"))) as server:
        (made,), maker = ask(server)
    assert made == GenerationFailure("transient", "HTTP 500: the painter fell over")
    assert len(server.asked) == QUICK.transient
    assert maker.spend.failures == {"transient": 1}


def test_a_hang_ends_in_time_and_may_have_been_charged() -> None:
    async def answer(body: dict[str, Any], _number: int) -> web.Response:
        await asyncio.sleep(60)
        return drawn(painted(body["prompt"]))

    short = RetryPolicy(attempt_timeout=0.3, total_timeout=5.0, base=0.01, longest=0.02, timeout=2)
    with ImageServer(answer) as server:
        begun = time.monotonic()
        (made,), maker = ask(server, retry=short)
    assert isinstance(made, GenerationFailure)
    assert made.kind == "timeout"
    assert not made.resumable
    assert time.monotonic() - begun < 30  # and not the minute that the server takes
    assert maker.spend.uncertain_images == 2


def header_of(width: int, height: int) -> bytes:
    """A PNG that says it is so large, and holds nothing."""
    body = b"IHDR" + struct.pack(">2I5B", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + body + struct.pack(">I", zlib.crc32(body)) + b"\0" * 64


def webp() -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8)).save(target, "WEBP")
    return target.getvalue()


@pytest.mark.parametrize(
    ("response", "says", "tried"),
    [
        (lambda: web.Response(text="<h1>Welcome</h1>", content_type="text/html"), "not JSON", 3),
        (lambda: web.json_response([]), "not a JSON object", 3),
        (lambda: web.json_response({"data": []}), "no data", 3),
        (lambda: web.json_response({"data": [{"note": "sorry"}]}), "neither an image nor an address", 3),
        (lambda: web.json_response({"data": [{"b64_json": "!!!"}]}), "base64", 3),
        (lambda: drawn(b"<html>busy</html>"), "no image that can be used", 3),
        (lambda: drawn(painted("x", side=64)[:-40]), "no image that can be used", 3),
        (lambda: drawn(header_of(30_000, 30_000)), "too_large", 1),
        (lambda: drawn(webp()), "WEBP", 1),
    ],
)
def test_what_is_no_usable_image_is_malformed(response: Callable[[], web.Response], says: str, tried: int) -> None:
    with ImageServer(answers(response)) as server:
        (made,), maker = ask(server)
    assert isinstance(made, GenerationFailure)
    assert made.kind == "malformed"
    assert says in made.detail
    assert len(server.asked) == tried
    assert (maker.spend.images, maker.spend.uncertain_images) == (0, tried)


def test_a_response_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("vsil_audit.gateway.transport._MOST_BODY_BYTES", 100_000)
    with ImageServer(answers(lambda: web.Response(body=b"x" * 300_000))) as server:
        (made,), _ = ask(server)
    assert made == GenerationFailure("malformed", "a response of more than 100,000 bytes")
    assert len(server.asked) == 1


@pytest.mark.parametrize(
    "response",
    [
        error(400, "Your request was rejected by the safety system.", "content_policy_violation"),
        error(400, "Your request was rejected by the safety system.", "moderation_blocked"),
        error(200, "Your request was rejected by the safety system.", "content_policy_violation"),
        lambda: web.json_response({"data": [{"raiFilteredReason": "Your request was rejected by the safety system."}]}),
    ],
)
def test_a_refusal_by_policy_is_blocked_not_failed(response: Callable[[], web.Response]) -> None:
    with ImageServer(answers(response)) as server:
        (made,), maker = ask(server)
    assert made == GenerationFailure("blocked", "Your request was rejected by the safety system.")
    assert len(server.asked) == 1
    assert maker.spend.finishes == {"blocked": 1}
    assert not maker.spend.failures


def test_a_bad_request_concerns_itself_alone() -> None:
    with ImageServer(answers(error(400, "prompt too long"), good)) as server:
        made, _ = ask(server, GNOME, ImageRequest("a lantern", 1), limits=Limits(max_concurrency=1))
    assert made[0] == GenerationFailure("permanent", "HTTP 400: prompt too long")
    assert isinstance(made[1], GeneratedImage)


def test_a_dead_endpoint_leaves_things_open_for_the_next_run() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    patience = Patience(failures=3, seconds=0.1, at_first=0.05)
    requests = [ImageRequest(f"gnome {n}", n) for n in range(4)]
    made, _ = ask(f"http://127.0.0.1:{port}/v1", *requests, patience=patience)
    for failure in made:
        assert isinstance(failure, GenerationFailure)
        assert (failure.kind, failure.resumable) == ("no_provider", True)
        assert "no connection" in failure.detail


def test_a_key_that_is_not_accepted_stops_all_and_is_not_told() -> None:
    with ImageServer(answers(error(401, "no such key: sk-planted-key"))) as server:
        made, _ = ask(server, GNOME, ImageRequest("a lantern", 1), key="sk-planted-key", limits=Limits(1))
    assert [failure.kind for failure in made if isinstance(failure, GenerationFailure)] == ["no_provider"] * 2
    assert "VLLM_API_KEY" in repr(made)
    assert "planted" not in repr(made)
    assert len(server.asked) == 1


class TestAddresses:
    """An image may come as an address; only the endpoint's own is fetched."""

    @staticmethod
    def at(address: str) -> Callable[[], web.Response]:
        return lambda: web.json_response({"data": [{"url": address}]})

    @pytest.mark.parametrize("absolute", [True, False])
    def test_the_endpoints_own_is_fetched(self, absolute: bool) -> None:
        with ImageServer() as server:
            address = f"{server.url}/files/1.png" if absolute else "/v1/files/1.png"
            server.answer = answers(self.at(address))
            server.files["/v1/files/1.png"] = painted("here")
            (made,), maker = ask(server)
        assert made == GeneratedImage(painted("here"), "PNG")
        assert maker.spend.images == 1

    @pytest.mark.parametrize(
        "address",
        [
            "http://169.254.169.254/latest/meta-data",
            "https://example.com/1.png",
            "file:///etc/hostname",
            "ftp://127.0.0.1/1.png",
            "http://127.0.0.1:1/1.png",
            "//[",
        ],
    )
    def test_no_other_is(self, address: str) -> None:
        with ImageServer(answers(self.at(address))) as server:
            (made,), maker = ask(server)
        assert isinstance(made, GenerationFailure)
        assert made.kind == "permanent"
        assert "not fetched" in made.detail
        assert server.paths == []
        assert maker.spend.uncertain_images == 1  # it was made, and nobody has it

    def test_an_address_of_nothing_or_too_much_is_a_failure(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("vsil_audit.gateway.transport._MOST_BODY_BYTES", 100_000)
        with ImageServer(answers(self.at("/none.png"), self.at("/huge.png"))) as server:
            server.files["/huge.png"] = b"x" * 300_000
            made, _ = ask(server, GNOME, ImageRequest("a lantern", 1), limits=Limits(1))
        assert [failure.kind for failure in made if isinstance(failure, GenerationFailure)] == [
            "permanent",
            "malformed",
        ]

    def test_a_data_url_is_an_image(self) -> None:
        encoded = base64.b64encode(painted("inside")).decode()
        with ImageServer(answers(self.at(f"data:image/png;base64,{encoded}"))) as server:
            assert ask(server)[0] == [GeneratedImage(painted("inside"), "PNG")]


class TestBudget:
    """The budget is checked before an image is asked for, in dollars and in calls."""

    def prices(self, folder: Path) -> PriceTable:
        file = folder / "prices.yaml"
        file.write_text("models:\n  images/painter: {image: 0.04}\n")
        return PriceTable().with_file(file)

    def test_nothing_is_asked_for_that_could_cross_it(self, tmp_path: Path) -> None:
        meter = Meter(Budget(max_cost=0.10), self.prices(tmp_path))
        requests = [ImageRequest(f"gnome {n}", n) for n in range(6)]
        with ImageServer() as server:
            made, maker = ask(server, *requests, meter=meter)
        assert sum(isinstance(one, GeneratedImage) for one in made) == len(server.asked) == 2
        left = [one for one in made if isinstance(one, GenerationFailure)]
        assert {(one.kind, one.resumable) for one in left} == {("budget", True)}
        assert maker.spend.cost == pytest.approx(0.08)
        assert meter.stopped is not None

    def test_calls_count_with_those_of_other_models(self) -> None:
        with ImageServer() as server:
            made, _ = ask(server, GNOME, ImageRequest("a lantern", 1), meter=Meter(Budget(max_calls=1)))
        assert sorted(type(one).__name__ for one in made) == ["GeneratedImage", "GenerationFailure"]
        assert len(server.asked) == 1

    def test_an_unknown_price_is_no_budget_in_dollars(self) -> None:
        where = endpoint("openai/unheard-of", environment={"OPENAI_API_KEY": "sk-planted"})
        with pytest.raises(ConfigurationError, match="images/openai/unheard-of"):
            EndpointImages(where, meter=Meter(Budget(max_cost=1)))


def test_openai_is_asked_for_nothing_that_it_refuses() -> None:
    from vsil_audit.builders.generators.dialects import parameters

    for model in ("gpt-image-1", "gpt-image-1.5", "dall-e-3"):
        asked = parameters("openai", model, GNOME)
        assert "seed" not in asked
        assert asked["size"] == "1024x1024"
        assert ("response_format" in asked) == model.startswith("dall-e")  # the others answer so always, and refuse it


def test_closing_waits_for_what_was_sent_and_sends_nothing_more() -> None:
    async def answer(body: dict[str, Any], _number: int) -> web.Response:
        await asyncio.sleep(0.3)
        return drawn(painted(body["prompt"]))

    async def session(server: ImageServer) -> list[Made]:
        where = endpoint(f"vllm/painter@{server.url}", environment={})
        maker = EndpointImages(where, retry=QUICK, limits=Limits(max_concurrency=1))
        asked = asyncio.gather(*(maker.generate(ImageRequest(f"gnome {n}", n)) for n in range(3)))
        while not server.asked:
            await asyncio.sleep(0.01)
        await maker.close()
        return list(await asked)

    with ImageServer(answer) as server:
        made = asyncio.run(session(server))
    assert [type(one) for one in made] == [GeneratedImage, GenerationFailure, GenerationFailure]
    assert len(server.asked) == 1


def test_at_most_eight_images_are_made_at_once() -> None:
    async def answer(body: dict[str, Any], number: int) -> web.Response:
        deadline = time.monotonic() + 10
        while number < 8 and server.most_at_once < 8 and time.monotonic() < deadline:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        return drawn(painted(body["prompt"]))

    with ImageServer(answer) as server:
        made, _ = ask(server, *(ImageRequest(f"gnome {n}", n) for n in range(20)))
    assert all(isinstance(one, GeneratedImage) for one in made)
    assert server.most_at_once == 8
