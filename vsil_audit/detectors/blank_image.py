"""The image of the condition `blank`: there is an image, and nothing to see in it."""

from __future__ import annotations

import io
from functools import lru_cache

from vsil_audit.gateway.messages import MAX_SIDE, ImagePart

SIDE = 512
"""Pixels; large enough for the servers that refuse tiny images."""


@lru_cache(maxsize=4)
def blank_image(max_side: int = MAX_SIDE) -> ImagePart:
    """A white square of 512 pixels. `max_side`: as for the images that it stands beside."""
    from PIL import Image

    target = io.BytesIO()
    Image.new("RGB", (SIDE, SIDE), "white").save(target, "PNG")
    return ImagePart.of_bytes(target.getvalue(), "a blank image", max_side)
