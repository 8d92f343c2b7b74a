"""One row per pair, one set of columns per detector and model; no cell can run as a formula."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence

from vsil_audit.pair import Abstained, Failed, Finding, Scored
from vsil_audit.reporting.observed import asking_detectors, label_columns
from vsil_audit.reporting.pair_reports import SEVERITY, PairReport, read_pairs
from vsil_audit.reporting.standing import standing
from vsil_audit.reporting.untrusted import csv_cell
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.summary import Summary

PAIR_COLUMNS = (
    "id", "text", "category", "subcategory", "label", "twin_of", "source", "split", "file", "row", "images",
)  # fmt: skip
DETECTOR_COLUMNS = ("outcome", "value", "verdict", "kind", "reason")


def render_csv(run: RunFolder) -> str:
    """UTF-8 CSV with a header. Of a detector that says several things of a pair, the gravest stands; kinds and reasons
    are joined by `; `. A pair of which it says nothing has empty cells.

    Where models were asked, `DETECTOR.CONDITION@MODEL` holds what each did or said under each condition, and
    `DETECTOR.not_believed` why the detector's verdicts are not to be believed, where no judge of it passed its checks.
    """
    summary = run.summary()
    detectors = _pair_detectors(summary, run.detectors())
    who = standing(summary)
    doubts = {f"{d}.not_believed": why for d in detectors if (why := who.doubt(d))}
    said = list(label_columns(run, asking_detectors(run, summary)))
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    names = [*PAIR_COLUMNS, *(f"{d}.{c}" for d in detectors for c in DETECTOR_COLUMNS), *doubts]
    writer.writerow([csv_cell(name) for name in (*names, *(column.name for column in said))])
    for report in read_pairs(run):
        labels = (column.labels.get(report.pair.id) for column in said)
        writer.writerow([csv_cell(value) for value in (*_row(report, detectors), *doubts.values(), *labels)])
    return buffer.getvalue()


def _pair_detectors(summary: Summary, with_findings: Sequence[str]) -> list[str]:
    return [d.name for d in summary.detectors if d.name in with_findings and d.unit != "set"]


def _row(report: PairReport, detectors: Sequence[str]) -> Iterator[object]:
    pair = report.pair
    yield from (pair.id, pair.text, pair.category, pair.subcategory, pair.label, pair.twin_of, pair.source, pair.split)
    yield from (pair.origin.file, pair.origin.row, " | ".join(facts.name for facts in report.images))
    for detector in detectors:
        yield from _cells(report.findings.get(detector, ()))


def _cells(findings: Sequence[Finding]) -> tuple[object, ...]:
    if not findings:
        return ("",) * len(DETECTOR_COLUMNS)
    gravest = max(findings, key=lambda f: SEVERITY[f.verdict])
    kinds = "; ".join(dict.fromkeys(f.kind for f in findings if f.kind))
    reasons = "; ".join(dict.fromkeys(reason for f in findings if (reason := _reason(f))))
    value = gravest.outcome.value if isinstance(gravest.outcome, Scored) else None
    return type(gravest.outcome).__name__.lower(), value, gravest.verdict.value, kinds, reasons


def _reason(finding: Finding) -> str:
    match finding.outcome:
        case Scored():
            return ""
        case Abstained(reason):
            return reason
        case Failed(kind, detail):
            return f"{kind}: {detail}"
