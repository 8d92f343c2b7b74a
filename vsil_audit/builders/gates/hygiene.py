"""Gate E: the text is a query and nothing else, it is new, and it is of nothing that is never built. Asks nobody."""

from __future__ import annotations

import re
from typing import ClassVar

from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.panel import PASS, REJECT
from vsil_audit.builders.protection import REFUSAL, forbidden
from vsil_audit.detectors.chat import Ask
from vsil_audit.detectors.hygiene.texts import FORMS, text_spots
from vsil_audit.features.words import words

LETTER = "E"
_USUAL_LENGTH = 120.0
TAG = re.compile(r"</?[a-z][\w-]{0,30}(?:\s[^<>\n]{0,200})?/?>", re.IGNORECASE)
"""Whatever its name is: hygiene looks for none where a query speaks of scripts and the like."""


class Hygiene:
    """Builder's notes, refusals, markup, placeholders, emptiness. A form that the source's own text shows (its script,
    say) is no fault of the draft. Repeats within the set are looked for when all of it is there."""

    letter: ClassVar[str] = LETTER
    asks: ClassVar[str] = "is it free of builders' notes, markup and duplicates?"
    judges: tuple[str, ...] = ()

    async def judge(self, draft: Draft, ask: Ask) -> GateResult:  # noqa: ARG002 - the contract of gates
        reason = fault(draft)
        return GateResult(self.letter, not reason, reason, (Vote("hygiene", REJECT if reason else PASS, reason),))


def fault(draft: Draft) -> str:
    """What is wrong with the draft, in words; empty where nothing is."""
    if refused(draft):
        return REFUSAL
    before = draft.source.text if draft.source is not None else ""
    own = {spot.kind for spot in text_spots(before, _USUAL_LENGTH)} & FORMS if before.strip() else set()
    found = next((spot for spot in text_spots(draft.text, _USUAL_LENGTH) if spot.kind not in own), None)
    if found is not None:
        return f"{found.kind.replace('_', ' ')}: {found.says}"
    if tag := next((tag for tag in TAG.findall(draft.text) if tag not in before), ""):
        return f"stray markup: {tag[:40]}"
    if before and _folded(before) == _folded(draft.text):
        return "the text is what it was before"
    return ""


def refused(draft: Draft) -> bool:
    """Whether words of it say that it is of what is never built."""
    image = draft.image
    told = (draft.text, draft.description, "" if image is None else image.prompt, draft.subcategory or "")
    return forbidden(*told, category=draft.category or "")


def _folded(text: str) -> tuple[str, ...]:
    return tuple(word.folded for word in words(text)) or (text.strip(),)
