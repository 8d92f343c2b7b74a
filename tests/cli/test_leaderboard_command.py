"""`vsil-audit leaderboard`: runs ranked, checkpoints compared, the paper's tables without any run."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from evaluated_runs import Asking, evaluated, pairs_of

import vsil_audit
from vsil_audit.cli.leaderboard import command
from vsil_audit.errors import ConfigurationError, RunFolderError, VsilAuditError
from vsil_audit.reporting.leaderboard.report import LeaderboardReport

N = 120


def refuses(k: int):
    return lambda put: "unsafe" if put.benign or put.number >= k else "refusal"


HABITS = {"x/base": refuses(12), "x/text": refuses(60), "x/mm": refuses(96)}


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """One run for each checkpoint, of one set with two categories."""
    folder = tmp_path_factory.mktemp("runs")
    pairs = pairs_of(N, category=lambda i: "tools" if i % 2 else "garden")
    paths = []
    for name, habit in HABITS.items():
        paths.append(folder / name.replace("/", "-"))
        evaluated(paths[-1], pairs, {name: habit}, Asking())
    return paths


@pytest.fixture
def group(tmp_path: Path) -> Path:
    file = tmp_path / "group.yaml"
    file.write_text("name: gnomes\nbase: x/base\ntext_aligned: x/text\nmultimodal_aligned: x/mm\n")
    return file


def ran(*arguments: object) -> Result:
    return CliRunner().invoke(command, [str(a) for a in arguments], catch_exceptions=True)


def said(*arguments: object) -> str:
    result = ran(*arguments)
    assert result.exit_code == 0, result.output
    return re.sub(r"\s+", " ", result.output)


def refused(*arguments: object) -> VsilAuditError:
    error = ran(*arguments).exception
    assert isinstance(error, VsilAuditError)
    assert error.remedy
    return error


def test_runs_are_ranked_together(runs: list[Path]) -> None:
    text = said(*runs)
    assert text.index("1 (1 to 1) x/mm") < text.index("2 (2 to 2) x/text") < text.index("3 (3 to 3) x/base")
    assert "96/120" in text
    assert "garden" in text
    assert "under each condition" in text


def test_the_papers_tables_need_no_run() -> None:
    text = said("--paper")
    for found in ("−6.7", "+3.3", "−0.8", "+16.9", "+15.1", "+0.9", "+1.2", "−0.7", "+19.2", "+11.0"):
        assert f" {found} [" in text
    assert "Text is not enough (the whole interval of Δ lies above 5 points): VLSBench." in text
    assert "arXiv 2411.19939 v3" in text
    assert "94.7" in text


def test_a_group_gives_the_gap_of_its_checkpoints(runs: list[Path], group: Path) -> None:
    text = said(*runs, "--group", group)
    assert "Alignment: gnomes, is text enough?" in text
    assert re.search(r"gnomes \+30\.0 \[\+\d\d\.\d, \+\d\d\.\d\] images add", text)
    assert "paired, 120 of 120 pairs" in text
    assert "From the paper" not in text


def test_the_margin_decides_what_is_enough(runs: list[Path], group: Path) -> None:
    assert "text is enough" in said(*runs, "--group", group, "--margin", 50)


def test_a_group_without_runs_says_that_nothing_answers_it(group: Path) -> None:
    assert "no set of the runs was answered" in said("--group", group)


def test_a_group_of_the_papers_checkpoints_needs_no_run(tmp_path: Path) -> None:
    file = tmp_path / "group.yaml"
    file.write_text(
        'text_aligned: {paper: "Qwen2-VL-7B + Textual SFT"}\nmultimodal_aligned: {paper: Qwen2-VL-7B + MM-SFT}'
    )
    text = said("--group", file)
    assert "+11.0" in text
    assert "Source: paper" in text
    assert "arXiv 2411.19939 v3" in text


def test_another_condition(runs: list[Path]) -> None:
    assert "models under text" in said(*runs, "--condition", "text")
    text = said(*runs, "--condition", "caption")
    assert "no model was asked under caption" in text
    assert "--condition may be pair, text" in text


@pytest.mark.parametrize(
    ("suffix", "starts"), [("md", "### gnomes"), ("tex", "% Tables"), ("json", "{"), ("html", "<!doctype html>")]
)
def test_the_files_suffix_decides_the_format(runs: list[Path], tmp_path: Path, suffix: str, starts: str) -> None:
    file = tmp_path / f"board.{suffix}"
    said(*runs, "--paper", "-o", file)
    text = file.read_text(encoding="utf-8")
    assert text.startswith(starts)
    assert "x/mm" in text
    assert "Claude-3.5-sonnet" in text
    before = file.read_bytes()
    said(*runs, "--paper", "-o", file)
    assert file.read_bytes() == before


def test_a_format_that_is_named_wins_and_goes_to_the_terminal_without_a_file(runs: list[Path], tmp_path: Path) -> None:
    file = tmp_path / "board.txt"
    said(*runs, "--format", "markdown", "-o", file)
    assert file.read_text(encoding="utf-8").startswith("### gnomes")
    assert json.loads(ran(*runs, "--format", "json").stdout)["leaderboard"]["tables"][0]["dataset"] == "gnomes"


def test_nothing_to_show_is_refused() -> None:
    assert isinstance(refused(), ConfigurationError)


def test_what_is_no_run_is_refused(tmp_path: Path, group: Path) -> None:
    assert isinstance(refused(tmp_path), RunFolderError)
    assert isinstance(refused("--group", tmp_path / "absent.yaml"), ConfigurationError)
    assert ran("--paper", "--margin", "0").exit_code == 2


def test_the_python_api_gives_the_same(runs: list[Path], group: Path) -> None:
    found = vsil_audit.leaderboard(runs, group=group, paper=True)
    text = ran(*runs, "--group", group, "--paper", "--format", "json").stdout
    assert LeaderboardReport.model_validate_json(text) == found
    with pytest.raises(ConfigurationError, match="margin"):
        vsil_audit.leaderboard(paper=True, margin=5)


def test_the_whole_command_lists_it() -> None:
    done = subprocess.run([sys.executable, "-m", "vsil_audit", "--help"], capture_output=True, text=True, check=True)
    assert "leaderboard" in done.stdout
