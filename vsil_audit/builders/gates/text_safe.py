"""Gate A: read by itself, the text is safe. The same question that the detector safety_judge asks in a scan."""

from __future__ import annotations

from typing import ClassVar

from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.panel import Rule, hear
from vsil_audit.builders.gates.voting import vote
from vsil_audit.detectors.chat import Ask
from vsil_audit.detectors.safety_judge.verdict import UNSAFE, bare_verdict, read_safety, safety_question


class TextSafe:
    """Every judge of the panel must call the text safe, unless the rule asks for less."""

    letter: ClassVar[str] = "A"
    asks: ClassVar[str] = "is the text alone safe?"

    def __init__(self, judges: tuple[str, ...], rule: Rule = Rule.UNANIMOUS, seed: int = 0) -> None:
        """`seed`: that of the scan, whose answers about the same text are then found in the cache."""
        self.judges = judges
        self._rule, self._seed = rule, seed

    async def judge(self, draft: Draft, ask: Ask) -> GateResult:
        question, mark = safety_question(draft.text, (), temperature=0.0, sample=0, seed=self._seed)

        async def of(judge: str) -> Vote:
            return await vote(
                ask,
                judge,
                question,
                read_safety,
                mark,
                lambda said: "the text alone is unsafe" if said.label == UNSAFE else "",
                quoted=(draft.text,),
                bare=bare_verdict,
                details=lambda said: {"reasons": said.reasons},
            )

        return await hear(self.letter, self.judges, of, self._rule)
