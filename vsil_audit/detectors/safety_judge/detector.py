"""The detector: which judges are asked what, and what is observed of their answers."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import ClassVar

from vsil_audit.detectors.base import DetectorSpec, Lens, Need, Readiness, Unit
from vsil_audit.detectors.canaries import safety_canaries
from vsil_audit.detectors.chat import Ask, AskContext, AskOptions, Condition, Observation, Part, Role, Subject
from vsil_audit.detectors.concessions import Concessions
from vsil_audit.detectors.safety_judge.panel import panel_finding
from vsil_audit.detectors.safety_judge.probability import probability_of_unsafe
from vsil_audit.detectors.safety_judge.verdict import (
    PAIR_PROMPT,
    TEXT_PROMPT,
    UNSAFE,
    SafetyVerdict,
    bare_verdict,
    read_safety,
    safety_question,
)
from vsil_audit.detectors.sight import BLIND, Sight
from vsil_audit.detectors.structured import MOST_KEPT_CHARACTERS, REPAIR, Unreadable, Verdict, ask_verdict
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.pair import Abstained, Finding, Json, Pair, Scored

NO_TEXT = "no text"
NO_IMAGE = "no image"
NOT_ALL_IMAGES = "not all of its images can be opened"
NO_OTHER_IMAGE = "no other image to show"

_CONDITIONS = (Condition.TEXT, Condition.PAIR, Condition.SWAPPED)


class SafetyJudge:
    """Judges say safe or unsafe of the text alone, of the pair, and of the text with another pair's image."""

    spec: ClassVar[DetectorSpec] = DetectorSpec(
        name="safety_judge",
        asks="Is the text alone unsafe, as the pair is?",
        lens=Lens.JUDGED,
        unit=Unit.PAIR,
        needs=frozenset({Need.CHAT}),
        value=(
            "probability that the text alone is unsafe, in [0, 1], mean over judges: of the verdict after its reasons "
            "where the endpoint gives log-probabilities, else the share of samples"
        ),
        limits=(
            "It is as good as its judges: see their canaries, their sensitivity to the image, and the benign control. "
            "A judge that hardly looks at images finds leaks everywhere."
        ),
    )
    prompts: ClassVar[tuple[str, ...]] = (TEXT_PROMPT, PAIR_PROMPT, REPAIR)
    examines: ClassVar[frozenset[Part]] = frozenset({Part.SET, Part.CONTROL, Part.CANARY})

    def __init__(self) -> None:
        self._options = AskOptions()
        self._sight = Sight()
        self._concessions = Concessions()

    @classmethod
    def readiness(cls) -> Readiness:
        return Readiness(ready=True)

    @classmethod
    def models(cls, options: AskOptions) -> tuple[str, ...]:
        return tuple(dict.fromkeys(options.judges))

    def prepare(self, context: AskContext) -> None:
        self._options = context.options

    def canaries(self, count: int) -> Sequence[Subject]:
        side = self._options.image_side
        return [
            replace(subject, images=tuple(replace(image, max_side=side) for image in subject.images))
            for subject in safety_canaries(count, self._options.seed)
        ]

    async def examine(self, subject: Subject, ask: Ask) -> Sequence[Observation]:
        """One observation for each judge, condition and sample, in that order; all are asked at once. A canary is
        judged under the conditions for which a verdict is expected, a control without another image."""
        asking = self._concessions.around(self._sight.guard(ask))
        return await asyncio.gather(
            *(
                self._observe(subject, model, condition, shown, sample, asking)
                for model in self.models(self._options)
                for condition, shown in _shown(subject)
                for sample in range(1 if isinstance(shown, Abstained) else self._options.verdicts)
            )
        )

    def finding(self, pair: Pair, observations: Sequence[Observation]) -> Finding:
        return panel_finding(self.spec.name, pair.id, observations)

    async def _observe(
        self,
        subject: Subject,
        model: str,
        condition: Condition,
        shown: tuple[ImagePart, ...] | Abstained,
        sample: int,
        ask: Ask,
    ) -> Observation:
        observation = Observation(
            pair_id=subject.pair.id,
            model=model,
            condition=condition.value,
            outcome=Abstained(""),
            role=Role.JUDGE,
            part=subject.part,
            sample=sample,
            expected=subject.expected.get(condition.value, ""),
            kind=subject.kind,
            twin=subject.twin,
        )
        if isinstance(shown, Abstained):
            return replace(observation, outcome=shown)
        text = subject.pair.text
        options = self._options
        question, mark = safety_question(text, shown, temperature=options.temperature, sample=sample, seed=options.seed)
        said = await ask_verdict(ask, model, question, read_safety, mark, quoted=(text,), bare=bare_verdict)
        return self._with(observation, said)

    def _with(self, observation: Observation, said: Verdict[SafetyVerdict] | Unreadable) -> Observation:
        if said.answer is not None:
            kept = said.answer.text[:MOST_KEPT_CHARACTERS]
            observation = replace(observation, answer=kept, finish=said.answer.finish.value)
        details: dict[str, Json] = {}
        if given_up := self._concessions.made(observation.model):
            details["asked_without"] = [concession.value for concession in sorted(given_up)]
        if isinstance(said, Unreadable):
            outcome = Abstained(BLIND) if said.failure.detail == BLIND else said.failure
            return replace(observation, outcome=outcome, details=details)
        if said.repaired:
            details["repaired"] = True
        if said.value.reasons:
            details["reasons"] = said.value.reasons[:MOST_KEPT_CHARACTERS]
        label = said.value.label
        probability = probability_of_unsafe(said.answer.logprobs, label)
        return replace(
            observation,
            outcome=Scored(float(label == UNSAFE) if probability is None else probability),
            label=label,
            has_probability=probability is not None,
            details=details,
        )


def _shown(subject: Subject) -> Iterator[tuple[Condition, tuple[ImagePart, ...] | Abstained]]:
    """The images to show under each condition, or why nothing is asked under it."""
    for condition in _CONDITIONS:
        if not _looks_at(subject, condition):
            continue
        if condition is Condition.TEXT:
            yield condition, () if subject.pair.text.strip() else Abstained(NO_TEXT)
        elif len(subject.images) < len(subject.pair.images):
            yield condition, Abstained(NOT_ALL_IMAGES)
        elif not subject.images:
            yield condition, Abstained(NO_IMAGE)
        elif condition is Condition.PAIR:
            yield condition, subject.images
        else:
            yield condition, subject.swapped or Abstained(NO_OTHER_IMAGE)


def _looks_at(subject: Subject, condition: Condition) -> bool:
    if subject.part is Part.CANARY:
        return condition.value in subject.expected
    return subject.part is Part.SET or condition is not Condition.SWAPPED
