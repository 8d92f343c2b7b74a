"""What models do with a benchmark's queries under each condition: the detector behind `vsil-audit evaluate`."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from typing import Any, ClassVar

from vsil_audit.detectors.base import DetectorSpec, Lens, Need, Readiness, Unit
from vsil_audit.detectors.chat import Ask, AskContext, AskOptions, Condition, Observation, Part, Role, Subject
from vsil_audit.detectors.model_evaluation import captions
from vsil_audit.detectors.model_evaluation.captions import Caption, caption_of
from vsil_audit.detectors.model_evaluation.image_classifier import ImageClassifier
from vsil_audit.detectors.model_evaluation.safety_prompts import SHIPPED, SafetyPrompt, safety_prompts
from vsil_audit.detectors.response_judge import PROMPTS
from vsil_audit.detectors.responses import CAPTION_FRAME, Responses, by_model
from vsil_audit.detectors.unscored import most_common_reason
from vsil_audit.evaluation.response import ResponseClass
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.pair import Abstained, Failed, Finding, Json, Outcome, Pair, Scored, Verdict

NAME = "evaluation"

VARIANT, ROLE, BASE, IMAGE_CLASSIFIER = "variant", "role", "base", "image_classifier"
"""Keys and values of `Observation.details`: VARIANT names the safety prompt that stood before the query; ROLE is BASE
where the base model answered, IMAGE_CLASSIFIER where a classifier looked at an image. Neither is there otherwise."""

IMAGE_DIGEST = "image"
"""Key of `details`: the digest of the image that a classifier looked at."""

_PLAIN = SafetyPrompt("", "")


class ModelEvaluation:
    """Asks every target each query under each condition, plain and behind each safety prompt, and the base model the
    text alone; classes the answers, of the set and of a benign control alike; and has image classifiers look at images.

    How a condition is sent and an answer classed: see `Responses`. A caption is the pair's description, else what
    `options.captioner` says of the image.
    """

    spec: ClassVar[DetectorSpec] = DetectorSpec(
        name=NAME,
        asks="Do models refuse, warn or comply, under each condition?",
        lens=Lens.BEHAVIOURAL,
        unit=Unit.PAIR,
        needs=frozenset({Need.CHAT}),
        value="share of the models' answers to the plain query, over all conditions, that refuse or warn, 0 to 1",
        limits="Of models, not of the benchmark. A model that refuses everything is safe and useless: read the benign "
        "control beside it. The offline classifier reads English only; other answers are abstentions.",
    )
    prompts: ClassVar[tuple[str, ...]] = (*PROMPTS, CAPTION_FRAME, captions.PROMPT, *SHIPPED.values())
    examines: ClassVar[frozenset[Part]] = frozenset({Part.SET, Part.CONTROL})

    def __init__(self) -> None:
        self._options = AskOptions()
        self._responses = Responses(self._options)
        self._safety_prompts: tuple[SafetyPrompt, ...] = ()
        self._classifiers: list[ImageClassifier] = []

    @classmethod
    def readiness(cls) -> Readiness:
        return Readiness(ready=True)

    @classmethod
    def models(cls, options: AskOptions) -> tuple[str, ...]:
        """Targets, base model, captioner where one is wanted, and the judges of the answers."""
        answering = [*options.targets, *([options.base_model] if options.base_model else [])]
        if not answering:
            return ()
        captioner = [options.captioner] if options.captioner and Condition.CAPTION in _conditions(options) else []
        return tuple(dict.fromkeys((*answering, *captioner, *options.response_judges)))

    def prepare(self, context: AskContext) -> None:
        """Raises ConfigurationError for a safety prompt that cannot be read."""
        self._options = context.options
        self._responses = Responses(context.options)
        self._safety_prompts = safety_prompts(context.options.safety_prompts)
        self._classifiers = [ImageClassifier(name) for name in dict.fromkeys(context.options.image_classifiers)]

    def canaries(self, count: int) -> Sequence[Subject]:  # noqa: ARG002 - the contract's
        """None: what a target does is no verdict that could be right or wrong."""
        return ()

    async def examine(self, subject: Subject, ask: Ask) -> Sequence[Observation]:
        """One observation for each target, variant, condition and sample, in that order; then for each sample of the
        base model; then for each classifier and image of the subject."""
        asking = self._responses.around(ask)
        caption = await self._caption(subject, asking)
        answers = await asyncio.gather(*self._answers(subject, caption, asking))
        return [*answers, *await asyncio.gather(*self._looks(subject))]

    async def _caption(self, subject: Subject, ask: Ask) -> Caption | Abstained | Failed | None:
        """None where no condition wants one."""
        wanted = self._options.targets and Condition.CAPTION in _conditions(self._options) and subject.pair.text.strip()
        return await caption_of(subject, self._options.captioner, ask) if wanted else None

    def _answers(
        self, subject: Subject, caption: Caption | Abstained | Failed | None, ask: Ask
    ) -> Iterator[Coroutine[Any, Any, Observation]]:
        told = caption.text if isinstance(caption, Caption) else caption
        for target, before, condition in self._asked():
            details: dict[str, Json] = {VARIANT: before.variant} if before.variant else {}
            if condition is Condition.CAPTION and isinstance(caption, Caption):
                details |= caption.details
            for sample in range(self._options.answers):
                yield self._responses.observe(
                    subject, target, condition, ask, sample=sample, prefix=before.text, caption=told, details=details
                )
        if self._options.base_model:
            for sample in range(self._options.answers):
                yield self._responses.observe(
                    subject, self._options.base_model, Condition.TEXT, ask, sample=sample, details={ROLE: BASE}
                )

    def _asked(self) -> Iterator[tuple[str, SafetyPrompt, Condition]]:
        options = self._options
        behind = options.safety_prompt_conditions or options.conditions
        for target in dict.fromkeys(options.targets):
            for before in (_PLAIN, *self._safety_prompts):
                for condition in dict.fromkeys(behind if before.variant else options.conditions):
                    yield target, before, condition

    def _looks(self, subject: Subject) -> Iterator[Coroutine[Any, Any, Observation]]:
        for classifier in self._classifiers:
            for place, image in enumerate(subject.images or (None,)):
                yield self._look(subject, classifier, image, place)

    @staticmethod
    async def _look(subject: Subject, classifier: ImageClassifier, image: ImagePart | None, place: int) -> Observation:
        details: dict[str, Json] = {ROLE: IMAGE_CLASSIFIER}
        outcome: Outcome = Abstained("the pair's image cannot be opened" if subject.pair.images else "no image")
        label = ""
        if image is not None:
            verdict = await classifier.verdict(image)
            outcome, label = verdict.outcome, verdict.label
            details |= {IMAGE_DIGEST: image.digest, "scores": dict(verdict.scores)}
        return Observation(
            subject.pair.id,
            classifier.name,
            Condition.IMAGE.value,
            outcome,
            role=Role.JUDGE,
            part=subject.part,
            sample=place,
            label=label,
            has_probability=bool(label),
            kind=subject.kind,
            details=details,
        )

    def finding(self, pair: Pair, observations: Sequence[Observation]) -> Finding:
        """No verdict: what models do says nothing of the pair. How safe their answers to the plain query were."""
        answers = [o for o in observations if o.role is Role.TARGET]
        plain = [o for o in answers if VARIANT not in o.details and ROLE not in o.details]
        labels = Counter(o.label for o in plain if isinstance(o.outcome, Scored))
        details: dict[str, Json] = {"models": by_model(answers), "answers": len(plain), "classed": labels.total()}
        if labels:
            safe = 1.0 - labels[ResponseClass.UNSAFE.value] / labels.total()
            return Finding(NAME, pair.id, Scored(safe), Verdict.NONE, details=details)
        why = most_common_reason(o.outcome for o in plain) or Abstained("no model was evaluated")
        return Finding(NAME, pair.id, why, details=details)


def _conditions(options: AskOptions) -> tuple[Condition, ...]:
    """Of the plain query and behind safety prompts."""
    behind = options.safety_prompt_conditions if options.safety_prompts else ()
    return tuple(dict.fromkeys((*options.conditions, *behind)))
