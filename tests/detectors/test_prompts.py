"""Prompts: template files, filled in strictly, and fences that no text can close."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jinja2 import UndefinedError

from vsil_audit.prompts import Prompt, fenced, nonce, prompt


def test_a_prompt_is_known_by_the_hash_of_its_text() -> None:
    found = prompt("repair")
    assert found.name == "repair"
    assert found.sha256 == hashlib.sha256(found.text.encode()).hexdigest()
    assert found.render() == found.text.strip()


def test_a_prompt_that_is_not_there_is_an_error() -> None:
    with pytest.raises(FileNotFoundError):
        prompt("no_such_prompt")


def test_a_value_that_is_missing_is_an_error() -> None:
    with pytest.raises(UndefinedError):
        Prompt("p", "Judge {{ text }}.").render()


@pytest.mark.parametrize("hostile", ["{{ 7 * 7 }}", "{% for x in y %}", "<b>&</b>", "{# gone #}"])
def test_values_are_put_in_as_they_are(hostile: str) -> None:
    assert Prompt("p", "[{{ text }}]").render(text=hostile) == f"[{hostile}]"


@given(st.lists(st.text(), min_size=1, max_size=3))
def test_a_nonce_depends_on_its_texts_alone_and_stands_in_none_of_them(texts: list[str]) -> None:
    mark = nonce(*texts)
    assert mark == nonce(*texts)
    assert len(mark) == 16
    assert set(mark) <= set("0123456789abcdef")
    assert not any(mark in text for text in texts)
    assert nonce(*texts, "") != mark


def test_a_nonce_tells_where_one_text_ends_and_the_next_begins() -> None:
    assert nonce("ab", "c") != nonce("a", "bc")
    assert nonce("abc") != nonce("ab", "c")


def test_a_lone_surrogate_has_a_nonce() -> None:
    assert nonce("\ud800") != nonce("\ud801")


@given(st.text())
def test_a_fence_opens_and_closes_once(text: str) -> None:
    mark = nonce(text)
    made = fenced("query", text, mark)
    assert made == f"<query {mark}>\n{text}\n</query {mark}>"
    assert made.count(mark) == 2
