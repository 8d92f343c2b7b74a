"""Which ways to a model are open: told by the names of keys, never by their values."""

from __future__ import annotations

from vsil_audit.gateway.endpoints import provider_names
from vsil_audit.gateway.ways import ways_to_models


def test_a_provider_with_a_key_is_open_and_the_key_stays_secret() -> None:
    ways = {way.name: way for way in ways_to_models({"OPENAI_API_KEY": "sk-planted", "GOOGLE_API_KEY": "g-planted"})}
    assert ways["openai"].ready
    assert ways["gemini"].says == "a key stands in GOOGLE_API_KEY"
    assert "planted" not in repr(ways)


def test_a_provider_without_its_key_names_the_variable() -> None:
    ways = {way.name: way for way in ways_to_models({"OPENAI_API_KEY": "  "})}
    assert not ways["openai"].ready
    assert ways["openai"].remedy == "export OPENAI_API_KEY=…"


def test_every_provider_is_told_and_servers_of_ones_own_need_no_key() -> None:
    ways = {way.name: way for way in ways_to_models({})}
    assert set(ways) == {*provider_names(), "hf"}
    assert ways["ollama"].ready
    assert ways["vllm"].ready
