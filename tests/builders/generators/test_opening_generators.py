"""From a name on the command line to a generator, and what `doctor` says of each."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from pathlib import Path

import pytest
from image_server import ImageServer

from vsil_audit.builders.generators.base import GeneratedImage, ImageRequest
from vsil_audit.builders.generators.opening import GeneratorOptions, open_generator
from vsil_audit.builders.generators.ways import ways_to_images
from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.gateway import Budget
from vsil_audit.gateway.settings import GatewaySettings

KEYS = ("OPENAI_API_KEY", "TOGETHER_API_KEY", "VLLM_API_KEY", "GEMINI_API_KEY", "GOOGLE_API_KEY", "VSIL_AUDIT_API_KEY")


@pytest.fixture(autouse=True)
def no_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in KEYS:
        monkeypatch.delenv(key, raising=False)


def test_typographic() -> None:
    assert open_generator("typographic").identity.startswith("typographic")


def test_a_provider_by_its_name_wants_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigurationError, match="no key for openai"):
        open_generator("images/openai/gpt-image-1")
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-key")
    maker = open_generator("images/openai/gpt-image-1")
    assert maker.paid
    assert maker.identity == ("images/openai/gpt-image-1; https://api.openai.com/v1; quality medium, size 1024x1024")


@pytest.mark.parametrize("name", ["painter", "vllm/painter", "black-forest-labs/FLUX.1-dev", "openai/gpt-image-1"])
def test_a_server_by_its_address_gets_no_providers_key(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted-key")

    async def session(url: str) -> object:
        maker = open_generator(f"images/{name}@{url}")
        assert not maker.paid
        try:
            return await maker.generate(ImageRequest("a gnome", 1))
        finally:
            await maker.close()

    with ImageServer() as server:
        assert isinstance(asyncio.run(session(server.url)), GeneratedImage)
    assert server.asked[0]["model"] == name.removeprefix("vllm/")
    assert "Authorization" not in server.headers


def test_the_usual_address_stands_in_for_one_that_is_not_told() -> None:
    settings = GatewaySettings(base_url="http://127.0.0.1:9/v1")
    assert "http://127.0.0.1:9/v1" in open_generator("images/painter", GeneratorOptions(gateway=settings)).identity


def test_a_budget_in_dollars_wants_a_price_before_anything_begins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOGETHER_API_KEY", "sk-planted-key")
    budget = Budget(max_cost=1.0)
    with pytest.raises(ConfigurationError, match="images/together/flux is not known"):
        open_generator("images/together/flux", GeneratorOptions(gateway=GatewaySettings(budget=budget)))
    file = tmp_path / "prices.yaml"
    file.write_text("models:\n  images/together/flux: {image: 0.003}\n")
    settings = GatewaySettings(budget=budget, prices=file)
    meter = settings.meter()
    assert open_generator("images/together/flux", GeneratorOptions(gateway=settings), meter).paid
    assert [spend.model for spend in meter.spends()] == ["together/flux"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "is no image generator"),
        ("typografic", "Did you mean typographic"),
        ("typographic/x", "is no image generator"),
        ("images/", "is no image generator"),
        ("images/painter", "where the server is"),
        ("images/painter@ftp://host", "where the server is"),
        ("images/painter@http://user:secret@host/v1", "user name or password"),
        ("diffuser/a/b", "Did you mean diffusers"),
        ("diffusers/a/b?stepps=3", "not how to draw"),
        ("diffusers/a/b?steps=0", "not how to draw"),
        ("diffusers/a/b?steps=many", "not how to draw"),
        ("diffusers/a/b?guidance=-1", "not how to draw"),
        ("diffusers/a/b?guidance=nan", "not how to draw"),
        ("diffusers/a/b?offload=disk", "not how to draw"),
        ("diffusers/a/b?steps", "not how to draw"),
    ],
)
def test_what_names_nothing_is_an_error_with_a_way_out(text: str, says: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        open_generator(text)
    assert caught.value.remedy


@pytest.mark.skipif(find_spec("diffusers") is not None, reason="diffusers is installed here")
def test_without_diffusers_the_command_that_installs_it_is_told() -> None:
    with pytest.raises(MissingDependencyError) as caught:
        open_generator("diffusers/a/b")
    assert caught.value.remedy == "pip install 'vsil-audit[diffusion]'"
    assert {way.name: way.remedy for way in ways_to_images({})}["diffusers"] == caught.value.remedy


def test_doctor_names_keys_and_never_their_values() -> None:
    ways = {way.name: way for way in ways_to_images({"OPENAI_API_KEY": "sk-planted-key"})}
    assert ways["typographic"].ready
    assert ways["images/openai"].says == "a key stands in OPENAI_API_KEY"
    assert ways["images/together"].remedy == "export TOGETHER_API_KEY=…"
    assert "planted" not in repr(ways)
