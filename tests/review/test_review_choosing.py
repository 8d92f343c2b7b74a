"""What is drawn to be reviewed: all, at random, what the run points at, where people differ, or a user's draw."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest
from review.conftest import PAIRS, Reviewed
from review_server import draw_set

from vsil_audit.audit import draw_to_label
from vsil_audit.calibration.draws import read_draws
from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.pair import Verdict
from vsil_audit.review.choosing import Only, Wanted, choose
from vsil_audit.review.labels import SAMPLE, Item
from vsil_audit.review.material import of_dataset
from vsil_audit.sources.base import SourceOptions


def chosen(reviewed: Reviewed, wanted: Wanted) -> list[Item]:
    with reviewed.store() as store:
        return choose(wanted, reviewed.material(), store)


def test_all_pairs_unless_something_else_is_wanted(reviewed: Reviewed) -> None:
    assert [item.pair_id for item in chosen(reviewed, Wanted())] == reviewed.world.ids


def test_without_a_wish_a_review_goes_on_with_what_it_has(reviewed: Reviewed) -> None:
    first = chosen(reviewed, Wanted(sample=10))
    assert chosen(reviewed, Wanted()) == first


def test_a_larger_sample_holds_the_smaller_one(reviewed: Reviewed) -> None:
    small = [item.pair_id for item in chosen(reviewed, Wanted(sample=20))]
    large = [item.pair_id for item in chosen(reviewed, Wanted(sample=50))]
    assert (len(set(small)), len(set(large))) == (20, 50)
    assert large[:20] == small
    assert [item.pair_id for item in chosen(reviewed, Wanted(sample=20))] == small
    assert len(chosen(reviewed, Wanted(sample=10**6))) == PAIRS


def test_a_sample_of_a_run_is_recorded_as_a_draw_for_calibrate(reviewed: Reviewed) -> None:
    sample = {item.pair_id for item in chosen(reviewed, Wanted(sample=20))}
    folder = reviewed.material().folder
    assert {item.pair_id for item in read_draws(folder).items()} == sample


def test_a_sample_begins_with_what_calibrate_has_drawn(reviewed: Reviewed, tmp_path: Path) -> None:
    drawn = draw_to_label(reviewed.path, 15, tmp_path / "labels.csv").file
    with drawn.open(encoding="utf-8", newline="") as file:
        ids = [row["id"] for row in csv.DictReader(file)]
    assert [item.pair_id for item in chosen(reviewed, Wanted(sample=25))][:15] == ids
    assert {item.chosen.origin for item in chosen(reviewed, Wanted(draw=drawn))} == {SAMPLE}


def test_only_what_leaks_is_what_the_judge_says(reviewed: Reviewed) -> None:
    findings = list(reviewed.material().folder.findings("safety_judge"))
    leaking = {f.pair_id for f in findings if f.verdict is Verdict.LEAK}
    found = chosen(reviewed, Wanted(only=Only.LEAKING))
    assert {item.pair_id for item in found} == leaking
    assert {item.chosen.origin for item in found} == {"only leaking"}
    assert leaking
    assert not any(
        item.pair_id in {i.pair_id for i in read_draws(reviewed.material().folder).items()} for item in found
    )


def test_a_sample_of_a_part_says_for_how_many_each_stands(reviewed: Reviewed) -> None:
    all_of_it = len(chosen(reviewed, Wanted(only=Only.LEAKING)))
    with reviewed.store() as store:
        (store.path).unlink()
    part = chosen(reviewed, Wanted(only=Only.LEAKING, sample=10))
    assert len(part) == 10
    assert {item.chosen.weight for item in part} == {all_of_it / 10}


def test_what_nothing_fits_is_told(reviewed: Reviewed) -> None:
    for only in (Only.SUSPECTED, Only.DISAGREEMENT, Only.CONTESTED):
        with pytest.raises(ConfigurationError, match="no pair is"):
            chosen(reviewed, Wanted(only=only))


def test_contested_is_where_two_people_differ(reviewed: Reviewed) -> None:
    reviewed.label("ann", Wanted(sample=30))
    reviewed.label("bo", Wanted(sample=30), errs=lambda place: place % 10 == 0)
    found = {item.pair_id for item in chosen(reviewed, Wanted(only=Only.CONTESTED))}
    drawn = {item.pair_id for item in chosen(reviewed, Wanted(sample=30))}
    assert found == {name for place, name in enumerate(reviewed.world.ids) if place % 10 == 0} & drawn
    assert found


def test_a_draw_keeps_its_strata_and_weights(reviewed: Reviewed, tmp_path: Path) -> None:
    file = tmp_path / "draw.csv"
    file.write_text("id,stratum,weight\npair/3,high,2.5\npair/9,low,40\npair/4,,\n")
    found = chosen(reviewed, Wanted(draw=file))
    assert [(i.pair_id, i.chosen.stratum, i.chosen.weight) for i in found] == [
        ("pair/3", "high", 2.5), ("pair/9", "low", 40.0), ("pair/4", "", None),
    ]  # fmt: skip
    assert {i.chosen.origin for i in found} == {"draw draw.csv"}, "a file cannot say that it is a random sample"


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ("pair/3,x,0", "no weight"),
        ("pair/3,x,lots", "no weight"),
        ("pair/777,x,1", "no pair here"),
        (",x,1", "names no"),
    ],
)
def test_a_draw_that_cannot_be_right_is_refused(reviewed: Reviewed, tmp_path: Path, rows: str, why: str) -> None:
    file = tmp_path / "draw.csv"
    file.write_text(f"id,stratum,weight\n{rows}\n")
    with pytest.raises(DatasetError, match=why):
        chosen(reviewed, Wanted(draw=file))


def test_a_dataset_that_nobody_scanned_is_read_once_and_drawn_from(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    root = draw_set(tmp_path / "set")
    material = of_dataset(root, SourceOptions())
    assert list(material.places) == [f"p{i}" for i in range(6)]
    assert material.show_only(["p2"]) == 0
    digest = material.pair("p2")[1][0].digest
    assert material.image(digest) == (root / "images" / "2.png").read_bytes()
    assert material.image(material.pair("p3")[1][0].digest) is None, "images of other pairs are not shown"
    parts = sorted(file.stat().st_mtime_ns for file in (material.folder.path / "pairs").iterdir())
    again = of_dataset(root, SourceOptions())
    assert sorted(file.stat().st_mtime_ns for file in (again.folder.path / "pairs").iterdir()) == parts


def test_an_image_that_changed_since_is_not_shown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    root = draw_set(tmp_path / "set")
    material = of_dataset(root, SourceOptions())
    material.show_only(["p0"])
    (root / "images" / "0.png").write_bytes((root / "images" / "1.png").read_bytes())
    found = material.image(material.pair("p0")[1][0].digest)
    assert getattr(found, "kind", "") == "changed"
    rows = json.loads((root / "data.json").read_text())
    rows[1]["question"] = "another text"
    (root / "data.json").write_text(json.dumps(rows))
    assert of_dataset(root, SourceOptions()).content("p1") != material.content("p1")
