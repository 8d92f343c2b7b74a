"""How many pairs use an image, or a text: of all of them, in flat memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.clip_overlap.smallest import hashed

Keys = npt.NDArray[np.uint64]
_ROWS = 4
_LEAST_BITS, _MOST_BITS = 16, 20
_PROBES = 4096
_MULTIPLIERS = np.array([0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB, 0xD6E8FEB86659FD93], np.uint64)


class Uses:
    """Counts of hashed things: a count-min sketch (Cormode and Muthukrishnan 2005), the same in whatever order they are
    added, less what things that were never added seem to count (a quarter of them less). At most 16 MB. Of
    100,000 pairs one count in a hundred is too large; of a million most are, by one to three; of a hundred million by
    about ten."""

    def __init__(self, pairs: int) -> None:
        """`pairs`: how many pairs will be looked at."""
        self._bits = min(_MOST_BITS, max(_LEAST_BITS, (64 * pairs).bit_length()))
        self._counts = np.zeros((_ROWS, 1 << self._bits), dtype=np.uint32)
        self._noise: float | None = None

    def add(self, keys: Keys) -> None:
        """Once for each time that a key comes in `keys` (n,)."""
        self._noise = None
        for counts, cells in zip(self._counts, self._cells(keys), strict=True):
            np.add.at(counts, cells, 1)

    def of(self, keys: Keys) -> npt.NDArray[np.float64]:
        """The counts of `keys` (n,), 1 at least."""
        if self._noise is None:
            never_added = np.random.default_rng(0).integers(1 << 64, size=_PROBES, dtype=np.uint64)
            self._noise = float(np.quantile(self._least(never_added), 0.25, method="lower"))
        return np.maximum(self._least(keys) - self._noise, 1.0)

    def _least(self, keys: Keys) -> npt.NDArray[np.float64]:
        found = [counts[cells] for counts, cells in zip(self._counts, self._cells(keys), strict=True)]
        return np.asarray(np.min(found, axis=0), dtype=np.float64)

    def _cells(self, keys: Keys) -> Sequence[Keys]:
        return [(keys * multiplier) >> np.uint64(64 - self._bits) for multiplier in _MULTIPLIERS]


@dataclass(frozen=True, slots=True)
class UsesIn:
    """The uses within one category, or in the whole set (None)."""

    uses: Uses
    category: str | None = None

    def of(self, names: Sequence[int]) -> npt.NDArray[np.float64]:
        """How many pairs use each, (n,)."""
        return self.uses.of(np.array(names, dtype=np.uint64) ^ np.uint64(salt(self.category)))


def salt(category: str | None) -> int:
    """What a key is combined with (exclusive or) where it is counted within a category."""
    return 0 if category is None else hashed(0, f"category:{category}")
