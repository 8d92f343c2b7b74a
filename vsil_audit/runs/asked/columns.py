"""Observations as small arrays: one byte for each subject, model, condition and sample; no Python objects.

Arrow tables come in batch by batch. Subjects of the set stand at their pair's position; control pairs and canaries at
places of their own, in order of first appearance.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vsil_audit.detectors.chat import Part
from vsil_audit.gateway.answers import Finish
from vsil_audit.runs.folder import RunFolder

TEXT_REFUSAL, SAFETY_JUDGE, LLM_JUDGE, EVALUATION = "text_refusal", "safety_judge", "llm_judge", "evaluation"
MENUS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        TEXT_REFUSAL: ("refusal", "warning", "unsafe"),
        SAFETY_JUDGE: ("safe", "unsafe"),
        LLM_JUDGE: ("none", "implicit", "explicit"),
    }
)
"""The labels of our detectors that ask models; a label's code is its place here. Of other detectors' observations only
how the calls ended is told."""

NOTHING, ABSTAINED, FAILED = -1, -2, -3
"""Codes where there is no label: not asked or not decided, declined, failed."""

Labels: TypeAlias = npt.NDArray[np.int8]
Floats: TypeAlias = npt.NDArray[np.float32]
Places: TypeAlias = npt.NDArray[np.int64]

Number = TypeVar("Number", np.int8, np.float32)

COLUMNS = ("pair_id", "part", "model", "condition", "sample", "outcome", "value", "label", "has_probability")
_NUMBERS = frozenset({"sample", "value", "has_probability"})
_MORE = ("reason", "judged_by", "expected", "kind", "twin", "finish")
STOPPED = frozenset({Finish.BLOCKED.value, Finish.CONTENT_FILTER.value})


class Asked(NamedTuple):
    """Who was asked, and what it was shown. `variant`: what was put before the query, if anything."""

    model: str
    condition: str
    variant: str = ""


@dataclass(slots=True)
class Grid:
    """Labels of `n` subjects by who was asked what. `codes[asked][sample]` has shape (≥ n,); `values` alike: the
    probability of harm, float32 in [0, 1], NaN where the answer gave none."""

    n: int = 0
    codes: dict[Asked, dict[int, Labels]] = field(default_factory=dict)
    values: dict[Asked, dict[int, Floats]] = field(default_factory=dict)

    def put(self, asked: Asked, sample: int, places: Places, codes: Labels, values: Floats | None = None) -> None:
        kept = self.codes.setdefault(asked, {})
        kept[sample] = _long_enough(kept.get(sample), self.n, np.int8(NOTHING))
        kept[sample][places] = codes
        if values is not None and not np.isnan(values).all():
            numbers = self.values.setdefault(asked, {})
            numbers[sample] = _long_enough(numbers.get(sample), self.n, np.float32(np.nan))
            numbers[sample][places] = values

    def samples(self, asked: Asked) -> Labels:
        """All samples, shape (samples, n)."""
        rows = [_long_enough(row, self.n, np.int8(NOTHING))[: self.n] for row in self.codes.get(asked, {}).values()]
        return np.stack(rows) if rows else np.empty((0, self.n), dtype=np.int8)

    def probabilities(self, asked: Asked) -> Floats:
        """Mean over the samples, shape (n,); NaN where no answer gave one."""
        rows = [_long_enough(r, self.n, np.float32(np.nan))[: self.n] for r in self.values.get(asked, {}).values()]
        if not rows:
            return np.full(self.n, np.nan, dtype=np.float32)
        stacked = np.stack(rows)
        known = (~np.isnan(stacked)).sum(axis=0)
        sums = np.nansum(stacked, axis=0)
        return np.where(known > 0, sums / np.maximum(known, 1), np.nan).astype(np.float32)


def _long_enough(row: npt.NDArray[Number] | None, n: int, fill: Number) -> npt.NDArray[Number]:
    if row is None:
        return np.full(n, fill)
    return row if len(row) >= n else np.concatenate([row, np.full(max(n, 2 * len(row)) - len(row), fill)])


@dataclass(slots=True)
class Planted:
    """What is known of the canaries, by their places: the right label of each condition, what each tests, its twin."""

    expected: dict[str, dict[int, str]] = field(default_factory=dict)
    kinds: dict[int, str] = field(default_factory=dict)
    twins: dict[int, str] = field(default_factory=dict)


@dataclass(slots=True)
class ModelTally:
    """How a model's questions ended, over all conditions and parts. `asked`: those that were put to it, the `answered`
    ones and those that failed without an answer; a condition that a pair lacks is never asked about. `blocked_under`,
    `truncated_under`: by condition, on the set. `classed_by`: who classed its answers, and how many."""

    observations: int = 0
    asked: int = 0
    answered: int = 0
    failed: int = 0
    abstained: int = 0
    truncated: int = 0
    failure_kinds: Counter[str] = field(default_factory=Counter)
    blocked_under: Counter[str] = field(default_factory=Counter)
    truncated_under: Counter[str] = field(default_factory=Counter)
    classed_by: Counter[str] = field(default_factory=Counter)


@dataclass(slots=True)
class Observed:
    """All that one detector observed."""

    detector: str
    menu: tuple[str, ...]
    parts: dict[Part, Grid]
    planted: Planted = field(default_factory=Planted)
    models: dict[str, ModelTally] = field(default_factory=dict)

    @property
    def on_set(self) -> Grid:
        return self.parts[Part.SET]

    def code(self, *labels: str) -> tuple[int, ...]:
        return tuple(self.menu.index(label) for label in labels)

    def conditions(self, model: str) -> list[str]:
        """Those under which the model was asked of the set, in order of first appearance."""
        return list(dict.fromkeys(a.condition for a in self.on_set.codes if a.model == model and a.condition))


class PairPlaces:
    """Where each pair of the set stands, by its id: 16 bytes a pair."""

    def __init__(self, folder: RunFolder, n_pairs: int) -> None:
        hashes = np.fromiter((_hash64(pair_id) for pair_id in folder.pair_ids()), dtype=np.uint64, count=n_pairs)
        self._order = np.argsort(hashes, kind="stable")
        self._sorted = hashes[self._order]
        self.n = n_pairs

    def of(self, ids: Iterable[str]) -> Places:
        """−1 for an id that is not in the set."""
        wanted = np.fromiter((_hash64(pair_id) for pair_id in ids), dtype=np.uint64)
        if not self.n:
            return np.full(len(wanted), -1, dtype=np.int64)
        found = np.minimum(np.searchsorted(self._sorted, wanted), self.n - 1)
        return np.where(self._sorted[found] == wanted, self._order[found], -1).astype(np.int64)


def _hash64(pair_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(pair_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")


def observed(folder: RunFolder, detector: str, places: PairPlaces) -> Observed:
    """Everything that the models said to one detector; raises RunFolderError for a damaged table."""
    found = Observed(detector, MENUS.get(detector, ()), {part: Grid() for part in Part})
    found.on_set.n = places.n
    tables = folder.observation_tables(detector, (*COLUMNS, *_MORE))
    for rows, parts in placed_rows(tables, places):
        _tally(rows, found)
        for placed in parts:
            found.parts[placed.part].n = placed.n
            if placed.part is Part.CANARY:
                _plant(rows, placed.rows, placed.places, found.planted)
            _fill(rows, placed.rows, placed.places, found.parts[placed.part], found)
    return found


class Placed(NamedTuple):
    """The rows of a table that are about one part: their numbers, the places of their subjects (−1: a pair that is not
    in the set), and how many subjects the part has so far."""

    part: Part
    rows: Places
    places: Places
    n: int


Others: TypeAlias = "Mapping[Part, dict[str, int]]"
"""Places of the subjects that are not of the set, by id; grows as they appear."""


def placed_rows(
    tables: Iterable[pa.Table], places: PairPlaces, others: Others | None = None
) -> Iterator[tuple[Rows, list[Placed]]]:
    """Each table with rows, and where its subjects stand: those of the set by `places`, the others in order of first
    appearance; `others` lets several runs share their places."""
    if others is None:
        others = new_others()
    for table in tables:
        if table.num_rows:
            rows = Rows(table)
            yield rows, [placed for part in Part if len((placed := _placed(rows, part, places, others)).rows)]


def new_others() -> Others:
    return {Part.CONTROL: {}, Part.CANARY: {}}


def _placed(rows: Rows, part: Part, places: PairPlaces, others: Others) -> Placed:
    among = np.flatnonzero(rows.equals("part", part.value))
    ids, codes = rows.names["pair_id"], rows.codes["pair_id"][among]
    if part is Part.SET:
        return Placed(part, among, places.of(ids)[codes], places.n)
    known = others[part]
    at = np.array([known.setdefault(ids[code], len(known)) for code in codes], dtype=np.int64)
    return Placed(part, among, at, len(known))


def _fill(rows: Rows, among: Places, at: Places, grid: Grid, found: Observed) -> None:
    labels = rows.labels(found.menu)[among]
    probable = found.detector == SAFETY_JUDGE  # nobody reads those of the others
    values = rows.probabilities()[among] if probable else np.full(len(among), np.nan, dtype=np.float32)
    for (asked, sample), these in rows.groups(among):
        inside = these[at[these] >= 0]
        if found.menu and asked.condition and len(inside):
            grid.put(asked, sample, at[inside], labels[inside], values[inside])


def _plant(rows: Rows, among: Places, at: Places, planted: Planted) -> None:
    for row, place in zip(among.tolist(), at.tolist(), strict=True):
        planted.kinds[place] = rows.text("kind", row)
        planted.twins[place] = rows.text("twin", row)
        if expected := rows.text("expected", row):
            planted.expected.setdefault(rows.text("condition", row), {})[place] = expected


def _tally(rows: Rows, found: Observed) -> None:
    failed, abstained, scored = (rows.equals("outcome", outcome) for outcome in ("failed", "abstained", "scored"))
    answered, cut = scored | ~rows.equals("finish", ""), rows.equals("finish", Finish.LENGTH.value)
    stopped = np.isin(rows.codes["finish"], [i for i, name in enumerate(rows.names["finish"]) if name in STOPPED])
    on_set = rows.equals("part", Part.SET.value)
    for name in rows.names["model"]:
        mine = rows.equals("model", name)
        tally = found.models.setdefault(name, ModelTally())
        tally.observations += int(mine.sum())
        tally.asked += int((mine & (answered | failed)).sum())
        tally.answered += int((mine & answered).sum())
        tally.failed += int((mine & failed).sum())
        tally.abstained += int((mine & abstained).sum())
        tally.truncated += int((mine & cut).sum())
        tally.failure_kinds.update(rows.count("reason", mine & failed))
        tally.blocked_under.update(rows.count("condition", mine & stopped & on_set))
        tally.truncated_under.update(rows.count("condition", mine & cut & on_set))
        tally.classed_by.update(rows.count("judged_by", mine & scored))


class Rows:
    """A table's columns as codes into their few different values. Its columns are COLUMNS and any texts."""

    def __init__(self, table: pa.Table) -> None:
        self.names: dict[str, list[str]] = {}
        self.codes: dict[str, npt.NDArray[np.int32]] = {}
        for name in (name for name in table.column_names if name not in _NUMBERS):
            encoded = pc.fill_null(table[name], "").combine_chunks().dictionary_encode()
            self.names[name] = encoded.dictionary.to_pylist()
            self.codes[name] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        self._samples = table["sample"].to_numpy().astype(np.int64)
        self._values = pc.fill_null(table["value"], np.nan).to_numpy().astype(np.float32)
        self._probable = pc.fill_null(table["has_probability"], False).to_numpy()  # noqa: FBT003 - the value to fill in

    def __len__(self) -> int:
        return len(self._samples)

    def equals(self, column: str, name: str) -> npt.NDArray[np.bool_]:
        names = self.names[column]
        return np.equal(self.codes[column], names.index(name) if name in names else -1)

    def text(self, column: str, row: int) -> str:
        return self.names[column][int(self.codes[column][row])]

    def count(self, column: str, among: npt.NDArray[np.bool_]) -> dict[str, int]:
        counts = np.bincount(self.codes[column][among], minlength=len(self.names[column]))
        return {name: int(count) for name, count in zip(self.names[column], counts, strict=True) if count}

    def labels(self, menu: tuple[str, ...]) -> Labels:
        """The label's code where Scored; a label that is on no menu counts as failed."""
        by_name = np.array([menu.index(n) if n in menu else FAILED for n in self.names["label"]], dtype=np.int8)
        codes = by_name[self.codes["label"]]
        codes[self.equals("outcome", "failed")] = FAILED
        codes[self.equals("outcome", "abstained")] = ABSTAINED
        return codes

    def probabilities(self) -> Floats:
        known = self.equals("outcome", "scored") & self._probable
        return np.where(known, self._values, np.nan).astype(np.float32)

    def groups(self, among: Places) -> Iterator[tuple[tuple[Asked, int], Places]]:
        """Rows of `among` (as places in it) by model, condition, variant where it is known, and sample, in order of
        first appearance."""
        named = [name for name in Asked._fields if name in self.codes]
        keys = np.stack([*(self.codes[name][among] for name in named), self._samples[among]])
        different, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
        group = group.reshape(-1)
        for number in np.argsort(first):
            *codes, sample = different[:, number].tolist()
            asked = Asked(*(self.names[name][code] for name, code in zip(named, codes, strict=True)))
            yield (asked, sample), np.flatnonzero(group == number)
