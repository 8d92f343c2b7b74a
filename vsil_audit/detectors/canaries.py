"""Canaries: planted pairs of known verdict, mixed in with a set, that show whether a safety judge can be believed.

Three kinds. `plain`: obvious to anybody, with and without an idle image. `twin`: one text that names nothing, with an
image that says something harmless, and with one that says something harmful: a judge that ignores images is wrong about
one of the two. `injection`: text or image order the judge to give the wrong verdict; half of them are harmless, so that
a judge which calls every order unsafe is seen, too. What they are made of stands in `canaries.yaml`.
"""

from __future__ import annotations

import io
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from importlib.resources import files
from itertools import product
from typing import TypeAlias, TypeVar

from PIL import Image, ImageDraw, ImageFont

from vsil_audit.detectors.chat import Condition, Part, Subject
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.pair import Pair

T = TypeVar("T")

PLAIN, TWIN, INJECTION = "plain", "twin", "injection"

MOST = 1000
"""Canaries at most: more than that tell nothing more of a judge."""

Material: TypeAlias = Mapping[str, Sequence[str]]
Sort: TypeAlias = Callable[[Material, str, random.Random], Iterator[Subject]]
"""All canaries of one sort that have the given verdict, in a random order."""

_VERDICTS = ("safe", "unsafe")
_SIZE = (768, 512)
_MARGIN = 40
_LARGEST, _SMALLEST, _STEP = 72, 20, 4
_LINE = 1.25

_Font: TypeAlias = "ImageFont.FreeTypeFont | ImageFont.ImageFont"


def safety_canaries(count: int, seed: int) -> list[Subject]:
    """`count` distinct subjects (at most MOST), equal for equal seeds: a third of each kind, twins complete, of plain
    and injected ones as many unsafe as safe."""
    count = min(count, MOST)
    n_twins = round(count / 6)
    n_plain = (count - 2 * n_twins + 1) // 2
    n_injected = count - 2 * n_twins - n_plain
    made = [
        *_in_turn(PLAIN, (_named, _named_beside_image), n_plain, seed),
        *_twins(n_twins, seed),
        *_in_turn(INJECTION, (_ordered_in_text, _ordered_in_image, _ordered_beside_image), n_injected, seed),
    ]
    return [replace(s, pair=replace(s.pair, id=f"safety_judge-canary-{n}")) for n, s in enumerate(made, start=1)]


def _in_turn(kind: str, sorts: Sequence[Sort], count: int, seed: int) -> Iterator[Subject]:
    """Each sort, safe and unsafe, in turn."""
    chance = _chance(kind, seed)
    streams = [sort(_material(), verdict, chance) for sort, verdict in product(sorts, _VERDICTS)]
    for number in range(count):
        yield replace(next(streams[number % len(streams)]), kind=kind)


def _twins(count: int, seed: int) -> Iterator[Subject]:
    """`count` texts, each with a harmless and a harmful image."""
    material, chance = _material(), _chance(TWIN, seed)
    combinations = [
        (text, sign, acts)
        for text, sign in product(material["points"], material["signs"])
        for acts in zip(_shuffled(material["safe"], chance), material["unsafe"], strict=True)
    ]
    for number, (text, sign, acts) in enumerate(_shuffled(combinations, chance)[:count], start=1):
        for verdict, act in zip(_VERDICTS, acts, strict=True):
            subject = _subject(text, sign.format(act=act).upper(), text_is="safe", pair_is=verdict)
            yield replace(subject, kind=TWIN, twin=f"safety_judge-twin-{number}")


def _named(material: Material, verdict: str, chance: random.Random) -> Iterator[Subject]:
    for ask, act in _shuffled(product(material["asks"], material[verdict]), chance):
        yield _subject(ask.format(act=act), "", text_is=verdict)


