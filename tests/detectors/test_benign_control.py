"""The benign control in the package: what it holds, and that it is harmless to the tools that read it."""

from __future__ import annotations

import io
import re
from collections import Counter

import pytest
from PIL import Image

from vsil_audit.control import KINDS, benign_control
from vsil_audit.control.drawing import HEIGHT, WIDTH, draw
from vsil_audit.detectors.chat import Part
from vsil_audit.detectors.harm_prior import shipped_controls
from vsil_audit.features.facts import ImageError
from vsil_audit.gateway.image_url import data_url


def test_it_has_fifty_texts_of_each_kind_all_different() -> None:
    control = benign_control()
    assert Counter(subject.kind for subject in control) == dict.fromkeys(KINDS, 50)
    assert len({subject.pair.text.casefold() for subject in control}) == len(control)
    assert len({subject.pair.id for subject in control}) == len(control)
    for subject in control:
        assert (subject.part, subject.pair.label, subject.pair.category) == (Part.CONTROL, "safe", subject.kind)
        assert 4 <= len(subject.pair.text) <= 120


def test_none_of_its_texts_is_a_control_of_the_harm_prior() -> None:
    """Two checks on the same texts would be one."""

    def words(text: str) -> str:
        return " ".join(re.findall(r"\w+", text.casefold()))

    known = {words(text) for text, _ in shipped_controls()}
    assert not known & {words(subject.pair.text) for subject in benign_control()}


def test_what_points_at_an_image_has_one_and_does_not_tell_what_it_shows() -> None:
    told = {"circle", "square", "triangle", "diamond", "star", "clock", "note", "bars"}
    for subject in benign_control():
        if subject.kind == "pointing":
            assert subject.images
            assert not told & set(re.findall(r"\w+", subject.pair.text.casefold())), subject.pair.text


def test_its_images_can_be_sent_and_are_swapped_with_another() -> None:
    with_images = [subject for subject in benign_control() if subject.images]
    assert len(with_images) > 50
    for subject in with_images:
        url = data_url(subject.images[0])
        assert not isinstance(url, ImageError)
        assert url.startswith("data:image/png;base64,")
        assert subject.swapped
        assert subject.swapped[0].digest != subject.images[0].digest
        assert subject.pair.images
    without = [subject for subject in benign_control() if not subject.images]
    assert not any(subject.swapped or subject.pair.images for subject in without)


def test_it_is_the_same_every_time_but_for_the_size_that_was_asked_for() -> None:
    again = benign_control.__wrapped__()
    assert again == benign_control()
    small = benign_control(256)
    assert {image.max_side for subject in small for image in subject.images} == {256}


@pytest.mark.parametrize(
    "description",
    ["shapes: red circle, teal star, black up-arrow", "note: one | two", "bars: a 1, b 2.5", "clock: 23:59"],
)
def test_a_drawing_shows_something(description: str) -> None:
    picture = Image.open(io.BytesIO(draw(description)))
    assert picture.size == (WIDTH, HEIGHT)
    colours = picture.convert("RGB").getcolors(WIDTH * HEIGHT)
    assert colours is not None
    assert len(colours) > 1


@pytest.mark.parametrize("description", ["photo: a cat", "shapes: red hexagon", "clock: noon", ""])
def test_words_that_it_does_not_know_are_an_error(description: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - each says it in its own words
        draw(description)
