"""`convert --twins … --format hf` on the command line, and what is no use without what."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from builders.build_records import pool_of
from cli.conftest import Command
from gnome_set import write_gnomes

from vsil_audit.builders.emission import rows


def test_a_set_with_twins_card_report_and_saved_data_set(vsil_audit: Command, tmp_path: Path) -> None:
    source = write_gnomes(tmp_path / "gnomes", 6, flaws=False)
    pool = pool_of(tmp_path / "pool", range(70, 80))
    told = vsil_audit(
        "convert", source, "--offline", "--out", "new", "--twins", "benign-image", "--pool", pool, "--licence", "mit",
        "--format", "hf", "--cache", "cache", "--skip", "topic_probe,harm_prior,hygiene", "-q",
    )  # fmt: skip
    assert told.code == 0, told.err
    assert "benign twins" in told.out
    new = Path("new")
    assert {"data.json", "imgs", "README.md", "report.html", "hf", "provenance"} == {f.name for f in new.iterdir()}
    labels = [row["label"] for row in rows(new)]
    assert labels.count("safe") == labels.count("unsafe") > 0


def test_twins_of_photographs_without_a_pool_are_refused_before_any_work(vsil_audit: Command, tmp_path: Path) -> None:
    source = write_gnomes(tmp_path / "gnomes", 4, flaws=False)
    told = vsil_audit("convert", source, "--offline", "--out", "new", "--twins", "benign-image")
    assert told.code == 2
    assert "--pool" in told.err
    assert not Path("new").exists()


def test_every_view_becomes_a_set_of_its_own(vsil_audit: Command) -> None:
    source = Path(__file__).parents[2] / "examples" / "figstep-mini"
    given = ("convert", source, "--offline", "--view", "all", "--out", "new", "--limit", "3", "--workers", "1", "-q")
    told = vsil_audit(*given, "--detectors", "ocr_overlap,description_overlap")
    assert told.code == 0, told.err
    views = sorted(folder.name for folder in Path("new").iterdir())
    assert len(views) > 1
    for view in views:
        assert json.loads((Path("new") / view / "provenance" / "build.json").read_text())["settings"]["view"] == view
        assert (Path("new") / view / "data.json").is_file()
        assert f"new/{view}" in told.out


def test_what_a_scan_within_a_build_advises_is_said_for_the_build(vsil_audit: Command, tmp_path: Path) -> None:
    source = write_gnomes(tmp_path / "gnomes", 2, flaws=False)
    given = (
        "convert",
        source,
        "--offline",
        "--out",
        "new",
        "--detectors",
        "description_overlap",
        "--workers",
        "1",
        "-q",
    )
    assert vsil_audit(*given).code == 0
    Path("new/provenance/summary.json").unlink()  # as if it had been killed before its end
    told = vsil_audit(*given, "--max-pixels", "100000")
    assert told.code == 2
    assert "max_pixels" in told.err
    assert "--out;" in told.err
    assert not any(option in told.err for option in ("--output", "--overwrite"))
    Path("taken").write_text("mine")
    below = vsil_audit("convert", source, "--offline", "--out", "taken/new")
    assert (below.code, "--output" in below.err, "--out" in below.err) == (2, False, True)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--pool", "."], "--pool is of no use without --twins"),
        (["--twins", "2x2", "--clip", "x"], "--clip is of no use without --pool"),
    ],
)
def test_an_option_of_no_use_is_refused(vsil_audit: Command, tmp_path: Path, options: list[str], said: str) -> None:
    source = write_gnomes(tmp_path / "gnomes", 2, flaws=False)
    told = vsil_audit("convert", source, "--offline", "--out", "new", *options)
    assert told.code == 2
    assert said in told.err
    assert not Path("new").exists()
