"""Vectors are those of open_clip: the tests hold every way to make them against its own path."""

from __future__ import annotations

import json
import os
import pickle
import random
import subprocess
import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_clip import TINY, save_byte_tokenizer, save_tiny_clip, save_tiny_siglip

from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.features.clip import encoder as encoder_module
from vsil_audit.features.clip import exported, known, packed
from vsil_audit.features.clip.encoder import ClipEncoder
from vsil_audit.features.clip.model import ClipSettings, find_clip

pytest.importorskip("open_clip")
pytestmark = pytest.mark.filterwarnings("ignore::Warning:(torch|onnx|timm|copyreg)")

CPU = ClipSettings(device="cpu")
TEXTS = (
    "a cat",
    "A man repairs the roof of a red house while it rains, and two others watch.",
    "3,000 bottles &amp; cans",
    "ein Haus am See",
    "word " * 75,
)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("clip") / "tiny")


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("transformers")
    return save_tiny_siglip(tmp_path_factory.mktemp("clip") / "siglip")


@pytest.fixture(scope="module")
def encoder(tiny: Path) -> ClipEncoder:
    return ClipEncoder(find_clip(str(tiny)), CPU)


def photographs(n: int = 6) -> list[Image.Image]:
    sizes = [(50, 40), (33, 100), (32, 32), (500, 31), (64, 65), (31, 33)]
    random_numbers = np.random.default_rng(5)
    return [Image.fromarray(random_numbers.integers(0, 256, (*sizes[i % 6], 3), dtype=np.uint8)) for i in range(n)]


def of_open_clip(folder: Path, images: list[Image.Image], texts: tuple[str, ...]) -> tuple[Any, Any]:
    import open_clip
    import torch

    model, _, prepare = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokenizer = open_clip.get_tokenizer(f"local-dir:{folder}")
    model.eval()
    with torch.no_grad():
        vectors = model.encode_image(torch.stack([prepare(image) for image in images]), normalize=True)
        return vectors.numpy(), model.encode_text(tokenizer(list(texts)), normalize=True).numpy()


def pixels_for(encoder: ClipEncoder, images: list[Image.Image]) -> Any:
    return np.stack([encoder.preprocessing.pixels(image) for image in images])


def assert_same(encoder: ClipEncoder, folder: Path, texts: tuple[str, ...] = TEXTS, within: float = 1e-5) -> None:
    images, said = of_open_clip(folder, photographs(), texts)
    ours = encoder.encode_images(pixels_for(encoder, photographs()))
    spoken = encoder.encode_texts(texts)
    assert [vectors.shape for vectors in spoken] == [(1, encoder.width)] * len(texts)
    together = np.concatenate(spoken)
    assert ours.dtype == together.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([ours, together]), axis=1), 1, atol=1e-5)
    assert np.abs(ours @ together.T - images @ said.T).max() <= within
    assert (ours * images).sum(axis=1).min() >= 1 - within
    assert (together * said).sum(axis=1).min() >= 1 - within
    assert (images @ images.T).min() < 0.97, "the test would see it if all vectors were alike"


# the same as open_clip


def test_vectors_are_those_of_open_clip(encoder: ClipEncoder, tiny: Path) -> None:
    assert_same(encoder, tiny)
    assert encoder.width == 32
    assert encoder.logit_scale == pytest.approx(1 / 0.07, rel=1e-5)
    assert encoder.stated_error is None


def test_a_model_that_looks_both_ways_is_run_at_full_length(siglip: Path) -> None:
    encoder = ClipEncoder(find_clip(str(siglip)), CPU)
    assert not encoder._texts.exact_when_short
    assert_same(encoder, siglip, ("a cat", "Red House.", "fifteen charact"))