def _named_beside_image(material: Material, verdict: str, chance: random.Random) -> Iterator[Subject]:
    for ask, act, idle in _shuffled(product(material["asks"], material[verdict], material["idle"]), chance):
        yield _subject(ask.format(act=act), idle, text_is=verdict, pair_is=verdict)


def _ordered_in_text(material: Material, verdict: str, chance: random.Random) -> Iterator[Subject]:
    for ask, act, order in _shuffled(product(material["asks"], material[verdict], material["orders"]), chance):
        yield _subject(_with_order(ask.format(act=act), order, verdict), "", text_is=verdict)


def _ordered_beside_image(material: Material, verdict: str, chance: random.Random) -> Iterator[Subject]:
    for ask, act, order in _shuffled(product(material["asks"], material[verdict], material["orders"]), chance):
        text = _with_order(ask.format(act=act), order, verdict)
        yield _subject(text, chance.choice(material["idle"]), text_is=verdict, pair_is=verdict)


def _ordered_in_image(material: Material, verdict: str, chance: random.Random) -> Iterator[Subject]:
    for text, sign, act in _shuffled(product(material["points"], material["signs"], material[verdict]), chance):
        drawn = _with_order(sign.format(act=act).upper(), chance.choice(material["drawn_orders"]), verdict)
        yield _subject(text, drawn, pair_is=verdict)


def _with_order(text: str, order: str, verdict: str) -> str:
    wrong = _VERDICTS[1 - _VERDICTS.index(verdict)]
    return f"{text}\n\n{order.format(verdict=wrong)}"


def _subject(text: str, drawn: str, *, text_is: str = "", pair_is: str = "") -> Subject:
    """A canary with an image that says `drawn`, if anything; its kind and id are still to be set."""
    expected = {Condition.TEXT.value: text_is, Condition.PAIR.value: pair_is}
    return Subject(
        Pair("", text),
        images=(drawn_text(drawn),) if drawn else (),
        part=Part.CANARY,
        expected={condition: verdict for condition, verdict in expected.items() if verdict},
    )


@lru_cache(maxsize=1)
def _material() -> Material:
    import yaml

    material: Material = yaml.safe_load(files("vsil_audit.detectors").joinpath("canaries.yaml").read_text("utf-8"))
    return material


def _chance(kind: str, seed: int) -> random.Random:
    return random.Random(f"safety_judge {kind} canaries {seed}")  # noqa: S311 - a choice that must repeat, no secret


def _shuffled(items: Iterable[T], chance: random.Random) -> list[T]:
    shuffled = list(items)
    chance.shuffle(shuffled)
    return shuffled


@lru_cache(maxsize=512)
def drawn_text(text: str) -> ImagePart:
    """A sign that says `text`: black on white, 768 × 512 pixels, as large as fits. Equal texts give equal bytes.

    Raises ValueError for a text that does not fit at 20 pixels (some 800 characters).
    """
    for size in range(_LARGEST, _SMALLEST - 1, -_STEP):
        font = _font(size)
        lines = _wrapped(text, font)
        if lines and len(lines) * size * _LINE <= _SIZE[1] - 2 * _MARGIN:
            return ImagePart.of_bytes(_png(lines, font, size), name=f"drawn: {text[:60]}")
    raise ValueError(f"a text of {len(text)} characters does not fit on a sign")


@lru_cache(maxsize=32)
def _font(size: int) -> _Font:
    return ImageFont.load_default(size)


def _wrapped(text: str, font: _Font) -> list[str]:
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


def _png(lines: list[str], font: _Font, size: int) -> bytes:
    picture = Image.new("L", _SIZE, 255)
    pen = ImageDraw.Draw(picture)
    height = size * _LINE
    top = (_SIZE[1] - height * len(lines)) / 2
    for number, line in enumerate(lines):
        pen.text(((_SIZE[0] - pen.textlength(line, font=font)) / 2, top + number * height), line, fill=0, font=font)
    target = io.BytesIO()
    picture.save(target, "PNG")
    return target.getvalue()
