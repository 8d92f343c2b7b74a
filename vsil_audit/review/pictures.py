"""What a browser gets of an image: a preview from which nothing can be recognised, and, when asked for, the image.

Both are drawn anew from decoded pixels: no byte that a dataset holds reaches the browser's decoders.
"""

from __future__ import annotations

import io
import threading
from collections import OrderedDict

from PIL import Image, ImageFilter

from vsil_audit.features.facts import ImageError
from vsil_audit.images import decode
from vsil_audit.review.material import Material

LONGEST_SIDE = 1_600
"""Pixels of the image that is shown."""

SEEN_BLURRED = 16
"""Pixels, along the longer side, that a preview keeps of the image."""

_PREVIEW_SIDE = 480
_KEPT = 256
_DECODED_AT = 256


class Pictures:
    """JPEGs of the images of `material`, by digest. Previews are kept, images are not. Threads may share it."""

    def __init__(self, material: Material) -> None:
        self._material = material
        self._previews: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def blurred(self, digest: str) -> bytes | ImageError | None:
        """Sixteen pixels of it, smoothed and enlarged. None for an image that is not under review."""
        with self._lock:
            if digest in self._previews:
                self._previews.move_to_end(digest)
                return self._previews[digest]
        found = self._pixels(digest, _DECODED_AT)
        if not isinstance(found, Image.Image):
            return found
        jpeg = _preview(found)
        with self._lock:
            self._previews[digest] = jpeg
            if len(self._previews) > _KEPT:
                self._previews.popitem(last=False)
        return jpeg

    def full(self, digest: str) -> bytes | ImageError | None:
        """The image, at most LONGEST_SIDE pixels along its longer side; of one that is gone the run's thumbnail."""
        found = self._pixels(digest, LONGEST_SIDE)
        if not isinstance(found, Image.Image):
            return found
        found.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.LANCZOS)
        return _jpeg(found, 92)

    def _pixels(self, digest: str, side: int) -> Image.Image | ImageError | None:
        data = self._material.image(digest)
        if data is None:
            return None
        decoded = data if isinstance(data, ImageError) else decode(data, digest, self._material.limits, reduce_to=side)
        if isinstance(decoded, ImageError):
            thumbnail = self._material.thumbnail(digest)
            smaller = decode(thumbnail, digest, self._material.limits) if thumbnail is not None else decoded
            return decoded if isinstance(smaller, ImageError) else smaller.pixels
        return decoded.pixels


def _preview(pixels: Image.Image) -> bytes:
    share = _PREVIEW_SIDE / max(pixels.size)
    size = tuple(max(1, round(side * share)) for side in pixels.size)
    few = pixels.copy()
    few.thumbnail((SEEN_BLURRED, SEEN_BLURRED), Image.Resampling.BOX)
    smooth = few.filter(ImageFilter.GaussianBlur(1)).resize((size[0], size[1]), Image.Resampling.BICUBIC)
    return _jpeg(smooth, 70)


def _jpeg(pixels: Image.Image, quality: int) -> bytes:
    buffer = io.BytesIO()
    pixels.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()
