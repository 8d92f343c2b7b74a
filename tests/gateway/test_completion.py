"""Reading responses: what each says, and that we read them as the openai SDK does."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.gateway import Answer, AttemptError, FailureKind, Finish, Message, Parameters, Reply, Request
from vsil_audit.gateway.completion import BodyWriter, read_answer

Make = Callable[..., dict[str, Any]]


def read(response: object) -> Answer:
    return read_answer(Reply(json.dumps(response)), "openai")


@pytest.mark.parametrize(
    ("reported", "finish"),
    [
        ("stop", Finish.STOP),
        ("length", Finish.LENGTH),
        ("content_filter", Finish.CONTENT_FILTER),
        ("tool_calls", Finish.OTHER),
        ("", Finish.OTHER),
    ],
)
def test_finish_reasons_are_kept_apart(completion: Make, reported: str, finish: Finish) -> None:
    answer = read(completion("Some words", reported))
    assert (answer.finish, answer.finish_reported) == (finish, reported)
    assert answer.truncated == (reported == "length")


@pytest.mark.parametrize(
    ("sent", "text"), [("a \ud800 b", "a ? b"), ("\udc00", "?"), ("a kite \U0001fa81", "a kite \U0001fa81")]
)
def test_an_answer_can_always_be_stored(completion: Make, sent: str, text: str) -> None:
    """A lone half of a surrogate pair is legal in JSON, and in no file."""
    answer = read(completion(sent))
    assert answer.text == text
    answer.text.encode()


def test_a_refusal_that_the_api_marks_is_an_answer(completion: Make) -> None:
    answer = read(completion(None, refusal="I won't."))
    assert (answer.text, answer.refusal) == ("I won't.", "I won't.")


def test_an_empty_answer_is_an_answer(completion: Make) -> None:
    assert read(completion(None, "content_filter")).text == ""


def test_parts_reasoning_usage_and_model_are_read(completion: Make) -> None:
    response = completion([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}], reasoning_content="hm")
    answer = read(response)
    assert (answer.text, answer.reasoning, answer.model) == ("ab", "hm", "a-model-2026-01-01")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (12, 3)
    del response["usage"]
    assert read(response).usage.input_tokens is None


def test_logprobs_are_read_best_first(completion: Make) -> None:
    response = completion("safe")
    response["choices"][0]["logprobs"] = {
        "content": [
            {
                "token": "safe",
                "logprob": -0.2,
                "top_logprobs": [{"token": "unsafe", "logprob": -1.8}, {"token": "safe", "logprob": -0.2}],
            }
        ]
    }
    (token,) = read(response).logprobs or ()
    assert token.top == (("safe", -0.2), ("unsafe", -1.8))


@pytest.mark.parametrize(
    "logprobs",
    [{"content": [{"token": 3}]}, {"content": "x"}, [], {"content": [{"token": "a", "logprob": float("nan")}]}],
)
def test_logprobs_that_are_none_are_none(completion: Make, logprobs: object) -> None:
    response = completion("safe")
    response["choices"][0]["logprobs"] = logprobs
    assert read(response).logprobs is None


@pytest.mark.parametrize(
    "body",
    [
        "",
        "<html>busy</html>",
        "[1]",
        "{}",
        '{"choices": []}',
        '{"choices": [{}]}',
        '{"choices": [{"message": {"content": 7}}]}',
        '{"choices": [{"message": {"content": "cut',
        "[" * 100_000,
    ],
)
def test_what_is_no_completion_is_malformed(body: str) -> None:
    with pytest.raises(AttemptError) as caught:
        read_answer(Reply(body), "openai")
    assert caught.value.kind is FailureKind.MALFORMED
    assert caught.value.charged


def test_an_error_inside_a_success_is_an_error(completion: Make) -> None:
    with pytest.raises(AttemptError) as caught:
        read({"error": {"code": 429, "message": "slow down"}})
    assert caught.value.kind is FailureKind.RATE_LIMIT
    response = completion("half an ans")
    response["choices"][0] |= {"finish_reason": "error", "error": {"code": 502, "message": "upstream"}}
    with pytest.raises(AttemptError) as caught:
        read(response)
    assert caught.value.kind is FailureKind.TRANSIENT


def test_a_block_inside_a_success_is_an_answer_and_stays_one() -> None:
    body = json.dumps({"error": {"code": 403, "message": "flagged", "metadata": {"reasons": ["violence"]}}})
    assert read_answer(Reply(body), "openrouter").finish is Finish.BLOCKED


@given(
    st.recursive(
        st.none() | st.booleans() | st.floats() | st.text(),
        lambda x: (
            st.lists(x)
            | st.dictionaries(
                st.sampled_from(["choices", "message", "content", "error", "usage", "logprobs", "code"]), x
            )
        ),
    )
)
def test_whatever_comes_it_is_an_answer_or_an_attempt_error(response: object) -> None:
    with suppress(AttemptError):
        assert isinstance(read(response), Answer)


def test_the_openai_sdk_reads_the_same(completion: Make) -> None:
    openai_chat = pytest.importorskip("openai.types.chat", reason="pip install openai to compare with the SDK")
    for response in (completion("Fine."), completion("cut", "length"), completion(None, refusal="no")):
        theirs = openai_chat.ChatCompletion.model_validate(response)
        ours = read(response)
        choice = theirs.choices[0]
        assert ours.text == (choice.message.content or choice.message.refusal)
        assert ours.finish_reported == choice.finish_reason
        assert ours.refusal == choice.message.refusal
        assert ours.usage.input_tokens == theirs.usage.prompt_tokens
        assert ours.model == theirs.model


def test_the_openai_sdk_would_send_the_same() -> None:
    params = pytest.importorskip("openai.types.chat.completion_create_params", reason="pip install openai to compare")
    from pydantic import TypeAdapter

    request = Request(
        (Message.system("Be brief."), Message.user("q")),
        Parameters(0.5, 9, 0.9, 3, ("END",), 5, {"type": "object"}),
    )
    body = json.loads(BodyWriter("m", "max_completion_tokens").body(request, {}))
    kept = TypeAdapter(params.CompletionCreateParamsNonStreaming).validate_python(body)
    assert set(kept) == set(body), "the SDK knows every field that we send"
