"""A repeatable random sample of a stream in bounded memory."""

from __future__ import annotations

import hashlib
import heapq
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")
_WHOLE = 1 << 64


def hashed(seed: int, name: str) -> int:
    """A number in [0, 2^64) that is random for people and the same in every run."""
    digest = hashlib.blake2b(f"{seed}\n{name}".encode("utf-8", "surrogatepass"), digest_size=8)
    return int.from_bytes(digest.digest(), "big")


class Smallest(Generic[T]):
    """The things with the smallest keys, each key once: at most `size` of them, of at most `weight` together.

    With `hashed` keys that is a uniform sample of the different things, whatever their order and number.
    """

    def __init__(self, size: int, weight: int | None = None) -> None:
        self._size = size
        self._most = weight
        self._weight = 0
        self._bar = _WHOLE
        self._heap: list[int] = []
        self._things: dict[int, tuple[T, int]] = {}
        self._offered: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self._things)

    @property
    def whole(self) -> bool:
        """Whether nothing that was offered had to be left out."""
        return self._bar == _WHOLE

    def offer(self, key: int, make: Callable[[], T], weight: int = 1) -> None:
        """`make` is called for what is kept."""
        if key in self._things:
            self._offered[key] += 1
            return
        if key >= self._bar:
            return
        self._things[key] = make(), weight
        self._offered[key] = 1
        heapq.heappush(self._heap, -key)
        self._weight += weight
        self._fit()

    def shrink(self, size: int) -> None:
        self._size = size
        self._fit()

    def kept(self) -> list[int]:
        """The keys of what is kept, in order."""
        return sorted(self._things)

    def offered(self, key: int) -> int:
        """How often a thing that is kept was offered: what is kept was kept from the first time on."""
        return self._offered[key]

    def things(self) -> list[T]:
        """In the order of their keys."""
        return [self._things[key][0] for key in self.kept()]

    def _fit(self) -> None:
        while len(self._things) > self._size or (self._most is not None and self._weight > self._most):
            self._bar = -heapq.heappop(self._heap)
            self._weight -= self._things.pop(self._bar)[1]
            del self._offered[self._bar]
