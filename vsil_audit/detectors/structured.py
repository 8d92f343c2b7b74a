"""A verdict out of a judge's answer: JSON where the judge gave it, read leniently; one repair turn; else a failure.

Lenient in notation (code fences, thoughts or text before the object, single quotes, trailing commas, the case of a
choice), strict in meaning. Not read as a verdict, however clear it seems: a choice that is not on the menu; a sentence
of prose ("I would call this unsafe", "Verdict: unsafe" below an explanation), since it may as well be quoted or denied;
an object that the judged text itself holds; anything in an answer that repeats the nonce of the fences. A whole answer
in another known form, such as one bare word, counts only where the detector says how (`bare`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeAlias, TypeVar

from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.detectors.json_answer import last_object, last_objects, said
from vsil_audit.gateway.answers import Answer, CallFailure, Finish
from vsil_audit.gateway.messages import Message
from vsil_audit.pair import Failed
from vsil_audit.prompts import prompt

T = TypeVar("T")

REPAIR = "repair"
"""Name of the prompt that asks once more for an answer in the right form."""

MOST_KEPT_CHARACTERS = 20_000
"""Of a judge's answer, in an observation; the gateway's cache has all of it."""

MALFORMED = "malformed_answer"
OFF_MENU = "off_menu"
COPIED = "copied_input"
TRUNCATED = "truncated"
EMPTY = "empty_answer"
BLOCKED = "blocked"
REFUSED = "judge_refused"

Bare: TypeAlias = Callable[[str], "Mapping[str, Any] | None"]
"""Turns a whole answer that is no JSON into the object that it stands for; None when it stands for none."""

_FINAL = frozenset({BLOCKED, COPIED})
_AROUND_A_CHOICE = " \t\r\n.*`\"'"
_DECLINES = re.compile(
    r"\W*(?:(?:i['’]m|i am|we['’]re) (?:\w+ ){0,2}(?:sorry|unable|not able)\b|sorry\b|my apologies\b|i apologi[sz]e\b"
    r"|as an ai\b|i (?:can['’]?t|cannot|can not|won['’]t|will not|must decline)\b)",
    re.IGNORECASE,
)


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
    ask: Ask,
    model: str,
    question: Question,
    read: Callable[[Mapping[str, Any]], T],
    mark: str,
    *,
    quoted: Sequence[str] = (),
    bare: Bare | None = None,
) -> Verdict[T] | Unreadable:
    """Ask, read the last JSON object of the answer with `read`, and ask once more where that fails.

    `read` raises OffMenuError for a value that was not among the choices, and KeyError, TypeError or ValueError for
    what is missing or of another type. `mark` is the nonce of the question's fences: an answer that holds it copies its
    input, and no verdict in it is the judge's own. `quoted`: the texts between those fences; an object that stands in
    one of them is a quotation, no verdict.
    """
    first = await ask(model, question)
    if isinstance(first, CallFailure):
        return Unreadable(failed_call(first))
    found = read_verdict(first, read, mark, quoted=quoted, bare=bare)
    if not isinstance(found, Failed):
        return Verdict(found, first)
    if found.kind in _FINAL:
        return Unreadable(found, first)
    second = await ask(model, _repair(question, first))
    if isinstance(second, CallFailure):
        return Unreadable(found, first)
    again = read_verdict(second, read, mark, quoted=quoted, bare=bare)
    return Unreadable(again, second) if isinstance(again, Failed) else Verdict(again, second, repaired=True)


def read_verdict(
    answer: Answer,
    read: Callable[[Mapping[str, Any]], T],
    mark: str,
    *,
    quoted: Sequence[str] = (),
    bare: Bare | None = None,
) -> T | Failed:
    """The verdict in an answer, or why there is none."""
    if answer.finish in (Finish.BLOCKED, Finish.CONTENT_FILTER):
        return Failed(BLOCKED, "the provider's filter stopped the judge's answer")
    if answer.refusal is not None:
        return Failed(REFUSED, "the judge refused to judge")
    text = said(answer.text)
    if mark and mark in text:
        return Failed(COPIED, "the judge copied its input")
    found = last_object(text)
    if found is not None and any(found in last_objects(one) for one in quoted if "{" in one):
        return Failed(COPIED, "the judge copied an object that stands in its input")
    if found is None and bare is not None and not any(text.strip() == one.strip() for one in quoted):
        found = bare(text.strip())
    return _no_object(answer, text) if found is None else _read_object(found, read)


def _no_object(answer: Answer, text: str) -> Failed:
    if answer.truncated:
        return Failed(TRUNCATED, "the answer was cut before its verdict")
    if not text.strip():
        return Failed(EMPTY, "the judge said nothing")
    if _DECLINES.match(text):
        return Failed(REFUSED, "the judge refused to judge")
    return Failed(MALFORMED, "no JSON object that can be read in the answer")


def _read_object(found: Mapping[str, Any], read: Callable[[Mapping[str, Any]], T]) -> T | Failed:
    try:
        return read(found)
    except OffMenuError as error:
        return Failed(OFF_MENU, str(error))
    except KeyError as error:
        return Failed(MALFORMED, f"the JSON lacks {error}")
    except (TypeError, ValueError) as error:
        return Failed(MALFORMED, f"the JSON is not as asked for: {error}")


def on_menu(value: Any, menu: Mapping[str, T], what: str) -> T:
    """The choice that `value` names, whatever its case. Raises OffMenuError, or TypeError for what is no text."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is no text")
    chosen = menu.get(value.strip(_AROUND_A_CHOICE).casefold())
    if chosen is None:
        raise OffMenuError(f"{what} {value.strip()[:40]!r} is not one of {', '.join(menu)}")
    return chosen


def failed_call(failure: CallFailure) -> Failed:
    """A call without an answer, as an outcome."""
    return Failed(failure.kind.value, failure.detail)


def _repair(question: Question, answer: Answer) -> Question:
    request = question.request
    shown = answer.text[:MOST_KEPT_CHARACTERS]  # every character sent is paid for
    turns = (Message.assistant(shown or "(nothing)"), Message.user(prompt(REPAIR).render()))
    return replace(question, request=replace(request, messages=(*request.messages, *turns)))
