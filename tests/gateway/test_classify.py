"""What responses other than 200 mean, in the words of the providers that send them."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from vsil_audit.gateway import AttemptError, Blame, FailureKind, Reply
from vsil_audit.gateway.classify import LONGEST_WAIT, classify, retry_after


def error(status: int, headers: dict[str, str] | None = None, **fields: object) -> AttemptError:
    found = classify(status, headers or {}, json.dumps({"error": fields}))
    assert isinstance(found, AttemptError)
    return found


@pytest.mark.parametrize(
    ("status", "fields"),
    [
        (400, {"code": "content_filter", "message": "The response was filtered"}),
        (400, {"code": "content_policy_violation"}),
        (400, {"code": "invalid_prompt", "message": "flagged as potentially violating our usage policy"}),
        (400, {"innererror": {"code": "ResponsibleAIPolicyViolation"}}),
        (403, {"code": 403, "metadata": {"reasons": ["violence"], "flagged_input": "…"}}),
    ],
)
def test_a_blocked_prompt_is_a_measurement(status: int, fields: dict[str, object]) -> None:
    found = classify(status, {}, json.dumps({"error": fields}))
    assert isinstance(found, Reply)
    assert found.status == status


def test_only_rate_limits_slow_everybody_down() -> None:
    assert error(429).blame is Blame.SATURATED
    assert error(503, {"Retry-After": "2"}).blame is Blame.SATURATED
    for status in (500, 502, 503, 504, 408, 529):
        assert error(status).blame is not Blame.SATURATED
        assert error(status).retry


def test_no_credit_is_no_rate_limit() -> None:
    found = error(429, code="insufficient_quota", message="You exceeded your current quota")
    assert (found.kind, found.retry, found.blame) == (FailureKind.PERMANENT, False, Blame.FATAL)
    assert error(402).blame is Blame.FATAL


@pytest.mark.parametrize(
    ("status", "blame"),
    [
        (400, Blame.NOTHING),
        (422, Blame.NOTHING),
        (404, Blame.SUSPECT),
        (403, Blame.SUSPECT),
        (401, Blame.FATAL),
        (307, Blame.FATAL),
    ],
)
def test_what_is_permanent_is_not_tried_again(status: int, blame: Blame) -> None:
    found = error(status, message="no")
    assert (found.kind, found.retry, found.blame) == (FailureKind.PERMANENT, False, blame)


def test_the_words_of_a_401_are_not_repeated() -> None:
    assert "sk-12" not in error(401, message="Incorrect API key provided: sk-12****89").detail


@pytest.mark.parametrize(
    "body", ["", "<html>", '[{"error": {"message": "from a list"}}]', '"text"', "[[]]", '{"detail": "Not Found"}']
)
def test_any_body_is_classified(body: str) -> None:
    found = classify(500, {}, body)
    assert isinstance(found, AttemptError)
    assert found.kind is FailureKind.TRANSIENT


def test_retry_after_in_seconds_milliseconds_and_as_a_date() -> None:
    assert retry_after({"Retry-After": "3"}) == 3
    assert retry_after({"retry-after-ms": "250"}) == 0.25
    later = datetime.now(timezone.utc) + timedelta(seconds=30)
    assert 27 < (retry_after({"Retry-After": format_datetime(later, usegmt=True)}) or 0) <= 30
    assert retry_after({"Retry-After": "1e9"}) == LONGEST_WAIT
    for nonsense in ("soon", "nan", "-5", ""):
        assert not retry_after({"Retry-After": nonsense})
    assert retry_after({}) is None


def test_what_an_error_says_can_always_be_stored() -> None:
    assert error(400, message="no \ud83d today").detail == "HTTP 400: no ? today"
