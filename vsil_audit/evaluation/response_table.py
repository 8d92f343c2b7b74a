"""A file of responses: which column is the response, which the query, which the model that answered; their verdicts."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsil_audit.errors import DatasetError
from vsil_audit.evaluation.no_answer import Unclear
from vsil_audit.evaluation.response import ResponseClass, ResponseVerdict, classify_response
from vsil_audit.pair import Origin, Problem
from vsil_audit.sources.cells import lookup, short_text_of, text_of
from vsil_audit.sources.column_names import compact, name_tokens, query_standing
from vsil_audit.sources.tables import Row, Table, open_table

_RESPONSE = (
    "response", "modelresponse", "completion", "modelanswer", "answer", "generation", "output", "modeloutput",
    "prediction", "reply", "responses", "completions", "generatedtext", "responsetext", "assistant", "pred",
)  # fmt: skip
_MODEL = ("model", "modelname", "modelid", "targetmodel", "llm", "vlm", "engine", "generator")
_NOT_A_RESPONSE = frozenset({"id", "time", "tokens", "length", "label", "score", "model", "reference", "expected"})
_FINISH = ("finishreason", "stopreason")


@dataclass(frozen=True, slots=True)
class ResponseColumns:
    """Names of the columns; None: there is none. `finish`: why the model stopped (`length`: cut off)."""

    response: str
    query: str | None = None
    model: str | None = None
    finish: str | None = None


@dataclass(frozen=True, slots=True)
class ResponseRow:
    """One response. `response` is None where the cell is null. `cut`: the file says that it was cut off; None: it says
    nothing. `filtered`: it says that a content filter stopped it."""

    response: str | None
    query: str | None
    model: str | None
    cut: bool | None
    filtered: bool
    origin: Origin


class ResponseTable:
    """The responses in a table file (CSV, TSV, JSON, JSON Lines, Parquet, xlsx); streamed afresh by each `read`."""

    def __init__(
        self, path: Path, response: str | None = None, query: str | None = None, model: str | None = None
    ) -> None:
        """The columns are told from their names unless given. Raises DatasetError when there is no response column, a
        named column does not exist, or the file cannot be read."""
        self._table: Table = open_table(path)
        sample = self._table.sample()
        names = list(dict.fromkeys([*self._table.columns, *(name for row in sample for name in row.values)]))
        for name in (response, query, model):
            if name is not None and not any(name in names or lookup(row.values, name) is not None for row in sample):
                raise DatasetError(f"{path.name} has no column {name!r}.", f"Its columns: {_listed(names)}")
        found = response or _named(names, _RESPONSE) or _holding(names)
        if found is None:
            raise DatasetError(
                f"No column of {path.name} is called like a response.",
                f"Name it with --response-column. Its columns: {_listed(names)}",
            )
        rest = [name for name in names if name != found]
        self.columns = ResponseColumns(
            found, query or _query(rest), model or _named(rest, _MODEL), _named(rest, _FINISH)
        )

    def read(self) -> Iterator[ResponseRow | Problem]:
        """Rows in the file's order; a row that cannot be read is a Problem."""
        for row in self._table.rows():
            yield self._row(row) if isinstance(row, Row) else row

    def _row(self, row: Row) -> ResponseRow:
        columns, values = self.columns, row.values
        said = lookup(values, columns.response)
        asked = lookup(values, columns.query) if columns.query else None
        finish = short_text_of(lookup(values, columns.finish)) if columns.finish else None
        return ResponseRow(
            response=None if said is None else _said(said),
            query=None if asked is None else text_of(asked),
            model=short_text_of(lookup(values, columns.model)) if columns.model else None,
            cut=None if finish is None else finish.casefold() in ("length", "max_tokens", "max_output_tokens"),
            filtered=finish is not None and "filter" in finish.casefold(),
            origin=row.origin,
        )


Classed = tuple[ResponseRow, ResponseVerdict]


def classify_table(table: ResponseTable) -> tuple[list[Classed], list[Problem]]:
    """Every row with its verdict, in order, and the rows that could not be read."""
    found: list[Classed] = []
    problems: list[Problem] = []
    for row in table.read():
        if isinstance(row, Problem):
            problems.append(row)
        else:
            found.append((row, _verdict(row)))
    return found, problems


def _verdict(row: ResponseRow) -> ResponseVerdict:
    if row.filtered:
        reason = Unclear.FILTERED
        return ResponseVerdict(ResponseClass.UNCLEAR, reason=reason.value, no_answer=reason, cut=bool(row.cut))
    return classify_response(row.response, row.query, cut=row.cut)


def _said(value: object) -> str:
    """The cell as text; of a conversation the last turn."""
    if isinstance(value, list) and value and isinstance(value[-1], dict):
        last = value[-1]
        said = next((last[key] for key in ("content", "value", "text") if key in last), None)
        return text_of(said) if said is not None else text_of(value)
    return text_of(value)


def _named(names: Sequence[str], wanted: Sequence[str]) -> str | None:
    by_name = {compact(name): name for name in reversed(names)}
    return next((by_name[name] for name in wanted if name in by_name), None)


def _holding(names: Sequence[str]) -> str | None:
    """The only column whose name holds a word for a response, such as `gpt4_response`."""
    held = [
        name
        for name in names
        if {"response", "completion", "answer", "output", "generation"} & set(name_tokens(name))
        and not _NOT_A_RESPONSE & set(name_tokens(name))
    ]
    return held[0] if len(held) == 1 else None


def _query(names: Sequence[str]) -> str | None:
    best = max(names, key=query_standing, default=None)
    return best if best is not None and query_standing(best) >= 60 else None


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:20]) + (" …" if len(names) > 20 else "")
