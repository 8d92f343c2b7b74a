"""Our own renderer: words drawn on a card, or on a strip below an image. Offline, deterministic, readable by OCR.

Fonts: Pillow's own (Latin without accents), or a file that the user names. A letter that the font lacks is drawn as the
plain one that it is a variant of (`é` as `e`), which is told; what has none is said, never drawn as an empty box.
"""

from __future__ import annotations

import hashlib
import io
import random
import unicodedata
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageDraw, ImageFont

from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageRequest
from vsil_audit.errors import ConfigurationError
from vsil_audit.images import DecodedImage

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

VERSION = 2
MOST_CHARACTERS = 600
_LARGEST, _SMALLEST = 72, 18
_MARGIN_SHARE = 0.06
_STRIP_SHARE = 0.5
"""Of an image's height, what a strip below it may take; it is made taller only where the smallest letters need it."""
_LEAST_WIDTH = 320
_PAPERS = ((255, 255, 255), (250, 247, 240), (242, 246, 250), (244, 248, 241))
_INKS = ((17, 17, 17), (28, 33, 45), (45, 26, 20))
_PLAIN = {
    **dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-"),
    **dict.fromkeys("\u2018\u2019\u201a\u2032\u00b4", "'"),
    **dict.fromkeys("\u201c\u201d\u201e\u2033", '"'),
    "\u2022": "-",
    "\u00d7": "x",
    "ß": "ss",
    "ẞ": "SS",
    "æ": "ae",
    "Æ": "AE",
    "œ": "oe",
    "Œ": "OE",
    "ø": "o",
    "Ø": "O",
    "ł": "l",
    "Ł": "L",
    "đ": "d",
    "Đ": "D",
    "ı": "i",
}
"""What else stands for a character that a font lacks, where Unicode knows no decomposition."""


@dataclass(frozen=True, slots=True)
class _Layout:
    """Lines that fit a width, in a size of letters."""

    font: FreeTypeFont
    lines: tuple[str, ...]
    line_height: int

    @property
    def height(self) -> int:
        return self.line_height * len(self.lines)


