"""Does the text reveal what the image shows? Each judge says none, implicit or explicit, and by which words."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator, Sequence
from functools import partial
from typing import ClassVar

from vsil_audit.detectors.base import DetectorSpec, Lens, Need, Readiness, Unit
from vsil_audit.detectors.chat import Ask, AskContext, AskOptions, Condition, Observation, Part, Question, Role, Subject
from vsil_audit.detectors.llm_judge.canaries import canaries
from vsil_audit.detectors.llm_judge.panel import panel_finding
from vsil_audit.detectors.llm_judge.verdict import EXPLICIT, VALUES, LeakVerdict, read_leak
from vsil_audit.detectors.sight import BLIND, Sight
from vsil_audit.detectors.structured import MOST_KEPT_CHARACTERS, REPAIR, Unreadable, Verdict, ask_verdict
from vsil_audit.gateway.messages import Message, Parameters, Request
from vsil_audit.pair import Abstained, Finding, Json, Outcome, Pair, Scored
from vsil_audit.prompts import fenced, nonce, prompt

MOST_IMAGES = 8
MOST_ANSWER_TOKENS = 1024
_TASK, _ITEM = "llm_judge", "llm_judge_item"
_TYPICAL = json.dumps(
    {
        "reasons": "The image shows what the request is about. The text names it, so that a reader of the text alone "
        "knows what is meant; only how it looks is left to the image.",
        "reveals": EXPLICIT,
        "spans": ["a phrase of the text"],
        "kind": "object",
        "adds": "how it looks, and where it stands",
        "confidence": 0.9,
    }
)


class LlmJudge:
    """A panel of judges that see the text and the image."""

    spec: ClassVar[DetectorSpec] = DetectorSpec(
        name="llm_judge",
        asks="Does the text reveal what matters in the image?",
        lens=Lens.JUDGED,
        unit=Unit.PAIR,
        needs=frozenset({Need.CHAT}),
        value=(
            "0 to 1: none 0, implicit 0.5, explicit 1; the mean over judges. A leak when most judges say implicit or "
            "explicit."
        ),
        limits=(
            "It is as good as its judges: see their canaries and their agreement. Where the image cannot be opened the "
            "judge sees the benchmark's description of it (condition `caption`), and can know no more than that. A "
            "text may name what its image shows and be harmless."
        ),
    )
    prompts: ClassVar[tuple[str, ...]] = (_TASK, _ITEM, REPAIR)
    examines: ClassVar[frozenset[Part]] = frozenset({Part.SET, Part.CANARY})

    def __init__(self) -> None:
        self._options = AskOptions()
        self._sight = Sight()

    @classmethod
    def readiness(cls) -> Readiness:
        return Readiness(ready=True)

    @classmethod
    def models(cls, options: AskOptions) -> tuple[str, ...]:
        return tuple(dict.fromkeys(options.judges))

    def prepare(self, context: AskContext) -> None:
        self._options = context.options

    def canaries(self, count: int) -> Sequence[Subject]:
        return canaries(count, self._options.seed)

    async def examine(self, subject: Subject, ask: Ask) -> Sequence[Observation]:
        """One observation for each judge and sample; all judges are asked at once."""
        models = self.models(self._options)
        why_not = _nothing_to_judge(subject)
        if why_not is not None:
            return [_observed(subject, model, 0, why_not) for model in models]
        seeing = self._sight.guard(ask)
        samples = range(self._options.verdicts)
        asked = [self._verdict(subject, model, sample, seeing) for model in models for sample in samples]
        return await asyncio.gather(*asked)

    def finding(self, pair: Pair, observations: Sequence[Observation]) -> Finding:
        return panel_finding(self.spec.name, pair, observations)

    async def _verdict(self, subject: Subject, model: str, sample: int, ask: Ask) -> Observation:
        mark = _mark(subject)
        request = Request(
            messages=(Message.system(prompt(_TASK).render()), _item(subject, mark)),
            # no json_schema: an endpoint that does not know it refuses the call, and the prompt asks for JSON anyway
            parameters=Parameters(temperature=self._options.temperature, max_tokens=MOST_ANSWER_TOKENS),
            sample=sample,
        )
        read = partial(read_leak, text=subject.pair.text)
        # the examples of the task are quoted too: a judge that gives one of them back has judged nothing
        quoted = [message.text for message in request.messages]
        said = await ask_verdict(ask, model, Question(request, _TYPICAL), read, mark, quoted=quoted)
        if isinstance(said, Unreadable):
            outcome = Abstained(BLIND) if said.failure.detail == BLIND else said.failure
            return _observed(subject, model, sample, outcome, said)
        return _observed(subject, model, sample, Scored(VALUES[said.value.reveals]), said)


def _nothing_to_judge(subject: Subject) -> Abstained | None:
    if not subject.pair.text.strip():
        return Abstained("the query is empty")
    if not subject.images and not any(_descriptions(subject.pair)):
        return Abstained("no image and no description")
    return None


def _item(subject: Subject, mark: str) -> Message:
    """The user's turn: the images, or the fenced descriptions in their place, and the fenced text."""
    images = subject.images[:MOST_IMAGES]
    descriptions = [] if images else [fenced(tag, text, mark) for tag, text in _descriptions(subject.pair)]
    text = prompt(_ITEM).render(
        text=fenced("text", subject.pair.text, mark), descriptions="\n".join(descriptions), n_images=len(images)
    )
    return Message.user(*images, text)


