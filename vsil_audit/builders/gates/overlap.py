"""Gate A': the text does not say what the image shows, as far as the content detectors of the scan can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from vsil_audit.builders.content_lens import ContentLens, failures, scores, suspected
from vsil_audit.builders.draft import BuiltImage, Draft
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.panel import FAILED, PASS, REJECT
from vsil_audit.detectors.chat import Ask
from vsil_audit.detectors.ocr_overlap import NO_TEXT
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import Abstained, Finding, ImageRef, Pair, Scored

LETTER = "A'"
ABSTAINED = "abstained"
"""The verdict of a detector that had nothing to compare; it is neither for nor against."""

Facts = Callable[[BuiltImage], Awaitable[ImageFacts]]
"""What is found in an image of a draft, OCR included."""


class Overlap:
    """No content detector may suspect the draft. One that cannot look (no description, no text in the image) is no
    vote against it; the finished set is scanned once more by all of them."""

    letter: ClassVar[str] = LETTER
    asks: ClassVar[str] = "is the content overlap below the threshold?"
    judges: tuple[str, ...] = ()

    def __init__(self, lens: ContentLens, facts: Facts) -> None:
        self._lens, self._facts = lens, facts
        self._one_at_a_time = asyncio.Lock()  # detectors are not made for several threads

    async def judge(self, draft: Draft, ask: Ask) -> GateResult:  # noqa: ARG002 - the contract of gates
        facts = () if draft.image is None else (await self._facts(draft.image),)
        pair = as_pair(draft)
        async with self._one_at_a_time:
            looks = await asyncio.to_thread(self._lens.look, [pair], [facts])
        return overlap_result(looks[0])


def as_pair(draft: Draft) -> Pair:
    """The draft as a scan of the finished set will read it, with the phrase that the source's pair is about."""
    images = () if draft.image is None else (ImageRef(draft.image.digest, path=draft.image.digest),)
    source = draft.source or Pair(draft.id, draft.text)
    return replace(
        source,
        text=draft.text,
        images=images,
        description=draft.description or None,
        category=draft.category,
        subcategory=draft.subcategory,
    )


def overlap_result(findings: Sequence[Finding], before: Sequence[Finding] | None = None) -> GateResult:
    """The findings of the content detectors as the gate's result. `before`: theirs of the pair as it was, where nobody
    else looks: then one of them must look now, and all that could look at it then."""
    by = ", ".join(f.detector for f in findings if suspected([f]))
    reason = f"the text says what the image shows: {by}" if by else ""
    if not by and before is not None:
        reason = _unseen(findings, before)
    return GateResult(LETTER, False if by else None if reason else True, reason, tuple(votes(findings)))


def _unseen(findings: Sequence[Finding], before: Sequence[Finding]) -> str:
    """Why nothing can be said; empty where something can."""
    looked = {f.detector for f in findings if _compared(f)}
    gone = [f.detector for f in before if _compared(f) and f.detector not in looked]
    if gone:
        return f"cannot look at it any more: {', '.join(gone)}"
    return "" if looked else "no content detector could look at it"


def _compared(finding: Finding) -> bool:
    """Whether it had anything to compare: an image without words says nothing that a text could repeat."""
    return isinstance(finding.outcome, Scored) and finding.kind != NO_TEXT


def votes(findings: Sequence[Finding]) -> Iterator[Vote]:
    for finding in findings:
        said = ", ".join(failures([finding]))
        verdict = FAILED if said else REJECT if suspected([finding]) else PASS
        if isinstance(finding.outcome, Abstained):
            verdict, said = ABSTAINED, finding.outcome.reason
        elif finding.kind == NO_TEXT:
            verdict, said = ABSTAINED, "no words in the image"
        yield Vote(finding.detector, verdict, said, details={"score": scores([finding])[finding.detector]})
