"""How far the annotators agree, where they differ, and the shares that their majority gives."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vsil_audit.review.criteria import Criterion
from vsil_audit.review.labels import AT_RANDOM, WHOLE, Item
from vsil_audit.review.material import Material
from vsil_audit.review.sheets import Sheets
from vsil_audit.stats.agreement import PairwiseAgreement, krippendorff_alpha, pairwise_agreement
from vsil_audit.stats.clusters import Groups
from vsil_audit.stats.rates import Interval
from vsil_audit.stats.weighted_rate import weighted_rate


@dataclass(frozen=True, slots=True)
class Share:
    """The share of `criterion.counted` among the items chosen as `origin` says, by the annotators' majority. `count` of
    `labelled` items of `chosen` were counted so; `tied` have as many votes for one answer as for another."""

    origin: str
    rate: Interval
    count: int
    labelled: int
    chosen: int
    tied: int
    weighted: bool

    @property
    def of_the_set(self) -> bool:
        """Whether it estimates the whole set's share. Of a review of all pairs that is so once all have labels."""
        return self.origin in AT_RANDOM and (self.origin != WHOLE or self.labelled + self.tied == self.chosen)


@dataclass(frozen=True, slots=True)
class Disagreement:
    """`said`: each annotator's label, in the order of `annotators`; None where there is none."""

    pair_id: str
    said: tuple[str | None, ...]


@dataclass(frozen=True, slots=True)
class CriterionAgreement:
    """Of one criterion. `pairs`: Cohen's kappa of every two annotators (row numbers in `annotators`). `twice`: items
    with labels of two people or more."""

    criterion: Criterion
    annotators: tuple[str, ...]
    labelled: tuple[int, ...]
    twice: int
    pairs: tuple[PairwiseAgreement, ...]
    alpha: Interval
    disagreements: tuple[Disagreement, ...]
    shares: tuple[Share, ...]


def agreement(sheets: Sheets, material: Material) -> list[CriterionAgreement]:
    """Of each criterion that anybody answered. Intervals know which pairs hang together."""
    groups = material.groups() if sheets.items else np.zeros(0, dtype=np.int64)
    return [_of(criterion, sheets, material, groups) for criterion in sheets.criteria()]


def _of(criterion: Criterion, sheets: Sheets, material: Material, groups: Groups) -> CriterionAgreement:
    names = sheets.annotators
    codes = np.full((len(names), len(sheets.items)), -1, dtype=np.int8)
    for row, name in enumerate(names):
        sheet = sheets.by_annotator[name]
        for column, item in enumerate(sheets.items):
            said = sheet.get(item.number, {}).get(criterion.name)
            if said in criterion.values:
                codes[row, column] = criterion.values.index(said)
    scored = codes >= 0
    numbers = np.array([groups[material.places[item.pair_id].number] for item in sheets.items], dtype=np.int64)
    highest, lowest = np.where(scored, codes, -1).max(axis=0), np.where(scored, codes, 127).min(axis=0)
    twice = scored.sum(axis=0) > 1
    differ = np.flatnonzero(twice & (highest != lowest))
    return CriterionAgreement(
        criterion=criterion,
        annotators=names,
        labelled=tuple(int(count) for count in scored.sum(axis=1)),
        twice=int(twice.sum()),
        pairs=pairwise_agreement(codes, scored, numbers),
        alpha=krippendorff_alpha(codes, scored, numbers),
        disagreements=tuple(
            Disagreement(
                sheets.items[place].pair_id,
                tuple(criterion.values[code] if code >= 0 else None for code in codes[:, place]),
            )
            for place in differ
        ),
        shares=tuple(shares(criterion, sheets, material, groups)),
    )


def shares(criterion: Criterion, sheets: Sheets, material: Material, groups: Groups) -> list[Share]:
    """One share for each way in which items were chosen: what was picked is never mixed with what is random."""
    majority, spoken = sheets.majority(criterion.name), _spoken(criterion, sheets)
    found = []
    for origin in dict.fromkeys(item.chosen.origin for item in sheets.items):
        chosen = [item for item in sheets.items if item.chosen.origin == origin]
        known = [item for item in chosen if item.number in majority]
        tied = sum(item.number in spoken and item.number not in majority for item in chosen)
        flags = np.array([majority[item.number] in criterion.counted for item in known], dtype=bool)
        numbers = np.array([groups[material.places[item.pair_id].number] for item in known], dtype=np.int64)
        weights = _weights(known)
        rate = weighted_rate(flags, weights, numbers)
        unequal = bool(len(weights)) and float(np.ptp(weights)) > 0
        found.append(Share(origin, rate, int(flags.sum()), len(known), len(chosen), tied, unequal))
    return found


def _weights(items: list[Item]) -> np.ndarray:
    """One for all unless each has a weight of its own."""
    given = [item.chosen.weight for item in items]
    return np.array(
        [1.0 if weight is None else weight for weight in given] if None not in given else [1.0] * len(given)
    )


def _spoken(criterion: Criterion, sheets: Sheets) -> set[int]:
    return {said.item.number for said in sheets.said() if criterion.name in said.labels}
