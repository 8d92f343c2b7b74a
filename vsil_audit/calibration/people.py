"""From what several people say of an item to one label, and how far they agree."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np

from vsil_audit.calibration.labels import Item, Question, Vote
from vsil_audit.calibration.told import Told
from vsil_audit.runs.asked.agreement import Raters, agreement_of
from vsil_audit.runs.asked_summary import Agreement

MOST_ANNOTATORS = 20
"""With more, a column that holds something else is likelier than so many people."""

Sheets = dict[str, dict[Item, str]]
"""Each annotator's label of each item."""


def sheets(votes: Sequence[Vote], told: Told) -> dict[Question, Sheets]:
    """What each person says, by question: said twice it counts once, said differently it does not count."""
    first: dict[tuple[Question, str, Item], Vote] = {}
    contradicted: set[tuple[Question, str, Item]] = set()
    for vote in votes:
        key = (vote.question, vote.annotator, vote.item)
        before = first.setdefault(key, vote)
        if before is vote:
            continue
        if before.label == vote.label:
            told.add("duplicate", vote.row, f"{vote.question.value} was given in {before.row} already")
        elif key not in contradicted:
            contradicted.add(key)
            told.add("contradiction", vote.row, f"another {vote.question.value} than in {before.row}")
    found: dict[Question, Sheets] = {}
    for key, vote in first.items():
        if key not in contradicted:
            found.setdefault(vote.question, {}).setdefault(vote.annotator, {})[vote.item] = vote.label
    return found


def majority(of: Sheets, question: Question, told: Told) -> dict[Item, str]:
    """The label that more than half of an item's annotators give; an item without one is a tie."""
    votes: dict[Item, Counter[str]] = {}
    for sheet in of.values():
        for item, label in sheet.items():
            votes.setdefault(item, Counter())[label] += 1
    found: dict[Item, str] = {}
    for item, counts in votes.items():
        label, most = counts.most_common(1)[0]
        if 2 * most > counts.total():
            found[item] = label
        else:
            told.add("tie", "", f"{question.value} of {item.pair_id}")
    return found


def agreement(of: Sheets, question: Question, groups: Mapping[str, int]) -> Agreement | None:
    """Cohen's kappa of every two annotators and Krippendorff's alpha of all; None for one, or for more than
    MOST_ANNOTATORS. They are called by number, in order of first appearance. `groups`: of the pairs, by id."""
    if not 1 < len(of) <= MOST_ANNOTATORS:
        return None
    items = list(dict.fromkeys(item for sheet in of.values() for item in sheet))
    names = sorted({label for sheet in of.values() for label in sheet.values()})
    codes = {
        f"annotator {number}": np.array(
            [names.index(sheet[item]) if item in sheet else -1 for item in items], dtype=np.int8
        )
        for number, sheet in enumerate(of.values(), 1)
    }
    numbers = np.array([groups[item.pair_id] for item in items], dtype=np.int64)
    agreed = agreement_of(Raters(question.value, codes), numbers)
    return agreed.shown({place: items[place].pair_id for place in agreed.places})
