"""What a leakage judge says, read out of its JSON: a strict menu, and quotes that were looked up in the text."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from vsil_audit.detectors.llm_judge.spans import Quotable
from vsil_audit.detectors.structured import OffMenuError, on_menu

NONE, IMPLICIT, EXPLICIT = "none", "implicit", "explicit"
VALUES = MappingProxyType({NONE: 0.0, IMPLICIT: 0.5, EXPLICIT: 1.0})
"""The label of an observation, and its value."""

KINDS = ("typography", "object", "activity", "paraphrase", "intent")
MOST_SPANS = 20
MOST_ADDS = 300
_LABELS = MappingProxyType({label: label for label in VALUES})
_KINDS = MappingProxyType({kind: kind for kind in KINDS} | {NONE: "", "null": ""})


@dataclass(frozen=True, slots=True)
class LeakVerdict:
    """One judge's verdict on one pair.

    `spans`: places in the text (start, end; code points) of the quotes that occur in it, in order, at most 20.
    `dropped_spans`: quotes that do not occur, that are no text, or that are more than 20. `kind`: empty where nothing
    is revealed, and where the judge names none. `confidence` in [0, 1]: the judge's own word.
    """

    reveals: str
    kind: str
    spans: tuple[tuple[int, int], ...]
    dropped_spans: int
    adds: str
    confidence: float


def read_leak(found: Mapping[str, Any], text: str) -> LeakVerdict:
    """The verdict in a JSON object, about `text`. Raises what `structured.ask_verdict` wants of a reader."""
    reveals = on_menu(found["reveals"], _LABELS, "reveals")
    kind = "" if found["kind"] is None else on_menu(found["kind"], _KINDS, "kind")
    _words(found["reasons"], "reasons")
    spans, dropped = _spans(found["spans"], text)
    return LeakVerdict(
        reveals,
        "" if reveals == NONE else kind,
        spans,
        dropped,
        _words(found["adds"], "adds")[:MOST_ADDS],
        _confidence(found["confidence"]),
    )


def _spans(quotes: Any, text: str) -> tuple[tuple[tuple[int, int], ...], int]:
    """The places of quotes in the text, and how many were dropped."""
    if quotes is None:
        return (), 0
    listed = [quotes] if isinstance(quotes, str) else quotes
    if not isinstance(listed, list):
        raise TypeError("spans is no list")
    if not listed:
        return (), 0
    quotable = Quotable(text)
    places: set[tuple[int, int]] = set()
    dropped = max(0, len(listed) - MOST_SPANS)
    for quote in listed[:MOST_SPANS]:
        place = quotable.find(quote) if isinstance(quote, str) else None
        if place is None:
            dropped += 1
        else:
            places.add(place)
    return tuple(sorted(places)), dropped


def _words(value: Any, what: str) -> str:
    """A text, on one line; null says nothing."""
    if value is None:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{what} is no text")
    return " ".join(value.split())


def _confidence(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise TypeError("confidence is no number")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not 0 <= number <= 1:
        raise OffMenuError(f"confidence {number:g} is not between 0 and 1")
    return number
