"""Files of labels: every way to write one, and everything in them that cannot be used, told with file and row."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
from calibrated import TARGET, write_labels
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.calibration.labels import Item, Labellable, Question, Vote, read_votes
from vsil_audit.calibration.people import MOST_ANNOTATORS, agreement, majority, sheets
from vsil_audit.calibration.told import KEPT, Told
from vsil_audit.errors import DatasetError

IDS = [f"p{i}" for i in range(40)]
RUN = Labellable([*IDS, "=1+1", "-x"], {TARGET: {"text": range(3), "pair": [0]}, "=odd": {"text": [0]}})


def votes(path: Path, rows: Sequence[Mapping[str, object]], told: Told | None = None) -> list[Vote]:
    return read_votes(write_labels(path / "labels.csv", rows), RUN, told or Told()).votes


def told_of(told: Told) -> dict[str, tuple[int, str]]:
    return {unused.kind: (unused.count, unused.examples[0]) for unused in told.unused()}


@pytest.mark.parametrize(
    ("spelled", "label"),
    [
        ("yes", "yes"), ("TRUE", "yes"), ("1", "yes"), ("1.0", "yes"), (" Unsafe ", "yes"), ("harmful", "yes"),
        ("no", "no"), ("False", "no"), ("0", "no"), ("0.0", "no"), ("safe", "no"), ("Harmless", "no"),
    ],
)  # fmt: skip
def test_harmful_or_not_may_be_spelled_as_people_do(tmp_path: Path, spelled: str, label: str) -> None:
    [text, pair] = votes(tmp_path, [{"pair_id": "p1", "text_harmful": spelled, "Pair Harmful": spelled}])
    assert (text.question, text.label) == (Question.TEXT, label)
    assert (pair.question, pair.label) == (Question.PAIR, label)


def test_a_class_names_the_answer_that_it_is_of(tmp_path: Path) -> None:
    row = {"id": "p1", "model": TARGET, "condition": "Text", "response_class": "Warning"}
    [vote] = votes(tmp_path, [row])
    assert (vote.item, vote.label) == (Item("p1", TARGET, "text", 0), "warning")
    [vote] = votes(tmp_path, [{**row, "sample": 2}])
    assert vote.item.sample == 2
    told = Told()
    assert votes(tmp_path, [{**row, "sample": 3}, {**row, "condition": "pair", "sample": "x"}], told) == []
    assert told_of(told) == {"unknown_answer": (2, "labels.csv, row 1: no sample '3'")}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("l.tsv", "id\ttext_harmful\nzz\tyes\np1\tno\n"),
        ("l.csv", "\ufeffid;notes;text_harmful\nzz;a, b;yes\np1;;no\n"),
        ("l.jsonl", '{"id": "zz", "text_harmful": true}\n{"id": "p1", "text_harmful": false, "tags": ["x"]}\n'),
        ("l.json", json.dumps([{"id": "zz", "text_harmful": 1}, {"id": "p1", "text_harmful": 0}])),
    ],
)
def test_tables_of_several_kinds_are_read_and_other_columns_are_ignored(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    told = Told()
    read = read_votes(tmp_path / name, RUN, told)
    assert read.rows == 2
    assert [(vote.item.pair_id, vote.label, vote.row) for vote in read.votes] == [("p1", "no", f"{name}, row 2")]
    assert told_of(told) == {"unknown_id": (1, f"{name}, row 1: no pair of this run is called 'zz'")}


def test_the_pair_id_of_a_review_tools_export_goes_before_its_own_row_numbers(tmp_path: Path) -> None:
    [vote] = votes(tmp_path, [{"id": "1", "pair_id": "p7", "text_harmful": "yes"}])
    assert vote.item.pair_id == "p7"


def test_an_id_that_a_spreadsheet_would_run_is_known_with_its_apostrophe(tmp_path: Path) -> None:
    found = votes(tmp_path, [{"id": "'=1+1", "leak": "none"}, {"id": "=1+1", "leak": "none"}, {"id": "'-x", "leak": 1}])
    assert [vote.item.pair_id for vote in found] == ["=1+1", "=1+1", "-x"]
    [vote] = votes(tmp_path, [{"id": "p1", "model": "'=odd", "response_class": "refusal"}])
    assert vote.item == Item("p1", "=odd", "text")


def test_what_cannot_be_used_is_counted_and_told_with_file_and_row(tmp_path: Path) -> None:
    told = Told()
    found = votes(
        tmp_path,
        [
            {"id": "p1", "text_harmful": "yes", "response_class": "", "model": "", "condition": ""},
            {"id": "", "text_harmful": "yes"},
            {"id": "nobody", "text_harmful": "yes"},
            {"id": "p2", "text_harmful": "perhaps"},
            {"id": "p3", "text_harmful": "no", "response_class": "refusal", "model": "who", "condition": "text"},
            {"id": "p4", "text_harmful": "no", "response_class": "refusal", "model": TARGET, "condition": ""},
            {"id": "p5", "text_harmful": "no", "response_class": "refused", "model": TARGET, "condition": "text"},
        ],
        told,
    )
    assert [(vote.item.pair_id, vote.label) for vote in found] == [
        ("p1", "yes"),
        ("p3", "no"),
        ("p4", "no"),
        ("p5", "no"),
    ]
    assert told_of(told) == {
        "missing_id": (1, "labels.csv, row 2: no id in this row"),
        "unknown_id": (1, "labels.csv, row 3: no pair of this run is called 'nobody'"),
        "unknown_answer": (2, "labels.csv, row 5: no answers of a model 'who'"),
        "empty_cell": (2, "labels.csv, row 1: nothing under response_class"),
        "unreadable_cell": (2, "labels.csv, row 4: 'perhaps' under text_harmful is not yes or no"),
    }


def test_a_row_that_is_no_row_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    path, told = tmp_path / "l.csv", Told()
    path.write_text("id,text_harmful\np1,yes\np2,yes,and,more\np3,no\n")
    assert [vote.item.pair_id for vote in read_votes(path, RUN, told).votes] == ["p1", "p3"]
    assert told_of(told)["unreadable_row"][0] == 1
    assert "l.csv, row 2" in told_of(told)["unreadable_row"][1]


@pytest.mark.parametrize(
    ("text", "message"),
    [("name,text_harmful\np1,yes\n", "names the pair"), ("id,verdict\np1,yes\n", "no column of labels"), ("", "empty")],
)
def test_a_file_without_ids_or_labels_is_refused_with_what_to_do(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "l.csv").write_text(text)
    with pytest.raises(DatasetError, match=message) as refused:
        read_votes(tmp_path / "l.csv", RUN, Told())
    assert refused.value.remedy


def test_hostile_cells_are_kept_short_visible_and_few(tmp_path: Path) -> None:
    bad = "\x1b[31m</script>\u202e" + "x" * 5000
    told = Told()
    found = votes(tmp_path, [{"id": bad, "leak": "none"}, *({"id": "p1", "leak": bad} for _ in range(500))], told)
    assert found == []
    for unused in told.unused():
        assert len(unused.examples) <= KEPT
        for example in unused.examples:
            assert len(example) < 220
            assert "\x1b" not in example
            assert "\u202e" not in example
    assert told_of(told)["unreadable_cell"][0] == 500


@given(
    st.text(alphabet=st.sampled_from("id,text_harmful\n\"'\x00=p1yesno;\t\ufeff\u202e"), max_size=200), st.booleans()
)
def test_whatever_a_file_holds_it_gives_votes_or_says_why_not(
    tmp_path_factory: pytest.TempPathFactory, text: str, headed: bool
) -> None:
    path = tmp_path_factory.mktemp("any") / "l.csv"
    path.write_bytes((("id,text_harmful\n" if headed else "") + text).encode("utf-8", "surrogatepass"))
    told = Told()
    try:
        read = read_votes(path, RUN, told)
    except DatasetError as refused:
        assert refused.remedy  # noqa: PT017 - either outcome is fine, and both are checked
        return
    told_rows = sum(unused.count for unused in told.unused() if unused.kind != "unreadable_row")
    assert len(read.votes) + told_rows == read.rows


# several people


def said(label: str, annotator: str = "a", item: str = "p1", row: int = 1) -> Vote:
    return Vote(Question.TEXT, Item(item), label, annotator, f"l.csv, row {row}")


def settled(given: Sequence[Vote]) -> tuple[dict[str, str], dict[str, tuple[int, str]]]:
    told = Told()
    of = sheets(given, told).get(Question.TEXT, {})
    return {item.pair_id: label for item, label in majority(of, Question.TEXT, told).items()}, told_of(told)


def test_the_same_said_twice_by_one_person_counts_once() -> None:
    labels, told = settled([said("yes"), said("yes", row=2), said("no", "b"), said("no", "c"), said("no", "c", row=9)])
    assert labels == {"p1": "no"}
    assert told == {"duplicate": (2, "l.csv, row 2: text_harmful was given in l.csv, row 1 already")}


def test_one_who_contradicts_himself_has_no_vote_on_that_item() -> None:
    labels, told = settled([said("yes"), said("no", row=2), said("yes", row=3), said("yes", item="p2", row=4)])
    assert labels == {"p2": "yes"}
    assert told["contradiction"] == (1, "l.csv, row 2: another text_harmful than in l.csv, row 1")
    labels, _ = settled([said("yes"), said("no", row=2), said("no", "b", row=3)])
    assert labels == {"p1": "no"}


def test_the_majority_decides_and_a_tie_is_left_out_and_counted() -> None:
    given = [said("yes"), said("no", "b"), said("yes", item="p2"), said("no", "b", "p2"), said("no", "c", "p2")]
    labels, told = settled(given)
    assert labels == {"p2": "no"}
    assert told == {"tie": (1, "text_harmful of p1")}


def test_people_are_compared_two_by_two_and_are_called_by_number() -> None:
    from sklearn.metrics import cohen_kappa_score

    first = ["yes", "no"] * 15
    second = [*first[:24], *("no" if label == "yes" else "yes" for label in first[24:])]
    given = [said(label, "Ann", f"p{i}") for i, label in enumerate(first)]
    given += [said(label, "Bob", f"p{i}") for i, label in enumerate(second)]
    found = agreement(sheets(given, Told())[Question.TEXT], Question.TEXT, {f"p{i}": i for i in range(30)})
    assert found is not None
    assert found.raters == ["annotator 1", "annotator 2"]
    [cell] = found.cells
    assert cell.kappa.value == pytest.approx(cohen_kappa_score(first, second))
    assert (cell.agree.k, cell.agree.n) == (24, 30)
    assert len(found.disagreements) == 6
    assert found.alpha is not None
    assert found.alpha.value == pytest.approx(0.6, abs=0.02)


def test_more_people_than_label_anything_are_not_compared() -> None:
    given = [said("yes", f"a{i}", f"p{n}") for i in range(MOST_ANNOTATORS + 1) for n in range(2)]
    assert agreement(sheets(given, Told())[Question.TEXT], Question.TEXT, {"p0": 0, "p1": 1}) is None
