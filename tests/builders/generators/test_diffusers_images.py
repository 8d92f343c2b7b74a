"""A diffusion pipeline with small random weights, by the real code: its images hang on prompt and seed alone; pickles
and code of its own are refused; short memory, a safety checker and closing are told as what they are."""

from __future__ import annotations

import asyncio
import io
import json
import pickle
import shutil
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny_models import save_tiny_diffusion

from vsil_audit.builders.generators import diffusers as ours
from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageRequest
from vsil_audit.builders.generators.diffusers import Diffusers, Drawing, Offload
from vsil_audit.builders.generators.kept import KeptImages
from vsil_audit.builders.generators.opening import open_generator
from vsil_audit.builders.generators.pipeline_folder import find_pipeline
from vsil_audit.errors import ConfigurationError
from vsil_audit.gateway.local.loading import Device

Made = GeneratedImage | GenerationFailure
GNOME = ImageRequest("a garden gnome", 7, 32, 48)


@pytest.fixture(scope="module", autouse=True)
def packages() -> None:
    for package in ("torch", "transformers", "diffusers"):
        pytest.importorskip(package, reason="pipelines in this process need the extra [diffusion]")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_diffusion(tmp_path_factory.mktemp("pipelines") / "tiny-sd3")


@pytest.fixture
def own(tiny: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(tiny, tmp_path / "own"))


def make(maker: Any, *requests: ImageRequest) -> list[Made]:
    async def session() -> list[Made]:
        try:
            return list(await asyncio.gather(*map(maker.generate, requests)))
        finally:
            await maker.close()

    return asyncio.run(session())


def draw(folder: Path, *requests: ImageRequest, drawing: Drawing | None = None) -> list[Made]:
    return make(Diffusers(str(folder), drawing or Drawing(steps=2)), *requests)


def test_equal_requests_make_equal_bytes_and_others_do_not(tiny: Path) -> None:
    other_seed, other_prompt = ImageRequest(GNOME.prompt, 8, 32, 48), ImageRequest("a lantern", 7, 32, 48)
    first, again, seed, prompt = draw(tiny, GNOME, GNOME, other_seed, other_prompt)
    assert isinstance(first, GeneratedImage)
    assert first == again == draw(tiny, GNOME)[0]
    assert len({one.data for one in (first, seed, prompt) if isinstance(one, GeneratedImage)}) == 3
    image = Image.open(io.BytesIO(first.data))
    assert (image.format, image.size) == ("PNG", (32, 48))


def test_the_name_on_the_command_line_says_how_to_draw(tiny: Path) -> None:
    maker = open_generator(f"diffusers/{tiny}?steps=1&guidance=1.5&offload=model")
    assert "num_inference_steps 1, guidance_scale 1.5" in maker.identity
    assert isinstance(make(maker, GNOME)[0], GeneratedImage)


def test_the_default_pipeline_may_be_drawn_with_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    for name in ("diffusers", "diffusers?steps=2"):
        with pytest.raises(ConfigurationError, match=r"stable-diffusion-3\.5-large is not on this machine"):
            open_generator(name)


def test_the_identity_says_all_that_decides_the_image(tiny: Path, own: Path) -> None:
    identity = Diffusers(str(tiny)).identity
    for part in ("StableDiffusion3Pipeline", "FlowMatchEulerDiscreteScheduler", "num_inference_steps 28", "cpu float32",
                 "guidance_scale 7.0", "diffusers 0.", "torch "):  # fmt: skip
        assert part in identity
    assert Diffusers(str(tiny), Drawing(offload=Offload.MODEL)).identity == identity
    assert Diffusers(str(tiny), Drawing(steps=3)).identity != identity
    weights = next((own / "vae").glob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"\x01")
    assert find_pipeline(str(own)).version != find_pipeline(str(tiny)).version


def test_images_are_kept_over_sessions(tiny: Path, tmp_path: Path) -> None:
    first = KeptImages(Diffusers(str(tiny), Drawing(steps=2)), tmp_path)
    second = KeptImages(Diffusers(str(tiny), Drawing(steps=2)), tmp_path)
    assert make(first, GNOME) == make(second, GNOME)
    assert (first.made, second.made, second.found) == (1, 0, 1)


def test_nothing_is_fetched(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    assert isinstance(draw(tiny, GNOME)[0], GeneratedImage)


def test_a_pipeline_that_is_not_here_is_named_with_the_command_that_fetches_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ConfigurationError) as caught:
        open_generator("diffusers/some-org/no-such-pipeline")
    assert "hf download some-org/no-such-pipeline" in caught.value.remedy


