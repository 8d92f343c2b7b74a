"""Labels from a file into the store: a CSV that a review exported, or any table that `calibrate` reads."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from vsil_audit.calibration.labels import Labellable
from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.pair import Problem
from vsil_audit.reporting.untrusted import fold
from vsil_audit.review.criteria import CRITERIA
from vsil_audit.review.labels import IMPORTED, LONGEST_NOTE, NOTE, SKIPPED, Chosen, LabelStore
from vsil_audit.review.material import Material
from vsil_audit.sources.cells import is_blank, text_of
from vsil_audit.sources.column_names import compact
from vsil_audit.sources.tables import Row, open_table

_EXAMPLES = 5
_PROTECTED = re.compile(r"'(?=[ \n]*[=+\-@\t\r＝＋－＠])")
_YES, _NO = frozenset({"yes", "true", "1", "unsafe", "harmful"}), frozenset({"no", "false", "0", "safe", "harmless"})


Cell: TypeAlias = Callable[[str], "str | None"]
"""The text in a row's column of that name; None where it is blank or missing."""


@dataclass(slots=True)
class Imported:
    """What came of a file. `taken` labels, notes and skips are new; `same` were there already. `left`: how many were
    not taken, by why; `examples` says where, a few of each."""

    rows: int = 0
    taken: int = 0
    same: int = 0
    left: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def leave(self, why: str, where: str) -> None:
        self.left[why] += 1
        examples = self.examples.setdefault(why, [])
        if len(examples) < _EXAMPLES:
            examples.append(fold(where, 160))


def import_labels(path: Path, store: LabelStore, material: Material) -> Imported:
    """Take over the labels of `path`; pairs that are not under review yet are from now on.

    Nothing that somebody said here is changed: where the file says otherwise, it is told. Labels of a pair whose text
    or images were others are not taken. Raises DatasetError when the file cannot be read, or has no label columns.
    """
    table = open_table(path)
    sample = table.sample()
    names = list(dict.fromkeys([*table.columns, *(name for row in sample for name in row.values)]))
    columns = {compact(name): name for name in reversed(names)}
    if not {"id", "pairid"} & columns.keys() or not {compact(name) for name in CRITERIA} & columns.keys():
        raise DatasetError(
            f"{path.name} has no labels of a review.", f"It needs a column id, and one of {', '.join(CRITERIA)}."
        )
    found, ids = Imported(), Labellable(material.places, {})
    for row in table.rows():
        if isinstance(row, Problem):
            found.leave("rows that cannot be read", f"{row.origin}: {row.detail}")
            continue
        found.rows += 1
        _take(row, columns, ids, store, material, path.stem, found)
    return found


def _take(
    row: Row,
    columns: Mapping[str, str],
    ids: Labellable,
    store: LabelStore,
    material: Material,
    nobody: str,
    found: Imported,
) -> None:
    def cell(name: str) -> str | None:
        value = row.values.get(columns[compact(name)]) if compact(name) in columns else None
        return None if is_blank(value) else text_of(value).strip() or None

    where = str(row.origin)
    name = cell("id") or cell("pair_id")
    pair_id = None if name is None else ids.pair_id(name)
    if pair_id is None:
        found.leave("rows about pairs that are not here", f"{where}: {name or 'no id'}")
        return
    if (content := cell("content")) is not None and content != material.content(pair_id):
        found.leave("rows about pairs that have changed since", where)
        return
    try:
        annotator = store.join(_unprotected(cell("annotator") or nobody))
    except ConfigurationError as error:
        found.leave("rows without a usable annotator", f"{where}: {error.message}")
        return
    said = _said(cell, where, found)
    if said:
        number = _number(pair_id, cell, store, material)
        held = store.held(annotator, number)
        for key, value in said.items():
            if key not in held:
                store.put(annotator, number, key, value, IMPORTED)
                found.taken += 1
            elif held[key] == value:
                found.same += 1
            else:
                found.leave("labels that say otherwise than those here, which stay", f"{where}: {key}")


def _said(cell: Cell, where: str, found: Imported) -> dict[str, str]:
    """The labels, note and skip of a row."""
    said: dict[str, str] = {}
    for criterion in CRITERIA.values():
        word = cell(criterion.name)
        if word is None:
            continue
        label = _label(word.casefold(), criterion.values)
        if label is None:
            found.leave("cells that hold no label", f"{where}: {fold(word, 30)!r} under {criterion.name}")
        else:
            said[criterion.name] = label
    note = cell(NOTE)
    if note is not None:
        said[NOTE] = _unprotected(note)[:LONGEST_NOTE]
    if (cell(SKIPPED) or "").casefold() in _YES:
        said[SKIPPED] = "yes"
    return said


def _label(word: str, values: tuple[str, ...]) -> str | None:
    if word in values:
        return word
    plain = {"1.0": "1", "0.0": "0"}.get(word, word)
    meant = "yes" if plain in _YES else "no" if plain in _NO else None
    return meant if meant in values else None


def _number(pair_id: str, cell: Cell, store: LabelStore, material: Material) -> int:
    """The item's number in the store, which gets it where it has none."""
    found = store.number(pair_id)
    if found is None:
        weight = cell("weight")
        chosen = Chosen(
            pair_id=pair_id,
            content=material.content(pair_id),
            origin=fold(cell("origin") or IMPORTED, 80),
            stratum=_unprotected(cell("stratum") or ""),
            weight=_weight(weight) if weight is not None else None,
        )
        store.choose([chosen])
        found = store.number(pair_id)
        assert found is not None, "it was put there just now"
    return found


def _weight(said: str) -> float | None:
    try:
        weight = float(said)
    except ValueError:
        return None
    return weight if math.isfinite(weight) and weight > 0 else None


def _unprotected(text: str) -> str:
    """Without the apostrophe that a CSV puts before what a spreadsheet would run."""
    return _PROTECTED.sub("", text, count=1) if text.startswith("'") else text
