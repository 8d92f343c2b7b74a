"""Records of a build made by hand, with images that are drawn for them."""

from __future__ import annotations

import io
from pathlib import Path

from PIL import Image, ImageDraw

from vsil_audit.builders.draft import BuiltImage, Draft, Step
from vsil_audit.builders.folder import BuildFolder, BuildManifest
from vsil_audit.builders.generators.base import GeneratedImage, ImageRequest
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.record import Fate, Record

GNOMES = ("red", "blue", "tall", "rusty", "painted", "broken", "tiny", "hollow", "stone", "plastic")


def picture(seed: int, size: tuple[int, int] = (96, 64)) -> bytes:
    """A PNG of coloured shapes, another one for each seed."""
    image = Image.new("RGB", size, ((seed * 53) % 256, (seed * 97) % 256, (seed * 29) % 256))
    draw = ImageDraw.Draw(image)
    for number in range(6):
        x, y = (seed * 37 + number * 41) % size[0], (seed * 61 + number * 23) % size[1]
        colour = ((seed * 71 + number * 90) % 256, (number * 67 + seed) % 256, (seed * 13 + number * 31) % 256)
        draw.rectangle((x, y, x + 9 + number, y + 14), fill=colour)
    target = io.BytesIO()
    image.save(target, "PNG")
    return target.getvalue()


def begun(path: Path, name: str = "gnomes") -> BuildFolder:
    folder = BuildFolder(path)
    folder.begin(BuildManifest(command="convert", name=name, tool_version="0", started="now"))
    return folder


def with_picture(folder: BuildFolder, name: str, text: str, seed: int, **fields: str) -> Record:
    digest = folder.keep_image(picture(seed), "PNG")
    return Record(
        Draft(id=name, text=text, image=BuiltImage(digest, "PNG", "source"), **{"category": "gnomes", **fields}),  # type: ignore[arg-type]
        Fate.KEPT,
        source_text=text,
    )


def with_card(folder: BuildFolder, name: str, text: str, words: str, drawer: Typographic) -> Record:
    made = drawer.card(ImageRequest(words, 1, 320, 240))
    assert isinstance(made, GeneratedImage)
    digest = folder.keep_image(made.data, made.format)
    image = BuiltImage(digest, made.format, drawer.identity, words, 1, f"the words “{words}”")
    step = Step("draw_words", drawer.identity, details={"words": words, "under_the_image": False, "read_back": True})
    return Record(Draft(id=name, text=text, image=image, steps=(step,)), Fate.BUILT, source_text=f"Hide a {words}?")


def pool_of(folder: Path, seeds: range) -> Path:
    folder.mkdir(parents=True)
    for seed in seeds:
        (folder / f"{seed}.png").write_bytes(picture(seed))
    return folder
