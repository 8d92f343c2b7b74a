"""Simple, harmless pictures, drawn on the spot from one line of words: shapes, a note, a bar chart, a clock.

shapes: red circle, blue square        from left to right
note: Bread | Milk                     lines on a sheet of paper
bars: Mon 3, Tue 5                     a bar chart with its labels
clock: 10:10                           a clock with two hands
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

WIDTH, HEIGHT = 480, 320
_INK = "#222222"
_COLOURS = MappingProxyType({"green": "#2e9e4f", "brown": "#8b5a2b", "pink": "#ff8fb1", "grey": "#9a9a9a"})
_Point: TypeAlias = tuple[float, float]


def draw(description: str) -> bytes:
    """The picture as a PNG of 480 × 320 pixels. Raises ValueError for words that it does not know."""
    from PIL import Image
    from PIL.ImageDraw import Draw

    kind, _, what = description.partition(":")
    if kind not in _DRAWN:
        raise ValueError(f"no such drawing: {kind!r}")
    picture = Image.new("RGB", (WIDTH, HEIGHT), "white")
    _DRAWN[kind](Draw(picture), what.strip())
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()


def _shapes(canvas: ImageDraw, what: str) -> None:
    shapes = [item.split() for item in what.split(",")]
    step = WIDTH / len(shapes)
    radius = min(70.0, 0.4 * step)
    for place, (colour, shape) in enumerate(shapes):
        _shape(canvas, shape, _COLOURS.get(colour, colour), (step * (place + 0.5), HEIGHT / 2), radius)


def _shape(canvas: ImageDraw, shape: str, colour: str, centre: _Point, radius: float) -> None:
    x, y = centre
    if shape == "circle":
        canvas.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour, outline=_INK, width=3)
        return
    if shape not in _CORNERS:
        raise ValueError(f"no such shape: {shape!r}")
    corners = [(x + radius * right, y + radius * down) for right, down in _CORNERS[shape]]
    canvas.polygon(corners, fill=colour, outline=_INK, width=3)


def _note(canvas: ImageDraw, what: str) -> None:
    from PIL.ImageFont import load_default

    lines = what.split("|")
    canvas.rectangle((20, 20, WIDTH - 20, HEIGHT - 20), fill="#fffbe6", outline=_INK, width=3)
    step = (HEIGHT - 60) / max(len(lines), 4)
    for place, line in enumerate(lines):
        canvas.text((45, 40 + step * place), line.strip(), fill=_INK, font=load_default(26))


def _bars(canvas: ImageDraw, what: str) -> None:
    from PIL.ImageFont import load_default

    bars = [item.rsplit(maxsplit=1) for item in what.split(",")]
    values = [float(value) for _, value in bars]
    step, foot = (WIDTH - 40) / len(bars), HEIGHT - 50
    for place, (label, _) in enumerate(bars):
        left, top = 20 + step * place, foot - (foot - 30) * values[place] / max(values)
        canvas.rectangle((left + 0.15 * step, top, left + 0.85 * step, foot), fill="#4a7ebb", outline=_INK, width=2)
        canvas.text((left + 0.15 * step, foot + 10), label.strip(), fill=_INK, font=load_default(22))
    canvas.line((20, foot, WIDTH - 20, foot), fill=_INK, width=3)


def _clock(canvas: ImageDraw, what: str) -> None:
    hours, minutes = (int(part) for part in what.split(":"))
    x, y, radius = WIDTH / 2, HEIGHT / 2, 140
    canvas.ellipse((x - radius, y - radius, x + radius, y + radius), outline=_INK, width=5)

    def point(turn: float, length: float) -> _Point:
        return x + length * math.sin(2 * math.pi * turn), y - length * math.cos(2 * math.pi * turn)

    for mark in range(12):
        canvas.line((point(mark / 12, radius - 16), point(mark / 12, radius - 4)), fill=_INK, width=4)
    canvas.line(((x, y), point((hours % 12 + minutes / 60) / 12, 75)), fill=_INK, width=9)
    canvas.line(((x, y), point(minutes / 60, 115)), fill=_INK, width=5)


def _star() -> tuple[_Point, ...]:
    return tuple(
        (
            (1.0 if n % 2 == 0 else 0.42) * math.sin(math.pi * n / 5),
            -(1.0 if n % 2 == 0 else 0.42) * math.cos(math.pi * n / 5),
        )
        for n in range(10)
    )


_RIGHT_ARROW: tuple[_Point, ...] = (
    (-1, -0.3), (0.2, -0.3), (0.2, -0.8), (1, 0), (0.2, 0.8), (0.2, 0.3), (-1, 0.3),
)  # fmt: skip
_CORNERS: Mapping[str, tuple[_Point, ...]] = MappingProxyType(
    {
        "square": ((-0.9, -0.9), (0.9, -0.9), (0.9, 0.9), (-0.9, 0.9)),
        "triangle": ((0, -1), (1, 0.8), (-1, 0.8)),
        "diamond": ((0, -1), (0.75, 0), (0, 1), (-0.75, 0)),
        "star": _star(),
        "right-arrow": _RIGHT_ARROW,
        "down-arrow": tuple((y, x) for x, y in _RIGHT_ARROW),
        "up-arrow": tuple((y, -x) for x, y in _RIGHT_ARROW),
    }
)
"""Corners of each shape around its centre, in radii, right and down."""

_DRAWN: Mapping[str, Callable[[ImageDraw, str], None]] = MappingProxyType(
    {"shapes": _shapes, "note": _note, "bars": _bars, "clock": _clock}
)
