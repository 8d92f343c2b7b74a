"""Embedding similarity of a query and its own description, against other pairs' descriptions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import TextEncoder
from vsil_audit.detectors.shuffled import rank


@dataclass(frozen=True, slots=True)
class Closeness:
    """`similarity`: cosine in [−1, 1], of the two windows that are most alike where a text has several. `rank`: share
    of other descriptions that are farther from the query, ties counting half; 0.5 is chance, None with fewer than five
    others."""

    similarity: float
    rank: float | None


class Neighbours:
    """A sample of the set's descriptions as vectors."""

    def __init__(self, encode: TextEncoder, descriptions: Sequence[str], least: int = 5) -> None:
        rows = encode(descriptions)
        seen = [i for i, count in enumerate(rows.counts()) if count]
        self._encode = encode
        self._descriptions = np.array([descriptions[i] for i in seen], dtype=object)
        self._vectors = rows.vectors
        self._starts = rows.starts[:-1][seen]
        self._least = least

    def closeness(self, queries: Sequence[str], descriptions: Sequence[str]) -> list[Closeness | None]:
        """Of each query to the description at the same place; None where either has no vector."""
        vectors, own = self._encode(queries), self._encode(descriptions)
        return [self._closeness(vectors.of(i), own.of(i), text) for i, text in enumerate(descriptions)]

    def _closeness(
        self, query: npt.NDArray[np.float32], own: npt.NDArray[np.float32], description: str
    ) -> Closeness | None:
        if not len(query) or not len(own):
            return None
        similarity = float((query @ own.T).max())
        others = np.zeros(0, np.float32)
        if len(self._starts):
            best = (query @ self._vectors.T).max(axis=0)
            others = np.maximum.reduceat(best, self._starts)[self._descriptions != description]
        ranked = rank(similarity, others.astype(np.float64)) if len(others) >= self._least else None
        return Closeness(similarity, ranked)
