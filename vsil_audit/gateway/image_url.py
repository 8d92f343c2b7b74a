"""Images on their way to a model: read, decoded, downscaled, encoded, as data URLs."""

from __future__ import annotations

import base64
import hashlib
import io
import threading
from collections import OrderedDict

from PIL import Image

from vsil_audit.features.facts import ImageError
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.images import DecodedImage, ImageLimits, decode

_MOST_PNG_BYTES = 1_500_000
_JPEG_QUALITY = 90
_LOSSY = frozenset({"JPEG", "MPO", "WEBP"})


def data_url(part: ImagePart, limits: ImageLimits | None = None) -> str | ImageError:
    """The image as a data URL, upright, RGB, its longer side at most `part.max_side` pixels (Lanczos).

    It is encoded anew, without metadata: JPEG (quality 90) for photographs, PNG for the rest unless that is larger than
    1.5 MB. Raises nothing for what a dataset may hold.
    """
    prepared = prepare(part, limits)
    if isinstance(prepared, ImageError):
        return prepared
    return _encode(prepared.pixels, lossy=prepared.header.format in _LOSSY)


def prepare(part: ImagePart, limits: ImageLimits | None = None) -> DecodedImage | ImageError:
    """The image as models get it before it is encoded: upright, RGB, its longer side at most `part.max_side` pixels
    (Lanczos). Raises nothing for what a dataset may hold."""
    data = part.read()
    if isinstance(data, ImageError):
        return data
    if hashlib.sha256(data).hexdigest() != part.digest:
        return ImageError("changed", "the image's bytes are not those that were first read")
    decoded = decode(data, part.name, limits or ImageLimits(), reduce_to=part.max_side)
    if isinstance(decoded, ImageError):
        return decoded
    pixels = decoded.pixels
    if max(pixels.size) > part.max_side:
        share = part.max_side / max(pixels.size)
        size = (max(1, round(pixels.width * share)), max(1, round(pixels.height * share)))
        pixels = pixels.resize(size, Image.Resampling.LANCZOS)
    return DecodedImage(decoded.header, pixels)


def _encode(pixels: Image.Image, *, lossy: bool) -> str:
    target = io.BytesIO()
    if not lossy:
        pixels.save(target, "PNG")
        if target.tell() <= _MOST_PNG_BYTES:
            return f"data:image/png;base64,{base64.b64encode(target.getvalue()).decode('ascii')}"
        target = io.BytesIO()
    pixels.save(target, "JPEG", quality=_JPEG_QUALITY, subsampling=0)
    return f"data:image/jpeg;base64,{base64.b64encode(target.getvalue()).decode('ascii')}"


class RecentImages:
    """The data URLs made last, at most `limit` characters of them: one image is sent under several conditions, and to
    several judges. Used by many threads."""

    def __init__(self, limit: int = 64 * 1024 * 1024) -> None:
        self._limit = limit
        self._size = 0
        self._urls: OrderedDict[tuple[str, int], str] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, part: ImagePart) -> str | ImageError:
        key = (part.digest, part.max_side)
        with self._lock:
            known = self._urls.get(key)
            if known is not None:
                self._urls.move_to_end(key)
                return known
        made = data_url(part)
        if isinstance(made, str):
            with self._lock:
                self._size += len(made) - len(self._urls.get(key, ""))
                self._urls[key] = made
                while self._size > self._limit:
                    self._size -= len(self._urls.popitem(last=False)[1])
        return made
