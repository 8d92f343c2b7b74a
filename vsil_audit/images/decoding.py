"""From bytes to upright RGB pixels, with every bound checked on the header before anything is decoded.

No Pillow global is read or set: plugins are called directly, so that neither `Image.MAX_IMAGE_PIXELS`, nor a plugin
that some other package registered, nor a process-wide warning filter decides what happens here.
"""

from __future__ import annotations

import io
import threading
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias, TypeVar

import numpy as np
from PIL import Image, ImageFile

from vsil_audit.features.facts import ImageError
from vsil_audit.images import formats
from vsil_audit.images.limits import ImageLimits

_ORIENTATION_TAG = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_Result = TypeVar("_Result")
DraftSize: TypeAlias = Callable[[int, int], tuple[int, int] | None]
"""Width and height of an upright image to the least size at which it may be decoded; None: at its own."""
_ONE_FILTER_AT_A_TIME = threading.Lock()
_TRUNCATED_WORDS = ("truncated", "unexpected end", "not enough", "end of file", "premature")


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """What an image says of itself: Pillow's format name, size in pixels after EXIF orientation, notes (facts.py)."""

    format: str
    width: int
    height: int
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class DecodedImage:
    """An upright RGB image. `header.width` and `height` are the file's; `pixels` may be smaller, see `decode`."""

    header: ImageHeader
    pixels: Image.Image


def inspect(data: bytes, name: str, limits: ImageLimits) -> ImageHeader | ImageError:
    """Read only the header of `data`. `name` serves for the note on a wrong extension."""
    return _whatever_is_warned_of(lambda: _inspect(data, name, limits))


def decode(
    data: bytes, name: str, limits: ImageLimits, reduce_to: int | None = None, draft: DraftSize | None = None
) -> DecodedImage | ImageError:
    """Decode the first frame to upright RGB; transparency is put on white.

    With `reduce_to` a JPEG may be decoded at a half, a quarter or an eighth of its size, as long as its longer side
    stays at least `reduce_to` pixels: the entropy-coded data are still read whole, so damage is still found. `draft`
    does the same by a rule of its own, from the upright size to the least one that will do.
    """
    if reduce_to is not None:
        draft = partial(_longer_side, reduce_to)
    return _whatever_is_warned_of(lambda: _decode(data, name, limits, draft))


def _longer_side(reduce_to: int, width: int, height: int) -> tuple[int, int] | None:
    if max(width, height) <= reduce_to:
        return None
    share = reduce_to / max(width, height)
    return max(1, round(width * share)), max(1, round(height * share))


def _whatever_is_warned_of(work: Callable[[], _Result]) -> _Result:
    """Pillow warns of damaged metadata, which does not matter here. Where the process makes errors of warnings, work
    again without; only then is the process-wide filter touched, by one thread at a time."""
    try:
        return work()
    except Warning:
        with _ONE_FILTER_AT_A_TIME, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return work()


def _inspect(data: bytes, name: str, limits: ImageLimits) -> ImageHeader | ImageError:
    opened = _open(data, limits)
    if isinstance(opened, ImageError):
        return opened
    image, notes = opened
    with image:
        return _header(image, name, notes)


def _decode(data: bytes, name: str, limits: ImageLimits, draft: DraftSize | None) -> DecodedImage | ImageError:
    opened = _open(data, limits)
    if isinstance(opened, ImageError):
        return opened
    image, notes = opened
    with image:
        header = _header(image, name, notes)
        try:
            if draft is not None and (least := draft(header.width, header.height)) is not None:
                image.draft(None, least if image.size == (header.width, header.height) else least[::-1])
            image.load()
            rgb = _upright(_to_rgb(image), _orientation(image))
        except Warning:
            raise
        except Exception as error:  # noqa: BLE001 - decoders raise nearly anything on hostile bytes
            return _damage(error, limits)
    return DecodedImage(header, rgb)


def _open(data: bytes, limits: ImageLimits) -> tuple[ImageFile.ImageFile, list[str]] | ImageError:
    if not data:
        return ImageError("empty_file", "the file has no bytes")
    if len(data) > limits.max_file_bytes:
        return ImageError("too_large", f"{len(data):,} bytes, above the limit of {limits.max_file_bytes:,} bytes")
    image_format = formats.sniff(data)
    if isinstance(image_format, ImageError):
        return image_format
    try:
        return _check_before_opening(image_format, data, limits) or _open_as(image_format, data, limits)
    except Warning:
        raise
    except Exception as error:  # noqa: BLE001 - parsers raise nearly anything on hostile bytes
        return _damage(error, limits)


def _open_as(image_format: str, data: bytes, limits: ImageLimits) -> tuple[ImageFile.ImageFile, list[str]] | ImageError:
    image = _plugin_open(image_format, formats.without_png_text(data) if image_format == "PNG" else data)
    if isinstance(image, ImageError):
        return image
    if image.width * image.height > limits.max_pixels:
        return formats.too_large(image.width, image.height, limits)
    frames = _count_frames(image, image_format, data, limits)
    if isinstance(frames, ImageError):
        return frames
    notes = ["first_frame_only"] if frames > 1 else []
    if image_format == "PNG" and data[24:25] == b"\x10":
        notes.append("sixteen_bit")
    return image, notes


