"""Gate C: the text speaks of what the image shows."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from vsil_audit.builders.asked import TEXT, object_schema, one_of, question
from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.panel import Rule, hear
from vsil_audit.builders.gates.voting import Show, nothing_to_see, query_parts, vote
from vsil_audit.detectors.chat import Ask
from vsil_audit.detectors.structured import on_menu
from vsil_audit.prompts import nonce

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
        if nothing_to_see(draft):
            return GateResult(self.letter, None, "nothing is known of the image")
        mark = nonce(draft.text, draft.description, PROMPT)
        parts = query_parts(draft, mark, self._show)
        asked = question(PROMPT, *parts, schema=_SCHEMA, typical=_TYPICAL, mark=mark, described=draft.image is None)

        async def of(judge: str) -> Vote:
            return await vote(
                ask,
                judge,
                asked,
                _read,
                mark,
                lambda said: said[1],
                quoted=(draft.text, draft.description),
                details=lambda said: {"verdict": said[0]},
            )

        return await hear(self.letter, self.judges, of, self._rule)


def _read(found: Mapping[str, Any]) -> tuple[str, str]:
    return on_menu(found["verdict"], _MENU, "the verdict")
