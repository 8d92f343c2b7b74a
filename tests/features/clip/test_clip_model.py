"""Names of models become files on this machine, or the one command that fetches them. The network is never asked."""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.features.clip import known
from vsil_audit.features.clip.model import DEFAULT_CLIP, INSTALL, ClipSettings, clip_readiness, find_clip

pytest.importorskip("open_clip")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LAION = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty hub cache, and an empty home for what open_clip fetches from addresses."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")
    return tmp_path / "hub"


def put(hub: Path, repository: str, **files: bytes) -> Path:
    """Files in the hub's cache as the hub's own library lays them out: links to blobs that are called by their hash."""
    folder = hub / f"models--{repository.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    for part in (snapshot, folder / "blobs", folder / "refs"):
        part.mkdir(parents=True, exist_ok=True)
    (folder / "refs" / "main").write_text(COMMIT)
    for name, content in files.items():
        blob = folder / "blobs" / hashlib.sha256(content).hexdigest()
        blob.write_bytes(content)
        (snapshot / name.replace("__", ".")).symlink_to(os.path.relpath(blob, snapshot))
    return snapshot


def folder_of(path: Path, **changes: object) -> Path:
    path.mkdir()
    config = {"model_cfg": {"embed_dim": 8, "vision_cfg": {"image_size": 32}, "text_cfg": {}}, "preprocess_cfg": {}}
    (path / "open_clip_config.json").write_text(json.dumps({**config, **changes}))
    (path / "open_clip_model.safetensors").write_bytes(b"weights")
    return path


# the tables of open_clip


def test_the_tables_read_from_files_are_those_that_importing_open_clip_gives() -> None:
    import open_clip
    from open_clip.pretrained import _PRETRAINED

    folder = known.package_folder()
    assert folder is not None
    assert known._read_table(folder) == _PRETRAINED
    assert set(known.architectures()) == set(open_clip.list_models())
    assert known.architecture("ViT-B-32") == open_clip.get_model_config("ViT-B-32")


def test_another_layout_of_the_table_falls_back_to_importing(monkeypatch: pytest.MonkeyPatch) -> None:
    def moved(folder: Path) -> None:
        raise FileNotFoundError(folder)

    monkeypatch.setattr(known, "_read_table", moved)
    known._all_checkpoints.cache_clear()
    assert "laion2b_s34b_b79k" in known.checkpoints("ViT-B-32")
    known._all_checkpoints.cache_clear()


