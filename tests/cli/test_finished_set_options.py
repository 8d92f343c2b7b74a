"""`convert --twins … --format hf` on the command line, and what is no use without what."""

from __future__ import annotations

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