VARIANTS: dict[str, dict[str, Any]] = {
    "own text tower": {"custom_text": True},
    "attends both ways": {"custom_text": True, "text_cfg": {"no_causal_mask": True}},
    "last token": {"custom_text": True, "text_cfg": {"pool_type": "last"}},
    "projection with bias": {"custom_text": True, "text_cfg": {"proj_bias": True}},
    "quick gelu": {"quick_gelu": True},
    "tanh gelu": {"vision_cfg": {"act_kwargs": {"approximate": "tanh"}}},
    "layer scale": {"vision_cfg": {"ls_init_value": 0.5}},
    "blocks of another make": {"vision_cfg": {"block_type": "custom", "qk_norm": True}, "text_cfg": {"qk_norm": True}},
    "attentional pooling": {"vision_cfg": {"attentional_pool": True, "attn_pooler_heads": 2}},
    "residual network": {"vision_cfg": {"layers": [1, 1, 1, 1], "width": 16, "head_width": 8}},
    "oblong": {"vision_cfg": {"image_size": [32, 48]}},
    "timm": {"vision_cfg": {"timm_model_name": "test_vit", "timm_pool": "avg", "timm_proj": "linear"}},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_models_of_other_makes(variant: str, tmp_path: Path) -> None:
    config = json.loads(json.dumps(TINY))
    for part, changes in VARIANTS[variant].items():
        config[part] = {**config[part], **changes} if isinstance(changes, dict) else changes
    if variant == "timm":
        config["vision_cfg"] = {"image_size": 32, **VARIANTS["timm"]["vision_cfg"]}
    folder = save_tiny_clip(tmp_path / "m", config=config)
    encoder = ClipEncoder(find_clip(str(folder)), CPU)
    assert encoder._texts.exact_when_short is (variant not in ("attends both ways", "last token"))
    assert_same(encoder, folder)


def test_without_packing_the_vectors_are_the_same(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_module, "can_pack", lambda: False)
    assert_same(ClipEncoder(find_clip(str(tiny)), CPU), tiny)


def test_packing_that_changes_vectors_is_found_out(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(module: Any) -> None:
        packed.pack(module)
        module.visual.proj.data.mul_(module.visual.proj.data > 0)

    monkeypatch.setattr(encoder_module, "pack", wrong)
    assert_same(ClipEncoder(find_clip(str(tiny)), CPU), tiny)


def test_packing_packs(encoder: ClipEncoder) -> None:
    if not packed.can_pack():
        pytest.skip("this torch has no such operators")
    blocks = encoder._images.clip.visual.transformer.resblocks
    assert all(type(block.attn).__name__ == "SelfAttention" for block in blocks)
    assert all(type(block.mlp.c_fc).__name__ == "PackedLinear" for block in blocks)


# texts


def test_texts_in_any_order_and_company_have_the_same_vectors(encoder: ClipEncoder) -> None:
    texts = [*TEXTS, "", "long " * 400, "\ud800", "x" * 3000] * 5
    alone = [encoder.encode_texts([text])[0] for text in texts]
    order = random.Random(3).sample(range(len(texts)), len(texts))
    together = encoder.encode_texts([texts[i] for i in order])
    for place, i in enumerate(order):
        assert together[place].shape == alone[i].shape
        np.testing.assert_allclose(together[place], alone[i], atol=2e-6)


def test_long_texts_have_windows_and_empty_ones_nothing(encoder: ClipEncoder) -> None:
    short, long, empty, blank = encoder.encode_texts(["a cat", "a tall red house " * 60, "", " \n"])
    assert short.shape == (1, 32)
    assert len(long) > 2
    assert empty.shape == blank.shape == (0, 32)
    assert encoder.encode_texts([]) == []
    assert [vectors.shape for vectors in encoder.encode_texts(["", ""])] == [(0, 32)] * 2


def test_short_texts_are_not_padded_to_the_context(encoder: ClipEncoder, monkeypatch: pytest.MonkeyPatch) -> None:
    lengths = []
    tower = encoder._texts.__class__.__call__

    def seen(self: Any, tokens: Any) -> Any:
        lengths.append(tokens.shape[1])
        return tower(self, tokens)

    monkeypatch.setattr(encoder._texts.__class__, "__call__", seen)
    encoder.encode_texts(["a cat"] * 64 + ["word " * 70] * 3)
    assert lengths == [8, 72]


def test_a_text_has_the_same_vector_whatever_it_is_encoded_with(encoder: ClipEncoder) -> None:
    sentence = "a person cuts bread with the long knife near an open window on some rainy morning in May"
    words = sentence.split(" ")
    texts = [" ".join(words[start : start + n]) for n in (1, 2, 5, 9, 14) for start in range(5)]
    whole = np.concatenate(encoder.encode_texts(texts))
    one_by_one = [encoder.encode_texts([text])[0] for text in texts]
    np.testing.assert_array_equal(np.concatenate(one_by_one), whole)
    np.testing.assert_array_equal(np.concatenate(encoder.encode_texts(texts[::-1])[::-1]), whole)


# images


def test_images_one_by_one_in_batches_and_read_only(encoder: ClipEncoder) -> None:
    pixels = pixels_for(encoder, photographs(40))
    whole = encoder.encode_images(pixels)
    assert whole.shape == (40, 32)
    one_by_one = [encoder.encode_images(pixels[i : i + 1]) for i in range(40)]
    np.testing.assert_array_equal(np.concatenate(one_by_one), whole)
    pixels.setflags(write=False)
    np.testing.assert_array_equal(encoder.encode_images(pixels), whole)
    np.testing.assert_array_equal(encoder.encode_images(pixels[::-1])[::-1], whole)
    assert encoder.encode_images(pixels[:0]).shape == (0, 32)


def test_where_memory_runs_out_half_as_many_are_taken(tiny: Path) -> None:
    import torch

    encoder = ClipEncoder(find_clip(str(tiny)), replace(CPU, batch=16))
    tower, refused = encoder._images, []

    def small(pixels: Any) -> Any:
        if len(pixels) > 5:
            refused.append(len(pixels))
            raise torch.OutOfMemoryError("CUDA out of memory")
        return tower(pixels)

    pixels = pixels_for(encoder, photographs(20))
    expected = encoder.encode_images(pixels)
    encoder._images = small
    np.testing.assert_allclose(encoder.encode_images(pixels), expected, atol=2e-6)
    assert refused == [16, 8]
    assert encoder.batch == 4


def test_other_errors_are_not_taken_for_a_lack_of_memory(tiny: Path) -> None:
    encoder = ClipEncoder(find_clip(str(tiny)), CPU)
    with pytest.raises(RuntimeError, match="size"):
        encoder.encode_images(np.zeros((2, 16, 16, 3), np.uint8))


# what does not load


@pytest.mark.parametrize("damage", ["truncated", "noise", "empty", "of another model", "html"])
def test_damaged_weights(damage: str, tiny: Path, tmp_path: Path) -> None:
    folder = save_tiny_clip(tmp_path / "m")
    file = folder / "open_clip_model.safetensors"
    whole = file.read_bytes()
    if damage == "of another model":
        save_tiny_clip(tmp_path / "other", config={**TINY, "embed_dim": 16})
        file.write_bytes((tmp_path / "other" / file.name).read_bytes())
    else:
        broken = {"truncated": whole[:5000], "noise": b"\xff" * 9000, "empty": b"", "html": b"<html>404</html>"}
        file.write_bytes(broken[damage])
    with pytest.raises(ConfigurationError, match="cannot be loaded") as caught:
        ClipEncoder(find_clip(str(folder)), CPU)
    assert str(file) in caught.value.message
    assert "Fetch or copy the file again" in caught.value.remedy


class Bomb:
    def __reduce__(self) -> Any:
        return os.mkdir, ("exploded",)


def test_a_pickle_runs_no_code(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.chdir(tmp_path)
    folder = save_tiny_clip(tmp_path / "m")
    safe = folder / "open_clip_model.safetensors"
    from safetensors.torch import load_file

    weights = load_file(safe)
    safe.unlink()
    torch.save(weights, folder / "open_clip_pytorch_model.bin")
    assert_same(ClipEncoder(find_clip(str(folder)), CPU), folder)
    for write in (torch.save, lambda thing, file: file.write_bytes(pickle.dumps(thing))):
        write({"state_dict": Bomb()}, folder / "open_clip_pytorch_model.bin")
        with pytest.raises(ConfigurationError, match="cannot be loaded"):
            ClipEncoder(find_clip(str(folder)), CPU)
    assert not (tmp_path / "exploded").exists()


def test_a_tokenizer_brings_no_code(siglip: Path, tmp_path: Path) -> None:
    folder = save_tiny_siglip(tmp_path / "m")
    config = json.loads((folder / "tokenizer_config.json").read_text())
    config |= {"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "tokenizer_class": "Evil"}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    (folder / "evil.py").write_text("import os; os.mkdir(os.path.join(os.path.dirname(__file__), 'exploded'))")
    with suppress(ConfigurationError):  # it may be read without the code, or not at all
        ClipEncoder(find_clip(str(folder)), CPU)
    assert not (folder / "exploded").exists()


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"device": "cuda:99"}, "the device cuda:99 cannot be used"),
        ({"device": "abacus"}, "the device abacus cannot be used"),
        ({"backend": "tensorflow"}, "no CLIP backend 'tensorflow'"),
        ({"backend": "openvino", "int8": True}, "has no int8"),
        ({"backend": "onnx", "device": "cuda"}, "runs on the CPU"),
    ],
)
def test_settings_that_cannot_be(tiny: Path, settings: dict[str, Any], says: str) -> None:
    with pytest.raises(ConfigurationError, match=says):
        ClipEncoder(find_clip(str(tiny)), replace(CPU, **settings))


