"""Vectors of several things, where one thing may have several, or none."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """`vectors`: shape (m, d), float32, unit length, rounded to half precision as the store keeps them, so that a kept
    vector and a new one are equal. The i-th of n things has the rows `starts[i]` to `starts[i + 1]`; `starts` has shape
    (n + 1,). A long text has a row for each window; what could not be encoded has none."""

    vectors: npt.NDArray[np.float32]
    starts: npt.NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.starts) - 1

    def of(self, i: int) -> npt.NDArray[np.float32]:
        """The i-th thing's vectors, shape (its rows, d)."""
        return self.vectors[self.starts[i] : self.starts[i + 1]]

    def counts(self) -> npt.NDArray[np.int64]:
        """How many rows each has, shape (n,)."""
        return np.diff(self.starts)

    def part(self, begin: int, end: int) -> Rows:
        """Things `begin` to `end`, the latter not among them."""
        starts = self.starts[begin : end + 1]
        return Rows(self.vectors[starts[0] : starts[-1]], starts - starts[0])

    @classmethod
    def joined(cls, parts: Sequence[npt.NDArray[np.floating]] | Iterable[npt.NDArray[np.floating]], width: int) -> Rows:
        """One thing after the other; each part of shape (its rows, width)."""
        halves = [np.asarray(part, dtype=np.float16).reshape(len(part), width) for part in parts]
        starts = np.zeros(len(halves) + 1, dtype=np.int64)
        np.cumsum([len(half) for half in halves], out=starts[1:])
        vectors = np.concatenate(halves) if halves else np.zeros((0, width), np.float16)
        return cls(vectors.astype(np.float32), starts)
