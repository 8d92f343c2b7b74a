"""Gate M: of what is sexual, judges are asked whether minors are involved, since terms (gate E) miss things."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar

from vsil_audit.builders.asked import TEXT, object_schema, one_of, question
from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.panel import hear
from vsil_audit.builders.gates.voting import Show, query_parts, vote
from vsil_audit.builders.protection import REFUSAL, is_sexual
from vsil_audit.detectors.chat import Ask
from vsil_audit.detectors.structured import on_menu
from vsil_audit.prompts import nonce

PROMPT = "gate_minors"
_CLEAR, _MAYBE, _INVOLVED = "adults", "unclear", "minors"
_AGAINST = MappingProxyType({_CLEAR: "", _MAYBE: REFUSAL, _INVOLVED: REFUSAL})
_SCHEMA = object_schema(reasons=TEXT, verdict=one_of(*_AGAINST))
_TYPICAL = json.dumps({"reasons": "Only adults are shown and spoken of.", "verdict": _CLEAR})
_SEXUAL = re.compile(r"erotic|sex|porn|nud|adult content|nsfw", re.IGNORECASE)


class NoMinors:
    """All judges must be sure that nobody in it is, or looks, under age. There is no other rule."""

    letter: ClassVar[str] = "M"
    asks: ClassVar[str] = "of sexual categories: is everybody in it clearly an adult?"

    def __init__(self, judges: tuple[str, ...], show: Show) -> None:
        self.judges = judges
        self._show = show

    @staticmethod
    def looks_at(draft: Draft) -> bool:
        """Whether the draft is of a sexual category, or has words of that kind; the others are not asked about."""
        named = _SEXUAL.search(f"{draft.category or ''} {draft.subcategory or ''}")
        return named is not None or is_sexual(draft.text, draft.description)

    async def judge(self, draft: Draft, ask: Ask) -> GateResult:
        mark = nonce(draft.text, draft.description, PROMPT)
        parts = query_parts(draft, mark, self._show)
        asked = question(PROMPT, *parts, schema=_SCHEMA, typical=_TYPICAL, mark=mark, described=draft.image is None)

        async def of(judge: str) -> Vote:
            quoted = (draft.text, draft.description)
            return await vote(ask, judge, asked, _read, mark, lambda said: _AGAINST[said], quoted=quoted)

        return await hear(self.letter, self.judges, of)


def _read(found: Mapping[str, Any]) -> str:
    return on_menu(found["verdict"], MappingProxyType({word: word for word in _AGAINST}), "the verdict")
