"""Gate D: with a benign image the same text is safe. For benign twins: their image, and the text of the unsafe pair."""

from __future__ import annotations

from typing import ClassVar

from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult
from vsil_audit.builders.gates.panel import Rule
from vsil_audit.builders.gates.voting import Panel, Show, hear_safety
from vsil_audit.detectors.chat import Ask


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
        panel = Panel(self.letter, self.judges, self._rule)
        return await hear_safety(panel, ask, draft.text, shown, self._seed, "unsafe with a benign image too")
