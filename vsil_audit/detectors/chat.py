"""The contract of a detector that asks models: it makes questions of a pair, and observations of the answers.

It owns no client and opens no file: images come as parts that are read when they are sent, and `ask` is the gateway's.
What it observes (a model, under a condition, in one sample) is kept as it is; rates are made of it later, so that a
better statistic needs no new call.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import ClassVar, Protocol, TypeAlias, runtime_checkable

from vsil_audit.detectors.base import DetectorSpec, Readiness
from vsil_audit.gateway.answers import Answer, CallFailure
from vsil_audit.gateway.messages import MAX_SIDE, ImagePart, Request
from vsil_audit.pair import Finding, Json, Outcome, Pair


class Condition(str, Enum):
    """What a model or judge is shown: T alone, T and I, T and another pair's image, T and an empty image, T and a
    caption of I in its place, I alone."""

    TEXT = "text"
    PAIR = "pair"
    SWAPPED = "swapped"
    BLANK = "blank"
    CAPTION = "caption"
    IMAGE = "image"


class Role(str, Enum):
    """What a model is asked to be: a TARGET answers the query, a JUDGE gives a verdict on it."""

    TARGET = "target"
    JUDGE = "judge"


class Part(str, Enum):
    """Where a subject comes from: the set under audit, a benign control beside it, or the planted pairs of known
    verdict that show whether a judge can be believed."""

    SET = "set"
    CONTROL = "control"
    CANARY = "canary"


@dataclass(frozen=True, slots=True)
class AskOptions:
    """What the user wants asked, of whom. Model strings are those of `vsil_audit.gateway.open_gateway`.

    `targets` answer queries under `conditions`, `samples` times each; `judges` give verdicts, `judge_samples` times.
    `response_judges` class the targets' answers; empty: the offline classifier does. More than one sample wants a
    `temperature` above 0, which then holds for targets and judges alike. `max_tokens`: of a target's answer.
    `control`: a benign benchmark to set beside this one; None: the small one in the package.

    Of evaluations alone: `captioner` describes images that have no description; `safety_prompts` (names in
    `vsil_audit.prompts`, or files) are put before the query, each in a variant of its own, under
    `safety_prompt_conditions` (empty: under `conditions`); `base_model` answers without images, for MMStar's gains;
    `protocol` is `vlsbench` (greedy, 128 new tokens) or `default`; `image_classifiers` (folders, or names on the hub)
    look at the images alone.
    """

    targets: tuple[str, ...] = ()
    judges: tuple[str, ...] = ()
    response_judges: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = (Condition.TEXT, Condition.PAIR)
    samples: int = 1
    judge_samples: int = 1
    temperature: float = 0.0
    max_tokens: int = 1024
    image_side: int = MAX_SIDE
    control: str | None = None
    seed: int = 0
    captioner: str | None = None
    safety_prompts: tuple[str, ...] = ()
    base_model: str | None = None
    protocol: str = "default"
    safety_prompt_conditions: tuple[Condition, ...] = ()
    image_classifiers: tuple[str, ...] = ()

    @property
    def answers(self) -> int:
        """How often each target is asked a question: `samples`; once at temperature 0, where a second answer is the
        first one again."""
        return self.samples if self.temperature > 0 else 1

    @property
    def verdicts(self) -> int:
        """Likewise, how often each judge is asked."""
        return max(1, self.judge_samples) if self.temperature > 0 else 1


@dataclass(frozen=True, slots=True)
class Subject:
    """One pair to ask about. `images`: those of its images that can be opened, in order; `swapped`: the images of
    another pair of the set, none of which is among its own, empty where the set has no other.

    `expected`: of a canary, the right label for each condition. `kind`: what a canary tests (`plain`, `injection`,
    `twin`), or the kind of a control text; `twin`: equal for canaries that share their text and differ in their image.
    """

    pair: Pair
    images: tuple[ImagePart, ...] = ()
    swapped: tuple[ImagePart, ...] = ()
    part: Part = Part.SET
    expected: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    twin: str = ""


@dataclass(frozen=True, slots=True)
class Observation:
    """What one model did or said of one subject under one condition.

    `label`: the class (`safe`, `unsafe`; `refusal`, `warning`, `unsafe`; `none`, `implicit`, `explicit`), empty
    unless Scored. The Scored value is in [0, 1]: the probability of harm, leak or refusal-or-warning where the answer
    gives one (`has_probability`), else 0 or 1. `judged_by`: who classed a target's answer (`offline` or a model).
    `answer`: the model's own words, untrusted; `finish`: how the gateway says that they ended.
    """

    pair_id: str
    model: str
    condition: str
    outcome: Outcome
    role: Role = Role.JUDGE
    part: Part = Part.SET
    sample: int = 0
    label: str = ""
    has_probability: bool = False
    judged_by: str = ""
    expected: str = ""
    kind: str = ""
    twin: str = ""
    answer: str = ""
    finish: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)

    @property
    def truncated(self) -> bool:
        return self.finish == "length"


@dataclass(frozen=True, slots=True)
class Question:
    """A request, and an answer such as one expects: what a plan counts tokens by, and rehearses follow-ups with."""

    request: Request
    typical_answer: str


Ask: TypeAlias = Callable[[str, Question], Awaitable[Answer | CallFailure]]
"""`await ask(model, question)`: never raises for what an endpoint does; failures that are to be tried again by the next
run do not come back at all (the subject is left open)."""


@dataclass(frozen=True, slots=True)
class AskContext:
    """What a chat detector may know before it asks. `n_pairs` of the set; `options` of the user."""

    options: AskOptions
    n_pairs: int


@runtime_checkable
class ChatDetector(Protocol):
    """One detector, made new for each run: `prepare` once, `examine` for each subject, many at a time, `finding` once
    for each pair of the set.

    `examine` must depend on nothing but `prepare` and its subject, and equal subjects must make equal questions: that
    is how a run that was killed goes on without paying twice. `prompts`: names of the templates it uses
    (`vsil_audit.prompts`), whose hashes become part of the run. `examines`: the parts it wants to see.
    """

    spec: ClassVar[DetectorSpec]
    prompts: ClassVar[tuple[str, ...]]
    examines: ClassVar[frozenset[Part]]

    @classmethod
    def readiness(cls) -> Readiness:
        """Whether what it needs is installed; that models are named is the planner's to see."""
        ...

    @classmethod
    def models(cls, options: AskOptions) -> tuple[str, ...]:
        """Whom it would ask; empty when nobody was named, and it takes no part."""
        ...

    def prepare(self, context: AskContext) -> None: ...

    def canaries(self, count: int) -> Sequence[Subject]:
        """`count` planted subjects of known verdict, the same for equal seeds; empty where there are none."""
        ...

    async def examine(self, subject: Subject, ask: Ask) -> Sequence[Observation]:
        """At least one observation for each model and condition that it looks at, failures and abstentions too."""
        ...

    def finding(self, pair: Pair, observations: Sequence[Observation]) -> Finding:
        """What the observations say of their pair, in one finding."""
        ...