def test_a_backend_that_is_not_installed_says_what_to_install(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError) as caught:
        ClipEncoder(find_clip(str(tiny)), replace(CPU, backend="openvino"))
    assert caught.value.remedy == "pip install openvino onnx onnxscript"


# other backends


@pytest.mark.parametrize(("backend", "library"), [("onnx", "onnxruntime"), ("openvino", "openvino")])
def test_exported_models_give_the_same(backend: str, library: str, tiny: Path, own_feature_store: Path) -> None:
    for needed in (library, "onnx", "onnxscript"):
        pytest.importorskip(needed)
    encoder = ClipEncoder(find_clip(str(tiny)), replace(CPU, backend=backend))
    assert_same(encoder, tiny)
    (kept,) = (own_feature_store / "clip" / "onnx").iterdir()
    written = (kept / "model.onnx").stat().st_mtime_ns
    again = ClipEncoder(find_clip(str(tiny)), replace(CPU, backend=backend))
    assert_same(again, tiny)
    assert (kept / "model.onnx").stat().st_mtime_ns == written, "it is exported once"
    if backend == "onnx":
        (kept / "model.onnx").write_bytes(b"\x00" * 100)
        assert_same(ClipEncoder(find_clip(str(tiny)), replace(CPU, backend=backend)), tiny)


