"""Findings come in the order of their batches, however many batches there are."""

from __future__ import annotations

from pathlib import Path

from vsil_audit.pair import Finding, Scored
from vsil_audit.runs.folder import RunFolder


def test_beyond_a_hundred_thousand_batches(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    numbers = [99_999, 100_000, 7, 100_001, 12]
    for number in numbers:
        folder.write_findings("hygiene", number, [Finding("hygiene", f"pair {number}", Scored(1.0))])
    assert [f.pair_id for f in folder.findings("hygiene")] == [f"pair {number}" for number in sorted(numbers)]
