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

TEXT_REFUSAL, SAFETY_JUDGE, LLM_JUDGE = "text_refusal", "safety_judge", "llm_judge"
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

_COLUMNS = ("pair_id", "part", "model", "condition", "sample", "outcome", "value", "label", "has_probability")
_MORE = ("reason", "judged_by", "expected", "kind", "twin", "finish")
_STOPPED = frozenset({Finish.BLOCKED.value, Finish.CONTENT_FILTER.value})


class Asked(NamedTuple):
    """Who was asked, and what it was shown."""

    model: str
    condition: str


@dataclass(slots=True)
class Grid:
    """Labels of `n` subjects by who was asked what. `codes[asked][sample]` has shape (≥ n,); `values` alike: the
    probability of harm, float32 in [0, 1], NaN where the answer gave none."""

    n: int = 0
    codes: dict[Asked, dict[int, Labels]] = field(default_factory=dict)
    values: dict[Asked, dict[int, Floats]] = field(default_factory=dict)

    def put(self, asked: Asked, sample: int, places: Places, codes: Labels, values: Floats) -> None:
        kept = self.codes.setdefault(asked, {})
        kept[sample] = _long_enough(kept.get(sample), self.n, np.int8(NOTHING))
        kept[sample][places] = codes
        if not np.isnan(values).all():
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
    """How a model's calls ended, over all conditions and parts. `blocked_under`, `truncated_under`: by condition, on
    the set. `classed_by`: who classed its answers, and how many."""

    observations: int = 0
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
    others: dict[Part, dict[str, int]] = {Part.CONTROL: {}, Part.CANARY: {}}
    for table in folder.observation_tables(detector, (*_COLUMNS, *_MORE)):
        _read(table, found, places, others)
    return found


def _read(table: pa.Table, found: Observed, places: PairPlaces, others: dict[Part, dict[str, int]]) -> None:
    if not table.num_rows:
        return
    rows = _Rows(table)
    _tally(rows, found)
    for part in Part:
        among = np.flatnonzero(rows.equals("part", part.value))
        if not len(among):
            continue
        ids, codes = rows.names["pair_id"], rows.codes["pair_id"][among]
        if part is Part.SET:
            at = places.of(ids)[codes]
        else:
            known = others[part]
            at = np.array([known.setdefault(ids[code], len(known)) for code in codes], dtype=np.int64)
            found.parts[part].n = len(known)
        if part is Part.CANARY:
            _plant(rows, among, at, found.planted)
        _fill(rows, among, at, found.parts[part], found)


def _fill(rows: _Rows, among: Places, at: Places, grid: Grid, found: Observed) -> None:
    labels = rows.labels(found.menu)[among]
    probable = found.detector == SAFETY_JUDGE  # nobody reads those of the others
    values = rows.probabilities()[among] if probable else np.full(len(among), np.nan, dtype=np.float32)
    for (asked, sample), these in rows.groups(among):
        inside = these[at[these] >= 0]
        if found.menu and asked.condition and len(inside):
            grid.put(asked, sample, at[inside], labels[inside], values[inside])


def _plant(rows: _Rows, among: Places, at: Places, planted: Planted) -> None:
    for row, place in zip(among.tolist(), at.tolist(), strict=True):
        planted.kinds[place] = rows.text("kind", row)
        planted.twins[place] = rows.text("twin", row)
        if expected := rows.text("expected", row):
            planted.expected.setdefault(rows.text("condition", row), {})[place] = expected


def _tally(rows: _Rows, found: Observed) -> None:
    failed, abstained, scored = (rows.equals("outcome", outcome) for outcome in ("failed", "abstained", "scored"))
    cut = rows.equals("finish", Finish.LENGTH.value)
    stopped = np.isin(rows.codes["finish"], [i for i, name in enumerate(rows.names["finish"]) if name in _STOPPED])
    on_set = rows.equals("part", Part.SET.value)
    for name in rows.names["model"]:
        mine = rows.equals("model", name)
        tally = found.models.setdefault(name, ModelTally())
        tally.observations += int(mine.sum())
        tally.failed += int((mine & failed).sum())
        tally.abstained += int((mine & abstained).sum())
        tally.truncated += int((mine & cut).sum())
        tally.failure_kinds.update(rows.count("reason", mine & failed))
        tally.blocked_under.update(rows.count("condition", mine & stopped & on_set))
        tally.truncated_under.update(rows.count("condition", mine & cut & on_set))
        tally.classed_by.update(rows.count("judged_by", mine & scored))


class _Rows:
    """A table's columns as codes into their few different values."""

    def __init__(self, table: pa.Table) -> None:
        self.names: dict[str, list[str]] = {}
        self.codes: dict[str, npt.NDArray[np.int32]] = {}
        for name in ("pair_id", "part", "model", "condition", "outcome", "label", *_MORE):
            encoded = pc.fill_null(table[name], "").combine_chunks().dictionary_encode()
            self.names[name] = encoded.dictionary.to_pylist()
            self.codes[name] = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int32)
        self._samples = table["sample"].to_numpy().astype(np.int64)
        self._values = pc.fill_null(table["value"], np.nan).to_numpy().astype(np.float32)
        self._probable = pc.fill_null(table["has_probability"], False).to_numpy()  # noqa: FBT003 - the value to fill in

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
        """Rows of `among` (as places in it) by model, condition and sample, in order of first appearance."""
        keys = np.stack([self.codes["model"][among], self.codes["condition"][among], self._samples[among]])
        different, first, group = np.unique(keys, axis=1, return_index=True, return_inverse=True)
        group = group.reshape(-1)
        for number in np.argsort(first):
            model, condition, sample = different[:, number].tolist()
            asked = Asked(self.names["model"][model], self.names["condition"][condition])
            yield (asked, sample), np.flatnonzero(group == number)
