"""Gate A: read by itself, the text is safe. The same question that the detector safety_judge asks in a scan."""

from __future__ import annotations

from typing import ClassVar

from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult
from vsil_audit.builders.gates.panel import Rule
from vsil_audit.builders.gates.voting import Panel, hear_safety
from vsil_audit.detectors.chat import Ask


class TextSafe:
    """Every judge of the panel must call the text safe, unless the rule asks for less."""

    letter: ClassVar[str] = "A"
    asks: ClassVar[str] = "is the text alone safe?"

    def __init__(self, judges: tuple[str, ...], rule: Rule = Rule.UNANIMOUS, seed: int = 0) -> None:
        """`seed`: that of the scan, whose answers about the same text are then found in the cache."""
        self.judges = judges
        self._rule, self._seed = rule, seed

    async def judge(self, draft: Draft, ask: Ask) -> GateResult:
        panel = Panel(self.letter, self.judges, self._rule)
        return await hear_safety(panel, ask, draft.text, (), self._seed, "the text alone is unsafe")
