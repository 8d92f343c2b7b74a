"""Which models take images, found out by asking: one that takes none is sent one image, not one for each pair."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict

from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.gateway.answers import Answer, CallFailure, FailureKind

BLIND = "the model takes no images"

_IMAGES = r"(?:images?|image_url|pictures?|vision|visual|multi-?modal)"
_TAKES_NONE = re.compile(
    r"(?:\bnot|n't|\bcannot|\bunable to|\bno)\b[\w ]{0,24}?\b(?:support|accept|process|handle|take|allow|receive|read)"
    rf"\w*[\w ]{{0,16}}?['\"` ]{_IMAGES}\b"
    rf"|\b{_IMAGES}\b['\"`]?(?: ?\(s\))?[\w ]{{0,24}}?\b(?:is|are) (?:not|only|un)[\w ]{{0,12}}?"
    r"(?:supported|accepted|allowed|enabled|available)"
    rf"|\b(?:not|isn't) (?:an? )?[\w ]{{0,12}}?(?:multi-?modal|vision)\b"
    rf"|\bno endpoints? found that supports? {_IMAGES}"
    r"|\bat most 0 images?\b|\bunknown variant\W+image|\bmissing data required for image|\bmmproj\b",
    re.I,
)
_THIS_IMAGE = re.compile(
    r"\b(?:formats?|mime|media[ _]type|file type|image type|resolution|sizes?|large|small|dimensions?|pixels?|"
    r"corrupt\w*|decod\w+|animated|webp|gifs?|bmp|tiff|avif|svg|download\w*|urls? (?:is|are))\b",
    re.I,
)


def takes_no_images(failure: CallFailure) -> bool:
    """Whether a failure says of the model, and not of one image, that it takes none."""
    if failure.kind not in (FailureKind.PERMANENT, FailureKind.TRANSIENT):
        return False
    return bool(_TAKES_NONE.search(failure.detail)) and not _THIS_IMAGE.search(failure.detail)


class Sight:
    """What is known of models so far. The first question with an image goes to each model alone, so that no more are
    sent to one that takes none; what a question then comes back with does not depend on the order of the questions."""

    def __init__(self) -> None:
        self._sees: dict[str, bool] = {}
        self._first: defaultdict[str, asyncio.Lock] = defaultdict(asyncio.Lock)

    def guard(self, ask: Ask) -> Ask:
        """`ask`, but for a model that takes no images any question with one fails, without being sent, with the detail
        BLIND."""

        async def guarded(model: str, question: Question) -> Answer | CallFailure:
            if not question.request.images:
                return await ask(model, question)
            if model not in self._sees:
                async with self._first[model]:
                    if model not in self._sees:
                        return self._learn(model, await ask(model, question))
            if not self._sees[model]:
                return CallFailure(FailureKind.PERMANENT, BLIND)
            return await ask(model, question)

        return guarded

    def _learn(self, model: str, outcome: Answer | CallFailure) -> Answer | CallFailure:
        if isinstance(outcome, Answer):
            self._sees[model] = True
        elif takes_no_images(outcome):
            self._sees[model] = False
            return CallFailure(FailureKind.PERMANENT, BLIND, outcome.attempts)
        return outcome


def is_blind(outcome: Answer | CallFailure) -> bool:
    """Whether a guarded question failed because its model takes no images."""
    return isinstance(outcome, CallFailure) and outcome.detail == BLIND
