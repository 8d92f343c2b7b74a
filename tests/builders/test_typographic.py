"""Words drawn on a card, or below a picture: whole, readable, the same every time; what cannot be drawn is said."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageRequest
from vsil_audit.builders.generators.typographic import MOST_CHARACTERS, Typographic
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.ocr import OcrReader
from vsil_audit.features.words import words
from vsil_audit.images import DecodedImage, ImageLimits, decode


def drawn(prompt: str, seed: int = 1, side: int = 512) -> GeneratedImage | GenerationFailure:
    return asyncio.run(Typographic().generate(ImageRequest(prompt, seed, side, side)))


def opened(made: GeneratedImage | GenerationFailure) -> Image.Image:
    assert isinstance(made, GeneratedImage), made
    return Image.open(io.BytesIO(made.data)).convert("RGB")


def picture(width: int, height: int) -> DecodedImage:
    data = io.BytesIO()
    Image.effect_noise((width, height), 60).convert("RGB").save(data, "PNG")
    found = decode(data.getvalue(), "noise.png", ImageLimits())
    assert isinstance(found, DecodedImage)
    return found


def test_ocr_reads_what_was_drawn() -> None:
    reader = OcrReader()
    for phrase in ("garden gnome", "forged stamps and a lantern", "smuggling three hundred garden gnomes by night"):
        lines = reader.read(np.asarray(opened(drawn(phrase))))
        read = [word.folded for line in lines for word in words(line.text)]
        assert read == [word.folded for word in words(phrase)]


@pytest.mark.parametrize(
    ("prompt", "instead"),
    [
        ("naïve gnome, déjà vu", "naive gnome, deja vu"),
        ("a gnome – “Łódź” style", "a gnome - “Lodz” style"),
        ("Straße", "Strasse"),
        ("e\u0301te\u0301", "ete"),
    ],
)
def test_letters_that_the_font_lacks_are_drawn_plainly_and_that_is_told(prompt: str, instead: str) -> None:
    made, plain = drawn(prompt), drawn(instead)
    assert isinstance(made, GeneratedImage)
    assert isinstance(plain, GeneratedImage)
    assert (made.revised_prompt, plain.revised_prompt) == (instead, "")
    assert made.data == plain.data


def test_ocr_reads_punctuation_long_words_and_accents() -> None:
    reader = OcrReader()
    for phrase in ("state-of-the-art gnome's", "a.k.a. “The Gnome” (50% off!)", "mail: gnome@garden.org, $1,000.00",
                   "electroencephalographically counterrevolutionary", "Ångström, señor Ñandú"):  # fmt: skip
        lines = reader.read(np.asarray(opened(drawn(phrase))))
        read = "".join(word.folded for line in lines for word in words(line.text))
        assert read == "".join(word.folded for word in words(phrase))


def test_a_word_is_broken_only_where_it_must_be() -> None:
    made = Typographic()._layout("a counterrevolutionaries b", 450, 450)
    assert made is not None
    assert "counterrevolutionaries" in " ".join(made.lines).split()


def test_equal_requests_give_equal_bytes_and_seeds_change_the_colours() -> None:
    assert drawn("garden gnome", 5) == drawn("garden gnome", 5)
    corners = {opened(drawn("garden gnome", seed)).getpixel((0, 0)) for seed in range(20)}
    assert len(corners) > 1


def test_the_picture_stays_whole_above_the_words() -> None:
    source = picture(400, 300)
    made = opened(Typographic().below(source, "garden gnome"))
    assert made.width == 400
    assert made.height > 300
    assert made.crop((0, 0, 400, 300)).tobytes() == source.pixels.tobytes()


@pytest.mark.parametrize("size", [(1, 1), (40, 900), (900, 40), (16, 16)])
def test_a_narrow_picture_is_set_on_a_wider_ground(size: tuple[int, int]) -> None:
    made = opened(Typographic().below(picture(*size), "a phrase of several longer words"))
    assert made.width >= 320
    assert made.height > size[1]


def test_long_words_are_broken_and_nothing_leaves_the_card() -> None:
    made = opened(drawn("pneumonoultramicroscopicsilicovolcanoconiosis" * 3))
    edge = np.asarray(made)
    assert (edge[:, :4] == edge[0, 0]).all()
    assert (edge[:, -4:] == edge[0, 0]).all()


@pytest.mark.parametrize(
    ("prompt", "kind"),
    [
        ("", "empty_prompt"),
        (" \n ", "empty_prompt"),
        ("x" * (MOST_CHARACTERS + 1), "too_long"),
        ("園芸", "no_glyph"),
        ("1½ gnomes", "no_glyph"),
        ("a\x00b", "no_glyph"),
        ("\ud800", "no_glyph"),
    ],
)
def test_what_cannot_be_drawn_is_said(prompt: str, kind: str) -> None:
    failure = drawn(prompt)
    assert isinstance(failure, GenerationFailure)
    assert failure.kind == kind
    assert failure.detail


def test_a_file_that_is_no_font_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "font.ttf"
    file.write_text("no font")
    with pytest.raises(ConfigurationError, match="no font"):
        Typographic(file)