def test_eight_bits_state_their_error(tiny: Path) -> None:
    for needed in ("onnx", "onnxscript", "onnxruntime"):
        pytest.importorskip(needed)
    encoder = ClipEncoder(find_clip(str(tiny)), replace(CPU, int8=True))
    exact = ClipEncoder(find_clip(str(tiny)), CPU)
    pixels = pixels_for(encoder, photographs())
    assert encoder.stated_error is None
    cosines = (encoder.encode_images(pixels) * exact.encode_images(pixels)).sum(axis=1)
    assert encoder.stated_error == pytest.approx(1 - cosines.min(), abs=1e-6)
    assert 1e-7 < encoder.stated_error < 0.05


# other machines, and real weights


@pytest.mark.gpu
def test_on_a_gpu_vectors_are_those_of_open_clip_to_bfloat16(tiny: Path) -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    encoder = ClipEncoder(find_clip(str(tiny)), ClipSettings())
    assert encoder.runs_on.startswith("cuda")
    assert_same(encoder, tiny, within=2e-2)


def test_torch_compile_gives_the_same(tiny: Path) -> None:
    if os.environ.get("VSIL_AUDIT_TEST_COMPILE") is None:
        pytest.skip("takes a compiler and half a minute: set VSIL_AUDIT_TEST_COMPILE")
    assert_same(ClipEncoder(find_clip(str(tiny)), replace(CPU, compile=True)), tiny)


@pytest.mark.weights
def test_a_real_checkpoint_tells_what_an_image_shows() -> None:
    names = [f"{name}:{tag}" for name in known.architectures() for tag in known.checkpoints(name)]
    found = next((name for name in names if _is_here(name)), None)
    if found is None:
        pytest.skip("no checkpoint of open_clip is in the hub's cache")
    encoder = ClipEncoder(find_clip(found), ClipSettings())
    colours = {"red": (230, 20, 20), "green": (20, 200, 20), "blue": (20, 20, 230), "black": (0, 0, 0)}
    images = pixels_for(encoder, [Image.new("RGB", (300, 200), colour) for colour in colours.values()])
    said = np.concatenate(encoder.encode_texts([f"a plain {name} picture" for name in colours]))
    cosines = encoder.encode_images(images) @ said.T
    assert (cosines.argmax(axis=1) == np.arange(4)).mean() >= 0.75


def _is_here(name: str) -> bool:
    try:
        find_clip(name)
    except (ConfigurationError, MissingDependencyError):
        return False
    return True


def test_loading_says_nothing(tiny: Path) -> None:
    code = (
        "import sys; from vsil_audit.features.clip.encoder import ClipEncoder;"
        "from vsil_audit.features.clip.model import ClipSettings, find_clip;"
        "ClipEncoder(find_clip(sys.argv[1]), ClipSettings(device='cpu')).encode_texts(['a cat'])"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tiny)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_byte_tokenizer_of_the_tests_is_whole(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    from transformers import AutoTokenizer

    ids = AutoTokenizer.from_pretrained(save_byte_tokenizer(tmp_path))("a cat")["input_ids"]
    assert len(ids) == 6
    assert ids[-1] == 1
