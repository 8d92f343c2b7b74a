"""Labels leave a review and come back: CSV, what `calibrate` reads, Argilla, Label Studio."""

from __future__ import annotations

import csv
import json
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from cli.conftest import Command
from review.conftest import PAIRS, Reviewed

from vsil_audit.audit import Audit
from vsil_audit.review.choosing import Only, Wanted
from vsil_audit.review.labels import NOTE, SKIPPED, LabelStore
from vsil_audit.review.sheets import Sheets


def rows_of(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def all_said(reviewed: Reviewed, store: LabelStore | None = None) -> dict[tuple[str, str], object]:
    with store or reviewed.store() as opened:
        said = Sheets.of(opened, reviewed.material()).said()
        return {(s.item.pair_id, s.annotator): (s.labels, s.note, s.skipped) for s in said}


@pytest.fixture
def labelled(reviewed: Reviewed) -> Reviewed:
    reviewed.label("ann", Wanted(sample=80))
    reviewed.label("bo", Wanted(sample=80), errs=lambda place: place % 8 == 0)
    return reviewed


def test_labels_flow_into_calibrate(labelled: Reviewed, tmp_path: Path, vsil_audit: Command) -> None:
    file = tmp_path / "labels.csv"
    assert vsil_audit("review", labelled.path, "--export", "calibrate", file).code == 0
    said = vsil_audit("calibrate", labelled.path, "--labels", file)
    assert said.code == 0, said.err
    assert "drawn at random" in said.out
    kept = json.loads((labelled.path / "calibration.json").read_text())
    by_question = {each["question"]: each for each in kept["labelled"]}
    differ = sum(place % 8 == 0 for place in places_of(labelled))
    assert by_question["text_harmful"]["items"] == 80 - differ, "ties are left out"
    assert by_question["text_harmful"]["chosen"] == "drawn"
    kappa = by_question["pair_harmful"]["agreement"]["cells"][0]["kappa"]["value"]
    assert 0 < kappa < 1
    assert [unused["kind"] for unused in kept["unused"]] == ["tie"]
    corrected = Audit.open(labelled.path).summary.metric("safety_judge.harmful_rate_corrected@openai/a-judge")
    assert corrected is not None
    assert corrected.low is not None
    assert corrected.high is not None
    assert corrected.low <= labelled.world.pair.mean() <= corrected.high


def places_of(labelled: Reviewed) -> list[int]:
    material = labelled.material()
    with labelled.store() as store:
        return [material.places[item.pair_id].number for item in store.items()]


def test_what_was_picked_for_a_reason_is_not_taken_for_random(
    reviewed: Reviewed, tmp_path: Path, vsil_audit: Command
) -> None:
    reviewed.label("ann", Wanted(only=Only.LEAKING))
    vsil_audit("review", reviewed.path, "--export", "calibrate", tmp_path / "labels.csv")
    vsil_audit("calibrate", reviewed.path, "--labels", tmp_path / "labels.csv")
    kept = json.loads((reviewed.path / "calibration.json").read_text())
    assert {each["chosen"] for each in kept["labelled"]} == {"elsewhere"}


def test_a_csv_brings_everything_back(labelled: Reviewed, tmp_path: Path, vsil_audit: Command) -> None:
    with labelled.store() as store:
        store.put("ann", 1, NOTE, '=HYPERLINK(1), "quoted"\nsecond line')
        store.put("bo", 2, SKIPPED, "yes")
        origins = {item.pair_id: item.chosen for item in store.items()}
    before = all_said(labelled)
    file = tmp_path / "labels.csv"
    assert vsil_audit("review", labelled.path, "--export", "csv", file).code == 0
    assert next(row for row in rows_of(file) if row["note"])["note"].startswith("'=")
    other = tmp_path / "other.sqlite"
    said = vsil_audit("review", labelled.path, "--store", other, "--import", file)
    assert said.code == 0
    assert "482 labels taken from 160 rows; 0 were here already" in said.out
    assert all_said(labelled, LabelStore(other, "set")) == before
    with LabelStore(other, "set") as store:
        assert {item.pair_id: item.chosen for item in store.items()} == origins
    assert (
        "0 labels taken from 160 rows; 482 were here already"
        in vsil_audit("review", labelled.path, "--store", other, "--import", file).out
    )


def test_an_import_changes_nothing_that_was_said_and_tells_what_it_left(
    labelled: Reviewed, tmp_path: Path, vsil_audit: Command
) -> None:
    before = all_said(labelled)
    pair_id, _ = next(iter(before))
    mine = before[pair_id, "ann"][0]["text_harmful"]  # type: ignore[index]  # what `all_said` makes
    file = tmp_path / "other.csv"
    file.write_text(
        "id,annotator,text_harmful,leak,content\n"
        f"{pair_id},ann,{'no' if mine == 'yes' else 'yes'},,\n"
        f"{pair_id},cy,harmful,explicit,\n"
        f"{pair_id},cy,,perhaps,\n"
        f"{pair_id},dee,yes,,{'0' * 32}\n"
        "pair/9999,cy,yes,,\n"
        ",cy,yes,,\n"
    )
    said = vsil_audit("review", labelled.path, "--import", file)
    assert "2 labels taken from 6 rows" in said.out
    for left in ("say otherwise than those here, which stay: 1", "not here: 2", "changed since: 1", "hold no label: 1"):
        assert left in said.out.replace("\n", " "), left
    after = all_said(labelled)
    assert {key: after[key] for key in before} == before
    assert after[pair_id, "cy"] == ({"text_harmful": "yes", "leak": "explicit"}, "", False)
    assert (pair_id, "dee") not in after


def test_what_is_no_table_of_labels_is_refused(reviewed: Reviewed, tmp_path: Path, vsil_audit: Command) -> None:
    (tmp_path / "x.csv").write_text("id,colour\npair/1,red\n")
    said = vsil_audit("review", reviewed.path, "--import", tmp_path / "x.csv")
    assert (said.code, "no labels of a review" in said.err) == (2, True)


def test_argilla_gets_records_and_the_questions_they_answer(
    labelled: Reviewed, tmp_path: Path, vsil_audit: Command
) -> None:
    folder = tmp_path / "argilla"
    assert vsil_audit("review", labelled.path, "--export", "argilla", folder).code == 0
    settings = json.loads((folder / ".argilla" / "settings.json").read_text())
    questions = {q["name"]: q for q in settings["questions"]}
    records = json.loads((folder / "records.json").read_text())
    people = {user: name for name, user in json.loads((folder / "annotators.json").read_text()).items()}
    assert len(records) == 80
    said = {}
    for record in records:
        assert set(record["fields"]) == {field["name"] for field in settings["fields"]}
        assert set(record["responses"]) | set(record["suggestions"]) <= set(questions)
        for name, responses in record["responses"].items():
            menu = {option["value"] for option in questions[name]["settings"]["options"]}
            for response in responses:
                assert response["value"] in menu
                said.setdefault((record["id"], people[response["user_id"]]), {})[name] = response["value"]
    assert said == {key: labels for key, (labels, _, _) in all_said(labelled).items()}  # type: ignore[misc]  # as above


def test_label_studio_gets_tasks_and_the_interface_they_belong_to(
    labelled: Reviewed, tmp_path: Path, vsil_audit: Command
) -> None:
    file = tmp_path / "tasks.json"
    assert vsil_audit("review", labelled.path, "--export", "label-studio", file).code == 0
    interface = ET.fromstring((tmp_path / "tasks.json.interface.xml").read_text())
    menus = {c.get("name"): {x.get("alias") for x in c} for c in interface.iter("Choices")}
    shown = {text.get("name"): text.get("value") for text in interface.iter("Text")}
    tasks = json.loads(file.read_text())
    said = {}
    for task in tasks:
        assert {value.removeprefix("$") for value in shown.values() if value} <= set(task["data"])
        for annotation in task["annotations"]:
            by_name = {result["from_name"]: result for result in annotation["result"]}
            who = by_name.pop("annotator")["value"]["text"][0]
            assert {result["to_name"] for result in by_name.values()} <= set(shown)
            labels = {name: result["value"]["choices"][0] for name, result in by_name.items()}
            assert all(label in menus[name] for name, label in labels.items())
            said[task["data"]["id"], who] = labels
    assert said == {key: labels for key, (labels, _, _) in all_said(labelled).items()}  # type: ignore[misc]  # as above


def test_an_export_overwrites_nothing_and_says_when_there_is_nothing(
    labelled: Reviewed, tmp_path: Path, vsil_audit: Command
) -> None:
    file = tmp_path / "labels.csv"
    file.write_text("mine")
    assert "is there already" in vsil_audit("review", labelled.path, "--export", "csv", file).err
    assert file.read_text() == "mine"
    said = vsil_audit(
        "review", labelled.path, "--store", tmp_path / "none.sqlite", "--export", "csv", tmp_path / "x.csv"
    )
    assert "nobody has labelled" in said.err
    assert len(rows_of(file)) == 0
    assert PAIRS > 80
