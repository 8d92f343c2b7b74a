"""vsil-audit scan, report, compare, inspect: what they leave, what they print, how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import vsil_audit as api
from vsil_audit.detectors import registry

Command = Callable[..., Any]


@pytest.fixture
def scanned(vsil_audit: Command, gnomes: Path) -> Path:
    said = vsil_audit("scan", gnomes, "--text-column", "question", "-o", "run")
    assert said.code == 0, said.err
    return Path("run")


def test_a_scan_prints_its_rates_and_writes_the_reports(vsil_audit: Command, gnomes: Path) -> None:
    said = vsil_audit("scan", gnomes, "--text-column", "question")
    assert said.code == 0
    assert "6/12" in said.out
    assert "suspected_rate" in said.out
    [run] = Path("vsil-audit-runs").iterdir()
    assert run.name.startswith("gnomes-")
    for name in ("run.json", "summary.json", "report.html", "report.json", "pairs.csv"):
        assert (run / name).stat().st_size > 0
    assert not (run / "junit.xml").exists()


def test_the_pairs_that_repeat_their_image_are_the_suspected_ones(scanned: Path) -> None:
    audit = api.Audit.open(scanned)
    flagged = {
        row["pair_id"]
        for row in audit.findings.to_pylist()
        if row["detector"] == "ocr_overlap" and row["verdict"] == "suspected"
    }
    assert flagged == {f"g{i}" for i in range(1, 12, 2)}
    rate = audit.summary.metric("suspected_rate")
    assert rate is not None
    assert (rate.k, rate.n, rate.total) == (6, 12, 12)
    assert rate.low is not None
    assert rate.high is not None
    assert 0 < rate.low < 0.5 < rate.high < 1


def test_leakage_itself_is_not_measured_offline(scanned: Path) -> None:
    leak = api.Audit.open(scanned).summary.metric("leak_rate")
    assert leak is not None
    assert leak.value is None
    assert leak.n == 0


def test_the_same_command_again_does_nothing_again(vsil_audit: Command, gnomes: Path, scanned: Path) -> None:
    before = {p: p.stat().st_mtime_ns for p in scanned.rglob("*.parquet")}
    said = vsil_audit("scan", gnomes, "--text-column", "question", "-o", "run")
    assert said.code == 0
    assert "complete already" in said.err
    assert {p: p.stat().st_mtime_ns for p in scanned.rglob("*.parquet")} == before


def test_another_dataset_in_the_folder_is_refused_and_overwrite_replaces_it(
    vsil_audit: Command, gnomes: Path, scanned: Path
) -> None:
    rows = json.loads((gnomes / "data.json").read_text())
    (gnomes / "data.json").write_text(json.dumps(rows[:7]))
    said = vsil_audit("scan", gnomes, "--text-column", "question", "-o", "run")
    assert said.code == 2
    assert "other data" in said.err
    assert "--overwrite" in said.err
    assert api.Audit.open(scanned).summary.dataset.pairs == 12
    assert vsil_audit("scan", gnomes, "--text-column", "question", "-o", "run", "--overwrite").code == 0
    assert api.Audit.open(scanned).summary.dataset.pairs == 7


def test_another_configuration_in_the_folder_is_refused_and_named(
    vsil_audit: Command, gnomes: Path, scanned: Path
) -> None:
    said = vsil_audit("scan", gnomes, "--text-column", "question", "-o", "run", "--limit", "3")
    assert said.code == 2
    assert "limit was none, is now 3" in said.err


def test_a_replaced_image_starts_the_scan_anew(vsil_audit: Command, gnomes: Path, scanned: Path) -> None:
    (gnomes / "images" / "0.png").write_bytes((gnomes / "images" / "1.png").read_bytes())
    said = vsil_audit("scan", gnomes, "--text-column", "question", "-o", "run")
    # a file of another size is other data; one of equal size is noticed by its time
    assert said.code in (0, 2)
    assert "anew" in said.err or "other data" in said.err


@pytest.mark.parametrize(
    ("condition", "code", "says"),
    [
        ("suspected_rate>0.2", 1, "crossed"),
        ("suspected_rate>60%", 0, "passed"),
        ("leak_rate>0.2", 3, "inconclusive"),
        ("suspected_rat>0.2", 2, "Did you mean suspected_rate?"),
        ("nonsense", 2, "is not a condition"),
    ],
)
def test_fail_on_decides_the_exit_code_and_says_why(
    vsil_audit: Command, gnomes: Path, condition: str, code: int, says: str
) -> None:
    said = vsil_audit(
        "scan", gnomes, "--text-column", "question", "--detectors", "description_overlap", "--fail-on", condition
    )
    assert said.code == code, said.err
    assert says in said.err


def test_too_little_coverage_is_inconclusive(vsil_audit: Command, gnomes: Path) -> None:
    for image in sorted((gnomes / "images").iterdir())[:9]:
        image.unlink()
    arguments = ("scan", gnomes, "--text-column", "question", "--detectors", "ocr_overlap,hygiene", "-q")
    said = vsil_audit(*arguments)
    assert said.code == 3
    assert "covers 3 of 12 pairs" in said.err
    assert vsil_audit(*arguments, "--min-coverage", "0.2").code == 0


def test_limit_and_sample_keep_what_they_say(vsil_audit: Command, gnomes: Path) -> None:
    few = ("scan", gnomes, "--text-column", "question", "--detectors", "description_overlap", "-q", "-o")
    assert vsil_audit(*few, "first", "--limit", "4").code == 0
    assert vsil_audit(*few, "one", "--sample", "5", "--seed", "1").code == 0
    assert vsil_audit(*few, "same", "--sample", "5", "--seed", "1").code == 0
    assert vsil_audit(*few, "other", "--sample", "5", "--seed", "2").code == 0

    def ids(run: str) -> list[str]:
        return [pair.id for batch in api.Audit.open(run).folder.batches() for pair in batch.pairs]

    assert ids("first") == ["g0", "g1", "g2", "g3"]
    assert ids("one") == ids("same")
    assert len(ids("one")) == 5
    assert ids("one") != ids("other")
    assert "Only 5 pairs drawn at random with seed 1" in " ".join(api.Audit.open("one").summary.warnings)


def test_limit_and_sample_together_are_refused(vsil_audit: Command, gnomes: Path) -> None:
    said = vsil_audit("scan", gnomes, "--text-column", "question", "--limit", "2", "--sample", "2")
    assert said.code == 2
    assert "exclude each other" in said.err


def test_an_unknown_detector_is_refused_before_any_work(vsil_audit: Command, gnomes: Path) -> None:
    said = vsil_audit("scan", gnomes, "--text-column", "question", "--detectors", "ocr_overlapp")
    assert said.code == 2
    assert "ocr_overlap" in said.err
    assert not Path("vsil-audit-runs").exists()


def test_a_defect_of_ours_does_not_look_like_a_crossed_threshold(
    vsil_audit: Command, gnomes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise AssertionError("wires crossed")

    monkeypatch.setattr("vsil_audit.audit.plan_scan", broken)
    said = vsil_audit("scan", gnomes, "--text-column", "question")
    assert said.code == 70
    assert "wires crossed" in said.err
    assert "defect" in said.err


def test_a_skipped_detector_is_named_as_skipped(vsil_audit: Command, gnomes: Path) -> None:
    assert vsil_audit("scan", gnomes, "--text-column", "question", "--skip", "topic_probe", "-o", "run", "-q").code == 0
    states = {d.name: (d.state, d.reason) for d in api.Audit.open("run").summary.detectors}
    assert states["topic_probe"] == ("skipped", "left out with --skip")
    assert states["hygiene"][0] == "done"


def test_report_writes_the_same_reports_again(vsil_audit: Command, scanned: Path) -> None:
    before = (scanned / "report.html").read_bytes()
    (scanned / "report.html").unlink()
    said = vsil_audit("report", scanned)
    assert said.code == 0
    assert (scanned / "report.html").read_bytes() == before
    assert (scanned / "junit.xml").exists()
    assert "6/12" in said.out


def test_report_of_what_is_no_run_says_so(vsil_audit: Command, gnomes: Path) -> None:
    said = vsil_audit("report", gnomes)
    assert said.code == 2
    assert "not a run folder" in said.err


def test_compare_pairs_two_readings_of_one_set(vsil_audit: Command, gnomes: Path, scanned: Path) -> None:
    assert vsil_audit("scan", gnomes, "--text-column", "statement", "-o", "other", "-q").code == 0
    said = vsil_audit("compare", "run", "other", "--html", "both.html", "--json", "both.json")
    assert said.code == 0
    assert "6/12" in said.out
    assert "12/12" in said.out
    assert Path("both.html").stat().st_size > 1000
    json.loads(Path("both.json").read_text())


def test_inspect_scores_nothing_and_names_every_problem(vsil_audit: Command, gnomes: Path) -> None:
    (gnomes / "images" / "3.png").unlink()
    (gnomes / "images" / "4.png").write_bytes(b"")
    said = vsil_audit("inspect", gnomes, "--text-column", "question")
    assert said.code == 0
    assert "pairs 12" in said.out
    assert "images/3.png" in said.out
    assert "row 4" in said.out
    assert "images/4.png" in said.out
    assert "named by the user" in said.out
    assert not list(Path().iterdir())


def test_an_ambiguous_query_is_an_error_with_the_option_to_give(vsil_audit: Command, gnomes: Path) -> None:
    rows = json.loads((gnomes / "data.json").read_text())
    renamed = [{**row, "prompt": row["statement"], "query": row["question"]} for row in rows]
    (gnomes / "data.json").write_text(
        json.dumps([{k: v for k, v in row.items() if k not in ("question", "statement")} for row in renamed])
    )
    said = vsil_audit("scan", gnomes)
    if said.code == 0:  # one of them may be clear enough by its name: then the choice is shown
        assert "prompt" in vsil_audit("inspect", gnomes).out
    else:
        assert said.code == 2
        assert "--text-column" in said.err


def test_doctor_lists_every_detector(vsil_audit: Command) -> None:
    said = vsil_audit("doctor")
    assert said.code == 0
    for name in (*registry.available(), "openai", "ollama", "hf"):
        assert name in said.out


@pytest.mark.parametrize("command", ["scan", "inspect", "report", "compare", "doctor", "completion"])
def test_every_command_has_help_with_examples(vsil_audit: Command, command: str) -> None:
    said = vsil_audit(command, "--help")
    assert said.code == 0
    assert "Example" in said.out


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(vsil_audit: Command, shell: str) -> None:
    said = vsil_audit("completion", shell)
    assert said.code == 0
    assert "_VSIL_AUDIT_COMPLETE" in said.out


def test_all_views_are_scanned_where_nobody_knows_which_column_is_the_query(
    vsil_audit: Command, tmp_path: Path
) -> None:
    rows = [{"blunt_question": f"What is gnome {n}?", "polite_question": f"What is it, {n}?"} for n in range(4)]
    (tmp_path / "twins.json").write_text(json.dumps(rows))
    said = vsil_audit("scan", tmp_path / "twins.json", "-q", "--detectors", "hygiene")
    assert said.code == 2
    assert "--view all audits each" in said.err
    both = vsil_audit("scan", tmp_path / "twins.json", "-q", "--detectors", "hygiene", "--view", "all", "-o", "run")
    assert both.code == 0
    assert sorted(folder.name for folder in Path("run").iterdir()) == ["blunt_question", "polite_question"]


def test_a_query_named_by_the_user_is_not_passed_off_as_the_benchmarks_view(vsil_audit: Command, gnomes: Path) -> None:
    said = vsil_audit("inspect", gnomes, "--text-column", "statement")
    assert "official" not in said.out
    assert vsil_audit("scan", gnomes, "--text-column", "statement", "-o", "run", "-q").code == 0
    assert api.Audit.open("run").summary.dataset.mapping["text"] == "statement"
