"""What a model answers and how many tokens its calls take, learnt from its kept answers; guessed where there are none.

Calls are of one kind when they have the same parameters, system prompt and number of images: within a kind requests
differ by the query alone, so that a ratio of counted to guessed tokens holds for all of them.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from vsil_audit.gateway.answers import Answer
from vsil_audit.gateway.cache import AnswerCache, Kept
from vsil_audit.gateway.completion import read_answer
from vsil_audit.gateway.meter import (
    CHARACTERS_PER_TOKEN,
    TOKENS_PER_IMAGE,
    TOKENS_PER_MESSAGE,
)
from vsil_audit.gateway.provider import AttemptError

LEAST_ANSWERS = 5
_MOST_ANSWERS = 2000
_MOST_SAID = 100
_NONCE = re.compile(r"\b[0-9a-f]{16}\b")  # of a fence: another one in each request


@dataclass(frozen=True, slots=True)
class Tokens:
    """Of one call, as expected. `seconds`: how long it takes; None where no answer is kept. `answers`: how many kept
    answers of its kind it rests on; 0 for a guess."""

    input: float
    output: float
    seconds: float | None
    answers: int


@dataclass(slots=True)
class _Counts:
    guessed: float = 0.0
    input: float = 0.0
    output: float = 0.0
    seconds: float = 0.0
    answers: int = 0
    said: list[Answer] = field(default_factory=list)

    def add(self, guessed: float, answer: Answer) -> None:
        self.guessed += guessed
        self.input += answer.usage.input_tokens or 0
        self.output += answer.usage.output_tokens or 0
        self.seconds += answer.seconds
        self.answers += 1


@dataclass(slots=True)
class TokenScale:
    """What one model's kept answers tell of the next."""

    _kinds: dict[str, _Counts] = field(default_factory=lambda: defaultdict(_Counts))
    _all: _Counts = field(default_factory=_Counts)

    @classmethod
    def of(cls, cache: AnswerCache, provider: str, model: str) -> TokenScale:
        """From the newest answers of that model."""
        scale = cls()
        for kept in cache.entries(f"{provider}/{model}", newest=_MOST_ANSWERS):
            scale._learn(kept)
        return scale

    def _learn(self, kept: Kept) -> None:
        try:
            answer = read_answer(kept.reply, kept.provider, seconds=kept.seconds)
        except AttemptError:
            return
        if not answer.usage.input_tokens or answer.usage.output_tokens is None:
            return
        request = json.loads(kept.request)
        guessed = guessed_input(request)
        kind = self._kinds[_kind(request)]
        for counts in (kind, self._all):
            counts.add(guessed, answer)
        if len(kind.said) < _MOST_SAID:
            kind.said.append(answer)

    def an_answer(self, canonical: str, key: bytes) -> Answer | None:
        """One of the kept answers to questions of that kind, drawn by the key: what is asked next (a repair turn, a
        judge of the answer) then happens as often as it did. None where too few are kept."""
        kind = self._kinds.get(_kind(json.loads(canonical)), _Counts())
        return kind.said[int.from_bytes(key[-8:], "big") % len(kind.said)] if kind.answers >= LEAST_ANSWERS else None

    def expect(self, canonical: str, typical_answer: str, max_tokens: int) -> Tokens:
        """Of the request with that canonical JSON (`cache_key.KeyWriter`)."""
        request = json.loads(canonical)
        kind = self._kinds.get(_kind(request), _Counts())
        guessed = guessed_input(request)
        if kind.answers >= LEAST_ANSWERS:
            n = kind.answers
            return Tokens(guessed * kind.input / kind.guessed, kind.output / n, kind.seconds / n, n)
        output = min(float(max_tokens), max(1.0, len(typical_answer) / CHARACTERS_PER_TOKEN))
        known = self._all.answers >= LEAST_ANSWERS
        ratio = self._all.input / self._all.guessed if known else 1.0
        return Tokens(guessed * ratio, output, self._all.seconds / self._all.answers if known else None, 0)


def guessed_input(request: dict[str, Any]) -> float:
    """Input tokens by the rule of `meter.estimate_input_tokens`, of a request as canonical JSON keeps it."""
    parts = list(_parts(request))
    characters = sum(len(part) for part in parts if isinstance(part, str))
    images = sum(not isinstance(part, str) for part in parts)
    messages = len(request["messages"]) * TOKENS_PER_MESSAGE
    return characters / CHARACTERS_PER_TOKEN + messages + images * TOKENS_PER_IMAGE


def _parts(request: dict[str, Any]) -> Iterable[Any]:
    return (part for message in request["messages"] for part in message["parts"])


def _kind(request: dict[str, Any]) -> str:
    system = [_NONCE.sub("", str(message["parts"])) for message in request["messages"] if message["role"] == "system"]
    images = sum(not isinstance(part, str) for part in _parts(request))
    turns = len(request["messages"])
    said = json.dumps([request["parameters"], system, images, turns], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
