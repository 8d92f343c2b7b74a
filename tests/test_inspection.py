"""What `inspect` tells of a dataset."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from vsil_audit.inspection import inspect


def test_many_problems_of_one_cause_are_counted_not_listed(tmp_path: Path) -> None:
    rows = [f"{n},What is in picture {n}?,{n}.png" for n in range(40)]
    (tmp_path / "d.csv").write_text("\n".join(["id,question,image", *rows, "40,ragged"]))
    for number in range(10):
        Image.new("RGB", (40, 30), (number * 20, 90, 90)).save(tmp_path / f"{number}.png")
    found = inspect(tmp_path)
    missing = [problem for problem in found.problems if problem.kind == "image_missing"]
    assert found.problems_total == 31
    assert [problem.origin.row for problem in missing] == [11, 12, 13, 14, 15]
    assert ["more like this one" in problem.detail for problem in missing] == [False] * 4 + [True]
    assert "25 more" in missing[-1].detail
    assert [problem.kind for problem in found.problems if problem not in missing] == ["ragged_row"]


def test_each_problem_of_an_image_has_a_remedy_of_its_own(tmp_path: Path) -> None:
    images = ["missing.png", "../outside.png", "empty.png", "https://example.org/1.png"]
    (tmp_path / "d.csv").write_text("\n".join(["question,image", *(f"What is in {name}?,{name}" for name in images)]))
    (tmp_path / "empty.png").touch()
    told = {problem.kind: problem.remedy for problem in inspect(tmp_path).problems}
    assert "--image-root" in told["image_missing"]
    assert "Move the file into the dataset's folder" in told["image_outside_root"]
    assert "Restore the file" in told["image_empty_file"]
    assert "--allow-remote" in told["image_remote_not_fetched"]


def test_pairs_are_counted_by_split_and_for_the_only_view(tmp_path: Path) -> None:
    for split, count in (("train", 3), ("test", 2)):
        rows = [f"What is in {split} picture {n}?" for n in range(count)]
        (tmp_path / f"{split}.csv").write_text("\n".join(["question", *rows]))
    found = inspect(tmp_path)
    assert found.splits == {"train": 3, "test": 2}
    assert found.view_counts == {"question": 5}
