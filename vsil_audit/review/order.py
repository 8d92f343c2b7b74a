"""In which order an annotator sees the items: one of their own, drawn by the seed, that more items do not disturb."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from vsil_audit.review.labels import Item


def order_for(annotator: str, items: Sequence[Item], seed: int) -> list[Item]:
    """Round after round, each shuffled: items chosen later come later."""
    return sorted(items, key=lambda item: (item.round, _key(seed, annotator, item.pair_id)))


def _key(seed: int, annotator: str, pair_id: str) -> bytes:
    said = f"{seed}\0{annotator.casefold()}\0{pair_id}"
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()
