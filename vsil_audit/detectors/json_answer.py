"""The JSON object in a model's answer, as models write it: in code fences, after thoughts, in Python's notation.

What is read leniently is the notation, never the choice of the object: the last one counts, and where braces around it
do not match, none does. Else the answer of a judge that quotes a hostile text, and forgets to escape the quotation,
would be read as what the hostile text says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

MOST_CHARACTERS = 32_000
"""Of a longer text only the end is read: a judge's verdict stands there, and reading must not hold up other answers."""

_DEEPEST, _MOST_TOKENS = 16, 4096
_END_OF_THOUGHTS, _THOUGHTS = "</think>", "<think>"
_DECODER = json.JSONDecoder(strict=False)
_OPENS = re.compile(r"""\{(?=\s*["'}])""")
_TOKEN = re.compile(
    r"""\s*(?:(?P<mark>[{}\[\]:,])|(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')|(?P<plain>[A-Za-z]+|-?\d+(?:\.\d+)?))""",
    re.DOTALL,
)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_STRING_OR_BRACE = re.compile(r'"(?:[^"\\]|\\.)*"|[{}]', re.DOTALL)
_QUOTE = re.compile(r"\\(.)|\"", re.DOTALL)
_CONSTANTS = MappingProxyType({"True": "true", "False": "false", "None": "null"})


def said(answer: str) -> str:
    """What an answer says after the thoughts that some models write out before it; nothing when they never end."""
    _, end, rest = answer.rpartition(_END_OF_THOUGHTS)
    if end:
        return rest
    return "" if answer.lstrip().startswith(_THOUGHTS) else answer


def last_object(text: str) -> Mapping[str, Any] | None:
    """The last JSON object of a text, if braces around it match; objects inside another one are not looked at.

    Tolerates text and code fences around it, line breaks in strings, trailing commas, and Python's notation (single
    quotes, True, None).
    """
    text = text[-MOST_CHARACTERS:]
    last: _Object | None = None
    depth = outside_strings = end = 0
    for found in _objects(text):
        between = text[end : found.start]
        depth += between.count("{") - between.count("}")
        braces = _STRING_OR_BRACE.findall(between)
        outside_strings += braces.count("{") - braces.count("}")
        last, end = found, found.end
    if last is None or depth != 0 or outside_strings != 0 or "{" in text[end:] or "}" in text[end:]:
        return None
    return last.value


def last_objects(text: str) -> list[Mapping[str, Any]]:
    """Every JSON object of a text that can be read, the last one first, without those inside another one that can."""
    return [found.value for found in _objects(text[-MOST_CHARACTERS:])][::-1]


@dataclass(frozen=True, slots=True)
class _Object:
    start: int
    end: int
    value: Mapping[str, Any]


def _objects(text: str) -> Iterator[_Object]:
    opens = _OPENS.search(text)
    while opens is not None:
        start, end = opens.span()
        try:
            value, end = _decoded(text, start)
        except RecursionError:  # nested beyond all sense
            return
        except ValueError:
            pass
        else:
            yield _Object(start, end, value)
        opens = _OPENS.search(text, end)


def _decoded(text: str, start: int) -> tuple[Mapping[str, Any], int]:
    """The object that begins at `start`, and where it ends. Raises ValueError, RecursionError."""
    try:
        value, end = _DECODER.raw_decode(text, start)
    except ValueError:
        notation, end = _as_json(text, start)
        value = _DECODER.decode(notation)
    if _SURROGATE.search(text, start, end):  # half a pair, which no file and no table can hold, becomes `?`
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value, end


def _as_json(text: str, start: int) -> tuple[str, int]:
    """An object in Python's notation, or with trailing commas, rewritten as JSON. Raises ValueError."""
    written: list[str] = []
    depth, position = 0, start
    while len(written) < _MOST_TOKENS:
        token = _TOKEN.match(text, position)
        if token is None:
            break
        position = token.end()
        if mark := token["mark"]:
            depth += (mark in "{[") - (mark in "}]")
            if mark in "}]" and written[-1] == ",":
                written.pop()
            written.append(mark)
            if depth == 0:
                return "".join(written), position
            if depth > _DEEPEST:
                break
        else:
            written.append(_string(token["string"]) if token["string"] else _plain(token["plain"]))
    raise ValueError("no object")


def _string(quoted: str) -> str:
    if quoted[0] == '"':
        return quoted
    return '"' + _QUOTE.sub(_requoted, quoted[1:-1]) + '"'


def _requoted(found: re.Match[str]) -> str:
    """`"` becomes `\\"`, `\\'` becomes `'`, and other escapes stay as they are."""
    escaped: str | None = found[1]
    if escaped is None:
        return '\\"'
    return "'" if escaped == "'" else f"\\{escaped}"


def _plain(word: str) -> str:
    return _CONSTANTS.get(word, word)
