"""Which pairs are to be reviewed: all, a random sample, those that the run's detectors point at, or a user's draw."""

from __future__ import annotations

import math
import random
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from vsil_audit.calibration.draws import draw_pairs
from vsil_audit.calibration.labels import Labellable
from vsil_audit.detectors.chat import Part
from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.pair import Verdict
from vsil_audit.reporting.untrusted import fold
from vsil_audit.review.labels import SAMPLE, WHOLE, Chosen, Item, LabelStore
from vsil_audit.review.material import Material
from vsil_audit.review.sheets import Sheets, contested
from vsil_audit.runs.asked.columns import LLM_JUDGE, SAFETY_JUDGE, TEXT_REFUSAL
from vsil_audit.runs.folder import RunFolder
from vsil_audit.sources.cells import is_blank, short_text_of
from vsil_audit.sources.column_names import compact
from vsil_audit.sources.tables import Row, open_table


class Only(str, Enum):
    """A part of the pairs. The first three rest on what the run found, the last on people's labels."""

    SUSPECTED = "suspected"
    LEAKING = "leaking"
    DISAGREEMENT = "disagreement"
    CONTESTED = "contested"


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the user asked to review. Nothing: what the store holds already, or all pairs."""

    sample: int | None = None
    only: Only | None = None
    draw: Path | None = None
    seed: int = 0


def choose(wanted: Wanted, material: Material, store: LabelStore) -> list[Item]:
    """The items to be reviewed now; those that are new are added to the store.

    Raises ConfigurationError for wishes that contradict each other or that the material cannot meet, DatasetError for a
    draw that cannot be read.
    """
    if wanted.draw is not None and (wanted.sample is not None or wanted.only is not None):
        raise ConfigurationError("--draw names the pairs itself", "Leave out --sample and --only.")
    before = store.items()
    if wanted == Wanted(seed=wanted.seed) and before:
        return [item for item in before if item.pair_id in material.places]
    chosen = _chosen(wanted, material, store, before)
    store.choose(chosen)
    ids = {each.pair_id for each in chosen}
    return [item for item in store.items() if item.pair_id in ids]


def _chosen(wanted: Wanted, material: Material, store: LabelStore, before: list[Item]) -> list[Chosen]:
    if wanted.draw is not None:
        return _of_file(wanted.draw, material)
    if wanted.only is not None:
        return _part(wanted.only, wanted.sample, wanted.seed, material, store)
    if wanted.sample is not None:
        return [_of(material, pair_id, SAMPLE) for pair_id in _sampled(wanted.sample, wanted.seed, material, before)]
    return [_of(material, pair_id, WHOLE) for pair_id in material.places]


def _of(material: Material, pair_id: str, origin: str, stratum: str = "", weight: float | None = None) -> Chosen:
    return Chosen(pair_id, material.content(pair_id), origin, stratum, weight)


def _sampled(size: int, seed: int, material: Material, before: list[Item]) -> list[str]:
    """A simple random sample: what an earlier one holds, and as many more as are wanted. Of a run it is recorded there,
    so that `calibrate` knows the labels as a random part of the set."""
    held = [item.pair_id for item in before if item.chosen.origin == SAMPLE and item.pair_id in material.places]
    more = size - len(held)
    if more <= 0:
        return held[:size]
    if material.scanned:
        return [*held, *draw_pairs(material.folder, more, seed, but=held)]
    left = [pair_id for pair_id in material.places if pair_id not in set(held)]
    return [*held, *_drawn(left, more, f"{seed} {len(held)}")]


def _part(only: Only, size: int | None, seed: int, material: Material, store: LabelStore) -> list[Chosen]:
    if only is Only.CONTESTED:
        said = Sheets.of(store, material).by_item().values()
        ids = {of_item[0].item.pair_id for of_item in said if contested(of_item)}
    elif not material.scanned:
        raise ConfigurationError(f"--only {only.value} rests on what a scan found", "Scan the dataset first.")
    else:
        ids = _FOUND[only](material.folder)
    part = [pair_id for pair_id in material.places if pair_id in ids]
    if not part:
        raise ConfigurationError(f"no pair is {_AS_SAID[only]}", "Review all pairs, or a --sample of them.")
    if size is None or size >= len(part):
        return [_of(material, pair_id, f"only {only.value}", only.value, 1.0) for pair_id in part]
    weight = len(part) / size
    drawn = _drawn(part, size, f"{seed} {only.value}")
    return [_of(material, pair_id, f"only {only.value}", only.value, weight) for pair_id in drawn]


_AS_SAID = {
    Only.SUSPECTED: "suspected in this run",
    Only.LEAKING: "said to leak in this run; only judges and target models can say so",
    Only.DISAGREEMENT: "one on which the judges of this run differ",
    Only.CONTESTED: "one on which two annotators differ",
}


def _drawn(ids: list[str], size: int, seed: str) -> list[str]:
    return random.Random(seed).sample(ids, min(size, len(ids)))  # noqa: S311 - not for security


def _suspected(folder: RunFolder) -> set[str]:
    return _with_verdict(folder, folder.detectors(), Verdict.SUSPECTED)


def _leaking(folder: RunFolder) -> set[str]:
    return _with_verdict(folder, folder.detectors(), Verdict.LEAK)


def _disagreement(folder: RunFolder) -> set[str]:
    """Judges gave different verdicts under one condition, or one of the detectors that ask models sees a leak where
    another sees none."""
    asking = [name for name in (SAFETY_JUDGE, LLM_JUDGE, TEXT_REFUSAL) if name in folder.detectors()]
    found = _with_verdict(folder, asking, Verdict.LEAK) & _with_verdict(folder, asking, Verdict.CLEAR)
    for name in (SAFETY_JUDGE, LLM_JUDGE):
        said: dict[tuple[str, str], str] = {}
        for table in folder.observation_tables(name, ("part", "pair_id", "condition", "label")):
            for row in table.to_pylist():
                if row["part"] != Part.SET.value or row["label"] is None:
                    continue
                if said.setdefault((row["pair_id"], row["condition"]), row["label"]) != row["label"]:
                    found.add(row["pair_id"])
    return found


_FOUND = {Only.SUSPECTED: _suspected, Only.LEAKING: _leaking, Only.DISAGREEMENT: _disagreement}


def _with_verdict(folder: RunFolder, detectors: Iterable[str], verdict: Verdict) -> set[str]:
    found: set[str] = set()
    for detector in detectors:
        for table in folder.finding_tables(detector, ("pair_id", "verdict")):
            of_pairs = zip(table["pair_id"].to_pylist(), table["verdict"].to_pylist(), strict=True)
            found |= {pair_id for pair_id, said in of_pairs if pair_id is not None and said == verdict.value}
    return found


def _of_file(path: Path, material: Material) -> list[Chosen]:
    """The pairs that a drawn file names, with the stratum and weight that it gives them.

    What a file says is a random sample is only taken for one where the run has a record of the draw.
    """
    table = open_table(path)
    names = {compact(name): name for name in reversed(table.columns)}
    ids = Labellable(material.places, {})
    recorded = _recorded(material)
    chosen: dict[str, Chosen] = {}
    for row in table.rows():
        if not isinstance(row, Row):
            raise DatasetError(f"{row.origin}: {row.detail}", row.remedy or "Correct the file.")
        name = _cell(row, names, "id") or _cell(row, names, "pairid")
        pair_id = None if name is None else ids.pair_id(name)
        if pair_id is None:
            what = "names no pair" if name is None else f"names {fold(name, 40)!r}, which is no pair here"
            raise DatasetError(f"{row.origin} {what}.", "Name pairs by their ids in a column id.")
        stratum, weight = _cell(row, names, "stratum") or "", _weight(row, names)
        origin = SAMPLE if pair_id in recorded and not stratum else f"draw {fold(path.name, 60)}"
        chosen.setdefault(pair_id, _of(material, pair_id, origin, stratum, weight))
    if not chosen:
        raise DatasetError(
            f"{path.name} names no pair.", "`vsil-audit calibrate RUN --draw 150 --output FILE` draws some."
        )
    return list(chosen.values())


def _recorded(material: Material) -> Collection[str]:
    from vsil_audit.calibration.draws import read_draws

    return {item.pair_id for item in read_draws(material.folder).items() if not item.model} if material.scanned else ()


def _cell(row: Row, names: dict[str, str], column: str) -> str | None:
    value = row.values.get(names[column]) if column in names else None
    return None if is_blank(value) else short_text_of(value)


def _weight(row: Row, names: dict[str, str]) -> float | None:
    said = _cell(row, names, "weight")
    if said is None:
        return None
    try:
        weight = float(said)
    except ValueError:
        weight = math.nan
    if not (math.isfinite(weight) and weight > 0):
        raise DatasetError(f"{row.origin}: {fold(said, 30)!r} is no weight.", "Give a number above 0, or nothing.")
    return weight
