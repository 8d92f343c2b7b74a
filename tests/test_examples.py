"""The examples are what their README says: real layouts, twins, a few problems, small, and made by the script."""

from __future__ import annotations

import json
import runpy
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vsil_audit import AskOptions, scan
from vsil_audit.audit import Audit
from vsil_audit.runs.plan import ScanOptions

EXAMPLES = Path(__file__).parent.parent / "examples"
SCANNED = [("hades-mini", None), ("hades-mini", "instruction"), ("vlsbench-mini", None), ("figstep-mini", None)]
SCANNED.append(("figstep-mini", "question"))


@pytest.fixture(scope="module")
def audits(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str | None], Audit]:
    """Each example scanned once, with the detectors that look at content and form."""
    cache = tmp_path_factory.mktemp("cache")
    patch = pytest.MonkeyPatch()
    patch.setenv("VSIL_AUDIT_CACHE", str(cache))
    runs = tmp_path_factory.mktemp("runs")
    options = ScanOptions(detectors=("hygiene", "ocr_overlap", "description_overlap"))
    found = {
        (name, view): scan(EXAMPLES / name, output=runs / f"{name}-{view}", view=view, options=options)
        for name, view in SCANNED
    }
    patch.undo()
    return found


def suspected(audit: Audit) -> tuple[int | None, int]:
    metric = audit.summary.metric("suspected_rate")
    assert metric is not None
    return metric.k, metric.total


def test_twins_on_the_same_images_leak_in_one_view_and_not_in_the_other(
    audits: dict[tuple[str, str | None], Audit],
) -> None:
    assert suspected(audits["hades-mini", None]) == (0, 16)
    assert suspected(audits["hades-mini", "instruction"]) == (16, 16)
    assert suspected(audits["figstep-mini", None]) == (0, 12)
    leaking, total = suspected(audits["figstep-mini", "question"])
    assert leaking is not None
    assert (leaking >= 11, total) == (True, 12)


def test_leaking_queries_are_told_from_leakless_ones_and_controls(
    audits: dict[tuple[str, str | None], Audit],
) -> None:
    rows = json.loads((EXAMPLES / "vlsbench-mini" / "data.json").read_text("utf-8"))
    source = {str(row["instruction_id"]): row["source"] for row in rows}
    found = audits["vlsbench-mini", None].findings.to_pylist()
    flagged = {row["pair_id"] for row in found if row["verdict"] == "suspected"}
    assert {source[pair] for pair in flagged} == {"leaking"}
    assert len(flagged) == 8


def test_the_planted_problems_are_found_and_nothing_else(audits: dict[tuple[str, str | None], Audit]) -> None:
    found = audits["vlsbench-mini", None].findings.to_pylist()
    issues = {(row["kind"], row["pair_id"]) for row in found if row["detector"] == "hygiene" and row["pair_id"]}
    assert issues == {("rewriter_note", "20"), ("stray_markup", "21"), ("truncated_image", "22")}
    for name, view in SCANNED:
        if name != "vlsbench-mini":
            rate = audits[name, view].summary.metric("hygiene.rate")
            assert rate is not None
            assert rate.k == 0


def test_the_examples_are_small_and_figstep_carries_its_licence() -> None:
    files = [path for path in EXAMPLES.rglob("*") if path.is_file() and "__pycache__" not in path.parts]
    assert sum(path.stat().st_size for path in files) < 1_500_000
    assert "FigStep" in (EXAMPLES / "figstep-mini" / "LICENSE").read_text("utf-8")


def test_the_script_makes_what_is_there(tmp_path: Path) -> None:
    runpy.run_path(str(EXAMPLES / "make_examples.py"))["main"](tmp_path)
    made = sorted(path.relative_to(tmp_path) for path in tmp_path.rglob("*") if path.is_file())
    assert len(made) > 25
    for name in ("hades-mini", "vlsbench-mini"):
        there = {p.relative_to(EXAMPLES) for p in (EXAMPLES / name).rglob("*") if p.is_file()}
        assert there == {path for path in made if path.parts[0] == name}
    for path in made:
        if path.suffix == ".json":
            assert (tmp_path / path).read_bytes() == (EXAMPLES / path).read_bytes()
        elif path.name != "12.png":  # the one that ends too early
            assert _difference(tmp_path / path, EXAMPLES / path) < 2


def _difference(one: Path, other: Path) -> float:
    """Mean difference of pixels, of 255: another Pillow may draw a letter's edge otherwise."""
    first, second = (np.asarray(Image.open(path).convert("RGB"), dtype=np.int16) for path in (one, other))
    assert first.shape == second.shape
    return float(np.abs(first - second).mean())


def test_the_scripted_target_shows_how_a_scan_asks_models_and_is_labelled_as_a_script(tmp_path: Path) -> None:
    target = f"scripted/{EXAMPLES / 'scripted' / 'target.yaml'}"
    options = ScanOptions(detectors=("text_refusal",), ask=AskOptions(targets=(target,)))
    summary = scan(EXAMPLES / "vlsbench-mini", output=tmp_path / "run", options=options).summary
    rate = summary.metric("text_only_refusal_rate")
    assert rate is not None
    assert rate.n == summary.dataset.pairs
    assert summary.asked is not None
    assert [model.scripted for model in summary.asked.models] == [True]
    assert any("come from a file of rules" in warning for warning in summary.warnings)
