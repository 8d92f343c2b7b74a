"""Which models take images, found out by asking: one that takes none is sent one image, not one for each pair."""

from __future__ import annotations

import asyncio
import re
from collections import defaultdict

from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.gateway.answers import Answer, CallFailure, FailureKind

BLIND = "the model takes no images"

_IMAGES = r"(?:images?|image_url|pictures?|vision|visual|multi-?modal)"
_VERB = r"(?:support|accept|take|allow)"  # to be unable to read or process one is often the fault of that image
_VERBED = r"(?:supported|accepted|allowed|enabled|available)"
_TAKES_NONE = re.compile(
    "|".join(
        (
            rf"(?:\bnot|n't|\bcannot|\bunable to)\b[\w ]{{0,24}}?\b{_VERB}[\w ]{{0,24}}?['\"` ]{_IMAGES}\b",
            rf"\b{_IMAGES}\b['\"`]?[\w ]{{0,24}}?\b(?:is|are) (?:not|only|un)[\w ]{{0,12}}?{_VERBED}",
            r"\b(?:not|isn't) (?:an? )?(?:multi-?modal|vision)\b",
            rf"\bno endpoints? found that supports? {_IMAGES}",
            r"\b(?:takes? no|at most 0) images?\b|\btext[- ]only\b",
            r"\b(?:unknown variant|invalid value)\W+image",
            r"\bcontent\b\W.{0,40}\bmust be a (?:valid )?string\b",  # no message of parts is taken
            r"\bmissing data required for image|\bmmproj\b",
        )
    ),
    re.I,
)
_THIS_IMAGE = re.compile(
    r"\b(?:formats?|mime|media[ _]types?|file types?|image types?|of type|resolution|sizes?|too (?:large|small|many)|"
    r"(?:larg|small)er than|exceeds?|dimensions?|pixels?|corrupt\w*|decod\w+|animated|webp|gifs?|bmp|tiff|avif|svg|"
    r"download\w*|urls?|(?:this|that|the|your|an?|input|provided) image(?! (?:input|modalit|content)))\b",
    re.I,
)
"""Words of a complaint about one image, not of what a model can do at all."""


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
