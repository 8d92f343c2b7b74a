"""A judge's answer as a vote."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from vsil_audit.builders.asked import told
from vsil_audit.builders.draft import BuiltImage, Draft
from vsil_audit.builders.gates.base import Vote
from vsil_audit.builders.gates.panel import FAILED, PASS, REJECT
from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.detectors.structured import Bare
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.pair import Failed, Json
from vsil_audit.prompts import fenced

T = TypeVar("T")

Show = Callable[[BuiltImage], ImagePart]
"""An image of a draft, as it is sent."""


async def vote(
    ask: Ask,
    judge: str,
    question: Question,
    read: Callable[[Mapping[str, Any]], T],
    mark: str,
    against: Callable[[T], str],
    *,
    quoted: Sequence[str] = (),
    bare: Bare | None = None,
    details: Callable[[T], Mapping[str, Json]] = lambda _: {},
) -> Vote:
    """`against`: why the verdict rejects the draft; empty where it lets it pass."""
    said = await told(ask, judge, question, read, mark, quoted=quoted, bare=bare)
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
