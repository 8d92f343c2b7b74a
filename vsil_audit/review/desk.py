"""What the page asks for and tells: items in an annotator's order, what they said, how far they are. No HTTP."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsil_audit.errors import ConfigurationError
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import ABSENT_IMAGE, Json, Pair
from vsil_audit.reporting.untrusted import cut, fold, one_line, visible
from vsil_audit.review.criteria import Criterion
from vsil_audit.review.labels import LONGEST_NOTE, NOTE, SKIPPED, Item, LabelStore
from vsil_audit.review.material import DIGEST, Material
from vsil_audit.review.order import order_for

LONGEST_TEXT = 40_000
_LONGEST_TOLD = 2_000
_KEYS = "123456789"


@dataclass(frozen=True, slots=True)
class Invited:
    """Who may review: those named on the command line, or, where none is, whoever writes a name into the page."""

    names: tuple[str, ...] = ()


class Desk:
    """The items under review, laid out for each annotator. All that it tells is safe in a page as text."""

    def __init__(
        self,
        material: Material,
        store: LabelStore,
        items: Sequence[Item],
        criteria: Sequence[Criterion],
        seed: int,
        invited: Invited,
    ) -> None:
        self._material, self._store, self._seed = material, store, seed
        self._items, self._criteria = list(items), tuple(criteria)
        self._names = {criterion.name: criterion.values for criterion in criteria}
        self._invited = tuple(store.join(name) for name in invited.names)
        self._orders: dict[str, list[Item]] = {}
        self._positions: dict[str, dict[int, int]] = {}

    def about(self) -> dict[str, Json]:
        """What the page shows before an annotator is chosen."""
        names = self._invited or tuple(self._store.annotators())
        keys = iter(_KEYS)
        return {
            "dataset": one_line(self._material.name),
            "items": len(self._items),
            "open": not self._invited,
            "annotators": [{"name": name, **self._progress(name)} for name in names],
            "criteria": [
                {
                    "name": criterion.name,
                    "asks": criterion.asks,
                    "tells": criterion.tells,
                    "choices": [{"value": c.value, "says": c.says, "key": next(keys)} for c in criterion.choices],
                }
                for criterion in self._criteria
            ],
        }

    def join(self, name: str) -> str:
        """Raises ConfigurationError for a name that is not invited, or cannot be shown."""
        if self._invited:
            return self._known(name)
        return self._store.join(name)

    def item(self, annotator: str, position: int) -> dict[str, Json]:
        """The item at that place of the annotator's order. Raises ConfigurationError for one that is not there."""
        order = self._order(self._known(annotator))
        if not 0 <= position < len(order):
            raise ConfigurationError("there is no such item")
        item = order[position]
        pair, images = self._material.pair(item.pair_id)
        return {
            "position": position,
            "item": item.number,
            "id": fold(pair.id, 120),
            "text": cut(pair.text, LONGEST_TEXT),
            "images": _images(pair, images),
            "told": _told(pair),
            **self.state(annotator, item.number),
        }

    def next_position(self, annotator: str, after: int) -> int | None:
        """The next place, after `after` and around, of an item that is neither done nor skipped; then of one that was
        skipped; None where all are done."""
        annotator = self._known(annotator)
        order, sheet = self._order(annotator), self._store.sheet(annotator)
        around = [*range(after + 1, len(order)), *range(min(after + 1, len(order)))]
        left = [place for place in around if not self._done(sheet.get(order[place].number, {}))]
        fresh = (place for place in left if SKIPPED not in sheet.get(order[place].number, {}))
        return next(fresh, next(iter(left), None))

    def state(self, annotator: str, number: int) -> dict[str, Json]:
        """What holds of an item, and how far the annotator is."""
        held = self._store.held(annotator, number)
        return {
            "labels": {name: held[name] for name, values in self._names.items() if held.get(name) in values},
            "note": visible(held.get(NOTE, "")),
            "skipped": SKIPPED in held,
            "undo": self._store.latest(annotator),
            "progress": self._progress(annotator),
        }

    def label(self, annotator: str, number: int, criterion: str, value: str | None) -> dict[str, Json]:
        """Raises ConfigurationError for what is on no menu."""
        annotator = self._checked(annotator, number)
        if criterion not in self._names or (value is not None and value not in self._names[criterion]):
            raise ConfigurationError("there is no such label")
        self._store.put(annotator, number, criterion, value)
        return self.state(annotator, number)

    def note(self, annotator: str, number: int, text: str) -> dict[str, Json]:
        annotator = self._checked(annotator, number)
        if len(text) > LONGEST_NOTE:
            raise ConfigurationError(f"a note holds at most {LONGEST_NOTE:,} characters")
        kept = text.encode("utf-8", "replace").decode().strip()
        self._store.put(annotator, number, NOTE, kept or None)
        return self.state(annotator, number)

    def skip(self, annotator: str, number: int, *, skipped: bool) -> dict[str, Json]:
        annotator = self._checked(annotator, number)
        self._store.put(annotator, number, SKIPPED, "yes" if skipped else None)
        return self.state(annotator, number)

    def undo(self, annotator: str, event: int) -> dict[str, Json]:
        """Undo the annotator's act; says at which place of their order the item is, and what was undone."""
        annotator = self._known(annotator)
        undone = self._store.undo(annotator, event) if 0 < event < 1 << 63 else None
        position = self._places(annotator).get(undone.item) if undone is not None else None
        return {"position": position, "field": undone.field if undone is not None else None}

    def _known(self, annotator: str) -> str:
        if annotator not in (self._invited or self._store.annotators()):
            raise ConfigurationError("nobody of that name reviews here")
        return annotator

    def _checked(self, annotator: str, number: int) -> str:
        if number not in self._places(self._known(annotator)):
            raise ConfigurationError("there is no such item")
        return annotator

    def _order(self, annotator: str) -> list[Item]:
        if annotator not in self._orders:
            self._orders[annotator] = order_for(annotator, self._items, self._seed)
        return self._orders[annotator]

    def _places(self, annotator: str) -> dict[int, int]:
        if annotator not in self._positions:
            self._positions[annotator] = {item.number: place for place, item in enumerate(self._order(annotator))}
        return self._positions[annotator]

    def _done(self, held: Mapping[str, str]) -> bool:
        return all(held.get(name) in values for name, values in self._names.items())

    def _progress(self, annotator: str) -> dict[str, Json]:
        sheet = self._store.sheet(annotator)
        here = [held for item in self._items if (held := sheet.get(item.number))]
        done = sum(map(self._done, here))
        skipped = sum(SKIPPED in held and not self._done(held) for held in here)
        return {"done": done, "skipped": skipped, "total": len(self._items)}


def _images(pair: Pair, images: Sequence[ImageFacts]) -> list[Json]:
    """Digest, name and size of each image that there is, and why another is not."""
    found: list[Json] = []
    for facts in images:
        usable = facts.error is None and DIGEST.fullmatch(facts.digest) is not None
        why = "" if facts.error is None else f"{facts.error.kind.replace('_', ' ')}: {fold(facts.error.detail, 160)}"
        found.append(
            {
                "name": fold(facts.name, 160),
                "digest": facts.digest if usable else "",
                "size": f"{facts.width} × {facts.height}" if facts.width else "",
                "error": why,
            }
        )
    if not images and ABSENT_IMAGE in pair.meta:
        found.append({"name": fold(pair.meta[ABSENT_IMAGE], 160), "digest": "", "size": "", "error": "not here"})
    return found


def _told(pair: Pair) -> list[Json]:
    """What the benchmark says of the pair; the page folds it, since it may lead."""
    said = {"category": pair.category, "sub-category": pair.subcategory, "description": pair.description}
    said |= {"key phrase": pair.key_phrase, "label": pair.label, "source": pair.source, "from": str(pair.origin)}
    return [[name, cut(value, _LONGEST_TOLD)] for name, value in said.items() if value]