class Typographic:
    """Draws the prompt itself, black on light, as large as fits. `font`: a TrueType or OpenType file."""

    paid = False

    def __init__(self, font: Path | None = None) -> None:
        """Raises ConfigurationError for a file that is no font."""
        self._file = font
        self._faces: dict[int, FreeTypeFont] = {}
        self._known: dict[str, bool] = {}
        content = hashlib.sha256(font.read_bytes()).hexdigest()[:16] if font and font.is_file() else "pillow"
        self.identity = f"typographic {VERSION}; font {content}"
        self._missing_glyph = self._mask("\U0010fffd")

    async def generate(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        """A card of the request's size with the prompt drawn on it; colours by the seed."""
        return self.card(request)

    async def close(self) -> None:
        """Nothing is open."""

    def card(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        asked = " ".join(request.prompt.split())
        text = self._drawable(asked)
        if (problem := self._problem(text)) is not None:
            return problem
        margin = round(_MARGIN_SHARE * min(request.width, request.height))
        layout = self._layout(text, request.width - 2 * margin, request.height - 2 * margin)
        if layout is None:
            return GenerationFailure(
                "too_long", f"{len(text)} characters do not fit {request.width} x {request.height}"
            )
        paper, ink = self._colours(request.seed)
        image = Image.new("RGB", (request.width, request.height), paper)
        self._draw(image, layout, (request.height - layout.height) // 2, ink)
        return _png(image, text if text != asked else "")

    def below(self, picture: DecodedImage, text: str) -> GeneratedImage | GenerationFailure:
        """The picture, whole and unchanged, with the text on a white strip below it. A narrow picture is set on a
        wider ground, so that letters keep a readable size."""
        asked = " ".join(text.split())
        text = self._drawable(asked)
        if (problem := self._problem(text)) is not None:
            return problem
        pixels = picture.pixels
        width = max(_LEAST_WIDTH, pixels.width)
        margin = max(8, round(_MARGIN_SHARE * min(width, pixels.height)))
        room = max(round(_STRIP_SHARE * pixels.height), 4 * _SMALLEST)
        layout = self._layout(text, width - 2 * margin, room) or self._wrapped(text, width - 2 * margin, _SMALLEST)
        strip = layout.height + 2 * margin
        image = Image.new("RGB", (width, pixels.height + strip), _PAPERS[0])
        image.paste(pixels, ((width - pixels.width) // 2, 0))
        self._draw(image, layout, pixels.height + margin, _INKS[0])
        return _png(image, text if text != asked else "")

    def _drawable(self, text: str) -> str:
        """The text with each character that the font lacks in its plain spelling, where there is one."""
        return "".join(c if c.isspace() or self._has(c) else self._plain(c) for c in unicodedata.normalize("NFC", text))

    def _plain(self, character: str) -> str:
        if unicodedata.category(character) == "No":  # `1½` is not `11/2`
            return character
        parts = unicodedata.normalize("NFKD", character)
        plain = "".join(_PLAIN.get(c, c) for c in parts if not unicodedata.combining(c))
        return plain if plain and all(map(self._has, plain)) else character

    def _problem(self, text: str) -> GenerationFailure | None:
        if not text:
            return GenerationFailure("empty_prompt", "there are no words to draw")
        if len(text) > MOST_CHARACTERS:
            return GenerationFailure("too_long", f"{len(text)} characters; at most {MOST_CHARACTERS} are drawn")
        lacking = sorted({c for c in text if not c.isspace() and not self._has(c)})
        if lacking:
            shown = " ".join(f"{c} (U+{ord(c):04X})" if c.isprintable() else f"U+{ord(c):04X}" for c in lacking[:5])
            return GenerationFailure("no_glyph", f"the font cannot draw {shown}; name one that can with --font FILE")
        return None

    def _has(self, character: str) -> bool:
        """Whether the font has that letter: what it has not is drawn as a letter that no font has."""
        if character not in self._known:
            self._known[character] = _drawn(character) and self._mask(character) != self._missing_glyph
        return self._known[character]

    def _mask(self, character: str) -> bytes:
        return bytes(self._face(_LARGEST).getmask(character))

    def _face(self, size: int) -> FreeTypeFont:
        if size not in self._faces:
            try:
                face = ImageFont.load_default(size) if self._file is None else ImageFont.truetype(self._file, size)
            except OSError as error:
                raise ConfigurationError(
                    f"{self._file} is no font: {error}", "Name a TrueType or OpenType file with --font."
                ) from error
            if not isinstance(face, ImageFont.FreeTypeFont):
                raise ConfigurationError(
                    "this Pillow was built without FreeType", "pip install --force-reinstall pillow"
                )
            self._faces[size] = face
        return self._faces[size]

    def _layout(self, text: str, width: int, height: int) -> _Layout | None:
        """In the largest letters that fit, with every word whole where that can be; None where even the smallest do
        not."""
        broken: _Layout | None = None
        for size in range(_LARGEST, _SMALLEST - 1, -6):
            layout = self._wrapped(text, width, size)
            if layout.height <= height:
                if all(layout.font.getlength(word) <= width for word in text.split()):
                    return layout
                broken = broken or layout
        return broken

    def _wrapped(self, text: str, width: int, size: int) -> _Layout:
        face = self._face(size)
        lines: list[str] = []
        line = ""
        for word in (piece for whole in text.split() for piece in _pieces(whole, face, width)):
            longer = f"{line} {word}".strip()
            if line and face.getlength(longer) > width:
                lines.append(line)
                line = word
            else:
                line = longer
        return _Layout(face, (*lines, line), round(1.3 * size))

    def _draw(self, image: Image.Image, layout: _Layout, top: int, ink: tuple[int, int, int]) -> None:
        draw = ImageDraw.Draw(image)
        for number, line in enumerate(layout.lines):
            left = (image.width - layout.font.getlength(line)) / 2
            draw.text((left, top + number * layout.line_height), line, fill=ink, font=layout.font)

    @staticmethod
    def _colours(seed: int) -> tuple[tuple[int, int, int], tuple[int, int, int]]:
        draw = random.Random(seed)  # noqa: S311 - not for security
        return draw.choice(_PAPERS), draw.choice(_INKS)


def _drawn(character: str) -> bool:
    """Not a control character, half of a pair, or no character at all."""
    return unicodedata.category(character) not in ("Cc", "Cs", "Co", "Cn")


def _pieces(word: str, face: FreeTypeFont, width: int) -> list[str]:
    """A word, or the parts of one that is wider than a line."""
    pieces: list[str] = []
    while face.getlength(word) > width and len(word) > 1:
        cut = next(n for n in range(len(word) - 1, 0, -1) if n == 1 or face.getlength(word[:n]) <= width)
        pieces.append(word[:cut])
        word = word[cut:]
    return [*pieces, word]


def _png(image: Image.Image, drawn_instead: str) -> GeneratedImage:
    target = io.BytesIO()
    image.save(target, "PNG", optimize=True)
    return GeneratedImage(target.getvalue(), "PNG", drawn_instead)
