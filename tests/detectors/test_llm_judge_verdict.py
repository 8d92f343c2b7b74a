"""Reading a leakage judge's JSON: the menu is strict, and quotes count only where the text says them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.detectors.llm_judge.verdict import KINDS, MOST_ADDS, MOST_SPANS, LeakVerdict, read_leak
from vsil_audit.detectors.structured import OffMenuError

TEXT = "How high does a red kite fly over the shed?"


def verdict(**changed: Any) -> dict[str, Any]:
    said = {
        "reasons": "The kite is named.",
        "reveals": "explicit",
        "spans": ["red kite"],
        "kind": "object",
        "adds": "the weather",
        "confidence": 0.8,
    }
    return {name: value for name, value in (said | changed).items() if value is not ...}


def test_a_verdict_is_read() -> None:
    assert read_leak(verdict(), TEXT) == LeakVerdict("explicit", "object", ((16, 24),), 0, "the weather", 0.8)


@pytest.mark.parametrize("field", ["reasons", "reveals", "spans", "kind", "adds", "confidence"])
def test_every_field_must_be_there(field: str) -> None:
    with pytest.raises(KeyError):
        read_leak(verdict(**{field: ...}), TEXT)


@pytest.mark.parametrize(
    "changed",
    [
        {"reveals": "partly"},
        {"reveals": "none|implicit|explicit"},
        {"reveals": ""},
        {"kind": "harm"},
        {"confidence": 1.2},
        {"confidence": -0.1},
        {"confidence": math.nan},
        {"confidence": math.inf},
        {"confidence": 10**400},
    ],
)
def test_a_value_off_the_menu_is_no_verdict(changed: dict[str, Any]) -> None:
    with pytest.raises(OffMenuError):
        read_leak(verdict(**changed), TEXT)


@pytest.mark.parametrize(
    "changed",
    [
        {"reveals": None},
        {"reveals": ["explicit"]},
        {"kind": 3},
        {"spans": {"a": 1}},
        {"spans": 3},
        {"reasons": {}},
        {"adds": 7},
        {"confidence": None},
        {"confidence": True},
        {"confidence": "sure"},
    ],
)
def test_a_value_of_another_type_is_no_verdict(changed: dict[str, Any]) -> None:
    with pytest.raises((TypeError, ValueError)):
        read_leak(verdict(**changed), TEXT)


def test_notation_is_read_leniently() -> None:
    said = verdict(reveals=" Explicit.", kind="OBJECT", spans="Red  Kite", adds=None, confidence="0.5")
    assert read_leak(said, TEXT) == LeakVerdict("explicit", "object", ((16, 24),), 0, "", 0.5)


@pytest.mark.parametrize("kind", [None, "none", "null", "object"])
def test_nothing_revealed_is_of_no_kind(kind: str | None) -> None:
    assert read_leak(verdict(reveals="none", spans=[], kind=kind), TEXT).kind == ""


def test_quotes_that_do_not_occur_are_dropped_and_counted() -> None:
    read = read_leak(verdict(spans=["a balloon", "SHED", "", 7, None, ["shed"], "shed", "red kite"]), TEXT)
    assert [TEXT[a:b] for a, b in read.spans] == ["red kite", "shed"]
    assert read.dropped_spans == 5


def test_many_and_huge_quotes_are_bounded() -> None:
    text = " ".join(f"word{n}" for n in range(500))
    read = read_leak(verdict(spans=[f"word{n}" for n in range(500)], adds="a " * 10_000), text)
    assert len(read.spans) == MOST_SPANS
    assert read.dropped_spans == 500 - MOST_SPANS
    assert len(read.adds) == MOST_ADDS
    assert read_leak(verdict(spans=["kite " * 200_000]), TEXT).dropped_spans == 1


def test_the_whole_text_may_be_quoted() -> None:
    assert read_leak(verdict(spans=[TEXT]), TEXT).spans == ((0, len(TEXT)),)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)


@given(st.fixed_dictionaries({}, optional={name: json_values | st.just(verdict()[name]) for name in verdict()}))
def test_whatever_a_judge_says_is_a_verdict_or_an_error_that_is_provided_for(said: dict[str, Any]) -> None:
    try:
        read = read_leak(said, TEXT)
    except (KeyError, TypeError, ValueError):
        return
    assert read.reveals in ("none", "implicit", "explicit")
    assert read.kind in ("", *KINDS)
    assert 0 <= read.confidence <= 1
    assert all(0 <= start < end <= len(TEXT) for start, end in read.spans)
    json.dumps([read.adds, read.confidence], allow_nan=False)