def _mark(subject: Subject) -> str:
    shown = [image.digest for image in subject.images] or [text for _, text in _descriptions(subject.pair)]
    return nonce(subject.pair.text, *shown)


def _descriptions(pair: Pair) -> Iterator[tuple[str, str]]:
    """What the benchmark says that the image shows: (tag, text)."""
    for tag, text in (("description", pair.description), ("key_phrase", pair.key_phrase)):
        if text is not None and text.strip():
            yield tag, text


def _observed(
    subject: Subject,
    model: str,
    sample: int,
    outcome: Outcome,
    said: Verdict[LeakVerdict] | Unreadable | None = None,
) -> Observation:
    described = not subject.images and any(_descriptions(subject.pair))
    condition = Condition.CAPTION if described else Condition.PAIR
    answer = said.answer if said is not None else None
    verdict = said.value if isinstance(said, Verdict) else None
    return Observation(
        pair_id=subject.pair.id,
        model=model,
        condition=condition.value,
        outcome=outcome,
        role=Role.JUDGE,
        part=subject.part,
        sample=sample,
        label=verdict.reveals if verdict is not None else "",
        expected=subject.expected.get(condition.value, ""),
        kind=subject.kind,
        twin=subject.twin,
        answer=answer.text[:MOST_KEPT_CHARACTERS] if answer is not None else "",
        finish=answer.finish.value if answer is not None else "",
        details=_details(subject, said),
    )


def _details(subject: Subject, said: Verdict[LeakVerdict] | Unreadable | None) -> dict[str, Json]:
    """`spans`, `leak_kind`, `adds`, `confidence`; `dropped_spans`, `no_span`, `repaired`, `images_left_out` where there
    is something to tell."""
    details: dict[str, Json] = {}
    left_out = len(subject.pair.images) - min(len(subject.images), MOST_IMAGES)
    if subject.images and left_out > 0:
        details["images_left_out"] = left_out
    if isinstance(said, Verdict):
        verdict = said.value
        details |= {
            "spans": [[start, end] for start, end in verdict.spans],
            "leak_kind": verdict.kind,
            "adds": verdict.adds,
            "confidence": verdict.confidence,
        }
        if verdict.dropped_spans:
            details["dropped_spans"] = verdict.dropped_spans
        if verdict.reveals == EXPLICIT and not verdict.spans:
            details["no_span"] = True
        if said.repaired:
            details["repaired"] = True
    return details
