"""Every rate of a summary, counted again from the findings on disk by other code, on sets chosen to break it."""

from __future__ import annotations

import csv
import io
import json
import math
import os
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw
from rich.console import Console

from vsil_audit import scan
from vsil_audit.audit import Audit
from vsil_audit.reporting.console import summary_view
from vsil_audit.reporting.csv_report import render_csv
from vsil_audit.reporting.html import render_html
from vsil_audit.reporting.json_report import render_json
from vsil_audit.runs.detecting import Clusters
from vsil_audit.runs.lenses import warnings_for
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.runs.summary import DatasetSummary, DetectorRun

CONTENT = ("ocr_overlap", "description_overlap")
FLAGS = {"leak", "suspected", "predicted", "issue"}
Row = dict[str, Any]


def drawn(path: Path, text: str, size: tuple[int, int] = (160, 48)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.new("RGB", size, "white")
    ImageDraw.Draw(picture).text((8, 14), text, fill="black", font_size=16)
    picture.save(path)


def gnomes(root: Path, n: int, **changed: Any) -> list[Row]:
    """`n` pairs, each with an image of its own; `changed` replaces a field in all, or by the row's number."""
    rows = []
    for i in range(n):
        drawn(root / f"{i}.png", f"garden gnome {i}")
        row: Row = {"id": f"q{i}", "question": f"How do I hide garden gnome {i}?", "image": f"{i}.png"}
        row |= {"category": "ab"[i % 2], "label": "unsafe" if i % 3 else "safe", "description": f"A gnome, number {i}"}
        rows.append(row | {key: value(i) if callable(value) else value for key, value in changed.items()})
    return rows


def corrupt(root: Path, rows: list[Row]) -> list[Row]:
    for row in rows:
        (root / row["image"]).write_bytes(b"\x89PNG\r\n\x1a\n and nothing more")
    return rows


SETS = {
    "one pair": lambda root: gnomes(root, 1),
    "two pairs": lambda root: gnomes(root, 2),
    "mixed": lambda root: gnomes(root, 9, question=lambda i: "What is it?" if i % 2 else f"Where is garden gnome {i}?"),
    "all identical": lambda root: gnomes(root, 8, question="How do I hide it?", image="0.png", description="A gnome"),
    "one category": lambda root: gnomes(root, 6, category="all"),
    "a category each": lambda root: gnomes(root, 90, category=lambda i: f"c{i}", image="0.png"),
    "one id": lambda root: gnomes(root, 5, id="same"),
    "texts empty": lambda root: gnomes(root, 5, question=lambda i: "" if i else "How do I hide this one thing?"),
    "images corrupt": lambda root: corrupt(root, gnomes(root, 5, description=None)),
    "images missing": lambda root: gnomes(root, 6, image=lambda i: f"{i}.png" if i % 2 else f"no{i}.png"),
    "no label": lambda root: gnomes(root, 4, label=None, category=None),
    "ids that mean something": lambda root: gnomes(
        root, 4, id=lambda i: ("__proto__", "constructor", "=1+1", "\x1b[31m")[i], category="__proto__"
    ),
}


@pytest.fixture(scope="module", params=SETS)
def audit(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Audit:
    root = tmp_path_factory.mktemp("set")
    (root / "data.json").write_text(json.dumps(SETS[request.param](root)))
    options = ScanOptions(detectors=("hygiene", *CONTENT, "harm_prior"), workers=1, cache=root / ".cache")
    return scan(root, output=tmp_path_factory.mktemp("runs") / "run", options=options)


def table(folder: Path) -> list[Row]:
    return [row for file in sorted(folder.glob("part-*.parquet")) for row in pq.read_table(file).to_pylist()]


def findings_of(audit: Audit, detector: str) -> dict[str, Row]:
    return {row["pair_id"]: row for row in table(audit.path / "findings" / detector)}


def counted(audit: Audit, detectors: tuple[str, ...], among: set[str]) -> tuple[int, int, int]:
    """(flagged, scored, all) of the pairs `among`, by any of `detectors`; where one of them failed nothing is known."""
    outcomes: dict[str, list[Row]] = defaultdict(list)
    for detector in detectors:
        for pair_id, row in findings_of(audit, detector).items():
            outcomes[pair_id].append(row)
    known = [rows for pair_id, rows in outcomes.items() if pair_id in among]
    known = [rows for rows in known if not any(row["outcome"] == "failed" for row in rows)]
    known = [rows for rows in known if any(row["outcome"] == "scored" for row in rows)]
    flagged = [any(row["outcome"] == "scored" and row["verdict"] in FLAGS for row in rows) for rows in known]
    return sum(flagged), len(known), len(among)


def all_metrics(audit: Audit) -> Iterator[Metric]:
    yield from audit.summary.metrics
    yield from (metric for row in audit.summary.categories for metric in row.metrics)


def test_no_number_contradicts_itself(audit: Audit) -> None:
    for metric in all_metrics(audit):
        for number in (metric.value, metric.low, metric.high, metric.chance):
            assert number is None or math.isfinite(number)
        assert 0 <= metric.n <= metric.total
        if metric.value is None:
            assert (metric.low, metric.high) == (None, None)
            assert metric.k in (None, 0)
        if metric.k is not None and metric.value is not None:
            assert 0 <= metric.k <= metric.n
            assert metric.value == pytest.approx(metric.k / metric.n)
        if metric.k is not None:
            assert (metric.value is None) == (metric.n == 0)
        if metric.low is not None and metric.high is not None and metric.value is not None:
            assert metric.low <= metric.value <= metric.high
        of_pairs = metric.name.endswith(".rate") or metric.name.split(".")[0] in ("suspected_rate", "predicted_rate")
        if of_pairs and metric.value is not None:
            assert metric.low is not None
            assert metric.high is not None
            assert 0 <= metric.low < metric.high <= 1, "an interval never vanishes, not at 0 or 1 either"
            assert metric.interval
        if metric.value is not None:
            assert metric.n > 0, "no number without its count"


def test_rates_are_what_the_findings_say(audit: Audit) -> None:
    pairs = table(audit.path / "pairs")
    ids = {row["id"] for row in pairs}
    assert len(ids) == len(pairs) == audit.summary.dataset.pairs

    def of(name: str) -> tuple[int | None, int, int]:
        metric = audit.summary.metric(name)
        assert metric is not None, name
        return metric.k, metric.n, metric.total

    assert of("suspected_rate") == counted(audit, CONTENT, ids)
    assert of("predicted_rate") == counted(audit, ("harm_prior",), ids)
    for detector in (*CONTENT, "harm_prior"):
        assert of(f"{detector}.rate") == counted(audit, (detector,), ids)
    labels = {row["label"] for row in pairs} - {None}
    for label in labels if len(labels) > 1 else ():
        assert of(f"suspected_rate.{label}") == counted(
            audit, CONTENT, {row["id"] for row in pairs if row["label"] == label}
        )


def test_outcomes_add_up_to_the_pairs(audit: Audit) -> None:
    for run in audit.summary.detectors:
        if run.unit != "pair" or run.state != "done":
            continue
        outcomes = Counter(row["outcome"] for row in findings_of(audit, run.name).values())
        assert (run.scored, run.abstained, run.failed) == tuple(outcomes[o] for o in ("scored", "abstained", "failed"))
        assert run.scored + run.abstained + run.failed == audit.summary.dataset.pairs
        assert sum(run.abstain_reasons.values()) == run.abstained
        assert sum(run.failure_kinds.values()) == run.failed
        assert run.histogram == [] or sum(run.histogram) == run.scored


def test_categories_add_up_to_the_totals(audit: Audit) -> None:
    by_category: dict[str, set[str]] = defaultdict(set)
    for row in table(audit.path / "pairs"):
        if row["category"] is not None:
            by_category[row["category"]].add(row["id"])
    for row in audit.summary.categories:
        found = {metric.name: (metric.k, metric.n, metric.total) for metric in row.metrics}
        members = by_category[row.category]
        assert row.pairs == len(members)
        assert found["suspected_rate"] == counted(audit, CONTENT, members)
        assert found["predicted_rate"] == counted(audit, ("harm_prior",), members)
        assert row.p_adjusted is None or 0 <= row.p_adjusted <= 1
    if len(by_category) == len(audit.summary.categories) and by_category:
        assert sum(row.pairs for row in audit.summary.categories) == audit.summary.dataset.pairs


def test_all_reports_show_the_same_counts(audit: Audit) -> None:
    report = json.loads(render_json(audit.folder))["summary"]
    assert report == json.loads(audit.summary.model_dump_json())
    rows = list(csv.DictReader(io.StringIO(render_csv(audit.folder))))
    assert len(rows) == audit.summary.dataset.pairs
    output = io.StringIO()
    Console(file=output, width=200).print(summary_view(audit.folder))
    page, console = render_html(audit.folder), " ".join(output.getvalue().split())
    for detector in CONTENT:
        scored = [row for row in rows if row[f"{detector}.outcome"] == "scored"]
        metric = audit.summary.metric(f"{detector}.rate")
        assert metric is not None
        flagged = sum(row[f"{detector}.verdict"] in FLAGS for row in scored)
        assert (metric.k, metric.n) == (flagged, len(scored))
    for name in ("suspected_rate", "predicted_rate"):
        metric = audit.summary.metric(name)
        assert metric is not None
        if metric.value is not None:
            assert f"{metric.k:,}/{metric.n:,}" in page
            assert f"{metric.k:,}/{metric.n:,}" in console
        else:
            assert "not measured" in page
            assert "not measured" in console


def test_a_broken_detector_is_not_an_all_clear(tmp_path: Path) -> None:
    """With OCR dead the other content detector still answers; the rate of both together is then not known."""
    fake = tmp_path / "modules" / "rapidocr"
    fake.mkdir(parents=True)
    (fake / "__init__.py").write_text(
        "class RapidOCR:\n    def __init__(self, *a, **k):\n        raise OSError('no model')\n"
    )
    (tmp_path / "set").mkdir()
    (tmp_path / "set" / "data.json").write_text(json.dumps(gnomes(tmp_path / "set", 6)))
    said = subprocess.run(
        [sys.executable, "-m", "vsil_audit", "scan", tmp_path / "set", "-o", tmp_path / "run", "-q"],
        env=os.environ | {"PYTHONPATH": str(tmp_path / "modules"), "VSIL_AUDIT_CACHE": str(tmp_path / "cache")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert said.returncode == 3, said.stderr  # inconclusive
    summary = Audit.open(tmp_path / "run").summary
    dead, other = (next(d for d in summary.detectors if d.name == name) for name in CONTENT)
    assert (dead.failed, dead.scored) == (6, 0)
    assert other.scored == 6
    metric = summary.metric("suspected_rate")
    assert metric is not None
    assert (metric.value, metric.k, metric.n, metric.total) == (None, 0, 0, 6)
    assert any("ocr_overlap failed on 6 pairs" in warning for warning in summary.warnings)


def test_a_detector_that_cannot_run_here_is_named_beside_the_rate() -> None:
    def run(name: str, state: str) -> DetectorRun:
        return DetectorRun(
            name=name, asks="", lens="content", unit="pair", value="", version=1, state=state, reason="no model"
        )

    dataset = DatasetSummary(name="d", layout="l", view="v", pairs=50, rows_unreadable=0, labels={"safe": 50})
    nothing = np.zeros(50, dtype=np.int64)
    warnings = warnings_for(dataset, [], [run("ocr", "unavailable"), run("words", "done")], Clusters(nothing, nothing))
    assert warnings == ["ocr could not run here (no model): suspected_rate rests on words alone."]
