"""What of a file of labels could not be used: counted by kind, a few of each with file and row."""

from __future__ import annotations

from types import MappingProxyType

from vsil_audit.pair import Problem
from vsil_audit.reporting.untrusted import fold
from vsil_audit.runs.metric import Model

_LONGEST = 200

KEPT = 10
"""Places kept of each kind."""

KINDS = MappingProxyType(
    {
        "unreadable_row": "rows that could not be read, or only in part",
        "missing_id": "rows without an id",
        "unknown_id": "rows about pairs that this run does not have",
        "unknown_answer": "labels of answers that this run does not have",
        "empty_cell": "cells without a label",
        "unreadable_cell": "cells that hold no label",
        "duplicate": "labels given again by the same person, and used once",
        "contradiction": "items that one person labelled differently in different rows; that person's labels of them "
        "are not used",
        "tie": "items on which as many people said one thing as another; they are not used",
        "not_asked": "labels of something that nobody was asked in this run",
        "not_drawn": "labels of items that were not drawn at random; they are not used",
    }
)


class Unused(Model):
    """One kind of what could not be used. `examples` name file and row, at most KEPT."""

    kind: str
    tells: str
    count: int
    examples: tuple[str, ...] = ()


class Told:
    """Collects them."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._examples: dict[str, list[str]] = {}

    def add(self, kind: str, where: str, detail: str, count: int = 1) -> None:
        """`where`: file and row, or nothing. `detail` may quote the file: it is kept short and on one line."""
        self._counts[kind] = self._counts.get(kind, 0) + count
        examples = self._examples.setdefault(kind, [])
        if len(examples) < KEPT:
            examples.append(fold(f"{where}: {detail}" if where else detail, _LONGEST))

    def problem(self, problem: Problem) -> None:
        self.add("unreadable_row", str(problem.origin), problem.detail, problem.rows)

    def unused(self) -> tuple[Unused, ...]:
        """In the order of KINDS."""
        return tuple(
            Unused(kind=kind, tells=tells, count=self._counts[kind], examples=tuple(self._examples[kind]))
            for kind, tells in KINDS.items()
            if kind in self._counts
        )