def test_finding_a_model_imports_nothing_heavy(tmp_path: Path) -> None:
    put(tmp_path, LAION, open_clip_model__safetensors=b"weights")
    code = (
        "import sys; from vsil_audit.features.clip.model import ClipSettings, find_clip, DEFAULT_CLIP;"
        "print(find_clip(DEFAULT_CLIP).space(ClipSettings()));"
        "print(*sorted({'torch', 'open_clip', 'transformers', 'safetensors', 'torchvision'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "HF_HUB_CACHE": str(tmp_path)}, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    space, heavy = done.stdout.split("\n")[:2]
    assert hashlib.sha256(b"weights").hexdigest() in space
    assert heavy == ""


# names


def test_safetensors_are_preferred_and_pickles_taken_where_there_is_nothing_else(hub: Path) -> None:
    put(hub, LAION, open_clip_pytorch_model__bin=b"a pickle")
    assert find_clip(DEFAULT_CLIP).checkpoint.name == "open_clip_pytorch_model.bin"
    put(hub, LAION, open_clip_model__safetensors=b"tensors")
    found = find_clip(DEFAULT_CLIP)
    assert found.checkpoint.name == "open_clip_model.safetensors"
    assert found.weights == hashlib.sha256(b"tensors").hexdigest()


def test_a_checkpoint_that_names_its_file(hub: Path) -> None:
    put(hub, "jienengchen/ViTamin-S", pytorch_model__bin=b"a pickle")
    assert find_clip("ViTamin-S:datacomp1b").checkpoint.name == "pytorch_model.bin"


def test_tags_are_spelt_as_open_clip_lets_them_be(hub: Path) -> None:
    put(hub, LAION, open_clip_model__safetensors=b"tensors")
    assert find_clip("ViT-B/32:LAION2B-S34B-B79K").weights == find_clip(DEFAULT_CLIP).weights


def test_weights_trained_with_quick_gelu_are_run_with_it(hub: Path) -> None:
    put(hub, "timm/vit_base_patch32_clip_224.openai", open_clip_model__safetensors=b"tensors")
    assert json.loads(find_clip("ViT-B-32:openai").config)["quick_gelu"] is True


def test_another_model_or_way_to_run_it_is_another_space(hub: Path, tmp_path: Path) -> None:
    put(hub, LAION, open_clip_model__safetensors=b"tensors")
    model = find_clip(DEFAULT_CLIP)
    plain = ClipSettings(device="cpu")
    spaces = {
        model.space(plain),
        model.space(ClipSettings(device="cuda")),
        model.space(ClipSettings(device="cpu", int8=True)),
        model.space(ClipSettings(device="cpu", draft=True)),
        replace(model, weights="other").space(plain),
        replace(model, mean=(0.5, 0.5, 0.5)).space(plain),
        replace(model, config="{}").space(plain),
    }
    assert len(spaces) == 7
    assert model.space(ClipSettings(device="cpu", batch=3, backend="torch")) == model.space(plain)


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("ViT-B-23:laion2b_s34b_b79k", "Did you mean ViT-B-32?"),
        ("ViT-B-32:nothing", "It has: openai, laion400m_e31"),
        ("ViT-B-32", "Name one as ViT-B-32:CHECKPOINT"),
        ("", "Name a model as MODEL:CHECKPOINT"),
        ("../../etc/passwd:x", "Name a model as MODEL:CHECKPOINT"),
        ("./models/mine", "no model './models/mine', and there is no such folder"),
        ("local-dir:/nowhere/at/all", "no folder /nowhere/at/all"),
        ("hf-hub:../..", "not the name of a model"),
        ("\x00", "Name a model as MODEL:CHECKPOINT"),
    ],
)
def test_names_of_nothing(hub: Path, name: str, says: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        find_clip(name)
    assert says in str(caught.value)


def test_a_file_of_weights_of_a_known_architecture(tmp_path: Path) -> None:
    (tmp_path / "mine.safetensors").write_bytes(b"weights")
    found = find_clip(f"ViT-B-32:{tmp_path / 'mine.safetensors'}")
    assert found.weights == hashlib.sha256(b"weights").hexdigest()


# what is missing


class Hub(BaseHTTPRequestHandler):
    """A hub that has two files, for the clients of the real one."""

    files: ClassVar[dict[str, bytes]] = {
        f"/{LAION}/resolve/main/open_clip_pytorch_model.bin": b"a pickle",
        "/timm/ViT-B-16-SigLIP/resolve/main/open_clip_model.safetensors": b"tensors",
    }

    def do_HEAD(self) -> None:
        self._answer(body=False)

    def do_GET(self) -> None:
        self._answer(body=True)

    def _answer(self, *, body: bool) -> None:
        content = self.files.get(self.path)
        self.send_response(404 if content is None else 200)
        if content is None:
            self.send_header("X-Error-Code", "EntryNotFound")
        content = content or b""
        self.send_header("X-Repo-Commit", COMMIT)
        self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()


def test_missing_weights_come_with_the_command_that_fetches_them(hub: Path, tmp_path: Path, server: str) -> None:
    with pytest.raises(
        ConfigurationError, match="the weights of ViT-B-32:laion2b_s34b_b79k are not on this machine"
    ) as no:
        find_clip(DEFAULT_CLIP)
    program, *arguments = shlex.split(no.value.remedy)
    assert program == "python"
    env = {**os.environ, "HF_ENDPOINT": server, "HF_HUB_CACHE": str(hub), "HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run([sys.executable, *arguments], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert find_clip(DEFAULT_CLIP).checkpoint.read_bytes() == b"a pickle"


def test_a_missing_tokenizer_comes_with_the_command_that_fetches_it(hub: Path) -> None:
    pytest.importorskip("transformers")
    put(hub, "timm/ViT-B-16-SigLIP", open_clip_model__safetensors=b"tensors")
    ready = clip_readiness("ViT-B-16-SigLIP:webli")
    assert not ready.ready
    assert ready.reason == "the tokenizer of ViT-B-16-SigLIP:webli is not on this machine"
    assert "open_clip.get_tokenizer('ViT-B-16-SigLIP')" in ready.remedy
    put(hub, "timm/ViT-B-16-SigLIP", tokenizer__json=b"{}")
    assert clip_readiness("ViT-B-16-SigLIP:webli").ready
    assert find_clip("ViT-B-16-SigLIP:webli").preprocessing.resize == "squash"


def test_a_model_with_a_text_tower_of_transformers_needs_its_configuration(hub: Path) -> None:
    pytest.importorskip("transformers")
    put(hub, "laion/CLIP-ViT-B-32-roberta-base-laion2B-s12B-b32k", open_clip_model__safetensors=b"tensors")
    put(hub, "roberta-base/roberta-base", tokenizer__json=b"{}")
    with pytest.raises(ConfigurationError, match="tokenizer"):
        find_clip("roberta-ViT-B-32:laion2b_s12b_b32k")


def test_without_open_clip_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "package_folder", lambda: None)
    with pytest.raises(MissingDependencyError) as caught:
        find_clip(DEFAULT_CLIP)
    assert caught.value.remedy == INSTALL == 'pip install "vsil-audit[clip]"'
    assert clip_readiness(DEFAULT_CLIP).remedy == INSTALL


# folders


def test_a_folder_with_or_without_the_prefix(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "mine")
    assert replace(find_clip(f"local-dir:{folder}"), name="") == replace(find_clip(str(folder)), name="")


def test_a_snapshot_of_the_hub_is_a_folder(hub: Path) -> None:
    config = json.dumps({"model_cfg": {"embed_dim": 8, "vision_cfg": {}, "text_cfg": {}}}).encode()
    put(hub, "some/model", open_clip_config__json=config, open_clip_model__safetensors=b"weights")
    assert find_clip("hf-hub:some/model").preprocessing.height == 224
    with pytest.raises(ConfigurationError, match="not in the Hugging Face cache"):
        find_clip("hf-hub:another/model")


def test_a_folder_without_a_configuration_without_weights_and_with_nonsense(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ConfigurationError, match=r"open_clip_config\.json is missing"):
        find_clip(str(tmp_path / "empty"))
    without = folder_of(tmp_path / "without")
    (without / "open_clip_model.safetensors").unlink()
    with pytest.raises(ConfigurationError, match="holds no weights"):
        find_clip(str(without))
    for number, config in enumerate(["[]", "{", '{"model_cfg": 3}', '{"model_cfg": {"text_cfg": {}}}', "[" * 9999]):
        folder = folder_of(tmp_path / str(number))
        (folder / "open_clip_config.json").write_text(config)
        with pytest.raises(ConfigurationError):
            find_clip(str(folder))
    for key, value in {"image_size": "large", "mean": [1, 2]}.items():
        vision = {"image_size": value} if key == "image_size" else {}
        folder = folder_of(
            tmp_path / key,
            model_cfg={"embed_dim": 8, "vision_cfg": vision, "text_cfg": {}},
            preprocess_cfg={} if vision else {key: value},
        )
        with pytest.raises(ConfigurationError, match="does not say how images are prepared"):
            find_clip(str(folder))
