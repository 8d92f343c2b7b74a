"""Texts longer than a model's window: every word is in some passage, and no passage is too long."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.features.windows import windows


def by_threes(texts: Sequence[str]) -> list[int]:
    """Tokens of a tokenizer that cuts each word into pieces of three characters."""
    return [sum(-(-len(word) // 3) for word in text.split()) for text in texts]


def test_a_text_that_fits_is_left_as_it_is() -> None:
    assert windows([" a  kite\n", ""], 3, by_threes) == [[" a  kite\n"], [""]]


def test_a_long_text_is_cut_between_words_with_some_overlap() -> None:
    assert windows(["a b c d e f g h i j"], 4, by_threes) == [["a b c d", "d e f g", "g h i j"]]


def test_what_is_at_the_end_of_one_passage_is_inside_another() -> None:
    words = [f"w{i}" for i in range(100)]
    passages = [passage.split() for passage in windows([" ".join(words)], 20, by_threes)[0]]
    for before, after in pairwise(passages):
        assert before[-5:] == after[:5]


def test_writing_without_spaces_is_cut_too() -> None:
    text = "凧" * 1000
    (passages,) = windows([text], 50, by_threes)
    assert max(by_threes(passages)) <= 50
    assert len(passages) < 20
    assert set("".join(passages)) == {"凧"}


@given(st.lists(st.sampled_from(["", "", " ", "\n "]), max_size=300), st.integers(1, 30))
def test_nothing_is_left_out_and_no_passage_is_too_long(spaces: list[str], room: int) -> None:
    text = "".join(chr(0x4E00 + i) + space for i, space in enumerate(spaces))  # each character once
    (passages,) = windows([text], room, by_threes)
    assert all(by_threes([passage])[0] <= room for passage in passages)
    assert all(passage in text for passage in passages)
    assert set("".join(passages)) >= set(text) - set(" \n")


@pytest.mark.parametrize("text", ["kite " * 8000, "k" * 40_000, "\u200b" * 40_000])
def test_huge_texts_take_few_countings(text: str) -> None:
    counted = []

    def count(texts: Sequence[str]) -> list[int]:
        counted.append(sum(map(len, texts)))
        return by_threes(texts)

    assert len(windows([text], 254, count)[0]) < 100
    assert sum(counted) < 20 * len(text)
