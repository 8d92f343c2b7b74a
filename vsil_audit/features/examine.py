"""One image's bytes → all its facts, in one decode; and those facts as bytes, for the store and between processes."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import numpy.typing as npt
from PIL import Image

from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.facts import ImageError, ImageFacts, OcrLine
from vsil_audit.features.ocr import MAX_SIDE, OcrReader, OcrUnavailableError
from vsil_audit.features.phash import PHASH_VERSION, phash
from vsil_audit.images import DecodedImage, ImageHeader, ImageLimits, decode, inspect, is_plain_jpeg

THUMBNAIL_SIDE = 160
PIXELS_VERSION = f"1; phash {PHASH_VERSION}"


class Work(str, Enum):
    """How much is wanted of an image: what its header says, what a decode gives, the text in it as well."""

    HEADER = "header"
    PIXELS = "pixels"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Examined:
    """What came of one image. `clip`: what a CLIP model sees of it, shape (height, width, 3); None where that was not
    asked for, or cannot be made (`facts.clip_error` says why, unless the image cannot be opened at all), or where
    `plain`: then they were left to `clip.gpu_decoding`, and only the header was read."""

    facts: ImageFacts
    clip: npt.NDArray[np.uint8] | None = None
    plain: bool = False


def examine(
    data: bytes, limits: ImageLimits, work: Work, reader: OcrReader, preprocessing: Preprocessing | None = None
) -> Examined:
    """Facts of the image in `data`, with neither name nor digest, nor the note on a wrong extension: those are the
    reference's, not the bytes'. With `preprocessing` also the pixels for CLIP, from the same decode; but for a JPEG
    that is decoded smaller for the one and not, or otherwise, for the other: then it is decoded twice, so that neither
    depends on whether the other was asked for."""
    if work is Work.HEADER:
        return _header_only(data, limits, preprocessing)
    decoded = decode(data, "", limits, reduce_to=MAX_SIDE)
    if isinstance(decoded, ImageError):
        return Examined(ImageFacts("", error=decoded))
    pixels = decoded.pixels
    facts = replace(_of_header(decoded.header), phash=phash(pixels), thumbnail=_thumbnail(pixels))
    clip = None
    if preprocessing is not None:
        whole = pixels.size == (decoded.header.width, decoded.header.height) and not preprocessing.draft
        found = _clip_pixels(decoded, preprocessing, limits) if whole else _clip_pixels_of(data, preprocessing, limits)
        clip, facts = (None, replace(facts, clip_error=found)) if isinstance(found, str) else (found, facts)
    return Examined(_with_text(facts, pixels, reader) if work is Work.TEXT else facts, clip)


def _header_only(data: bytes, limits: ImageLimits, preprocessing: Preprocessing | None) -> Examined:
    """What its header says; where CLIP's pixels are wanted too, an image that cannot be decoded is none."""
    if preprocessing is None:
        header = inspect(data, "", limits)
        return Examined(ImageFacts("", error=header) if isinstance(header, ImageError) else _of_header(header))
    if preprocessing.on_gpu and (plain := _left_to_gpu(data, preprocessing, limits)) is not None:
        return Examined(_of_header(plain), plain=True)
    decoded = decode(data, "", limits, draft=preprocessing.draft_size)
    if isinstance(decoded, ImageError):
        return Examined(ImageFacts("", error=decoded))
    facts, found = _of_header(decoded.header), _clip_pixels(decoded, preprocessing, limits)
    return Examined(replace(facts, clip_error=found)) if isinstance(found, str) else Examined(facts, found)


def _left_to_gpu(data: bytes, preprocessing: Preprocessing, limits: ImageLimits) -> ImageHeader | None:
    """The header of a JPEG that `clip.gpu_decoding` may be given; None for every other image."""
    if not is_plain_jpeg(data):
        return None
    header = inspect(data, "", limits)
    if isinstance(header, ImageError) or header.format != "JPEG" or "exif_rotated" in header.notes:
        return None
    size = header.width, header.height
    return None if preprocessing.resizes_in_one(*size) or _too_narrow(*size, preprocessing, limits) else header


