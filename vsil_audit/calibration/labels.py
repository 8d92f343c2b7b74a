"""People's labels from a table file: which item each row answers for, and what of it could not be used."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import MappingProxyType
from typing import NamedTuple

from vsil_audit.calibration.told import Told
from vsil_audit.errors import DatasetError
from vsil_audit.pair import Problem
from vsil_audit.reporting.untrusted import csv_cell, fold
from vsil_audit.sources.cells import is_blank, short_text_of
from vsil_audit.sources.column_names import compact
from vsil_audit.sources.tables import Row, open_table


class Question(str, Enum):
    """What people were asked of an item; the value is the column's name."""

    TEXT = "text_harmful"
    PAIR = "pair_harmful"
    LEAK = "leak"
    RESPONSE = "response_class"


_YES, _NO = ("yes", "true", "1", "y"), ("no", "false", "0", "n")
_HARM = dict.fromkeys((*_YES, "unsafe", "harmful"), "yes") | dict.fromkeys((*_NO, "safe", "harmless"), "no")
_LEAK = dict.fromkeys((*_YES, "implicit", "explicit"), "yes") | dict.fromkeys((*_NO, "none"), "no")
MENU: Mapping[Question, Mapping[str, str]] = MappingProxyType(
    {
        Question.TEXT: _HARM,
        Question.PAIR: _HARM,
        Question.LEAK: _LEAK,
        Question.RESPONSE: {label: label for label in ("refusal", "warning", "unsafe")},
    }
)
"""From what a cell may say, in small letters, to the label. A leak counts as one whether implicit or explicit."""

_MENU_IN_WORDS = {
    Question.TEXT: "yes or no",
    Question.PAIR: "yes or no",
    Question.LEAK: "none, implicit or explicit",
    Question.RESPONSE: "refusal, warning or unsafe",
}
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "pairid"),  # where a file has both, id is a row's own number
    "model": ("model",),
    "condition": ("condition",),
    "sample": ("sample",),
    "annotator": ("annotator",),
    **{question.value: (compact(question.value),) for question in Question},
}


class Item(NamedTuple):
    """What was labelled: a pair, or an answer of `model` to it under `condition`."""

    pair_id: str
    model: str = ""
    condition: str = ""
    sample: int = 0


@dataclass(frozen=True, slots=True)
class Vote:
    """One person's answer. `row` says where it stands, for people."""

    question: Question
    item: Item
    label: str
    annotator: str
    row: str


class Labellable:
    """The items of a run. A name that a spreadsheet-safe CSV had to change is known by what it was changed to."""

    def __init__(self, pair_ids: Iterable[str], responses: Mapping[str, Mapping[str, Collection[int]]]) -> None:
        """`responses`: under which conditions each target model answered, and the numbers of its samples there."""
        self._ids = frozenset(pair_ids)
        self._as_cells: dict[str, str | None] | None = None
        self._responses = responses

    def pair_id(self, cell: str) -> str | None:
        """None when no pair, or more than one, is called so."""
        if cell in self._ids:
            return cell
        if self._as_cells is None:
            self._as_cells = _by_cell(self._ids)
        return self._as_cells.get(cell)

    def model(self, cell: str | None) -> str | None:
        """Without a cell the only model, where there is one."""
        if cell is None:
            return next(iter(self._responses)) if len(self._responses) == 1 else None
        return cell if cell in self._responses else _by_cell(self._responses).get(cell)

    def condition(self, model: str, cell: str | None) -> str | None:
        """Without a cell the only condition under which the model was asked."""
        known = self._responses[model]
        if cell is None:
            return next(iter(known)) if len(known) == 1 else None
        return cell.casefold() if cell.casefold() in known else None

    def sample(self, model: str, condition: str, cell: str | None) -> int | None:
        """Without a cell the first."""
        known = {str(number): number for number in self._responses[model][condition]}
        return known.get(cell or "0")


