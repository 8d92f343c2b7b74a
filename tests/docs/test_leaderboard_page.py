"""docs/leaderboard.md says what the command does."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vsil_audit.evaluation.alignment import MARGIN, Verdict, align
from vsil_audit.evaluation.alignment_groups import paper_groups, read_groups
from vsil_audit.evaluation.paper import AlignmentRole
from vsil_audit.reporting.leaderboard.blocks import difference

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "leaderboard.md").read_text(encoding="utf-8")
PAPER = align(paper_groups())


@pytest.mark.parametrize("row", PAPER.rows, ids=lambda row: f"{row.group} {row.dataset}")
def test_its_table_of_the_paper_is_what_the_command_prints(row) -> None:
    (line,) = (line for line in PAGE.splitlines() if line.startswith(f"| {row.dataset} "))
    cells = line.strip("| ").split(" | ")
    place = [group.name for group in paper_groups()].index(row.group)
    assert cells[1 + place] == difference(row.gap).removesuffix(" [–]")


def test_its_example_of_a_group_is_read(tmp_path: Path) -> None:
    (example,) = re.findall(r"```yaml\n(.*?)```", PAGE, flags=re.DOTALL)
    file = tmp_path / "checkpoints.yaml"
    file.write_text(example, encoding="utf-8")
    (group,) = read_groups(file)
    assert group.name == "my model"
    assert group.of(AlignmentRole.MULTIMODAL, "run") == ("openai/my-mm-sft", "openai/my-mm-dpo")


def test_it_knows_every_verdict_and_the_margin() -> None:
    assert set(re.findall(r"^\| ([a-z ]+) \| (?:the whole|it reaches|nothing)", PAGE, flags=re.MULTILINE)) == {
        verdict.value for verdict in Verdict
    }
    assert f"{100 * MARGIN:g} points" in PAGE


def test_its_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(([^)]+)\)", PAGE):
        assert (ROOT / "docs" / target).resolve().exists(), target