def _clip_pixels_of(data: bytes, preprocessing: Preprocessing, limits: ImageLimits) -> npt.NDArray[np.uint8] | str:
    decoded = decode(data, "", limits, draft=preprocessing.draft_size)
    if isinstance(decoded, ImageError):
        return f"it cannot be decoded for CLIP: {decoded.detail}"
    return _clip_pixels(decoded, preprocessing, limits)


def _clip_pixels(
    decoded: DecodedImage, preprocessing: Preprocessing, limits: ImageLimits
) -> npt.NDArray[np.uint8] | str:
    """The pixels, or why there are none."""
    if _too_narrow(*decoded.pixels.size, preprocessing, limits):
        return f"it is too long and narrow for CLIP: {decoded.header.width} x {decoded.header.height} pixels"
    return preprocessing.pixels(decoded.pixels)


def _too_narrow(width: int, height: int, preprocessing: Preprocessing, limits: ImageLimits) -> bool:
    return preprocessing.width * preprocessing.height * max(width, height) / min(width, height) > limits.max_pixels


def _of_header(header: ImageHeader) -> ImageFacts:
    return ImageFacts("", width=header.width, height=header.height, format=header.format, notes=header.notes)


def _with_text(facts: ImageFacts, pixels: Image.Image, reader: OcrReader) -> ImageFacts:
    if max(pixels.size) > MAX_SIDE:
        pixels.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.BOX)
    try:
        return replace(facts, ocr=reader.read(np.asarray(pixels)))
    except OcrUnavailableError as error:
        return replace(facts, ocr_error=str(error))
    except Exception as error:  # noqa: BLE001 - a library's failure on one image is that image's, and is said
        return replace(facts, ocr_error=f"{type(error).__name__}: {error}"[:300])


def _thumbnail(pixels: Image.Image) -> bytes:
    share = min(1.0, THUMBNAIL_SIDE / max(pixels.size))
    size = (max(1, round(pixels.width * share)), max(1, round(pixels.height * share)))
    small = pixels.resize(size, Image.Resampling.BILINEAR, reducing_gap=2.0)
    target = io.BytesIO()
    small.save(target, "JPEG", quality=80)
    return target.getvalue()


def pack_pixels(facts: ImageFacts) -> bytes:
    """Everything but text, name and digest: a line of JSON, then the thumbnail."""
    fields = {
        "width": facts.width,
        "height": facts.height,
        "format": facts.format,
        "notes": list(facts.notes),
        "phash": facts.phash,
        "error": None if facts.error is None else [facts.error.kind, facts.error.detail],
    }
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n" + (facts.thumbnail or b"")


def unpack_pixels(packed: bytes) -> ImageFacts:
    """The reverse of `pack_pixels`. Raises ValueError, KeyError or TypeError for anything else."""
    line, _, thumbnail = packed.partition(b"\n")
    fields = json.loads(line)
    return ImageFacts(
        "",
        width=fields["width"],
        height=fields["height"],
        format=fields["format"],
        notes=tuple(fields["notes"]),
        phash=fields["phash"],
        thumbnail=thumbnail or None,
        error=None if fields["error"] is None else ImageError(*fields["error"]),
    )


def pack_text(lines: tuple[OcrLine, ...]) -> bytes:
    return json.dumps([[line.text, line.confidence, line.box] for line in lines], separators=(",", ":")).encode()


def unpack_text(packed: bytes) -> tuple[OcrLine, ...]:
    """The reverse of `pack_text`. Raises ValueError, KeyError or TypeError for anything else."""
    return tuple(OcrLine(text, confidence, tuple(box)) for text, confidence, box in json.loads(packed))
