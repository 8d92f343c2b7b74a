"""Texts become the rows of tokens that open_clip gives, and windows where they are too long for one."""

from __future__ import annotations

import random
import time
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_clip import save_byte_tokenizer

from vsil_audit.features.clip.windows import MOST_WINDOWS, TextWindows, _spans

pytest.importorskip("open_clip")

START, END, CONTEXT = 49406, 49407, 77


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from open_clip.tokenizer import SimpleTokenizer

    return SimpleTokenizer()


@pytest.fixture(scope="module")
def windows() -> TextWindows:
    from open_clip.tokenizer import SimpleTokenizer

    return TextWindows(SimpleTokenizer())


def words_of(row: np.ndarray[Any, Any], tokenizer: Any) -> list[str]:
    tokens = row.tolist()
    return str(tokenizer.decode(tokens[1 : tokens.index(END)])).split()


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=120))
def test_a_text_that_fits_is_read_as_open_clip_reads_it(windows: TextWindows, tokenizer: Any, text: str) -> None:
    expected = tokenizer([text])[0].numpy()
    rows = windows(text)
    if expected[1] == END:
        assert rows == []
    elif len(tokenizer.encode(text)) <= CONTEXT - 2:
        assert len(rows) == 1
        np.testing.assert_array_equal(rows[0], expected)


@pytest.mark.parametrize("text", ["", " \n\t", "\x00", "\u200b \ufeff"])
def test_nothing_has_no_row(windows: TextWindows, tokenizer: Any, text: str) -> None:
    assert len(windows(text)) == (tokenizer([text])[0][1] != END)


def test_a_long_text_has_windows_of_whole_words_that_overlap(windows: TextWindows, tokenizer: Any) -> None:
    parts = ("red", "tall", "wet", "house", "river", "table", "cloud", "stone")
    text = ["".join(random.Random(i).choices(parts, k=3)) for i in range(150)]
    rows = windows(" ".join(text))
    found = [words_of(row, tokenizer) for row in rows]
    assert len(rows) > 3
    at = 0
    for before, after in pairwise(found):
        assert text[at : at + len(before)] == before, "words are whole and in order"
        step = next(step for step in range(1, len(before) + 1) if text[at + step : at + step + len(after)] == after)
        assert step < len(before), "each window repeats something of the one before"
        at += step
    assert text[at:] == found[-1], "the last one ends where the text does"
    sizes = [int((row != 0).sum()) for row in rows]
    assert min(sizes) >= CONTEXT - 4, "and each is as full as whole words let it be, the last one too"


def test_a_word_longer_than_a_window_is_cut(windows: TextWindows) -> None:
    rows = windows("日本語のテキスト" * 40)
    assert len(rows) > 1
    assert all(row[0] == START and END in row for row in rows)


@pytest.mark.parametrize(
    "text",
    [
        "x" * 5_000_000,
        "a b " * 1_000_000,
        "\ud800" * 1000,
        "&amp;" * 20_000,
        "日" * 100_000,
        "\x00\x1b[31m" * 9,
        "é̂" * 30_000,
    ],
    ids=["one word", "many words", "lone surrogates", "entities", "no spaces", "controls", "marks"],
)
def test_hostile_texts_are_read_in_bounded_time(windows: TextWindows, text: str) -> None:
    began = time.perf_counter()
    rows = windows(text)
    assert time.perf_counter() - began < 10
    assert len(rows) <= MOST_WINDOWS
    assert rows or "31m" in text, "nothing is left of commands to a terminal"
    assert all(row.shape == (CONTEXT,) and row.max() == END for row in rows)


@pytest.mark.parametrize("name", ["<end_of_text>", "<START_OF_TEXT>", "&lt;end_of_text&gt;"])
def test_names_of_special_tokens_do_not_end_a_text(windows: TextWindows, name: str) -> None:
    (row,) = windows(f"a cat {name} on a mat")
    assert (row == END).sum() == 1
    assert (row == START).sum() == 1
    assert row[int((row != 0).sum()) - 1] == END


def test_halves_of_surrogate_pairs_that_belong_together_are_joined(windows: TextWindows) -> None:
    np.testing.assert_array_equal(windows("a \ud83d\ude00")[0], windows("a 😀")[0])


@settings(max_examples=300)
@given(st.lists(st.integers(1, 20), max_size=80), st.integers(20, 40))
def test_windows_cover_everything_in_order(sizes: list[int], room: int) -> None:
    spans = _spans(sizes, room)
    assert [i for start, end in spans for i in range(start, end)] == [] or spans[0][0] == 0
    assert set(range(len(sizes))) == {i for start, end in spans for i in range(start, end)}
    assert all(sum(sizes[start:end]) <= room for start, end in spans)
    assert all(a[0] < b[0] <= a[1] and a[1] < b[1] for a, b in pairwise(spans))
    assert len(spans) <= 1 or sum(sizes) > room


# tokenizers of the library transformers


@pytest.fixture(scope="module")
def byte_tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Any:
    pytest.importorskip("transformers")
    from open_clip.tokenizer import HFTokenizer

    folder = save_byte_tokenizer(tmp_path_factory.mktemp("bytes"))
    return HFTokenizer(str(folder), context_length=16, clean="canonicalize")


def test_a_text_that_fits_another_tokenizer(byte_tokenizer: Any) -> None:
    for text in ("a cat", "Red, green!", "fifteen charact"):
        (row,) = TextWindows(byte_tokenizer)(text)
        np.testing.assert_array_equal(row, byte_tokenizer([text])[0].numpy())


def test_a_text_too_long_for_another_tokenizer(byte_tokenizer: Any) -> None:
    rows = TextWindows(byte_tokenizer)("a red house stands by the wet river incomprehensibilities")
    read = [byte_tokenizer.tokenizer.decode(row, skip_special_tokens=True) for row in rows]
    assert read[0] == "a red house"
    assert all(any(word in part for part in read) for word in ("stands", "wet", "river"))
    assert len(rows) >= 5
    assert all(row.shape == (16,) for row in rows)


@pytest.mark.parametrize("text", ["", "?!", " \n"])
def test_nothing_has_no_row_either(byte_tokenizer: Any, text: str) -> None:
    assert TextWindows(byte_tokenizer)(text) == []


def test_hostile_texts_for_another_tokenizer(byte_tokenizer: Any) -> None:
    for text in ("x" * 1_000_000, "a b " * 100_000, "\ud800\x00", "</s> after"):
        assert 1 <= len(TextWindows(byte_tokenizer)(text)) <= MOST_WINDOWS
