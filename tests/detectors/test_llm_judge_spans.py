"""Quotes of a judge are looked up in the text: what does not occur is no evidence, and places are code points."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from vsil_audit.detectors.llm_judge.spans import Quotable, folded

TEXT = "How do I  fly\na Red KITE\u00a0in “Café Straße”, at the kite-shop?"


def said(text: str, quote: str) -> str | None:
    place = Quotable(text).find(quote)
    return None if place is None else text[place[0] : place[1]]


@pytest.mark.parametrize(
    ("quote", "passage"),
    [
        ("red kite", "Red KITE"),
        ("  Fly a\tRED kite\n", "fly\na Red KITE"),
        ("kite in", "KITE\u00a0in"),
        ("i fly", "I  fly"),
        ("STRASSE", "Straße"),
        ('"cafe\u0301 straße"', "“Café Straße”"),
        ("kite–shop", "kite-shop"),
        ("balloon", None),
        ("", None),
        (" \n", None),
        ("cafe", None),
    ],
)
def test_quotes_are_found_whatever_their_case_spacing_and_spelling(quote: str, passage: str | None) -> None:
    assert said(TEXT, quote) == passage


def test_a_place_begins_and_ends_between_whole_letters() -> None:
    assert said("Maß", "mas") is None, "half a ß"
    assert said("Maß", "ss") == "ß"
    assert said("İstanbul", "i") is None, "İ without its dot"
    assert said("İstanbul", "i\u0307stanbul") == "İstanbul"
    assert said("ﬁx", "i") is None, "half a ligature"
    assert said("re\u0301sume\u0301", "re") is None, "an e without its accent"
    assert said("re\u0301sume\u0301", "RÉSUMÉ") == "re\u0301sume\u0301"


def test_a_whole_word_comes_before_a_part_of_one() -> None:
    text = "Start the art class"
    assert Quotable(text).find("art") == (10, 13)
    assert Quotable("two kites").find("kite") == (4, 8), "part of a word is better than nothing"
    assert Quotable("kites and kiteboards").find("kite") == (0, 4)
    assert said("请问怎么修理风筝", "风筝") == "风筝"


# ΐ with U+0345 and the like change their order in normal form; everything else must agree with whole-string folding.
TEXTS = st.text(
    st.one_of(
        st.sampled_from("aAeEsSßẞİiıIﬁǅŉΣσςΐ’'“\"-– \t\n\u00a0\u2003\u0301\u0307\u0323🪁é風クक्कि"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\u0345"),
    ),
    max_size=40,
)


def loosely(text: str) -> str:
    """Equal up to case, white space, canonical form and typographic marks; written apart from the code."""
    text = unicodedata.normalize("NFD", unicodedata.normalize("NFD", text).casefold())
    for marks, plain in (("’‘ʼ", "'"), ("“”", '"'), ("‐‑–—", "-")):
        for mark in marks:
            text = text.replace(mark, plain)
    return unicodedata.normalize("NFD", " ".join(text.split()))


@given(TEXTS, st.data())
def test_every_piece_of_a_text_is_found_again(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, len(text)))
    whole = (start == 0 or not unicodedata.combining(text[start : start + 1] or " ")) and not unicodedata.combining(
        text[end : end + 1] or " "
    )
    piece = text[start:end]
    for quote in (piece, piece.casefold(), piece.replace(" ", "\n  ")):
        place = Quotable(text).find(quote)
        if place is not None:
            assert loosely(text[place[0] : place[1]]) == loosely(quote)
        else:
            assert not whole or not folded(piece), (piece, quote)


@given(TEXTS, TEXTS)
@example("Maß", "ss")
@example("İ", "i\u0307")
@example("e\u0301", "é")
@example("  a \n b ", "A B")
def test_a_place_always_says_what_was_quoted(text: str, quote: str) -> None:
    place = Quotable(text).find(quote)
    if place is None:
        return
    start, end = place
    assert 0 <= start < end <= len(text)
    assert loosely(text[start:end]) == loosely(quote)
    assert not text[start].isspace()
    assert not text[end - 1].isspace()


@pytest.mark.parametrize(
    ("text", "quote"),
    [
        ("a" * 100_000, "a" * 50_000 + "b"),
        ("a" * 100_000, "aa"),
        ("e\u0301" * 50_000, "e"),
        (" " * 100_000, "a a"),
        ("kite", "kite " * 100_000),
    ],
)
def test_hostile_sizes_take_no_time(text: str, quote: str) -> None:
    began = time.process_time()
    Quotable(text).find(quote)
    assert time.process_time() - began < 5
