"""Labels as files: a CSV that a review can go on from, what `calibrate` reads, and forms of two labelling tools."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from enum import Enum
from pathlib import Path

from vsil_audit.errors import ConfigurationError
from vsil_audit.reporting.untrusted import csv_cell
from vsil_audit.review.criteria import CALIBRATED, CRITERIA
from vsil_audit.review.export_argilla import argilla_files
from vsil_audit.review.export_label_studio import label_studio_files
from vsil_audit.review.material import Material
from vsil_audit.review.sheets import Sheets
from vsil_audit.runs.folder import write_atomically


class Form(str, Enum):
    CSV = "csv"
    CALIBRATE = "calibrate"
    ARGILLA = "argilla"
    LABEL_STUDIO = "label-studio"


CSV_COLUMNS = (
    "id", "annotator", *CRITERIA, "note", "skipped", "labelled_at", "origin", "stratum", "weight", "content", "text",
    "images", "category",
)  # fmt: skip


def export(form: Form, target: Path, sheets: Sheets, material: Material) -> tuple[list[Path], int]:
    """Write the labels to `target` and return the files written, and how many labels they hold.

    `argilla` makes a folder, `label-studio` a file and its labelling interface beside it. Raises ConfigurationError
    when something is there already, or there is no label.
    """
    labels = sum(len(said.labels) for said in sheets.said())
    if not any(True for _ in sheets.said()):
        raise ConfigurationError("nobody has labelled anything yet", "Review some pairs first, or --import labels.")
    if target.exists() or not target.absolute().parent.is_dir():
        why = "is there already" if target.exists() else "cannot be written: there is no such folder"
        raise ConfigurationError(f"{target} {why}", "Name another file.")
    match form:
        case Form.CSV:
            files = {target: _csv(sheets, material)}
        case Form.CALIBRATE:
            files = {target: _for_calibrate(target, sheets)}
            labels = sum(name in CALIBRATED for said in sheets.said() for name in said.labels)
        case Form.ARGILLA:
            files = {target / name: text for name, text in argilla_files(sheets, material).items()}
        case Form.LABEL_STUDIO:
            files = {
                target.with_name(target.name + ending): t for ending, t in label_studio_files(sheets, material).items()
            }
    for file, text in files.items():
        write_atomically(file, text.encode("utf-8", "replace"))
    return list(files), labels


def _csv(sheets: Sheets, material: Material) -> str:
    """A row for each item and annotator; all that is needed to go on elsewhere."""
    rows = []
    for said in sheets.said():
        pair, images = material.pair(said.item.pair_id)
        chosen = said.item.chosen
        labels = [said.labels.get(name, "") for name in CRITERIA]
        of_pair = (pair.text, " | ".join(facts.name for facts in images), pair.category)
        how = (chosen.origin, chosen.stratum, chosen.weight, chosen.content)
        rows.append(
            [pair.id, said.annotator, *labels, said.note, "yes" if said.skipped else "", said.at, *how, *of_pair]
        )
    return _table(CSV_COLUMNS, rows)


def _for_calibrate(target: Path, sheets: Sheets) -> str:
    """The columns that `vsil-audit calibrate RUN --labels` reads, of the criteria that have labels."""
    if target.suffix.lower() != ".csv":
        raise ConfigurationError(f"{target.name} would not be read as a CSV", "Name a .csv file.")
    used = [name for name in CALIBRATED if any(name in said.labels for said in sheets.said())]
    if not used:
        raise ConfigurationError(
            "there is no label that `calibrate` reads", f"It reads {', '.join(CALIBRATED)}: label those."
        )
    rows = [
        [said.item.pair_id, said.annotator, *(said.labels.get(name, "") for name in used)]
        for said in sheets.said()
        if any(name in said.labels for name in used)
    ]
    return _table(("id", "annotator", *used), rows)


def _table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows([csv_cell(cell) for cell in row] for row in rows)
    return buffer.getvalue()
