"""People's labels as arrays beside a judge's verdicts, and how the labelled items were chosen."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.calibration.labels import Item, Question
from vsil_audit.calibration.told import Told

Flags: TypeAlias = npt.NDArray[np.bool_]


class Chosen(str, Enum):
    """How the labelled items were chosen. All but ELSEWHERE are a random part of the set, and need no assumption."""

    DRAWN = "drawn"
    SAID = "said to be random"
    ALL = "all"
    ELSEWHERE = "elsewhere"

    @property
    def at_random(self) -> bool:
        return self is not Chosen.ELSEWHERE


@dataclass(frozen=True, slots=True)
class Truth:
    """The labels of one question, at most one an item."""

    question: Question
    labels: Mapping[Item, str]
    chosen: Chosen

    def of(self, items: int, places: Mapping[Item, int], label: str = "yes") -> tuple[Flags, Flags]:
        """(labelled, labelled so) over the items, shapes (items,); `places` of those that take part."""
        known, so = np.zeros(items, dtype=bool), np.zeros(items, dtype=bool)
        for item, said in self.labels.items():
            if item in places:
                known[places[item]] = True
                so[places[item]] = said == label
        return known, so


def settle(
    question: Question,
    labels: Mapping[Item, str],
    drawn: Collection[Item],
    everything: int,
    told: Told,
    *,
    sample: bool | None,
) -> Truth:
    """Labels with how their items were chosen, out of `everything`. `sample`: what the user says of it, if anything.

    Where we drew some of the items, only those count: the others were chosen in another way.
    """
    if sample is not None:
        return Truth(question, labels, Chosen.SAID if sample else Chosen.ELSEWHERE)
    if len(labels) == everything:
        return Truth(question, labels, Chosen.ALL)
    ours = {item: label for item, label in labels.items() if item in drawn}
    if not ours:
        return Truth(question, labels, Chosen.ELSEWHERE)
    for item in labels.keys() - ours.keys():
        told.add("not_drawn", "", f"{question.value} of {item.pair_id}")
    return Truth(question, ours, Chosen.DRAWN)
