"""A caption for a pair's image: the benchmark's own description, else one that a model is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsil_audit.detectors.chat import Ask, Question, Subject
from vsil_audit.detectors.json_answer import said
from vsil_audit.detectors.responses import BLOCKED, NO_CAPTION, UNCLEAR_TO_ANYBODY
from vsil_audit.detectors.sight import BLIND, is_blind
from vsil_audit.evaluation.response import ResponseClass, classify_response
from vsil_audit.gateway.answers import CallFailure, Finish
from vsil_audit.gateway.messages import ImagePart, Message, Parameters, Request
from vsil_audit.pair import Abstained, Failed, Json
from vsil_audit.prompts import prompt

PROMPT = "caption"
DESCRIPTION = "description"
"""`Caption.by` where the benchmark itself describes the image."""

MAX_TOKENS = 256
_MOST_CHARACTERS = 4_000
_TYPICAL_ANSWER = (
    "A wooden table with a red toolbox, an open can of paint and two brushes. A woman in an apron holds one of the "
    'brushes. A label on the can says "For outdoor use".'
)


@dataclass(frozen=True, slots=True)
class Caption:
    """`text`: untrusted. `by`: DESCRIPTION, or the model that wrote it."""

    text: str
    by: str

    @property
    def details(self) -> dict[str, Json]:
        """As observations keep it."""
        return {"caption": self.text, "captioned_by": self.by}


async def caption_of(subject: Subject, captioner: str | None, ask: Ask) -> Caption | Abstained | Failed:
    """The caption that stands for the subject's images, or why there is none. `ask` is one that guards sight.

    A captioner is asked greedily, once for equal images. What it says where it does not describe (a refusal, an error's
    text, nothing) is no caption.
    """
    description = (subject.pair.description or "").strip()
    if description:
        return Caption(description[:_MOST_CHARACTERS], DESCRIPTION)
    if captioner is None:
        return Abstained(NO_CAPTION)
    if not subject.images:
        return Abstained("the pair's image cannot be opened" if subject.pair.images else "the pair has no image")
    answer = await ask(captioner, caption_question(subject.images))
    if isinstance(answer, CallFailure):
        if is_blind(answer):
            return Abstained(f"captioner: {BLIND}")
        return Failed(answer.kind.value, f"captioner: {answer.detail}")
    if answer.finish in (Finish.BLOCKED, Finish.CONTENT_FILTER):
        return Abstained(f"captioner: {BLOCKED}")
    text = said(answer.text).strip()
    verdict = classify_response(text, cut=answer.truncated)
    if verdict.no_answer in UNCLEAR_TO_ANYBODY:
        return Abstained(f"captioner: {verdict.reason}")
    if answer.refusal or verdict.response_class is ResponseClass.REFUSAL:
        return Abstained("captioner: refused to describe the image")
    return Caption(text[:_MOST_CHARACTERS], captioner)


def caption_question(images: Sequence[ImagePart]) -> Question:
    """What a captioner is asked: the images, and our request below them. No word of the pair's is in it."""
    text = prompt(PROMPT).render(images=len(images))
    return Question(
        Request((Message.user(*images, text),), Parameters(temperature=0.0, max_tokens=MAX_TOKENS)), _TYPICAL_ANSWER
    )
