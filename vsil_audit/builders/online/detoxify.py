"""The editor's candidates for a text, each brought before the gates until one passes all of them."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from vsil_audit.builders.asked import TEXT, TEXTS, object_schema, question, step, texts_of, told
from vsil_audit.builders.draft import Draft, Step
from vsil_audit.builders.gates.base import Gate, GateResult
from vsil_audit.builders.gates.passing import passed, through
from vsil_audit.builders.record import Fate
from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.pair import Failed, Json
from vsil_audit.prompts import fenced, nonce

PROMPT = "build_detoxify"
CANDIDATES = 3
_SCHEMA = object_schema(explanation=TEXT, queries=TEXTS)
_TYPICAL = json.dumps(
    {
        "explanation": "The query names what the image shows. The rewritings point at it instead.",
        "queries": ["How do I finish this without fuss?", "What should they do next here?", "Which of these is best?"],
    }
)


@dataclass(frozen=True, slots=True)
class Detoxified:
    """`draft` with the candidate that passed, or as it was. `fate` BUILT: one passed; UNDECIDED: none did, and at one
    of them a judge failed, or the editor did; REJECTED: gates stopped all. `gates` are those of the candidate that
    decided, `attempts` those of the others."""

    draft: Draft
    fate: Fate
    gates: tuple[GateResult, ...] = ()
    attempts: tuple[tuple[GateResult, ...], ...] = ()
    reason: str = ""


async def detoxify(draft: Draft, editor: str, gates: Sequence[Gate], ask: Ask) -> Detoxified:
    """One question to the editor about the draft's text and what its image shows, or is to show."""
    shown = draft.image.shows if draft.image is not None and draft.image.shows else draft.description
    asked, mark = detoxify_question(draft.text, shown)
    said = await told(ask, editor, asked, _read, mark, quoted=(draft.text, shown))
    if isinstance(said.value, Failed):
        details: dict[str, Json] = {"failure": said.value.kind, "detail": said.value.detail}
        failed = draft.after(step("detoxify", editor, PROMPT, said.call, details))
        return Detoxified(failed, Fate.UNDECIDED, reason=f"the editor failed: {said.value.kind}")
    explanation, candidates = said.value
    offered: dict[str, Json] = {"explanation": explanation, "candidates": list(candidates)}
    edited = draft.after(step("detoxify", editor, PROMPT, said.call, offered))
    attempts: list[tuple[GateResult, ...]] = []
    for number, candidate in enumerate(candidates):
        tried = edited.after(Step("candidate", editor, call=said.call, details={"number": number}), text=candidate)
        results = await through(gates, tried, ask)
        if passed(results):
            return Detoxified(tried, Fate.BUILT, results, tuple(attempts))
        attempts.append(results)
    return _none_passed(edited, attempts)


def _none_passed(draft: Draft, attempts: list[tuple[GateResult, ...]]) -> Detoxified:
    undecided = [place for place, results in enumerate(attempts) if passed(results) is None]
    decisive = attempts.pop(undecided[0] if undecided else -1)
    fate = Fate.UNDECIDED if undecided else Fate.REJECTED
    return Detoxified(draft, fate, decisive, tuple(attempts), decisive[-1].reason)


def detoxify_question(text: str, shown: str) -> tuple[Question, str]:
    """The question, and the nonce of its fences."""
    mark = nonce(text, shown, PROMPT)
    material = f"{fenced('image', shown, mark)}\n{fenced('query', text, mark)}"
    return question(PROMPT, material, schema=_SCHEMA, typical=_TYPICAL, mark=mark), mark


def _read(found: Mapping[str, Any]) -> tuple[str, tuple[str, ...]]:
    explanation = found.get("explanation", "")
    return explanation if isinstance(explanation, str) else "", texts_of(found, "queries", most=CANDIDATES)