class TestFolders:
    """What a folder must be before anything in it is loaded."""

    def test_weights_in_pickles_are_not_read(self, own: Path, tmp_path: Path) -> None:
        trap = tmp_path / "sprung"

        class Trap:
            def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
                return Path.touch, (trap,)

        for weights in (own / "text_encoder").glob("*.safetensors"):
            weights.unlink()
        (own / "text_encoder" / "pytorch_model.bin").write_bytes(pickle.dumps(Trap()))
        with pytest.raises(ConfigurationError, match="text_encoder are pickles"):
            Diffusers(str(own))
        assert not trap.exists()

    @pytest.mark.parametrize(
        "change",
        [
            {"_class_name": ["mine", "MyPipeline"]},
            {"transformer": ["my_transformer", "MyTransformer"]},
        ],
    )
    def test_code_of_its_own_is_refused(self, own: Path, change: dict[str, Any]) -> None:
        index = json.loads((own / "model_index.json").read_text())
        (own / "model_index.json").write_text(json.dumps(index | change))
        with pytest.raises(ConfigurationError, match="code of its own"):
            Diffusers(str(own))

    @pytest.mark.parametrize("file", ["text_encoder/modeling_mine.py", "tokenizer/tokenizer_config.json"])
    def test_code_of_a_part_is_refused(self, own: Path, file: str) -> None:
        (own / file).write_text('{"auto_map": {"AutoTokenizer": ["someone/else--mine.Mine", null]}}')
        with pytest.raises(ConfigurationError, match="code of its own"):
            Diffusers(str(own))

    @pytest.mark.parametrize("name", ["NoSuchPipeline", "DDPMPipeline", "__name__"])
    def test_a_class_that_draws_from_no_prompt_is_refused(self, own: Path, name: str) -> None:
        index = json.loads((own / "model_index.json").read_text())
        (own / "model_index.json").write_text(json.dumps(index | {"_class_name": name}))
        with pytest.raises(ConfigurationError, match="draws from a prompt alone"):
            Diffusers(str(own))

    @pytest.mark.parametrize("content", ["", "[]", "{}", "no json"])
    def test_a_folder_without_a_pipeline_is_told(self, own: Path, content: str) -> None:
        (own / "model_index.json").write_text(content)
        with pytest.raises(ConfigurationError, match="model_index"):
            Diffusers(str(own))

    def test_missing_weights_are_told(self, own: Path) -> None:
        for weights in own.glob("*/*.safetensors"):
            weights.unlink()
        with pytest.raises(ConfigurationError, match="no weights"):
            Diffusers(str(own))

    def test_weights_cut_short_fail_that_image_and_say_so(self, own: Path) -> None:
        weights = next((own / "vae").glob("*.safetensors"))
        weights.write_bytes(weights.read_bytes()[:200])
        (made,) = draw(own, GNOME)
        assert isinstance(made, GenerationFailure)
        assert made.kind == "permanent"


def test_a_size_that_the_pipeline_cannot_draw_is_a_failure_of_that_image(tiny: Path) -> None:
    odd, good = draw(tiny, ImageRequest("a gnome", 1, 33, 32), GNOME)
    assert isinstance(odd, GenerationFailure)
    assert odd.kind == "permanent"
    assert "33" in odd.detail
    assert isinstance(good, GeneratedImage)


class TestMemory:
    """Where it is short, ways that need less are tried, once; where there is none, it is said."""

    @pytest.fixture
    def short(self, monkeypatch: pytest.MonkeyPatch) -> list[Offload]:
        """A GPU that only the last way fits into, as far as this machine can pretend to be one."""
        import torch

        ways: list[Offload] = []
        real = ours.placed

        def placed(pipeline: Any, way: Offload, device: Device) -> Any:
            ways.append(way)
            if way is not Offload.LAYER:
                raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
            return real(pipeline, Offload.NONE, Device("cpu", "float32"))

        monkeypatch.setattr(ours, "placed", placed)
        monkeypatch.setattr(ours, "best_device", lambda: Device("cuda", "float32"))
        return ways

    def test_what_fits_is_found_and_remembered(self, tiny: Path, short: list[Offload]) -> None:
        made = draw(tiny, GNOME, ImageRequest("a lantern", 1, 32, 32))
        assert [type(one) for one in made] == [GeneratedImage, GeneratedImage]
        assert short == [Offload.NONE, Offload.MODEL, Offload.LAYER]

    def test_a_way_that_was_chosen_is_the_only_one(self, tiny: Path, short: list[Offload]) -> None:
        (made,) = draw(tiny, GNOME, drawing=Drawing(steps=2, offload=Offload.MODEL))
        assert made == GenerationFailure("out_of_memory", "an image of 32 x 48 pixels does not fit into memory")
        assert short == [Offload.MODEL]

    def test_running_out_while_drawing_is_met_alike(self, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        from diffusers import SD3Transformer2DModel

        def forward(*_: Any, **__: Any) -> None:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )

        monkeypatch.setattr(SD3Transformer2DModel, "forward", forward)
        (made,) = draw(tiny, GNOME)
        assert isinstance(made, GenerationFailure)
        assert (made.kind, made.resumable) == ("out_of_memory", False)


def answering(monkeypatch: pytest.MonkeyPatch, images: list[Image.Image], **more: Any) -> None:
    """As if the pipeline had drawn these."""
    from diffusers import StableDiffusion3Pipeline

    class Output:
        def __init__(self) -> None:
            self.images = images
            self.__dict__.update(more)

    def call(self: Any, prompt: str, generator: Any, height: int, width: int, num_inference_steps: int = 2) -> Output:
        return Output()

    monkeypatch.setattr(StableDiffusion3Pipeline, "__call__", call)


def test_what_a_safety_checker_blackened_is_blocked(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, [Image.new("RGB", (8, 8))], nsfw_content_detected=[True])
    assert draw(tiny, GNOME)[0] == GenerationFailure("blocked", "the pipeline's own safety checker blackened the image")


def test_an_image_of_overflowed_numbers_is_a_failure(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answering(monkeypatch, [Image.fromarray(np.zeros((8, 8, 3), np.uint8))], nsfw_content_detected=None)
    (made,) = draw(tiny, GNOME)
    assert isinstance(made, GenerationFailure)
    assert made.kind == "permanent"


def test_closing_ends_the_image_at_its_next_step(tiny: Path) -> None:
    async def session() -> list[Made]:
        maker = Diffusers(str(tiny), Drawing(steps=100_000))
        tasks = [asyncio.ensure_future(maker.generate(ImageRequest("a gnome", n, 32, 32))) for n in range(2)]
        while maker._painter is None or maker._painter._pipeline is None:
            await asyncio.sleep(0.01)
        await asyncio.wait_for(maker.close(), 30)
        return list(await asyncio.gather(*tasks))

    closed = GenerationFailure("cancelled", "the generator was closed", resumable=True)
    assert asyncio.run(session()) == [closed, closed]
