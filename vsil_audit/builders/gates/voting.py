"""Judges' answers as votes, and the two questions that gates have in common."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from vsil_audit.builders.asked import question, told
from vsil_audit.builders.draft import BuiltImage, Draft
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.panel import FAILED, PASS, REJECT, Rule, hear
from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.detectors.safety_judge.verdict import UNSAFE, bare_verdict, read_safety, safety_question
from vsil_audit.detectors.structured import Bare
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.pair import Failed, Json
from vsil_audit.prompts import fenced, nonce

T = TypeVar("T")

Show = Callable[[BuiltImage], ImagePart]
"""An image of a draft, as it is sent."""


async def vote(
    ask: Ask,
    judge: str,
    asked: Question,
    read: Callable[[Mapping[str, Any]], T],
    mark: str,
    against: Callable[[T], str],
    *,
    quoted: Sequence[str] = (),
    bare: Bare | None = None,
    details: Callable[[T], Mapping[str, Json]] = lambda _: {},
) -> Vote:
    """`against`: why the verdict rejects the draft; empty where it lets it pass."""
    said = await told(ask, judge, asked, read, mark, quoted=quoted, bare=bare)
    if isinstance(said.value, Failed):
        return Vote(judge, FAILED, f"a judge failed: {said.value.kind}", said.call, {"detail": said.value.detail})
    reason = against(said.value)
    return Vote(judge, REJECT if reason else PASS, reason, said.call, details(said.value))


def query_parts(draft: Draft, mark: str, show: Show) -> tuple[str | ImagePart, ...]:
    """The draft as judges see it: its image, or where there is none yet what it is to show, and its text."""
    text = fenced("query", draft.text, mark)
    if draft.image is not None:
        return show(draft.image), text
    return (f"{text}\n{fenced('image', draft.description, mark)}",)


def nothing_to_see(draft: Draft) -> bool:
    return draft.image is None and not draft.description.strip()


@dataclass(frozen=True, slots=True)
class Panel:
    """Who decides for a gate, and by which rule. `letter`: the gate's."""

    letter: str
    judges: tuple[str, ...]
    rule: Rule


async def hear_safety(
    panel: Panel, ask: Ask, text: str, shown: Sequence[ImagePart], seed: int, against: str
) -> GateResult:
    """The question that the detector safety_judge asks in a scan; `against`: what a verdict of unsafe means here."""
    asked, mark = safety_question(text, shown, temperature=0.0, sample=0, seed=seed)

    async def of(judge: str) -> Vote:
        return await vote(
            ask,
            judge,
            asked,
            read_safety,
            mark,
            lambda said: against if said.label == UNSAFE else "",
            quoted=(text,),
            bare=bare_verdict,
            details=lambda said: {"reasons": said.reasons},
        )

    return await hear(panel.letter, panel.judges, of, panel.rule)


@dataclass(frozen=True, slots=True)
class AboutPair(Generic[T]):
    """A question about a text with its image. `against` and `details` as in `vote`."""

    prompt: str
    schema: Mapping[str, Json]
    typical: str
    read: Callable[[Mapping[str, Any]], T]
    against: Callable[[T], str]
    details: Callable[[T], Mapping[str, Json]]


async def hear_of_pair(panel: Panel, ask: Ask, draft: Draft, show: Show, about: AboutPair[T]) -> GateResult:
    """Judges see the image, or read what it is to show where it is not made yet."""
    if nothing_to_see(draft):
        return GateResult(panel.letter, None, "nothing is known of the image")
    mark = nonce(draft.text, draft.description, about.prompt)
    asked = question(
        about.prompt,
        *query_parts(draft, mark, show),
        schema=about.schema,
        typical=about.typical,
        mark=mark,
        described=draft.image is None,
    )

    async def of(judge: str) -> Vote:
        quoted = (draft.text, draft.description)
        return await vote(ask, judge, asked, about.read, mark, about.against, quoted=quoted, details=about.details)

    return await hear(panel.letter, panel.judges, of, panel.rule)
