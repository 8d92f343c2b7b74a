"""Which model a name means, and every reason why it cannot be asked, told before anything is loaded."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_models import save_tiny_llama

from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.gateway.local import folder
from vsil_audit.gateway.local.folder import find_model

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def model(tiny_llama: Path, tmp_path: Path) -> Path:
    """A copy that may be damaged."""
    return shutil.copytree(tiny_llama, tmp_path / "a-model")


@pytest.fixture
def hub(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Hugging Face cache that holds `org/tiny`, of one commit; its snapshot."""
    repository = tmp_path / "hub" / "models--org--tiny"
    snapshot = shutil.copytree(tiny_llama, repository / "snapshots" / COMMIT)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(COMMIT)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    return snapshot


def test_without_torch_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(folder, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match="torch and transformers") as error:
        find_model("org/tiny")
    assert error.value.remedy == "pip install 'vsil-audit[local]'"


def test_a_folder_is_known_by_its_content(model: Path) -> None:
    found = find_model(str(model))
    assert found.path == model
    assert found.label == f"a-model-{found.version[:12]}"
    assert find_model(str(model)) == found
    moved = model.rename(model.with_name("moved"))
    assert find_model(str(moved)).version == found.version


@pytest.mark.parametrize("name", ["config.json", "chat_template.jinja", "tokenizer.json", "model.safetensors"])
def test_a_changed_folder_is_another_model(model: Path, name: str) -> None:
    before = find_model(str(model)).version
    content = bytearray((model / name).read_bytes())
    content[-2] ^= 1
    (model / name).write_bytes(content)
    assert find_model(str(model)).version != before


def test_notes_about_a_model_change_nothing(model: Path) -> None:
    before = find_model(str(model)).version
    (model / "README.md").write_text("Handle with care.")
    assert find_model(str(model)).version == before


@pytest.mark.parametrize("where", [0, 999_999, 5_000_000])
def test_large_weights_are_told_apart_without_reading_them_whole(
    model: Path, monkeypatch: pytest.MonkeyPatch, where: int
) -> None:
    """At their beginning and end, and by their time wherever else they change."""
    monkeypatch.setattr(folder, "_SMALL", 100_000)
    weights = model / "model.safetensors"
    weights.write_bytes(bytes(10_000_000))
    before = find_model(str(model)).version
    with weights.open("r+b") as file:
        file.seek(where)
        file.write(b"x")
    assert find_model(str(model)).version != before


def test_a_model_in_the_hub_s_cache_is_known_by_its_commit(hub: Path) -> None:
    found = find_model("org/tiny")
    assert (found.path, found.label, found.version) == (hub, "org/tiny", COMMIT)
    assert find_model(f"org/tiny@{COMMIT}") == found


def test_a_model_that_is_not_here_comes_with_the_command_that_fetches_it(hub: Path) -> None:
    with pytest.raises(ConfigurationError, match="not on this machine") as error:
        find_model("org/other")
    assert "`hf download org/other`" in error.value.remedy
    with pytest.raises(ConfigurationError) as error:
        find_model("org/tiny@v2")
    assert "`hf download org/tiny --revision v2`" in error.value.remedy


def test_a_snapshot_without_its_weights_is_to_be_fetched(hub: Path) -> None:
    (hub / "model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="there are no weights") as error:
        find_model("org/tiny")
    assert "hf download org/tiny" in error.value.remedy


def test_every_shard_must_be_there(model: Path) -> None:
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (model / "model.safetensors").rename(model / shards["a"])
    (model / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(ConfigurationError, match=r"model-00002-of-00002\.safetensors is missing"):
        find_model(str(model))


def test_pickles_are_never_read(model: Path) -> None:
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    with pytest.raises(ConfigurationError, match="pickles") as error:
        find_model(str(model))
    assert "safetensors" in error.value.remedy


def test_a_model_that_was_never_taught_to_chat_is_refused_with_a_way_out(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    with pytest.raises(ConfigurationError, match="no chat template") as error:
        find_model(str(model))
    assert "-Instruct" in error.value.message
    (model / "chat_template.jinja").write_text("{{ messages }}")
    find_model(str(model))


def test_a_template_may_stand_in_the_tokenizer_s_configuration(model: Path) -> None:
    (model / "chat_template.jinja").unlink()
    configuration = json.loads((model / "tokenizer_config.json").read_text())
    (model / "tokenizer_config.json").write_text(json.dumps({**configuration, "chat_template": "{{ messages }}"}))
    find_model(str(model))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "/no/such/folder",
        "./nowhere",
        "a/b/c",
        "org/tiny@",
        "org/ti ny",
        "org/a--b",
        "../..",
        "~nobody-here",
        "x" * 5000,
        "a\0b",
    ],
)
def test_what_names_nothing_is_said_to(local_models: None, name: str) -> None:
    with pytest.raises(ConfigurationError):
        find_model(name)


@pytest.mark.parametrize("spoil", [lambda text: "not JSON", lambda text: "[]", lambda text: '{"weight_map": 3}'])
def test_a_damaged_index_is_no_crash(model: Path, spoil: Callable[[str], str]) -> None:
    (model / "model.safetensors.index.json").write_text(spoil(""))
    with pytest.raises(ConfigurationError, match="index"):
        find_model(str(model))


def test_equal_folders_are_equal_models(tmp_path: Path, local_models: None) -> None:
    one, other = (save_tiny_llama(tmp_path / name) for name in ("one", "other"))
    assert find_model(str(one)).version == find_model(str(other)).version
