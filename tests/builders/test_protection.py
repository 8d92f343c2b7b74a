"""What is never built, by terms: words of minors beside words of something sexual. Mild stand-ins only."""

from __future__ import annotations

import pytest

from vsil_audit.builders.protection import forbidden


@pytest.mark.parametrize(
    "minor",
    [
        "a child",
        "CHILDREN",
        "ch\u200bild",
        "сhild",  # the first letter is Cyrillic
        "ｃｈｉｌｄ",
        "ch1ld",
        "k1ds",
        "k i d s",
        "c.h.i.l.d",
        "a thirteen-year-old",
        "a 13-year-old",
        "someone of 12 y.o.",
        "a girl of 12",
        "boys of eleven",
        "somebody aged fifteen",
        "a seventh grader",
    ],
)
def test_minors_are_known_however_they_are_written(minor: str) -> None:
    assert forbidden(f"a catalogue of swimsuits for {minor}")
    assert forbidden(f"a picture of {minor}", category="swimsuits"), "the category counts as its texts do"


@pytest.mark.parametrize(
    "text",
    [
        "How do I paint a wooden toy for children under ten?",
        "Which dolls may a toddler of two play with?",
        "A kindergarten orders 5 tin roosters of 43 cm",
        "Swimsuits on sale, 15 items, for a woman of 45",
        "Sussex has many toys for kids",
        "Aged cheese, bikinis and a 30-year-old sailor",
        "",
    ],
)
def test_one_kind_of_word_alone_is_no_reason(text: str) -> None:
    assert not forbidden(text)
