"""An OpenAI chat completion, to and from JSON: the body of a request, and the answer in a response."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from vsil_audit.gateway.answers import Answer, FailureKind, Finish, TokenLogprob, Usage
from vsil_audit.gateway.classify import classify, parsed, say
from vsil_audit.gateway.messages import ImagePart, Message, Parameters, Part, Request
from vsil_audit.gateway.provider import AttemptError, Reply
from vsil_audit.gateway.quoting import quoted

_FINISHES = {
    "stop": Finish.STOP,
    "eos": Finish.STOP,
    "end_turn": Finish.STOP,
    "length": Finish.LENGTH,
    "max_tokens": Finish.LENGTH,
    "content_filter": Finish.CONTENT_FILTER,
    "safety": Finish.CONTENT_FILTER,
}


class BodyWriter:
    """Writes the JSON bodies of `POST /chat/completions` for one model; parameters are rendered once."""

    def __init__(self, model: str, max_tokens_field: str = "max_tokens") -> None:
        self._head = f'{{"model":{quoted(model)},"messages":['
        self._max_tokens_field = max_tokens_field
        self._tail: tuple[Parameters | None, str] = (None, "")

    def body(self, request: Request, images: Mapping[ImagePart, str]) -> bytes:
        """The body. `images` has the data URL of each image of the request."""
        if self._tail[0] is not request.parameters:
            rest = json.dumps(_parameters(request.parameters, self._max_tokens_field), allow_nan=False)
            self._tail = (request.parameters, f"],{rest[1:]}")
        messages = ",".join([_message(message, images) for message in request.messages])
        return f"{self._head}{messages}{self._tail[1]}".encode("ascii")


def _parameters(parameters: Parameters, max_tokens_field: str) -> dict[str, Any]:
    body: dict[str, Any] = {max_tokens_field: parameters.max_tokens}
    if parameters.temperature is not None:
        body["temperature"] = parameters.temperature
    if parameters.top_p is not None:
        body["top_p"] = parameters.top_p
    if parameters.seed is not None:
        body["seed"] = parameters.seed
    if parameters.stop:
        body["stop"] = list(parameters.stop)
    if parameters.top_logprobs is not None:
        body["logprobs"] = True
        body["top_logprobs"] = parameters.top_logprobs
    if parameters.json_schema is not None:
        schema = {"name": "answer", "schema": dict(parameters.json_schema), "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


def _message(message: Message, images: Mapping[ImagePart, str]) -> str:
    """Plain text where there is nothing else: some servers know no parts."""
    first = message.parts[0]
    if len(message.parts) == 1 and isinstance(first, str):
        return f'{{"role":"{message.role}","content":{quoted(first)}}}'
    parts = ",".join([_part(part, images) for part in message.parts])
    return f'{{"role":"{message.role}","content":[{parts}]}}'


def _part(part: Part, images: Mapping[ImagePart, str]) -> str:
    if isinstance(part, ImagePart):
        return f'{{"type":"image_url","image_url":{{"url":{quoted(images[part])}}}}}'
    return f'{{"type":"text","text":{quoted(part)}}}'


def read_answer(reply: Reply, provider: str, *, cached: bool = False, seconds: float = 0.0) -> Answer:
    """The answer in a reply. Raises AttemptError of kind `malformed` when it is none, or of what an error object in it
    says."""
    if reply.status != 200:
        return Answer("", Finish.BLOCKED, "blocked", provider=provider, cached=cached, seconds=seconds, body=reply.body)
    response = _object(reply.body)
    error, choice = _error_or_choice(response)
    if error is not None:
        return read_answer(error_in_success(error, reply), provider, cached=cached, seconds=seconds)
    message = choice.get("message")
    if not isinstance(message, dict):
        raise _malformed("its first choice has no message")
    refusal = message.get("refusal")
    refusal = refusal if isinstance(refusal, str) and refusal else None
    text = _text(message.get("content")) or refusal or ""
    reported = choice.get("finish_reason")
    reported = reported if isinstance(reported, str) else ""
    reasoning = message.get("reasoning_content") or message.get("reasoning")
    model = response.get("model")
    return Answer(
        text=text,
        finish=_FINISHES.get(reported.lower(), Finish.OTHER),
        finish_reported=reported,
        refusal=refusal,
        reasoning=reasoning if isinstance(reasoning, str) else "",
        logprobs=_logprobs(choice.get("logprobs")) if choice.get("logprobs") else None,
        usage=_usage(response.get("usage")),
        provider=provider,
        model=model if isinstance(model, str) else "",
        cached=cached,
        seconds=seconds,
        body=reply.body,
    )


def _object(body: str) -> dict[str, Any]:
    try:
        response = parsed(body)
    except (ValueError, RecursionError):
        raise _malformed("it is not JSON") from None
    if not isinstance(response, dict):
        raise _malformed("it is not a JSON object")
    return response


def _error_or_choice(response: dict[str, Any]) -> tuple[object, dict[str, Any]]:
    choices = response.get("choices")
    if isinstance(choices, list) and choices and isinstance(choices[0], dict):
        choice: dict[str, Any] = choices[0]
        failed = choice.get("finish_reason") == "error" or bool(choice.get("error"))
        return (choice.get("error") or response.get("error") or "no reason given") if failed else None, choice
    if response.get("error"):
        return response["error"], {}
    raise _malformed("it has no choices")


def error_in_success(error: object, reply: Reply) -> Reply:
    """Some routers answer 200 with an error object inside; its `code` then is what the status should have been. A
    prompt that was blocked is an answer; everything else is raised."""
    code = error.get("code") if isinstance(error, dict) else None
    if isinstance(code, int) and not isinstance(code, bool) and 400 <= code < 600:
        found = classify(code, {}, json.dumps({"error": error}))
        if isinstance(found, AttemptError):
            raise found
        return Reply(reply.body, found.status)
    raise AttemptError(FailureKind.TRANSIENT, f"an error inside a response: {say(error)}", retry=True, charged=True)


def _malformed(what: str) -> AttemptError:
    detail = f"the response is no chat completion: {what}"
    return AttemptError(FailureKind.MALFORMED, detail, retry=True, charged=True)


def _text(content: object) -> str:
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        texts = [part.get("text") for part in content if isinstance(part, dict)]
        return "".join(text for text in texts if isinstance(text, str))
    if content is None:
        return ""
    raise _malformed("its content is neither text nor parts")


def _usage(usage: object) -> Usage:
    if not isinstance(usage, dict):
        return Usage()
    return Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))


def _count(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def _logprobs(logprobs: object) -> tuple[TokenLogprob, ...] | None:
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    if not isinstance(content, list):
        return None
    tokens = [_token(entry) for entry in content]
    return tuple(t for t in tokens if t is not None) if all(tokens) else None


def _token(entry: object) -> TokenLogprob | None:
    """None for what is no token: a probability that is half read would be worse than none."""
    if not isinstance(entry, dict) or not _is_token(entry):
        return None
    top = entry.get("top_logprobs") or []
    alternatives = [(str(t["token"]), float(t["logprob"])) for t in top if isinstance(t, dict) and _is_token(t)]
    alternatives.sort(key=lambda pair: -pair[1])
    return TokenLogprob(entry["token"], float(entry["logprob"]), tuple(alternatives))


def _is_token(entry: dict[str, Any]) -> bool:
    value = entry.get("logprob")
    number = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
    return number and isinstance(entry.get("token"), str)
