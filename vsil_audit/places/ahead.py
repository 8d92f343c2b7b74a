"""Reading some files of a sequence before they are wanted, where each costs a wait."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

A = TypeVar("A")
B = TypeVar("B")

_AHEAD = 8


def read_ahead(read: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
    """`map(read, items)`, a few of them at once."""
    with ThreadPoolExecutor(_AHEAD) as threads:
        waiting: deque[Future[B]] = deque()
        for item in items:
            waiting.append(threads.submit(read, item))
            if len(waiting) >= _AHEAD:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
