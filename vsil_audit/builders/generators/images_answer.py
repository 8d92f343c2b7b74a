"""What an images endpoint answered: an image, the address of one, or that it will not draw that."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any

from vsil_audit.features.facts import ImageError
from vsil_audit.gateway.answers import FailureKind, Usage
from vsil_audit.gateway.classify import classify, parsed, say
from vsil_audit.gateway.completion import error_in_success
from vsil_audit.gateway.provider import AttemptError, Reply
from vsil_audit.images import ImageHeader, ImageLimits, decode

LIMITS = ImageLimits(max_pixels=4096 * 4096, max_file_bytes=32 * 1024 * 1024)
_FORMATS = ("PNG", "JPEG")
_FILTERED = ("content_filter", "content_filtered", "safety", "blocked", "moderation_blocked")


@dataclass(frozen=True, slots=True)
class Drawn:
    """Either `data` or `url` is set. `usage`: tokens as the provider counted them."""

    data: bytes | None
    url: str
    revised_prompt: str
    usage: Usage


@dataclass(frozen=True, slots=True)
class Refused:
    """The provider's policy forbids the prompt, or the image that it led to."""

    says: str


def read_images_answer(reply: Reply) -> Drawn | Refused:
    """Raises AttemptError of kind `malformed` where it is neither, or of what an error object in it says."""
    if reply.status != 200:
        return Refused(_error_says(reply.body))
    response = _object(reply.body)
    if response.get("error"):
        return _refusal_inside(response["error"], reply)
    data = response.get("data")
    first = data[0] if isinstance(data, list) and data else None
    if not isinstance(first, dict):
        raise malformed("it has no data")
    if (reason := _filtered(first)) and not (first.get("b64_json") or first.get("url")):
        return Refused(reason)
    revised, usage = first.get("revised_prompt"), _usage(response.get("usage"))
    revised = revised if isinstance(revised, str) else ""
    if isinstance(encoded := first.get("b64_json"), str) and encoded:
        return Drawn(_decoded(encoded), "", revised, usage)
    if isinstance(url := first.get("url"), str) and url:
        if url.startswith("data:"):
            return Drawn(_decoded(url), "", revised, usage)
        return Drawn(None, url, revised, usage)
    raise malformed("it has neither an image nor an address of one")


def checked(data: bytes) -> ImageHeader:
    """The header of an image that can be decoded whole, is no larger than LIMITS, and is a PNG or JPEG. Raises
    AttemptError."""
    found = decode(data, "", LIMITS)
    if isinstance(found, ImageError):
        detail = f"what came back is no image that can be used: {found.kind}: {found.detail}"
        raise AttemptError(FailureKind.MALFORMED, detail, retry=found.kind != "too_large", charged=True)
    if found.header.format not in _FORMATS:
        detail = f"what came back is a {found.header.format}; PNG and JPEG are kept"
        raise AttemptError(FailureKind.MALFORMED, detail, retry=False, charged=True)
    return found.header


def malformed(what: str) -> AttemptError:
    detail = f"the response holds no image: {what}"
    return AttemptError(FailureKind.MALFORMED, detail, retry=True, charged=True)


def _object(body: str) -> dict[str, Any]:
    try:
        response = parsed(body)
    except (ValueError, RecursionError):
        raise malformed("it is not JSON") from None
    if not isinstance(response, dict):
        raise malformed("it is not a JSON object")
    return response


def _refusal_inside(error: object, reply: Reply) -> Refused:
    """Some servers say 200 to everything. Raises AttemptError where the error is no refusal."""
    if isinstance(classify(400, {}, json.dumps({"error": error})), Reply):
        return Refused(say(error))
    error_in_success(error, reply)
    return Refused(say(error))


def _filtered(first: dict[str, Any]) -> str:
    reason = first.get("finish_reason") or first.get("raiFilteredReason")
    if first.get("raiFilteredReason"):
        return say(reason)
    return str(reason) if isinstance(reason, str) and reason.lower() in _FILTERED else ""


def _error_says(body: str) -> str:
    try:
        response = parsed(body)
    except (ValueError, RecursionError):
        return "the provider blocked the prompt"
    response = response[0] if isinstance(response, list) and response else response
    error = response.get("error", response) if isinstance(response, dict) else response
    return say(error) or "the provider blocked the prompt"


def _decoded(encoded: str) -> bytes:
    _, _, rest = encoded.partition(",") if encoded.startswith("data:") else ("", "", encoded)
    try:
        return base64.b64decode("".join(rest.split()), validate=True)
    except (binascii.Error, ValueError):
        raise malformed("what should be base64 is not") from None


def _usage(said: object) -> Usage:
    if not isinstance(said, dict):
        return Usage()
    inside, outside = said.get("input_tokens"), said.get("output_tokens")
    whole = all(isinstance(n, int) and not isinstance(n, bool) and 0 <= n < 1e9 for n in (inside, outside))
    return Usage(inside, outside) if whole else Usage()