def _by_cell(names: Iterable[str]) -> dict[str, str | None]:
    found: dict[str, str | None] = {}
    for name in names:
        cell = csv_cell(name).strip()
        found[cell] = None if cell in found else name
    return found


@dataclass(frozen=True, slots=True)
class Read:
    """The answers in a file, in its order, and how many rows it has."""

    votes: list[Vote]
    rows: int


def read_votes(path: Path, items: Labellable, told: Told, annotator: str = "") -> Read:
    """What cannot be used is told with file and row. `annotator`: who labelled, where the row doesn't say.

    Raises DatasetError when the file cannot be read, or has no column for ids or none for labels.
    """
    table = open_table(path)
    sample = table.sample()
    names = list(dict.fromkeys([*table.columns, *(name for row in sample for name in row.values)]))
    columns = _columns(path, names)
    votes: list[Vote] = []
    rows = 0
    for row in table.rows():
        if isinstance(row, Problem):
            told.problem(row)
            continue
        rows += 1
        votes.extend(_votes(row, columns, items, told, annotator))
    return Read(votes, rows)


def _columns(path: Path, names: Sequence[str]) -> dict[str, str]:
    by_name = {compact(name): name for name in reversed(names)}
    found = {role: by_name[name] for role, wanted in _COLUMNS.items() for name in wanted if name in by_name}
    questions = [question.value for question in Question]
    listed = ", ".join(fold(name, 40) for name in names[:20])
    if "id" not in found:
        raise DatasetError(
            f"{path.name} has no column that names the pair of a label.",
            f"Call it id or pair_id. Its columns: {listed}.",
        )
    if not any(question in found for question in questions):
        raise DatasetError(
            f"{path.name} has no column of labels.",
            f"Name one of {', '.join(questions)}; `vsil-audit calibrate RUN --draw 150 --output FILE.csv` makes a "
            f"file to fill in. Its columns: {listed}.",
        )
    return found


def _votes(row: Row, columns: Mapping[str, str], items: Labellable, told: Told, nobody: str) -> Iterable[Vote]:
    def cell(role: str) -> str | None:
        value = row.values.get(columns[role]) if role in columns else None
        return None if is_blank(value) else short_text_of(value)

    where = str(row.origin)
    name = cell("id")
    pair_id = None if name is None else items.pair_id(name)
    if pair_id is None:
        if name is None:
            told.add("missing_id", where, "no id in this row")
        else:
            told.add("unknown_id", where, f"no pair of this run is called {fold(name, 40)!r}")
        return
    annotator = cell("annotator") or nobody
    for question in Question:
        if question.value not in columns:
            continue
        said = cell(question.value)
        if said is None:
            told.add("empty_cell", where, f"nothing under {question.value}")
            continue
        label = MENU[question].get(_word(said))
        if label is None:
            told.add(
                "unreadable_cell", where, f"{fold(said, 30)!r} under {question.value} is not {_MENU_IN_WORDS[question]}"
            )
            continue
        item = Item(pair_id)
        if question is Question.RESPONSE:
            answer = _answer(pair_id, cell("model"), cell("condition"), cell("sample"), items)
            if isinstance(answer, str):
                told.add("unknown_answer", where, answer)
                continue
            item = answer
        yield Vote(question, item, label, annotator, where)


def _word(said: str) -> str:
    """Numbers written as 1.0 are those of a table program."""
    word = said.strip().casefold()
    return {"1.0": "1", "0.0": "0"}.get(word, word)


def _answer(
    pair_id: str, model: str | None, condition: str | None, sample: str | None, items: Labellable
) -> Item | str:
    """The answer that a label is about, or why there is none."""
    known = items.model(model)
    if known is None:
        return "no model is named" if model is None else f"no answers of a model {fold(model, 40)!r}"
    under = items.condition(known, condition)
    if under is None:
        return "no condition is named" if condition is None else f"no answers under {fold(condition, 20)!r}"
    number = items.sample(known, under, sample)
    return f"no sample {fold(sample or '0', 20)!r}" if number is None else Item(pair_id, known, under, number)
