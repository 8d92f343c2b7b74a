"""One question of the builder to a model: its request, its answer read as JSON, and where that answer is kept."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vsil_audit.builders.draft import Step
from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.detectors.structured import Bare, Unreadable, ask_verdict
from vsil_audit.gateway.messages import Message, Parameters, Part, Request
from vsil_audit.pair import Failed, Json
from vsil_audit.prompts import prompt

T = TypeVar("T")

_NOTED: ContextVar[list[str] | None] = ContextVar("calls of one question", default=None)


@dataclass(frozen=True, slots=True)
class Told(Generic[T]):
    """What a model said, or why that cannot be known. `call`: the key, in hex, under which the answer cache has the
    answer; of the repair turn where there was one."""

    value: T | Failed
    call: str = ""
    repaired: bool = False

    @property
    def failure(self) -> Failed | None:
        return self.value if isinstance(self.value, Failed) else None


async def told(
    ask: Ask,
    model: str,
    question: Question,
    read: Callable[[Mapping[str, Any]], T],
    mark: str,
    *,
    quoted: Sequence[str] = (),
    bare: Bare | None = None,
) -> Told[T]:
    """Ask, and read as `structured.ask_verdict` does."""
    with _noted() as calls:
        said = await ask_verdict(ask, model, question, read, mark, quoted=quoted, bare=bare)
    call = calls[-1] if calls else ""
    return Told(said.failure, call) if isinstance(said, Unreadable) else Told(said.value, call, said.repaired)


def note(call: str) -> None:
    """For who carries questions to models: the key of a call that is about to be made."""
    calls = _NOTED.get()
    if calls is not None:
        calls.append(call)


@contextmanager
def _noted() -> Iterator[list[str]]:
    calls: list[str] = []
    token = _NOTED.set(calls)
    try:
        yield calls
    finally:
        _NOTED.reset(token)


def question(
    template: str,
    *parts: Part,
    schema: Mapping[str, Json],
    typical: str,
    max_tokens: int = 1024,
    temperature: float = 0.0,
    sample: int = 0,
    **values: object,
) -> Question:
    """The filled template as the system's message, `parts` as the user's."""
    parameters = Parameters(temperature=temperature, max_tokens=max_tokens, json_schema=schema)
    messages = (Message.system(prompt(template).render(**values)), Message.user(*parts))
    return Question(Request(messages, parameters, sample), typical)


def step(kind: str, by: str, template: str, call: str, details: Mapping[str, Json], round_number: int = 0) -> Step:
    """What a model did to a draft, with the template that it was asked by."""
    return Step(kind, by, round_number, f"{template} {prompt(template).sha256}", call, details)


def text_of(found: Mapping[str, Any], name: str, most: int = 4_000) -> str:
    """A field that holds words. Raises KeyError, TypeError, or ValueError for one that is empty or endless."""
    value = found[name]
    if not isinstance(value, str):
        raise TypeError(f"{name} is no text")
    words = " ".join(value.split())
    if not words:
        raise ValueError(f"{name} is empty")
    if len(words) > most:
        raise ValueError(f"{name} has more than {most:,} characters")
    return words


def texts_of(found: Mapping[str, Any], name: str, least: int = 1, most: int = 3) -> tuple[str, ...]:
    """A field that holds a list of texts, equal ones once, the first `most`. Raises as `text_of` does."""
    values = found[name]
    if isinstance(values, str):
        values = [values]
    if not isinstance(values, list):
        raise TypeError(f"{name} is no list")
    texts = tuple(dict.fromkeys(text_of({name: value}, name) for value in values))
    if len(texts) < least:
        raise ValueError(f"{name} has fewer than {least}")
    return texts[:most]


def truth_of(found: Mapping[str, Any], name: str) -> bool:
    """A field that is true or false, also where it is written as a word. Raises KeyError or TypeError."""
    value = found[name]
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and (word := value.strip(" .\"'").casefold()) in _TRUTHS:
        return _TRUTHS[word]
    raise TypeError(f"{name} is neither true nor false")


_TRUTHS = {"true": True, "yes": True, "false": False, "no": False}


def object_schema(**properties: Mapping[str, Json]) -> Mapping[str, Json]:
    """The schema of an object of just these fields, all of them there."""
    return {
        "type": "object",
        "properties": {name: dict(kind) for name, kind in properties.items()},
        "required": list(properties),
        "additionalProperties": False,
    }


TEXT: Mapping[str, Json] = {"type": "string"}
TRUTH: Mapping[str, Json] = {"type": "boolean"}
TEXTS: Mapping[str, Json] = {"type": "array", "items": {"type": "string"}}


def one_of(*choices: str) -> Mapping[str, Json]:
    return {"type": "string", "enum": list(choices)}
