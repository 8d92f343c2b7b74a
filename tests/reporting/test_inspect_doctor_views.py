"""What `inspect` and `doctor` show."""

from __future__ import annotations

import io

import pytest
from rich.console import Console, RenderableType

from vsil_audit.pair import ImageRef, Origin, Pair, Problem
from vsil_audit.reporting.doctor_view import Item, doctor_view
from vsil_audit.reporting.inspect_view import Inspection, inspect_view
from vsil_audit.sources.base import View


def shown(view: RenderableType, width: int = 80, *, crop: bool = True) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(view, crop=crop)
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, given above


INSPECTION = Inspection(
    path="data/mild-set",
    layout="generic_json",
    why="a JSON list beside images",
    view="question",
    views=[View("question", "as published", official=True), View("plain", "reworded")],
    view_counts={"question": 40, "plain": 38},
    mapping={"text": "question[/bold]", "image": "img"},
    reasons={"text": 'called "question"', "image": "resolves 38 of 40 images"},
    counts=[("pairs", 40), ("distinct texts", 39)],
    categories={f"category {i}": i for i in range(20)},
    samples=[Pair("a/1", "x " * 300, (ImageRef("1\x1b.png", path="1.png"),), origin=Origin("data.json", 1))],
    problems=[Problem("missing_image", "img/7.png is not there", Origin("data.json", 7), "img", "Fetch it.")],
    problems_total=3,
)


@pytest.mark.parametrize("width", [60, 80, 200])
def test_inspect_shows_layout_mapping_with_reasons_views_and_every_problem(width: int) -> None:
    text = shown(inspect_view(INSPECTION), width)
    words = " ".join(text.split())
    for piece in (
        "layout generic_json", "question[/bold]", 'called "question"', "resolves 38 of 40 images", "38", "pairs 40",
        "data.json, row 7, column img missing image", "Fetch it.", "and 2 more problems", "and 8 more",
    ):  # fmt: skip
        assert piece in words, piece
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    assert "\x1b" not in text


def test_inspect_folds_samples() -> None:
    assert "x … (+" in shown(inspect_view(INSPECTION))


def test_inspect_says_when_nothing_is_wrong() -> None:
    assert "No problem found" in shown(inspect_view(Inspection("x", "generic_json")))


def test_doctor_names_the_command_that_enables_each_missing_detector() -> None:
    states = [
        Item("ocr_overlap", "does the query repeat drawn text?", True),
        Item("clip_overlap", "is it closer?", False, "no open_clip", "pip install 'vsil-audit[clip]'"),
    ]  # fmt: skip
    text = shown(doctor_view(states))
    assert "1 detector can run here" in text
    assert "1 detector cannot" in text
    assert text.index("ocr_overlap") < text.index("clip_overlap")
    assert "pip install 'vsil-audit[clip]'" in text


def test_a_command_is_never_broken_over_lines() -> None:
    fetch = f'python -c "import open_clip; {"fetch(); " * 20}"'
    text = shown(doctor_view([Item("clip_overlap", "is it closer? " * 20, False, "no weights", fetch)]), crop=False)
    assert [line.strip() for line in text.splitlines() if "python" in line] == [fetch]
    assert len([line for line in text.splitlines() if "is it closer?" in line]) > 2
