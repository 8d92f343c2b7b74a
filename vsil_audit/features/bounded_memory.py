"""The most recently used values, within a bound: what is kept when nothing can be kept on disk."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

_Key = TypeVar("_Key", bound=Hashable)


class BoundedMemory(Generic[_Key]):
    """At most `limit` bytes of values; the least recently used go first. One thread at a time."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._bytes = 0
        self._values: OrderedDict[_Key, bytes] = OrderedDict()

    def get(self, key: _Key) -> bytes | None:
        value = self._values.get(key)
        if value is not None:
            self._values.move_to_end(key)
        return value

    def put(self, key: _Key, value: bytes) -> None:
        old = self._values.pop(key, None)
        self._bytes += len(value) - (0 if old is None else len(old))
        self._values[key] = value
        while self._bytes > self._limit:
            _, dropped = self._values.popitem(last=False)
            self._bytes -= len(dropped)
