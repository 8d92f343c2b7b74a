"""A verdict out of a judge's answer: JSON where the judge gave it, read leniently; one repair turn; else a failure."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.gateway.answers import Answer, CallFailure, Finish
from vsil_audit.gateway.messages import Message
from vsil_audit.pair import Failed
from vsil_audit.prompts import prompt

T = TypeVar("T")

REPAIR = "repair"
"""Name of the prompt that asks once more for an answer in the right form."""

MALFORMED = "malformed_answer"
OFF_MENU = "off_menu"
COPIED = "copied_input"
TRUNCATED = "truncated"
EMPTY = "empty_answer"
BLOCKED = "blocked"
_MOST_CHARACTERS = 100_000
_TRAILING_COMMA = re.compile(r",\s*([}\]])")
_DECODER = json.JSONDecoder(strict=False)


class OffMenuError(ValueError):
    """The answer has the right form, but a value that was not among the choices."""


@dataclass(frozen=True, slots=True)
class Verdict(Generic[T]):
    """A verdict that could be read, the answer that it stands in, and whether it took the repair turn."""

    value: T
    answer: Answer
    repaired: bool = False


@dataclass(frozen=True, slots=True)
class Unreadable:
    """No verdict: why, and the last answer if there was one."""

    failure: Failed
    answer: Answer | None = None


async def ask_verdict(
    ask: Ask, model: str, question: Question, read: Callable[[Mapping[str, Any]], T], mark: str
) -> Verdict[T] | Unreadable:
    """Ask, read the last JSON object of the answer with `read`, and ask once more where that fails.

    `read` raises OffMenuError for a value that was not among the choices, and KeyError, TypeError or ValueError for
    what is missing or of another type. `mark` is the nonce of the question's fences: an answer that holds it copies its
    input, and no verdict in it is the judge's own.
    """
    first = await ask(model, question)
    if isinstance(first, CallFailure):
        return Unreadable(failed_call(first))
    found = read_verdict(first, read, mark)
    if not isinstance(found, Failed):
        return Verdict(found, first)
    if found.kind in (BLOCKED, COPIED):
        return Unreadable(found, first)
    second = await ask(model, _repair(question, first))
    if isinstance(second, CallFailure):
        return Unreadable(found, first)
    again = read_verdict(second, read, mark)
    return Unreadable(again, second) if isinstance(again, Failed) else Verdict(again, second, repaired=True)


def read_verdict(answer: Answer, read: Callable[[Mapping[str, Any]], T], mark: str) -> T | Failed:
    """The verdict in an answer, or why there is none. The last object that can be read counts."""
    if answer.finish in (Finish.BLOCKED, Finish.CONTENT_FILTER):
        return Failed(BLOCKED, "the provider's filter stopped the judge's answer")
    if not answer.text.strip():
        return Failed(EMPTY, "the judge said nothing")
    if mark and mark in answer.text:
        return Failed(COPIED, "the judge copied its input")
    problem: T | Failed = Failed(MALFORMED, "no JSON object in the answer")
    for found in last_objects(answer.text):
        problem = _read_object(found, read)
        if not (isinstance(problem, Failed) and problem.kind == MALFORMED):
            return problem
    return Failed(TRUNCATED, "the answer was cut before its verdict") if answer.truncated else problem


def _read_object(found: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T | Failed:
    try:
        return read(found)
    except OffMenuError as error:
        return Failed(OFF_MENU, str(error))
    except (KeyError, TypeError, ValueError) as error:
        return Failed(MALFORMED, f"the JSON lacks something: {error}")


def last_objects(text: str) -> Iterator[Mapping[str, Any]]:
    """JSON objects of a text, the last one first; those inside another object are not told. Tolerates code fences, text
    around, line breaks in strings and trailing commas."""
    found: list[Mapping[str, Any]] = []
    cleaned = _TRAILING_COMMA.sub(r"\1", text[-_MOST_CHARACTERS:])
    position = cleaned.find("{")
    while position >= 0:
        try:
            value, end = _DECODER.raw_decode(cleaned, position)
        except (json.JSONDecodeError, RecursionError):
            end = position + 1
        else:
            found.append(value)
        position = cleaned.find("{", end)
    yield from reversed(found)


def on_menu(value: Any, menu: Mapping[str, T], what: str) -> T:
    """The choice that `value` names, whatever its case. Raises OffMenuError, or TypeError for what is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is no text")
    chosen = menu.get(value.strip().strip(".").casefold())
    if chosen is None:
        raise OffMenuError(f"{what} {value.strip()[:40]!r} is not one of {', '.join(menu)}")
    return chosen


def failed_call(failure: CallFailure) -> Failed:
    """A call without an answer, as an outcome."""
    return Failed(failure.kind.value, failure.detail)


def _repair(question: Question, answer: Answer) -> Question:
    request = question.request
    turns = (Message.assistant(answer.text or "(nothing)"), Message.user(prompt(REPAIR).render()))
    return replace(question, request=replace(request, messages=(*request.messages, *turns)))
