"""The pixels a model sees are, byte for byte, those of open_clip's own transform."""

from __future__ import annotations

import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from PIL import Image

from vsil_audit.features.clip.preprocessing import Preprocessing

pytest.importorskip("open_clip")

SIDES = st.integers(1, 90)
RESIZE = ("shortest", "longest", "squash")


def noise(width: int, height: int, mode: str = "RGB", seed: int = 0) -> Image.Image:
    random = np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)
    return Image.fromarray(random).convert(mode)


def of_open_clip(image: Image.Image, config: dict[str, Any], size: Any) -> np.ndarray[Any, Any]:
    from open_clip.transform import PreprocessCfg, image_transform_v2

    plain = PreprocessCfg(**{**config, "size": size, "mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)})
    numbers = image_transform_v2(plain, is_train=False)(image)
    return np.asarray((numbers * 255).round().to("cpu").numpy(), dtype=np.uint8).transpose(1, 2, 0)


@settings(max_examples=150)
@given(SIDES, SIDES, st.sampled_from(RESIZE), st.sampled_from(["bicubic", "bilinear"]), st.integers(0, 3))
@example(32, 32, "shortest", "bicubic", 0)
@example(33, 32, "longest", "bilinear", 1)
@example(3, 90, "shortest", "bicubic", 0)
def test_pixels_are_those_of_open_clip(width: int, height: int, resize: str, interpolation: str, seed: int) -> None:
    config = {"resize_mode": resize, "interpolation": interpolation, "fill_color": 7}
    assume(max(width, height) <= 32 * min(width, height))
    image = noise(width, height, seed=seed)
    ours = Preprocessing.of_config(config, 32).pixels(image)
    assert ours.shape == (32, 32, 3)
    assert ours.dtype == np.uint8
    np.testing.assert_array_equal(ours, of_open_clip(image, config, (32, 32)))


@settings(max_examples=80)
@given(SIDES, SIDES, st.sampled_from(RESIZE), st.sampled_from([(24, 40), (40, 24), (32, 33)]))
def test_pixels_of_models_that_see_oblongs(width: int, height: int, resize: str, size: tuple[int, int]) -> None:
    config = {"resize_mode": resize, "interpolation": "bilinear"}
    assume(max(width, height) <= 32 * min(width, height))
    image = noise(width, height)
    ours = Preprocessing.of_config(config, list(size)).pixels(image)
    assert ours.shape == (*size, 3)
    np.testing.assert_array_equal(ours, of_open_clip(image, config, size))


@pytest.mark.parametrize("size", [(512, 384), (1024, 683), (640, 640), (3000, 200), (225, 224), (2047, 1365)])
def test_pixels_of_usual_photographs_at_224(size: tuple[int, int]) -> None:
    image = noise(*size)
    np.testing.assert_array_equal(Preprocessing().pixels(image), of_open_clip(image, {}, 224))


@pytest.mark.parametrize("size", [(1, 40), (33, 2), (200, 4), (5, 900)])
def test_very_long_images_give_nearly_the_same(size: tuple[int, int]) -> None:
    image = noise(*size)
    theirs = of_open_clip(image, {}, 32).astype(int)
    assert np.abs(Preprocessing(32, 32).pixels(image) - theirs).mean() <= 5, "of 256, on noise"


@pytest.mark.parametrize("resize", RESIZE)
@pytest.mark.parametrize("size", [(1, 30_000), (30_000, 1)])
def test_a_line_is_not_blown_up(resize: str, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[tuple[int, int]] = []
    resize_of_pillow = Image.Image.resize

    def seen(image: Image.Image, size: tuple[int, int], *rest: Any, **options: Any) -> Image.Image:
        made.append(size)
        return resize_of_pillow(image, size, *rest, **options)

    monkeypatch.setattr(Image.Image, "resize", seen)
    pixels = Preprocessing(resize=resize).pixels(Image.new("RGB", size, (9, 9, 9)))
    assert pixels.shape == (224, 224, 3)
    assert pixels.max() == 9
    assert all(width * height <= 224 * 224 for width, height in made)


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "LA", "CMYK"])
@pytest.mark.parametrize("resize", RESIZE)
def test_images_of_other_modes_are_resized_in_their_own(mode: str, resize: str) -> None:
    config = {"resize_mode": resize}
    image = noise(61, 47).convert("L").convert(mode) if mode == "LA" else noise(61, 47, mode)
    np.testing.assert_array_equal(
        Preprocessing.of_config(config, 32).pixels(image), of_open_clip(image, config, (32, 32))
    )


def test_the_version_tells_apart_whatever_gives_other_pixels() -> None:
    ways = [
        Preprocessing(),
        Preprocessing(height=256, width=256),
        Preprocessing(height=256),
        Preprocessing(resize="squash"),
        Preprocessing(interpolation="bilinear"),
        Preprocessing(resize="longest"),
        Preprocessing(resize="longest", fill=9),
        Preprocessing(draft=True),
    ]
    assert len({way.version for way in ways}) == len(ways)
    assert Preprocessing(fill=9).version == Preprocessing().version, "nothing is filled"


@pytest.mark.parametrize("way", [Preprocessing(), Preprocessing(16, 20, "longest", "bilinear", 3, draft=True)])
def test_it_goes_through_json_and_back(way: Preprocessing) -> None:
    assert Preprocessing.of_json(json.loads(json.dumps(way.to_json()))) == way


@pytest.mark.parametrize("wrong", [{"height": 0}, {"width": 10**9}, {"resize": "fold"}, {"interpolation": "nearest"}])
def test_what_is_no_preprocessing_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="no such preprocessing"):
        Preprocessing(**wrong)


@pytest.mark.parametrize("resize", RESIZE)
def test_a_draft_is_never_smaller_than_what_is_made_of_it(resize: str) -> None:
    way = Preprocessing(resize=resize, draft=True)
    for width, height in [(1024, 768), (512, 512), (449, 3000), (200, 100)]:
        target = io.BytesIO()
        noise(width, height).save(target, "JPEG")
        image = Image.open(io.BytesIO(target.getvalue()))
        wanted = way.draft_size(width, height)
        assert wanted is not None
        image.draft("RGB", wanted)
        assert image.width >= min(width, wanted[0])
        assert image.height >= min(height, wanted[1])
        assert way.pixels(image).shape == (224, 224, 3)
    assert Preprocessing(resize=resize).draft_size(1024, 768) is None
