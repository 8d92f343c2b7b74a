"""Pictures of words, for canaries: planted pairs of known verdict that show whether a judge can be believed."""

from __future__ import annotations

import io
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

from vsil_audit.gateway.messages import ImagePart

_SIZE = (768, 512)
_MARGIN = 40
_LARGEST, _SMALLEST, _STEP = 72, 20, 4
_LINE = 1.25


@lru_cache(maxsize=512)
def drawn_text(text: str) -> ImagePart:
    """A sign that says `text`: black on white, 768 × 512 pixels, as large as fits. Equal texts give equal bytes.

    Raises ValueError for a text that does not fit at 20 pixels (some 800 characters).
    """
    for size in range(_LARGEST, _SMALLEST - 1, -_STEP):
        font = ImageFont.load_default(size)
        lines = _wrapped(text, font)
        if lines and len(lines) * size * _LINE <= _SIZE[1] - 2 * _MARGIN:
            return ImagePart.of_bytes(_png(lines, font, size), name=f"drawn: {text[:60]}")
    raise ValueError(f"a text of {len(text)} characters does not fit on a sign")


def _wrapped(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> list[str]:
    """Lines that fit the width; none when a word alone does not."""
    width = _SIZE[0] - 2 * _MARGIN
    lines: list[str] = []
    for paragraph in text.split("\n"):
        line = ""
        for word in paragraph.split():
            if font.getlength(word) > width:
                return []
            longer = f"{line} {word}" if line else word
            if font.getlength(longer) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        lines.append(line)
    return lines


def _png(lines: list[str], font: ImageFont.FreeTypeFont | ImageFont.ImageFont, size: int) -> bytes:
    picture = Image.new("L", _SIZE, 255)
    pen = ImageDraw.Draw(picture)
    height = size * _LINE
    top = (_SIZE[1] - height * len(lines)) / 2
    for number, line in enumerate(lines):
        pen.text(((_SIZE[0] - pen.textlength(line, font=font)) / 2, top + number * height), line, fill=0, font=font)
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()
