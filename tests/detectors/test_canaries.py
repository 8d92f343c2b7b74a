"""Canaries of the safety judge: known verdicts, balanced, distinct, repeatable; and pictures of words."""

from __future__ import annotations

import io
from collections import Counter, defaultdict

import pytest
from PIL import Image

from vsil_audit.detectors.canaries import MOST, drawn_text, safety_canaries
from vsil_audit.detectors.chat import Part, Subject
from vsil_audit.images import ImageLimits, decode


@pytest.mark.parametrize("count", [0, 1, 2, 3, 7, 10, 11, 50, 300])
def test_as_many_as_asked_for_with_twins_complete(count: int) -> None:
    canaries = safety_canaries(count, seed=0)
    assert len(canaries) == count
    twins = Counter(c.twin for c in canaries if c.kind == "twin")
    assert set(twins.values()) <= {2}
    assert all(bool(c.twin) == (c.kind == "twin") for c in canaries)


def test_ten_hold_every_kind_and_both_verdicts_of_each() -> None:
    verdicts = defaultdict(set)
    for canary in safety_canaries(10, seed=3):
        assert canary.part is Part.CANARY
        verdicts[canary.kind] |= set(canary.expected.values())
    assert verdicts == {kind: {"safe", "unsafe"} for kind in ("plain", "twin", "injection")}


def test_a_third_is_of_each_kind_and_half_of_each_sort_is_unsafe() -> None:
    canaries = safety_canaries(240, seed=0)
    assert Counter(c.kind for c in canaries) == {"plain": 80, "twin": 80, "injection": 80}
    for kind in ("plain", "twin", "injection"):
        of_pairs = [c.expected["pair"] for c in canaries if c.kind == kind and "pair" in c.expected]
        assert abs(of_pairs.count("unsafe") - of_pairs.count("safe")) <= 2
    for kind in ("plain", "injection"):
        of_texts = [c.expected["text"] for c in canaries if c.kind == kind and "text" in c.expected]
        assert abs(of_texts.count("unsafe") - of_texts.count("safe")) <= 2


def test_a_verdict_is_expected_of_the_pair_where_there_is_an_image_and_only_there() -> None:
    for canary in safety_canaries(240, seed=0):
        assert ("pair" in canary.expected) == bool(canary.images)
        assert canary.expected
        assert set(canary.expected.values()) <= {"safe", "unsafe"}


def test_twins_share_a_text_that_is_safe_and_differ_in_image_and_verdict() -> None:
    twins: dict[str, list[Subject]] = defaultdict(list)
    for canary in safety_canaries(240, seed=0):
        if canary.twin:
            twins[canary.twin].append(canary)
    for one, other in twins.values():
        assert one.pair.text == other.pair.text
        assert one.expected["text"] == other.expected["text"] == "safe"
        assert one.images != other.images
        assert {one.expected["pair"], other.expected["pair"]} == {"safe", "unsafe"}


def test_several_hundred_are_distinct_and_ids_are_unique() -> None:
    canaries = safety_canaries(600, seed=0)
    assert len({(c.pair.text, c.images) for c in canaries}) == 600
    assert len({c.pair.id for c in canaries}) == 600


def test_there_are_no_more_than_tell_anything() -> None:
    assert len(safety_canaries(100_000, seed=0)) == MOST


def test_equal_seeds_give_equal_canaries_and_others_do_not() -> None:
    assert safety_canaries(60, seed=5) == safety_canaries(60, seed=5)
    assert safety_canaries(60, seed=5) != safety_canaries(60, seed=6)


def test_an_injection_orders_the_wrong_verdict() -> None:
    for canary in safety_canaries(120, seed=0):
        if canary.kind == "injection" and "text" in canary.expected:
            wrong = {"safe": "unsafe", "unsafe": "safe"}[canary.expected["text"]]
            order = canary.pair.text.split("\n\n", 1)[1].lower().split()
            assert wrong in [word.strip('".,;:}') for word in order]
            assert "{verdict}" not in canary.pair.text


# Pictures of words.


def pixels(data: object) -> Image.Image:
    assert isinstance(data, bytes)
    return Image.open(io.BytesIO(data))


def test_equal_texts_give_equal_bytes() -> None:
    drawn_text.cache_clear()
    first = drawn_text("HELLO")
    drawn_text.cache_clear()
    again = drawn_text("HELLO")
    assert first is not again
    assert first.read() == again.read()
    assert first.digest != drawn_text("GOODBYE").digest


@pytest.mark.parametrize("text", ["A", "TWO\n\nPARAGRAPHS", "a long sentence that has to be wrapped " * 8])
def test_the_words_stand_large_and_inside_the_picture(text: str) -> None:
    picture = pixels(drawn_text(text).read())
    assert picture.size == (768, 512)
    box = picture.point(lambda value: 255 - value).getbbox()
    assert box is not None
    left, top, right, bottom = box
    assert left >= 20
    assert top >= 20
    assert right <= 748
    assert bottom <= 492
    assert bottom - top >= 30


def test_a_drawn_text_is_an_image_that_can_be_sent() -> None:
    data = drawn_text("HELLO").read()
    assert isinstance(data, bytes)
    assert decode(data, "sign", ImageLimits()).pixels.size == (768, 512)  # type: ignore[union-attr]  # no error


def test_a_text_that_fits_on_no_sign_is_an_error() -> None:
    with pytest.raises(ValueError, match="does not fit"):
        drawn_text("word " * 1000)
    with pytest.raises(ValueError, match="does not fit"):
        drawn_text("w" * 200)
