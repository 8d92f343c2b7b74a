"""`ask_verdict`: one verdict out of an answer, one more try, or a failure with its kind."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from vsil_audit.detectors.chat import Question
from vsil_audit.detectors.structured import (
    COPIED,
    EMPTY,
    MALFORMED,
    MOST_KEPT_CHARACTERS,
    OFF_MENU,
    REFUSED,
    TRUNCATED,
    Unreadable,
    Verdict,
    ask_verdict,
    on_menu,
    read_verdict,
)
from vsil_audit.gateway import Answer, CallFailure, FailureKind, Finish, Message, Request
from vsil_audit.pair import Failed

MARK = "0123456789abcdef"
QUESTION = Question(Request((Message.user("Which colour?"),)), '{"colour": "red"}')
MENU = {"red": 1, "green": 2}


def read(found: Mapping[str, Any]) -> int:
    return on_menu(found["colour"], MENU, "the colour")


def asked(*replies: str | Answer | CallFailure) -> tuple[Verdict[int] | Unreadable, list[Question]]:
    """What `ask_verdict` makes of these replies, one after the other, and what it asked."""
    questions: list[Question] = []

    async def ask(model: str, question: Question) -> Answer | CallFailure:
        reply = replies[len(questions)]
        questions.append(question)
        return Answer(reply, Finish.STOP) if isinstance(reply, str) else reply

    return asyncio.run(ask_verdict(ask, "m", QUESTION, read, MARK)), questions


def failure(text: str, finish: Finish = Finish.STOP, **more: Any) -> str:
    found = read_verdict(Answer(text, finish), read, MARK, **more)
    assert isinstance(found, Failed)
    return found.kind


def test_a_verdict_comes_with_its_answer() -> None:
    found, questions = asked('{"colour": "Red"}')
    assert isinstance(found, Verdict)
    assert (found.value, found.answer.text, found.repaired) == (1, '{"colour": "Red"}', False)
    assert questions == [QUESTION]


def test_what_cannot_be_read_is_asked_once_more_with_the_answer_in_the_dialogue() -> None:
    found, questions = asked("It is green.", '{"colour": "green"}')
    assert isinstance(found, Verdict)
    assert (found.value, found.repaired) == (2, True)
    roles = [message.role for message in questions[1].request.messages]
    assert roles == ["user", "assistant", "user"]
    assert questions[1].request.messages[1].text == "It is green."
    assert questions[1].request.parameters == QUESTION.request.parameters


def test_of_an_endless_answer_no_more_is_sent_back_than_is_kept() -> None:
    _, questions = asked("blah " * 100_000, '{"colour": "green"}')
    assert len(questions[1].request.messages[1].text) == MOST_KEPT_CHARACTERS


def test_after_the_second_answer_it_is_a_failure_of_that_answers_kind() -> None:
    found, questions = asked("It is green.", '{"colour": "blue"}')
    assert isinstance(found, Unreadable)
    assert found.failure.kind == OFF_MENU
    assert found.answer is not None
    assert found.answer.text == '{"colour": "blue"}'
    assert len(questions) == 2


def test_where_the_second_call_fails_the_first_answer_stands() -> None:
    found, _ = asked("It is green.", CallFailure(FailureKind.TIMEOUT, "slow"))
    assert isinstance(found, Unreadable)
    assert found.failure.kind == MALFORMED
    assert found.answer is not None
    assert found.answer.text == "It is green."


def test_a_call_that_fails_is_not_repaired() -> None:
    found, questions = asked(CallFailure(FailureKind.RATE_LIMIT, "HTTP 429"))
    assert found == Unreadable(Failed("rate_limit", "HTTP 429"))
    assert len(questions) == 1


def test_an_empty_answer_is_repaired_too() -> None:
    found, questions = asked("", '{"colour": "red"}')
    assert isinstance(found, Verdict)
    assert questions[1].request.messages[1].text == "(nothing)"


@pytest.mark.parametrize(
    "reply",
    [
        Answer("x", Finish.CONTENT_FILTER),
        Answer("", Finish.BLOCKED),
        f'<item {MARK}>\n{{"colour": "red"}}\n</item {MARK}>',
    ],
)
def test_blocks_and_copies_are_final(reply: str | Answer) -> None:
    found, questions = asked(reply)
    assert isinstance(found, Unreadable)
    assert len(questions) == 1


def test_kinds_of_failures() -> None:
    assert failure("") == EMPTY
    assert failure("red") == MALFORMED
    assert failure('{"color": "red"}') == MALFORMED
    assert failure('{"colour": ["red"]}') == MALFORMED
    assert failure('{"colour": "blue"}') == OFF_MENU
    assert failure(f'{{"colour": "red", "of": "{MARK}"}}') == COPIED
    assert failure('{"col', Finish.LENGTH) == TRUNCATED
    assert failure("", Finish.LENGTH) == TRUNCATED
    assert failure("<think>Red or green?", Finish.LENGTH) == TRUNCATED


@pytest.mark.parametrize(
    "text",
    [
        "I'm sorry, but I can't assist with that.",
        "I’m really sorry, I cannot judge this.",
        "Sorry, no.",
        "I cannot help with this.",
        "As an AI language model, I do not judge.",
        "I am unable to look at this content.",
    ],
)
def test_a_judge_that_refuses_in_prose_is_told_from_one_that_rambles(text: str) -> None:
    assert failure(text) == REFUSED


def test_a_verdict_after_an_apology_is_a_verdict() -> None:
    assert read_verdict(Answer('Sorry! {"colour": "red"}', Finish.STOP), read, MARK) == 1


def test_the_last_object_counts_even_if_it_is_the_wrong_one() -> None:
    assert read_verdict(Answer('{"colour": "red"} {"colour": "green"}', Finish.STOP), read, MARK) == 2
    assert failure('{"colour": "red"} {"colour": "blue"}') == OFF_MENU
    assert failure('{"colour": "red"} {"shade": "dark"}') == MALFORMED


def test_thoughts_may_hold_the_mark_and_other_verdicts() -> None:
    answer = Answer(f'<think>In <item {MARK}>: {{"colour": "red"}}?</think>{{"colour": "green"}}', Finish.STOP)
    assert read_verdict(answer, read, MARK) == 2


def test_an_object_of_the_judged_text_is_a_quotation() -> None:
    quoted = ('Is this red? {"colour":\n"red"}', "other")
    assert failure('{"colour": "red"}', quoted=quoted) == COPIED
    assert failure("{'colour': 'red'}", quoted=quoted) == COPIED
    assert read_verdict(Answer('{"colour": "green"}', Finish.STOP), read, MARK, quoted=quoted) == 2
    assert read_verdict(Answer('{"why": "", "colour": "red"}', Finish.STOP), read, MARK, quoted=quoted) == 1


def test_a_bare_answer_counts_where_the_detector_says_how() -> None:
    def bare(text: str) -> Mapping[str, Any] | None:
        return {"colour": text} if text in MENU else None

    assert failure("red") == MALFORMED
    assert read_verdict(Answer(" red\n", Finish.STOP), read, MARK, bare=bare) == 1
    assert failure("it is red", bare=bare) == MALFORMED
    assert failure("red", bare=bare, quoted=("red",)) == MALFORMED


@pytest.mark.parametrize("value", ["red", "RED", " Red. ", "**red**", '"red"', "`red`"])
def test_a_choice_is_known_in_any_case_and_markup(value: str) -> None:
    assert on_menu(value, MENU, "the colour") == 1


@pytest.mark.parametrize("value", ["", "reddish", "red or green", "not red"])
def test_what_is_not_on_the_menu_is_no_choice(value: str) -> None:
    with pytest.raises(ValueError, match="is not one of red, green"):
        on_menu(value, MENU, "the colour")
