"""The contract of a gate: it looks at one draft and says whether it passes, why, and who voted how."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Protocol

from vsil_audit.builders.draft import Draft
from vsil_audit.detectors.chat import Ask
from vsil_audit.pair import Json


@dataclass(frozen=True, slots=True)
class Vote:
    """What one judge (a model or a detector) said. `verdict`: `pass`, `reject`, or `failed` where there is none, with
    the reason in `says`; `abstained` of a detector that had nothing to compare. `call`: digest of the request, for
    models."""

    by: str
    verdict: str
    says: str = ""
    call: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class GateResult:
    """`passed` is None where the gate could not decide (a judge failed, and without it there is no decision): such a
    draft is not emitted, and is counted apart from those rejected."""

    gate: str
    passed: bool | None
    reason: str = ""
    votes: tuple[Vote, ...] = ()


class Gate(Protocol):
    """`letter`: A (the text alone is safe), A' (content overlap is low), B (the pair is unsafe, and the risk is in the
    image), C (the pair is coherent), D (with a benign image the text is safe), E (hygiene). `judges`: the models that
    it asks, for the cost plan; offline gates have none."""

    letter: ClassVar[str]
    asks: ClassVar[str]

    @property
    def judges(self) -> tuple[str, ...]: ...

    async def judge(self, draft: Draft, ask: Ask) -> GateResult:
        """Depends on nothing but how the gate was made and the draft; equal drafts make equal questions."""
        ...
