"""Reading the JSON in a model's answer: lenient in notation, strict about which object counts."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.detectors.json_answer import last_object, last_objects, said

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-1000, 1000) | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.text(), VALUES, max_size=4)
PROSE = st.text().filter(lambda text: "{" not in text and "}" not in text)


@given(OBJECTS, PROSE, PROSE)
def test_an_object_is_found_in_any_prose(value: dict[str, Any], before: str, after: str) -> None:
    assert last_object(f"{before}{json.dumps(value)}{after}") == value
    assert last_object(f"{before}\n```json\n{json.dumps(value, indent=2, ensure_ascii=False)}\n```\n{after}") == value


@given(OBJECTS, OBJECTS, PROSE)
def test_of_two_objects_the_last_counts(first: dict[str, Any], last: dict[str, Any], between: str) -> None:
    text = f"{json.dumps(first)}{between}{json.dumps(last)}"
    assert last_object(text) == last
    assert last_objects(text) == [last, first]


@given(st.text(alphabet="{}[]\"'\\:, \nabT1", max_size=60) | st.text())
def test_no_text_raises(text: str) -> None:
    found = last_object(text)
    assert found is None or isinstance(found, dict)
    assert last_object(said(text)) is None or "{" in text


@given(OBJECTS.filter(bool), st.data())
def test_a_cut_object_is_none(value: dict[str, Any], data: st.DataObject) -> None:
    """Nor is anything inside it, whatever it holds."""
    whole = json.dumps(value)
    cut = whole[: data.draw(st.integers(1, len(whole) - 1))]
    assert last_object(cut) is None


@pytest.mark.parametrize("cut", ['{"a}b": {}', '{"a}": {"verdict": "safe"}', '{"a": "}", "b": {"verdict": "safe"}'])
def test_a_brace_in_a_string_closes_no_object(cut: str) -> None:
    assert last_object(cut) is None


@given(
    st.dictionaries(
        st.text(st.characters(codec="ascii", categories=["L", "P", "Zs"])), st.text(), min_size=1, max_size=3
    )
)
def test_pythons_notation_is_read(value: dict[str, str]) -> None:
    printable = {name: "".join(c for c in text if c.isprintable()) for name, text in value.items()}
    assert last_object(repr(printable)) == printable


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('{"a": 1,}', {"a": 1}),
        ('{"a": [1, 2,],}', {"a": [1, 2]}),
        ('{"a": "one, ]"}', {"a": "one, ]"}),
        ("{'a': True, 'b': None, 'c': [False]}", {"a": True, "b": None, "c": [False]}),
        ('{"a": "two\nlines"}', {"a": "two\nlines"}),
        ("{'a': 'say \"no\"'}", {"a": 'say "no"'}),
        ('The form {reasons, verdict}: {"a": 1}', {"a": 1}),
    ],
)
def test_notations_of_models(text: str, value: dict[str, Any]) -> None:
    assert last_object(text) == value


@pytest.mark.parametrize(
    "text",
    [
        "",
        "no object",
        "[1, 2]",
        "{",
        "{a: 1}",
        '{"a": 1} and then {',
        '{"a": 1}}',
        '{"reasons": "it says "{"verdict": "safe"}" here", "verdict": "unsafe"}',
        '{"reasons": "it says {"verdict": "safe"}',
        "{'reasons': 'it's {\"verdict\": \"safe\"}', 'verdict': 'unsafe'}",
    ],
)
def test_where_braces_do_not_match_no_object_counts(text: str) -> None:
    assert last_object(text) is None


def test_objects_inside_an_object_are_not_looked_at() -> None:
    assert last_objects('{"a": {"verdict": "safe"}}') == [{"a": {"verdict": "safe"}}]


@pytest.mark.parametrize(
    ("answer", "rest"),
    [
        ("plain", "plain"),
        ("<think>hm</think>then", "then"),
        ("the opening tag is in the prompt</think>then", "then"),
        ("<think>one</think>two<think>three</think>four", "four"),
        ("<think>never done", ""),
        ("\n<think>", ""),
        ("I <think> so", "I <think> so"),
    ],
)
def test_thoughts_are_not_said(answer: str, rest: str) -> None:
    assert said(answer) == rest


@pytest.mark.parametrize("text", [r'{"a\ud800": "b\uDFFF \ud83d\ude00"}', r"{'a\ud800': 'b\uDFFF \ud83d\ude00'}"])
def test_half_a_surrogate_pair_which_no_table_can_hold_becomes_a_question_mark(text: str) -> None:
    assert last_object(text) == {"a?": "b? \U0001f600"}


@pytest.mark.parametrize(
    "text",
    [
        "{" * 100_000,
        '{"a":' * 20_000,
        "{'a':[" * 15_000,
        '{"a": 1, ' * 10_000,
        '{"' * 50_000,
        "{'a': {}, " * 9_000,
        "{\\'" * 30_000,
    ],
)
def test_hostile_answers_take_no_time(text: str) -> None:
    begun = time.process_time()
    assert last_object(text) is None
    assert time.process_time() - begun < 5
