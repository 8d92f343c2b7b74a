"""Whatever rests on CLIP says on which model, and what was not exact about it."""

from __future__ import annotations

import io
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from vsil_audit.pair import Evidence, Finding, Scored, Verdict
from vsil_audit.reporting.clip_model import clip_model
from vsil_audit.reporting.compare import compare
from vsil_audit.reporting.console import summary_view
from vsil_audit.reporting.evidence import strongest_evidence
from vsil_audit.reporting.html import render_html
from vsil_audit.runs.folder import RunFolder

SPACE = "clip 1; weights aa11 bb22; pixels 1: 224x224 shortest bicubic{}; open_clip 3.3.0; {}"


def with_clip(run: RunFolder, name: str, precision: str = "fp32", draft: str = "") -> RunFolder:
    manifest = run.manifest()
    options = {"clip_model": name, "clip_space": SPACE.format(draft, precision)} if name else {}
    run.write_manifest(
        manifest.model_copy(update={"config": manifest.config.model_copy(update={"detector_options": options})})
    )
    return run


def on_the_console(run: RunFolder) -> str:
    written = io.StringIO()
    Console(file=written, width=200).print(summary_view(run))
    return written.getvalue()


@pytest.fixture
def run(run_folders: ModuleType, tmp_path: Path) -> RunFolder:
    written: RunFolder = run_folders.write_run(tmp_path / "one", 6)
    return written


def test_the_model_stands_on_the_console_and_in_the_provenance_with_all_that_decides_a_vector(run: RunFolder) -> None:
    with_clip(run, "ViT-B-32:mine")
    assert "CLIP model: ViT-B-32:mine\n" in "\n".join(line.rstrip() for line in on_the_console(run).splitlines())
    page = render_html(run)
    assert "<bdi>ViT-B-32:mine</bdi>" in page
    assert SPACE.format("", "fp32") in page


def test_a_run_without_clip_names_none(run: RunFolder) -> None:
    assert "CLIP model" not in on_the_console(run) + render_html(run)


@pytest.mark.parametrize(
    ("precision", "draft", "said"),
    [
        ("fp32", "", "m"),
        ("bf16", "", "m"),
        ("int8", "", "m (images at eight bits: not exact)"),
        ("fp32", " draft", "m (JPEGs decoded at a fraction of their size: not exact)"),
        ("bf16", " gpu", "m (JPEGs decoded on the GPU: not exact)"),
        ("int8", " draft", "m (images at eight bits, JPEGs decoded at a fraction of their size: not exact)"),
    ],
)
def test_what_was_not_exact_is_said(run: RunFolder, precision: str, draft: str, said: str) -> None:
    assert clip_model(with_clip(run, "m", precision, draft).manifest().config) == said
    assert said in on_the_console(run)


@pytest.mark.parametrize(
    ("other", "precision", "warned"),
    [("m", "fp32", False), ("", "fp32", False), ("m", "int8", True), ("m", "bf16", True)],
)
def test_a_comparison_warns_of_other_vectors(
    run: RunFolder, run_folders: ModuleType, tmp_path: Path, other: str, precision: str, *, warned: bool
) -> None:
    second = with_clip(run_folders.write_run(tmp_path / "two", 6), other, precision)
    warnings = compare([with_clip(run, "m"), second]).warnings
    assert any("precision of CLIP" in warning for warning in warnings) == warned


def test_what_was_measured_of_a_phrase_is_not_quoted_as_if_it_stood_in_the_image() -> None:
    found = Evidence(8, 16, "cosine 0.120 lower without it", "image")
    finding = Finding("clip_overlap", "1", Scored(1.0), Verdict.SUSPECTED, evidence=(found,))
    said = strongest_evidence("Open an umbrella", finding)
    assert said == "“umbrella” brings it near its image: cosine 0.120 lower without it"
