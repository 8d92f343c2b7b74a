"""The pixels of an image that a CLIP model sees. Needs Pillow and numpy only: it runs where images are decoded.

Follows `open_clip.transform.image_transform_v2` for inference (and torchvision's resize and crop under it) up to, not
including, the conversion to floating point: the same bytes come out, which the tests hold against open_clip itself. But
for images above 32 times as long as wide, which it would blow up: theirs are nearly the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

_VERSION = "1"
_MOST_PIXELS_A_SIDE = 4096
_LONGEST_SHAPE = 32  # sides of above 32 to 1 are resized and cropped in one
_MODES = ("shortest", "longest", "squash")
_FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """`height`, `width`: what the model sees, in pixels. `resize`: `shortest` (resize the shorter side and cut the
    middle out), `longest` (resize the longer side and fill the rest with the grey level `fill`) or `squash`. `draft`:
    JPEGs may be decoded at a fraction of their size; see `draft_size`. `on_gpu`: JPEGs may be decoded and prepared by
    `gpu_decoding`, not here."""

    height: int = 224
    width: int = 224
    resize: str = "shortest"
    interpolation: str = "bicubic"
    fill: int = 0
    draft: bool = False
    on_gpu: bool = False

    def __post_init__(self) -> None:
        """Raises ValueError for what is no way to prepare an image."""
        sides_fit = all(isinstance(side, int) and 0 < side <= _MOST_PIXELS_A_SIDE for side in (self.height, self.width))
        if not sides_fit or self.resize not in _MODES or self.interpolation not in _FILTERS:
            raise ValueError(f"no such preprocessing: {asdict(self)}")

    @classmethod
    def of_config(cls, config: Mapping[str, Any], size: Any) -> Preprocessing:
        """From open_clip's `preprocess_cfg` and the image size of the model. Raises ValueError or TypeError."""
        height, width = size if isinstance(size, (list, tuple)) else (size, size)
        interpolation = config.get("interpolation") or "bicubic"
        return cls(
            height=height,
            width=width,
            resize=config.get("resize_mode") or "shortest",
            interpolation="bilinear" if interpolation == "bilinear" else "bicubic",
            fill=int(config.get("fill_color") or 0),
        )

    @property
    def version(self) -> str:
        """Changes whenever one image could give other pixels."""
        how = f"{self.height}x{self.width} {self.resize} {self.interpolation}"
        filled = f" {self.fill}" if self.resize == "longest" else ""
        return f"pixels {_VERSION}: {how}{filled}" + " draft" * self.draft + " gpu" * self.on_gpu

    @property
    def exact(self) -> Preprocessing:
        """The same without what makes it inexact."""
        return replace(self, draft=False, on_gpu=False)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, fields: Mapping[str, Any]) -> Preprocessing:
        return cls(**fields)

    def pixels(self, image: Image.Image) -> npt.NDArray[np.uint8]:
        """What the model sees of a decoded image: RGB, shape (height, width, 3)."""
        size = self.size_after(image.width, image.height)
        if self.resizes_in_one(image.width, image.height):
            seen = self._middle_of(image, size)
        else:
            seen = _centre(_resized(image, size, self.filter), self.width, self.height, self.fill)
        return np.array(seen.convert("RGB"))

    def resizes_in_one(self, width: int, height: int) -> bool:
        """Whether an image of that size is so long that it is resized and cropped in one."""
        return self.resize == "shortest" and max(width, height) > _LONGEST_SHAPE * min(width, height)

    def draft_size(self, width: int, height: int) -> tuple[int, int] | None:
        """What to pass to Pillow's `Image.draft` before a JPEG of that size is decoded: at least the size that it will
        be resized to. None when `draft` was not asked for."""
        return self.size_after(width, height) if self.draft else None

    def size_after(self, width: int, height: int) -> tuple[int, int]:
        """Width and height after resizing, before cropping or padding."""
        if self.resize == "squash":
            return self.width, self.height
        if self.resize == "shortest" and self.width == self.height:  # torchvision's Resize rounds down
            longer = int(self.width * max(width, height) / min(width, height))
            return (self.width, longer) if width <= height else (longer, self.height)
        ratios = (height / self.height, width / self.width)  # open_clip's ResizeKeepRatio rounds
        ratio = max(ratios) if self.resize == "longest" else min(ratios)
        return max(1, round(width / ratio)), max(1, round(height / ratio))

    def _middle_of(self, image: Image.Image, size: tuple[int, int]) -> Image.Image:
        """What cropping after resizing would leave, to rounding: a line of 1 x 20,000 pixels resized would be large."""
        across, down = image.width / size[0], image.height / size[1]
        left, top = round((size[0] - self.width) / 2.0), round((size[1] - self.height) / 2.0)
        box = (left * across, top * down, (left + self.width) * across, (top + self.height) * down)
        inside = (max(0.0, box[0]), max(0.0, box[1]), min(image.width, box[2]), min(image.height, box[3]))
        return image.resize((self.width, self.height), self.filter, box=inside)

    @property
    def filter(self) -> Image.Resampling:
        if self.resize == "shortest" and self.width != self.height:
            return Image.Resampling.BICUBIC  # open_clip does not pass the interpolation on in this case
        return _FILTERS[self.interpolation]


def _resized(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
    return image if image.size == size else image.resize(size, resampling)


def _centre(image: Image.Image, width: int, height: int, fill: int) -> Image.Image:
    """The middle of the image, padded where it is smaller."""
    if image.size == (width, height):
        return image
    (left, wide, cut_left), (top, high, cut_top) = placed(image.width, width), placed(image.height, height)
    if image.width < width or image.height < height:
        padded = Image.new(image.mode, (wide, high), (fill,) * len(image.getbands()) if fill else 0)
        if image.mode == "P":
            padded.putpalette(image.getpalette() or [])
        padded.paste(image, (left, top))
        image = padded
    return image.crop((cut_left, cut_top, cut_left + width, cut_top + height))


def placed(size: int, wanted: int) -> tuple[int, int, int]:
    """How a side of an image becomes as long as `wanted`: what is put before it, its length when filled up, and what is
    then cut off before it."""
    filled = max(wanted, size)
    return max(0, (wanted - size) // 2), filled, round((filled - wanted) / 2.0)
