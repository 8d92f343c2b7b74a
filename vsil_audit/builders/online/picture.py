"""An image for a draft: a prompt for what it must show, the image, and a check with a refined prompt, a few rounds."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from vsil_audit.builders.asked import (
    TEXT,
    TRUTH,
    object_schema,
    question,
    step,
    text_of,
    told,
    truth_of,
)
from vsil_audit.builders.draft import BuiltImage, Draft, Step
from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.gates.base import GateResult, Vote
from vsil_audit.builders.gates.hygiene import LETTER as HYGIENE
from vsil_audit.builders.gates.hygiene import refused
from vsil_audit.builders.gates.panel import FAILED, PASS, REJECT
from vsil_audit.builders.gates.voting import Show
from vsil_audit.builders.generators.base import GenerationFailure, ImageRequest
from vsil_audit.builders.generators.kept import KeptImages
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.builders.online.session import Session
from vsil_audit.builders.protection import REFUSAL
from vsil_audit.builders.record import Fate
from vsil_audit.builders.seeds import seed_of
from vsil_audit.pair import Failed, Json
from vsil_audit.prompts import fenced, nonce

PROMPT, CHECK = "build_image_prompt", "build_image_check"
LETTER = "I"
"""Of the check in a record: does the image show what it must?"""

_PROMPT_SCHEMA = object_schema(prompt=TEXT)
_CHECK_SCHEMA = object_schema(reasons=TEXT, shows=TRUTH, refined_prompt=TEXT)
_TYPICAL_PROMPT = json.dumps({"prompt": "Somebody at a workbench at night, " * 6})
_TYPICAL_CHECK = json.dumps(
    {"reasons": "The main object can be seen at first sight.", "shows": True, "refined_prompt": ""}
)


@dataclass(frozen=True, slots=True)
class Pictured:
    """`draft` with the last image made for it. `fate` BUILT: the check passed it; REJECTED: no round did; UNDECIDED:
    a model or the generator failed."""

    draft: Draft
    fate: Fate
    check: tuple[GateResult, ...] = ()
    reason: str = ""


@dataclass(frozen=True, slots=True)
class _Checked:
    shows: bool
    reasons: str
    refined: str


class Pictures:
    """Makes images for drafts that say in `description` what theirs must show."""

    def __init__(
        self, options: OnlineOptions, images: KeptImages, out: BuildFolder, session: Session, show: Show
    ) -> None:
        self._options, self._images, self._out = options, images, out
        self._session, self._show = session, show
        self._seed = options.scan.seed

    async def picture(self, draft: Draft) -> Pictured:
        draft, prompt = await self._first_prompt(draft)
        if isinstance(prompt, Failed):
            return Pictured(draft, Fate.UNDECIDED, reason=f"the editor failed: {prompt.kind}")
        for number in range(1, self._options.rounds + 1):
            if (stopped := self._forbidden(draft, prompt)) is not None:
                return stopped
            made = await self._made(draft, prompt, number)
            if isinstance(made, GenerationFailure):
                return Pictured(draft, Fate.UNDECIDED, reason=f"the image generator failed: {made.kind}")
            draft, checked, vote = await self._checked(made, number)
            if isinstance(checked, Failed):
                result = GateResult(LETTER, None, f"the check failed: {checked.kind}", (vote,))
                return Pictured(draft, Fate.UNDECIDED, (result,), result.reason)
            if checked.shows:
                return Pictured(draft, Fate.BUILT, (GateResult(LETTER, passed=True, votes=(vote,)),))
            prompt = checked.refined
        reason = f"the image does not show what it must, after {number} rounds"
        result = GateResult(LETTER, passed=False, reason=reason, votes=(vote,))
        return Pictured(draft, Fate.REJECTED, (result,), result.reason)

    async def _first_prompt(self, draft: Draft) -> tuple[Draft, str | Failed]:
        if self._options.draws_words:
            return draft, draft.description
        mark = nonce(draft.description, PROMPT)
        asked = question(
            PROMPT,
            fenced("content", draft.description, mark),
            schema=_PROMPT_SCHEMA,
            typical=_TYPICAL_PROMPT,
            mark=mark,
        )
        editor = self._options.editor
        said = await told(self._session.ask, editor, asked, _read_prompt, mark, quoted=(draft.description,))
        details: dict[str, Json] = (
            {"prompt": said.value} if isinstance(said.value, str) else {"failure": said.value.kind}
        )
        return draft.after(step("image_prompt", editor, PROMPT, said.call, details)), said.value

    @staticmethod
    def _forbidden(draft: Draft, prompt: str) -> Pictured | None:
        asked_for = BuiltImage("", "", "", prompt)
        if not refused(replace(draft, image=asked_for)):
            return None
        result = GateResult(HYGIENE, passed=False, reason=REFUSAL, votes=(Vote("hygiene", REJECT, REFUSAL),))
        return Pictured(draft, Fate.REJECTED, (result,), REFUSAL)

    async def _made(self, draft: Draft, prompt: str, number: int) -> Draft | GenerationFailure:
        seed = seed_of(self._seed, draft.id, "image", number)
        made = await self._images.generate(ImageRequest(prompt, seed))
        if isinstance(made, GenerationFailure):
            if made.resumable:
                self._session.no_image(made)
            return made
        digest = await asyncio.to_thread(self._out.keep_image, made.data, made.format)
        image = BuiltImage(digest, made.format, self._images.identity, prompt, seed, draft.description)
        details: dict[str, Json] = {"prompt": prompt, "seed": seed, "digest": digest}
        if made.revised_prompt:
            details["revised_prompt"] = made.revised_prompt
        return draft.after(Step("generate", self._images.identity, number, details=details), image=image)

    async def _checked(self, draft: Draft, number: int) -> tuple[Draft, _Checked | Failed, Vote]:
        image, eyes = draft.image, self._options.eyes
        assert image is not None
        mark = nonce(draft.description, image.prompt, CHECK)
        content = f"{fenced('content', draft.description, mark)}\n{fenced('prompt', image.prompt, mark)}"
        asked = question(CHECK, self._show(image), content, schema=_CHECK_SCHEMA, typical=_TYPICAL_CHECK, mark=mark)
        quoted = (draft.description, image.prompt)
        said = await told(self._session.ask, eyes, asked, _read_check, mark, quoted=quoted)
        if isinstance(said.value, Failed):
            vote = Vote(eyes, FAILED, f"the check failed: {said.value.kind}", said.call)
            return (
                draft.after(step("check", eyes, CHECK, said.call, {"failure": said.value.kind}, number)),
                said.value,
                vote,
            )
        found = said.value
        details: dict[str, Json] = {"shows": found.shows, "reasons": found.reasons}
        if found.refined:
            details["refined_prompt"] = found.refined
        vote = Vote(eyes, PASS if found.shows else REJECT, found.reasons, said.call)
        return draft.after(step("check", eyes, CHECK, said.call, details, number)), found, vote


def _read_prompt(found: Mapping[str, Any]) -> str:
    return text_of(found, "prompt", most=2_000)


def _read_check(found: Mapping[str, Any]) -> _Checked:
    """Without a better prompt a false verdict is no answer: it takes the repair turn."""
    shows, reasons = truth_of(found, "shows"), found.get("reasons", "")
    refined = "" if shows else text_of(found, "refined_prompt", most=2_000)
    return _Checked(shows, reasons if isinstance(reasons, str) else "", refined)
