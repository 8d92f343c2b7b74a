"""What a response that is not 200 means: blocked prompt, rate limit, something passing, or something for good."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.provider import AttemptError, Blame, Reply

LONGEST_WAIT = 600.0
"""Seconds: a server that asks for a longer wait is taken to mean this one."""

_BLOCKED_CODES = frozenset(
    {"content_filter", "content_policy_violation", "moderation_blocked", "invalid_prompt", "data_inspection_failed"}
)
_OUT_OF_MONEY = frozenset({"insufficient_quota", "billing_hard_limit_reached", "billing_not_active"})


def classify(status: int, headers: Mapping[str, str], body: str) -> Reply | AttemptError:
    """A Reply for a prompt that the provider blocked (that is a measurement), else the error to raise or retry on."""
    error = _error_object(body)
    codes = {str(error.get(name)) for name in ("code", "type") if error.get(name) is not None}
    said = f"HTTP {status}{_colon(say(error))}"
    if _is_blocked(status, codes, error):
        return Reply(body, status)
    if codes & _OUT_OF_MONEY or status == 402:
        return _final(f"{said} (no credit is left with this provider)", Blame.FATAL)
    if status == 401:
        # the server's own words may quote the key
        return _final("HTTP 401: the provider did not accept the API key, or wants one", Blame.FATAL)
    wait = retry_after(headers)
    if status == 429 or (status == 503 and wait is not None):
        return AttemptError(FailureKind.RATE_LIMIT, said, retry=True, blame=Blame.SATURATED, retry_after=wait)
    if status >= 500 or status in (408, 409, 425):
        blame = Blame.UNREACHABLE if status in (502, 503, 504) else Blame.NOTHING
        return AttemptError(FailureKind.TRANSIENT, said, retry=True, blame=blame, retry_after=wait)
    if 300 <= status < 400:
        return _final(f"{said}: the address redirects elsewhere; give the final one with --base-url", Blame.FATAL)
    return _final(said, Blame.SUSPECT if status in (403, 404, 405) else Blame.NOTHING)


def _final(detail: str, blame: Blame) -> AttemptError:
    return AttemptError(FailureKind.PERMANENT, detail, retry=False, blame=blame)


def _is_blocked(status: int, codes: set[str], error: Mapping[str, Any]) -> bool:
    if not 400 <= status < 500 or status == 429:
        return False
    if codes & _BLOCKED_CODES:
        return True
    metadata = error.get("metadata")  # OpenRouter's moderation: 403 with the reasons for which the prompt was flagged
    inner = error.get("innererror")  # Azure
    return (status == 403 and isinstance(metadata, dict) and bool(metadata.get("reasons"))) or (
        isinstance(inner, dict) and inner.get("code") == "ResponsibleAIPolicyViolation"
    )


def _error_object(body: str) -> dict[str, Any]:
    try:
        response = parsed(body)
    except (ValueError, RecursionError):
        return {}
    if isinstance(response, list) and response:  # Gemini's compatible endpoint wraps its errors in a list
        response = response[0]
    error = response.get("error", response) if isinstance(response, dict) else {}
    return error if isinstance(error, dict) else {"message": str(error)}


def parsed(body: str) -> Any:
    """The JSON of a response. Halves of surrogate pairs, which no file and no table can hold, become `?`. Raises
    ValueError, RecursionError."""
    value = json.loads(body)
    if "\\ud" in body or "\\uD" in body:
        value = json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace"))
    return value


def say(error: object) -> str:
    """What an error object says, on one line of at most 300 characters."""
    message = error.get("message") or error.get("detail") if isinstance(error, dict) else error
    text = " ".join(str(message or "").split())
    return text if len(text) <= 300 else f"{text[:297]}…"


def _colon(text: str) -> str:
    return f": {text}" if text else ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds that the server asks to wait: `retry-after-ms`, or `Retry-After` in seconds or as a date."""
    milliseconds = _number(headers.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, LONGEST_WAIT)
    value = headers.get("Retry-After") or headers.get("retry-after")
    if value is None:
        return None
    seconds = _number(value)
    if seconds is None:
        try:
            seconds = parsedate_to_datetime(value).timestamp() - time.time()
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), LONGEST_WAIT)


def _number(text: str | None) -> float | None:
    try:
        number = float(text or "")
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
