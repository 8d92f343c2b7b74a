"""The file of labels that `vsil-audit classify` writes."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path

from vsil_audit.evaluation.response import CLASSES, ResponseVerdict
from vsil_audit.evaluation.response_table import Classed, ResponseRow
from vsil_audit.reporting.untrusted import csv_cell
from vsil_audit.runs.folder import write_atomically

LABEL_SUFFIXES = frozenset({".csv", ".jsonl"})
LABEL_COLUMNS = ("file", "row", "model", "label", "act", "refusal", "warning", "unsafe", "rejects", "cut", "reason")


def write_labels(path: Path, found: Sequence[Classed]) -> None:
    """Write LABEL_COLUMNS as CSV or JSON Lines, by the suffix; ValueError for another. The responses stay out of it."""
    suffix = path.suffix.lower()
    if suffix not in LABEL_SUFFIXES:
        raise ValueError(f"labels cannot be written as {suffix!r}")
    rows = [dict(zip(LABEL_COLUMNS, _cells(row, verdict), strict=True)) for row, verdict in found]
    if suffix == ".jsonl":
        text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    else:
        buffer = io.StringIO()
        writer = csv.writer(buffer, lineterminator="\n")
        writer.writerow(LABEL_COLUMNS)
        writer.writerows([csv_cell(value) for value in row.values()] for row in rows)
        text = buffer.getvalue()
    write_atomically(path, text.encode("utf-8", "replace"))


def _cells(row: ResponseRow, verdict: ResponseVerdict) -> tuple[object, ...]:
    shares = [round(verdict.probabilities[c], 4) if verdict.probabilities else None for c in CLASSES]
    rejects = None if verdict.rejects is None else round(verdict.rejects, 4)
    return (
        row.origin.file, row.origin.row, row.model, verdict.response_class.value, verdict.act, *shares, rejects,
        verdict.cut, verdict.reason,
    )  # fmt: skip
