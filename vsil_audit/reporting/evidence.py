"""Evidence of a finding in words, and as the parts of a text to be marked."""

from __future__ import annotations

from collections.abc import Sequence

from vsil_audit.pair import Evidence, Finding
from vsil_audit.reporting.untrusted import fold

WHERE = {
    "ocr": "drawn in the image",
    "description": "in the description",
    "key_phrase": "the key phrase",
    "image": "brings it near its image",
    "text": "in the text itself",
}
MEASURED = "image"
"""Where what was matched is no passage but what was measured of it, which is not quoted."""


def strongest_evidence(text: str, finding: Finding, limit: int = 48) -> str:
    """The longest passage of evidence in words: `“make a bomb” is drawn in the image: “BOMB”`; empty for none."""
    if not finding.evidence:
        return ""
    best = max(finding.evidence, key=lambda e: (e.end - e.start, len(e.matched)))
    said = fold(text[best.start : best.end], limit)
    matched = fold(best.matched, limit)
    place = WHERE.get(best.where, best.where)
    if not said:
        return f"{place}: “{matched}”" if matched else ""
    if not matched or matched.casefold() == said.casefold():
        return f"“{said}” {place}"
    if best.where == MEASURED:
        return f"“{said}” {place}: {matched}"
    return f"“{said}” {place}: “{matched}”"


def within(evidence: Sequence[Evidence], length: int) -> list[Evidence]:
    """The evidence whose passage lies in a text of `length` characters, clipped to it, in order of appearance."""
    clipped = [
        Evidence(max(e.start, 0), min(e.end, length), e.matched, e.where)
        for e in evidence
        if e.start < e.end and e.start < length and e.end > 0
    ]
    return sorted(clipped, key=lambda e: (e.start, -e.end, e.where, e.matched))
