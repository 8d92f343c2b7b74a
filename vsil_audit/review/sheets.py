"""All annotators' labels of the pairs under review, side by side: what exports, agreement and plans are made of."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from vsil_audit.review.criteria import CRITERIA, Criterion
from vsil_audit.review.labels import NOTE, SKIPPED, Item, LabelStore, Sheet, merged
from vsil_audit.review.material import Material


@dataclass(frozen=True, slots=True)
class Said:
    """What one annotator says of one item. `labels`: by criterion, of its menu only. `at`: when last, ISO 8601."""

    item: Item
    annotator: str
    labels: dict[str, str]
    note: str
    skipped: bool
    at: str


@dataclass(frozen=True, slots=True)
class Sheets:
    """`items` are those that the data still holds, in the order in which they were chosen."""

    items: tuple[Item, ...]
    annotators: tuple[str, ...]
    by_annotator: dict[str, Sheet]
    times: dict[str, dict[int, str]]

    @classmethod
    def of(cls, store: LabelStore, material: Material) -> Sheets:
        names = tuple(store.annotators())
        items = tuple(item for item in store.items() if item.pair_id in material.places)
        return cls(items, names, {n: store.sheet(n) for n in names}, {n: store.when(n) for n in names})

    def said(self) -> Iterator[Said]:
        """Item after item, and of each all who said something of it."""
        for item in self.items:
            for name in self.annotators:
                held = self.by_annotator[name].get(item.number)
                if held:
                    labels = {c.name: held[c.name] for c in CRITERIA.values() if held.get(c.name) in c.values}
                    at = self.times[name].get(item.number, "")
                    yield Said(item, name, labels, held.get(NOTE, ""), SKIPPED in held, at)

    def criteria(self) -> tuple[Criterion, ...]:
        """Those of which anything is said."""
        used = {name for said in self.said() for name in said.labels}
        return tuple(criterion for name, criterion in CRITERIA.items() if name in used)

    def by_item(self) -> dict[int, list[Said]]:
        found: dict[int, list[Said]] = {}
        for said in self.said():
            found.setdefault(said.item.number, []).append(said)
        return found

    def majority(self, criterion: str) -> dict[int, str]:
        """The label that more than half of an item's annotators give, by number of the item; ties are left out."""
        labels = {number: [one.labels for one in said] for number, said in self.by_item().items()}
        found = {number: merged(said, criterion) for number, said in labels.items()}
        return {number: label for number, label in found.items() if label is not None}


def contested(said: Sequence[Said]) -> list[str]:
    """The criteria on which two of those who speak of an item differ."""
    return [name for name in CRITERIA if len({one.labels[name] for one in said if name in one.labels}) > 1]
