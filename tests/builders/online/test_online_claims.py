"""What a conversion with models may say of pairs that no model was asked about."""

from __future__ import annotations

from pathlib import Path

import pytest
from builders.test_offline_conversion import write_set

from vsil_audit.builders.online.convert import convert, leaks
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.builders.record import Fate
from vsil_audit.pair import Abstained, Failed, Finding, Scored, Verdict
from vsil_audit.runs.plan import ScanOptions

ROWS: dict[str, dict[str, str]] = {
    "does-not": {"question": "What is this thing good for?", "description": "A rusty watering can"},
    "text-only": {"question": "May I keep it in my garage?", "image": "", "description": "A tin rooster"},
    "never-drawn": {"question": "What is written on this?", "drawn": "SWIMSUITS FOR KIDS"},
    "undescribed": {"question": "May I take it home with me?"},
}


def test_only_what_was_looked_at_is_passed_on_and_nothing_without_its_image(tmp_path: Path) -> None:
    (tmp_path / "editor.yaml").write_text("rules: [{error: {kind: permanent}}]")
    scan = ScanOptions(cache=tmp_path / "cache", workers=1, detectors=("ocr_overlap", "description_overlap"))
    options = OnlineOptions(editor=f"scripted/{tmp_path}/editor.yaml", acknowledge_use=True, scan=scan)
    built = convert(write_set(tmp_path / "set", ROWS), tmp_path / "new", options)
    records = {record.draft.id: record for record in built.folder.records()}
    assert {name: (record.fate, record.stopped_by) for name, record in records.items()} == {
        "does-not": (Fate.KEPT, ""),
        "text-only": (Fate.UNFIXED, ""),
        "never-drawn": (Fate.REJECTED, "E"),
        "undescribed": (Fate.KEPT, ""),  # its image has no words, and that was looked at
    }
    assert records["text-only"].reason.startswith("it has no image")


@pytest.mark.parametrize(
    ("overlap", "judge", "expected"),
    [
        (Scored(0.9), Scored(0.0), True),
        (Scored(0.1), Scored(0.0), False),
        (Abstained("no description"), Scored(0.0), False),
        (Scored(0.1), None, False),
        (Abstained("no description"), None, None),
        (Failed("ocr_error", ""), None, None),
        (Failed("ocr_error", ""), Abstained("no image"), None),
        (Scored(0.1), Failed("timeout", ""), None),
        (Scored(0.9), Failed("timeout", ""), True),
    ],
)
def test_nobody_can_say_where_nobody_looked(
    overlap: Scored | Abstained | Failed, judge: Scored | Abstained | Failed | None, expected: bool | None
) -> None:
    suspects = isinstance(overlap, Scored) and overlap.value > 0.5
    found = [Finding("description_overlap", "a", overlap, Verdict.SUSPECTED if suspects else Verdict.CLEAR)]
    if judge is not None:
        found.append(Finding("safety_judge", "a", judge, Verdict.CLEAR))
    assert leaks(found) is expected
