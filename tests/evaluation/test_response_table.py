"""A file of responses: its columns, what its finish reasons say, and the labels written for it."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from vsil_audit.errors import DatasetError
from vsil_audit.evaluation import ResponseClass, Unclear
from vsil_audit.evaluation.response_table import ResponseColumns, ResponseRow, ResponseTable, classify_table
from vsil_audit.reporting.response_labels import LABEL_COLUMNS, write_labels

REFUSAL = "I'm sorry, but I can't help with that."


def jsonl(path: Path, *rows: object) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), "utf-8")
    return path


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (("response", "query", "model"), ResponseColumns("response", "query", "model")),
        (("id", "prompt", "completion"), ResponseColumns("completion", "prompt")),
        (("Question", "Model Answer", "model_name"), ResponseColumns("Model Answer", "Question", "model_name")),
        (("instruction", "output", "finish_reason"), ResponseColumns("output", "instruction", None, "finish_reason")),
        (("question", "gpt4_response", "response_time"), ResponseColumns("gpt4_response", "question")),
    ],
)
def test_columns_are_told_from_their_names(tmp_path: Path, names: tuple[str, ...], expected: ResponseColumns) -> None:
    file = jsonl(tmp_path / "r.jsonl", dict.fromkeys(names, "some text"))
    assert ResponseTable(file).columns == expected


def test_named_columns_win_and_unknown_ones_are_an_error_that_lists_what_there_is(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "r.jsonl", {"response": "a", "second": REFUSAL, "who": "m"})
    table = ResponseTable(file, response="second", model="who")
    assert [(row.response, row.model) for row in table.read() if isinstance(row, ResponseRow)] == [(REFUSAL, "m")]
    with pytest.raises(DatasetError, match="no column 'third'") as error:
        ResponseTable(file, response="third")
    assert "second" in error.value.remedy
    with pytest.raises(DatasetError, match="called like a response"):
        ResponseTable(jsonl(tmp_path / "other.jsonl", {"text": "x", "number": 1}))


def test_finish_reasons_and_nulls_are_told_apart_from_refusals(tmp_path: Path) -> None:
    file = jsonl(
        tmp_path / "r.jsonl",
        {"response": REFUSAL, "finish_reason": "stop"},
        {"response": REFUSAL, "finish_reason": "content_filter"},
        {"response": None, "finish_reason": "stop"},
        {"response": "Use a ladder.", "finish_reason": "length"},
        {"response": [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": REFUSAL}]},
    )
    found, problems = classify_table(ResponseTable(file))
    assert problems == []
    assert [v.no_answer for _, v in found] == [None, Unclear.FILTERED, Unclear.EMPTY, Unclear.CUT, None]
    assert [v.response_class for _, v in found][::4] == [ResponseClass.REFUSAL] * 2


def test_labels_are_written_beside_rows_and_no_cell_runs_as_a_formula(tmp_path: Path) -> None:
    file = jsonl(tmp_path / "r.jsonl", {"response": REFUSAL, "model": "=1+1"}, {"response": "", "model": "m"})
    found, _ = classify_table(ResponseTable(file))
    write_labels(tmp_path / "labels.csv", found)
    write_labels(tmp_path / "labels.jsonl", found)
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as table:
        rows = list(csv.DictReader(table))
    assert tuple(rows[0]) == LABEL_COLUMNS
    assert [row["label"] for row in rows] == ["refusal", "unclear"]
    assert rows[0]["model"] == "'=1+1"
    assert (rows[1]["refusal"], rows[1]["reason"]) == ("", "empty")
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text("utf-8").splitlines()]
    assert [(line["row"], line["model"], line["label"]) for line in lines] == [
        (1, "=1+1", "refusal"),
        (2, "m", "unclear"),
    ]
    assert lines[1]["refusal"] is None
    with pytest.raises(ValueError, match="labels cannot be written"):
        write_labels(tmp_path / "labels.txt", found)
