"""Tasks as Label Studio imports them, with people's labels as annotations; and the interface they belong to."""

from __future__ import annotations

import json
from xml.sax.saxutils import quoteattr

from vsil_audit.pair import Json
from vsil_audit.reporting.untrusted import visible
from vsil_audit.review.criteria import Criterion
from vsil_audit.review.material import Material
from vsil_audit.review.sheets import Said, Sheets

INTERFACE = ".interface.xml"


def label_studio_files(sheets: Sheets, material: Material) -> dict[str, str]:
    """Texts by what is put behind the file's name: the tasks, and the labelling interface.

    Label Studio knows people by the ids of its own server, so that names stand in an annotation's result, under
    `annotator`, and annotations belong to whoever imports them.
    """
    tasks: list[Json] = []
    for said in sheets.by_item().values():
        pair, images = material.pair(said[0].item.pair_id)
        tasks.append(
            {
                "data": {
                    "id": visible(pair.id),
                    "text": visible(pair.text),
                    "images": visible(" | ".join(facts.name for facts in images)),
                    "category": visible(pair.category or ""),
                },
                "annotations": [
                    {"result": _result(one), "was_cancelled": one.skipped and not one.labels} for one in said
                ],
            }
        )
    text = json.dumps(tasks, ensure_ascii=False, indent=1)
    return {"": text, INTERFACE: interface(sheets.criteria())}


def interface(criteria: tuple[Criterion, ...]) -> str:
    """The labelling interface (XML) in which the annotations can be read."""
    asked = "\n".join(
        f"  <Header value={quoteattr(criterion.asks)}/>\n"
        f'  <Choices name="{criterion.name}" toName="text" choice="single">\n'
        + "\n".join(f"    <Choice value={quoteattr(c.says)} alias={quoteattr(c.value)}/>" for c in criterion.choices)
        + "\n  </Choices>"
        for criterion in criteria
    )
    more = "\n".join(f'  <TextArea name="{name}" toName="text"/>' for name in ("note", "annotator"))
    shown = "\n".join(f'  <Text name="{name}" value="${name}"/>' for name in ("text", "images"))
    return f"<View>\n{shown}\n{asked}\n{more}\n</View>\n"


def _result(said: Said) -> list[Json]:
    chosen: list[Json] = [
        {"id": name, "from_name": name, "to_name": "text", "type": "choices", "value": {"choices": [label]}}
        for name, label in said.labels.items()
    ]
    texts = {"note": visible(said.note), "annotator": said.annotator}
    told: list[Json] = [
        {"id": name, "from_name": name, "to_name": "text", "type": "textarea", "value": {"text": [text]}}
        for name, text in texts.items()
        if text
    ]
    return [*chosen, *told]
