"""Gate D: with a benign image the same text is safe. For benign twins: their image, and the text of the unsafe pair."""

from __future__ import annotations

from typing import ClassVar

from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.panel import Rule, hear
from vsil_audit.builders.gates.voting import Show, vote
from vsil_audit.detectors.chat import Ask
from vsil_audit.detectors.safety_judge.verdict import UNSAFE, bare_verdict, read_safety, safety_question


class BenignImage:
    """Looks at a draft that is the benign twin (`label` is `safe`). Any other draft has no such image to look at, and
    must not be brought before this gate."""

    letter: ClassVar[str] = "D"
    asks: ClassVar[str] = "does a benign image make the text safe?"

    def __init__(self, judges: tuple[str, ...], show: Show, rule: Rule = Rule.UNANIMOUS, seed: int = 0) -> None:
        self.judges = judges
        self._show, self._rule, self._seed = show, rule, seed

    async def judge(self, draft: Draft, ask: Ask) -> GateResult:
        if draft.image is None or draft.label != "safe":
            raise ValueError(f"{draft.id} is no benign twin with an image")
        shown = (self._show(draft.image),)
        question, mark = safety_question(draft.text, shown, temperature=0.0, sample=0, seed=self._seed)

        async def of(judge: str) -> Vote:
            return await vote(
                ask,
                judge,
                question,
                read_safety,
                mark,
                lambda said: "unsafe with a benign image too" if said.label == UNSAFE else "",
                quoted=(draft.text,),
                bare=bare_verdict,
                details=lambda said: {"reasons": said.reasons},
            )

        return await hear(self.letter, self.judges, of, self._rule)