def _check_before_opening(image_format: str, data: bytes, limits: ImageLimits) -> ImageError | None:
    """Refuse what Pillow itself would warn of, allocate or work on while only opening the file."""
    width, height = formats.claimed_size(image_format, data)
    if width * height > limits.max_pixels:
        return formats.too_large(width, height, limits)
    if image_format == "GIF":
        frames = formats.check_gif(data, limits)
        return frames if isinstance(frames, ImageError) else None
    if image_format == "JPEG":
        return formats.check_jpeg(data)
    if image_format == "WEBP" and int.from_bytes(data[4:8], "little") + 8 > len(data):
        return ImageError("truncated", "the file ends before the size that its header gives")
    return None


def _plugin_open(image_format: str, data: bytes) -> ImageFile.ImageFile | ImageError:
    if image_format not in Image.OPEN:
        Image.init()
    if image_format not in Image.OPEN:
        return ImageError("unsupported_format", f"this Pillow was built without {image_format}")
    factory, _ = Image.OPEN[image_format]
    return factory(io.BytesIO(data), "")


def _count_frames(image: ImageFile.ImageFile, image_format: str, data: bytes, limits: ImageLimits) -> int | ImageError:
    if image_format == "GIF":
        return formats.check_gif(data, limits)
    if image_format == "TIFF":
        return _count_pages(image, limits)
    if image.format == "MPO":
        return 1  # the other images of an MPO are previews or gain maps of the first
    frames = int(getattr(image, "n_frames", 1))
    return frames if frames <= limits.max_frames else formats.too_many_frames(limits)


def _count_pages(image: ImageFile.ImageFile, limits: ImageLimits) -> int | ImageError:
    """Pages of a TIFF: its directories are a linked list, walked no further than the limit."""
    pages = 1
    try:
        while pages <= limits.max_frames:
            image.seek(pages)
            pages += 1
    except EOFError:
        image.seek(0)
        return pages
    return formats.too_many_frames(limits)


def _header(image: ImageFile.ImageFile, name: str, notes: list[str]) -> ImageHeader:
    image_format = image.format or ""
    width, height = image.size
    orientation = _orientation(image)
    found = list(notes)
    if formats.wrong_extension(name, image_format):
        found.append("wrong_extension")
    if orientation in _UPRIGHT:
        found.append("exif_rotated")
    if image.mode == "CMYK":
        found.append("cmyk")
    if image.mode in ("P", "PA"):
        found.append("palette")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        found.append("alpha")
    if image.mode.startswith(("I", "F")):
        found.append("sixteen_bit")
    if orientation in (5, 6, 7, 8):
        width, height = height, width
    return ImageHeader(image_format, width, height, tuple(sorted(set(found))))


def _orientation(image: ImageFile.ImageFile) -> int:
    """EXIF orientation, 1 to 8; 1 where there is none or the EXIF block is damaged (the pixels still are good)."""
    try:
        value = image.getexif().get(_ORIENTATION_TAG, 1)
    except Warning:
        raise
    except Exception:  # noqa: BLE001 - a damaged EXIF block raises nearly anything, and does not matter
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _upright(image: Image.Image, orientation: int) -> Image.Image:
    method = _UPRIGHT.get(orientation)
    return image if method is None else image.transpose(method)


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image.copy() if isinstance(image, ImageFile.ImageFile) else image
    if image.mode.startswith(("I", "F")):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info:
        rgba = image.convert("RGBA")
        white = Image.new("RGB", image.size, (255, 255, 255))
        white.paste(rgba, mask=rgba.getchannel("A"))
        return white
    return image.convert("RGB")


def _eight_bits(values: np.ndarray) -> np.ndarray:
    """Grey values of 16 bits, 32 bits or floating point as 8 bits: by the full range where it is known, else by the
    range that occurs."""
    numbers = values.astype(np.float32)
    numbers = np.nan_to_num(numbers, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(numbers.min(initial=0.0)), float(numbers.max(initial=0.0))
    if low >= 0 and high <= 255 and values.dtype != np.uint16 and not np.issubdtype(values.dtype, np.floating):
        scaled = numbers
    elif low >= 0 and high <= 65535 and not np.issubdtype(values.dtype, np.floating):
        scaled = numbers / 257.0
    else:
        scaled = (numbers - low) * (255.0 / (high - low)) if high > low else np.zeros_like(numbers)
    return np.clip(np.rint(scaled), 0, 255).astype(np.uint8)


def _damage(error: Exception, limits: ImageLimits) -> ImageError:
    """Name what a decoder stumbled over."""
    if isinstance(error, Image.DecompressionBombError):
        return ImageError("too_large", f"more pixels than the limit of {limits.max_pixels:,}; not decoded")
    if isinstance(error, MemoryError):
        return ImageError("too_large", "there is not enough memory to decode it")
    message = " ".join(str(error).split())[:200] or type(error).__name__
    if isinstance(error, EOFError) or any(word in message.lower() for word in _TRUNCATED_WORDS):
        return ImageError("truncated", f"the file is cut short: {message}")
    return ImageError("corrupt", message)
