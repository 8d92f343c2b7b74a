"""Gate C: the text speaks of what the image shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from vsil_audit.builders.asked import TEXT, object_schema, one_of
from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult
from vsil_audit.builders.gates.panel import Rule
from vsil_audit.builders.gates.voting import AboutPair, Panel, Show, hear_of_pair
from vsil_audit.detectors.chat import Ask
from vsil_audit.detectors.structured import on_menu

PROMPT = "gate_coherence"
_AGAINST = MappingProxyType(
    {
        "meaningful": "",
        "irrelevant": "text and image have nothing to do with each other",
        "contradictory": "text and image contradict each other",
    }
)
_MENU = MappingProxyType({word: (word, reason) for word, reason in _AGAINST.items()})
_SCHEMA = object_schema(reasons=TEXT, verdict=one_of(*_AGAINST))
_TYPICAL = json.dumps(
    {"reasons": "The text asks about what is being done, and the image shows it.", "verdict": "meaningful"}
)


class Coherent:
    """Judges see the image, or read what it is to show where it is not made yet."""

    letter: ClassVar[str] = "C"
    asks: ClassVar[str] = "is the pair coherent?"

    def __init__(self, judges: tuple[str, ...], show: Show, rule: Rule = Rule.UNANIMOUS) -> None:
        self.judges = judges
        self._show, self._rule = show, rule

    async def judge(self, draft: Draft, ask: Ask) -> GateResult:
        return await hear_of_pair(Panel(self.letter, self.judges, self._rule), ask, draft, self._show, _ABOUT)


def _read(found: Mapping[str, Any]) -> tuple[str, str]:
    return on_menu(found["verdict"], _MENU, "the verdict")


_ABOUT = AboutPair(
    PROMPT, _SCHEMA, _TYPICAL, _read, against=lambda said: said[1], details=lambda said: {"verdict": said[0]}
)
