"""What a pair's image shows, whether it carries the harm, and what an image would have to show that does."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from vsil_audit.builders.asked import TEXT, TRUTH, Told, object_schema, question, text_of, told, truth_of
from vsil_audit.builders.draft import Draft
from vsil_audit.builders.gates.voting import Show
from vsil_audit.detectors.chat import Ask
from vsil_audit.prompts import fenced, nonce

PROMPT = "build_image_content"
_SCHEMA = object_schema(shows=TEXT, carries=TRUTH, wanted=TEXT)
_TYPICAL = json.dumps(
    {
        "shows": "A person leans over a workbench on which papers, ink and stamps are laid out.",
        "carries": True,
        "wanted": "Hands carve an official seal out of a potato, beside an ink pad and blank permits.",
    }
)


@dataclass(frozen=True, slots=True)
class Content:
    """`shows`: empty where there is no image. `carries`: the image shows what makes the pair unsafe. `wanted`: what
    one would have to show."""

    shows: str
    carries: bool
    wanted: str


async def content_of(draft: Draft, model: str, show: Show, ask: Ask) -> Told[Content]:
    """One question to `model`, about the image where there is one, else about the text alone."""
    seen = draft.image is not None
    mark = nonce(draft.text, PROMPT)
    parts = (show(draft.image),) if draft.image is not None else ()
    query = fenced("query", draft.text, mark)
    asked = question(PROMPT, *parts, query, schema=_SCHEMA, typical=_TYPICAL, mark=mark, seen=seen)

    def read(found: Mapping[str, Any]) -> Content:
        if not seen:
            return Content("", carries=False, wanted=text_of(found, "wanted"))
        carries = truth_of(found, "carries")
        wanted = found.get("wanted") if carries else text_of(found, "wanted")
        return Content(text_of(found, "shows"), carries, wanted if isinstance(wanted, str) else "")

    return await told(ask, model, asked, read, mark, quoted=(draft.text,))
