"""The folder that Argilla 2 reads with `rg.Dataset.from_disk`: settings, dataset, records; images by name only."""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Sequence

from vsil_audit.pair import Json
from vsil_audit.reporting.untrusted import visible
from vsil_audit.review.criteria import Criterion
from vsil_audit.review.material import Material
from vsil_audit.review.sheets import Said, Sheets

ANNOTATORS = "annotators.json"
_ODD = re.compile(r"[^A-Za-z0-9_-]+")
_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "vsil-audit/review/annotator")


def argilla_files(sheets: Sheets, material: Material) -> dict[str, str]:
    """Texts by file name. Argilla knows people by the ids of its own server: `annotators.json` tells which id stands
    for whom in the records, to be replaced before they are uploaded. The majority's labels are suggestions."""
    criteria = sheets.criteria()
    people = {name: str(uuid.uuid5(_NAMESPACE, name)) for name in sheets.annotators}
    majority = {criterion.name: sheets.majority(criterion.name) for criterion in criteria}
    records = [_record(said, criteria, majority, people, material) for said in sheets.by_item().values()]
    return {
        ".argilla/settings.json": _json(_settings(criteria)),
        ".argilla/dataset.json": _json({"name": _dataset_name(material.name), "status": "draft"}),
        ANNOTATORS: _json(dict(people)),
        "records.json": _json(records),
    }


def _dataset_name(name: str) -> str:
    """Of the characters that Argilla takes."""
    return f"review-of-{_ODD.sub('-', name)[:180]}"


def _record(
    said: Sequence[Said],
    criteria: Sequence[Criterion],
    majority: dict[str, dict[int, str]],
    people: dict[str, str],
    material: Material,
) -> dict[str, Json]:
    item = said[0].item
    pair, images = material.pair(item.pair_id)
    responses: dict[str, Json] = {
        criterion.name: [
            {"value": one.labels[criterion.name], "user_id": people[one.annotator], "status": "submitted"}
            for one in said
            if criterion.name in one.labels
        ]
        for criterion in criteria
    }
    responses["note"] = [
        {"value": visible(one.note), "user_id": people[one.annotator], "status": "submitted"}
        for one in said
        if one.note
    ]
    suggested: dict[str, Json] = {
        name: {"value": labels[item.number], "agent": "vsil-audit review, majority"}
        for name, labels in majority.items()
        if item.number in labels
    }
    return {
        "id": visible(pair.id),
        "fields": {"text": visible(pair.text) or " ", "images": visible(" | ".join(f.name for f in images)) or "none"},
        "metadata": {"category": visible(pair.category or ""), "origin": item.chosen.origin},
        "suggestions": suggested,
        "responses": {name: given for name, given in responses.items() if given},
        "vectors": {},
    }


def _settings(criteria: Sequence[Criterion]) -> dict[str, Json]:
    """As `rg.Settings.to_json` of Argilla 2 writes them."""
    questions: list[Json] = [
        {
            "name": criterion.name,
            "title": criterion.asks,
            "description": criterion.tells,
            "required": False,
            "settings": {
                "type": "label_selection",
                "options": [{"value": c.value, "text": c.says, "description": None} for c in criterion.choices],
                "visible_options": None,
            },
        }
        for criterion in criteria
    ]
    note: Json = {
        "name": "note", "title": "Note", "description": None, "required": False,
        "settings": {"type": "text", "use_markdown": False},
    }  # fmt: skip
    fields: list[Json] = [
        {"name": name, "title": title, "required": True, "settings": {"type": "text", "use_markdown": False}}
        for name, title in (("text", "Text"), ("images", "Images, by name"))
    ]
    return {
        "guidelines": "Texts and images of a safety benchmark. Images are named, not included.",
        "allow_extra_metadata": True,
        "distribution": {"strategy": "overlap", "min_submitted": 1},
        "fields": fields,
        "questions": [*questions, note],
        "metadata": [],
        "vectors": [],
    }


def _json(value: object) -> str:
    return json.dumps(value, ensure_ascii=False, indent=1)
