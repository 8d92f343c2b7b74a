"""An object store in memory that can be told to fail. Needs fsspec."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class Failing(MemoryFileSystem):
    """`memory://` under another name. `faults`: errors to raise, one for each of the next calls; `calls`: what was
    asked, in order."""

    protocol = "failing"
    store: dict[str, Any] = {}  # noqa: RUF012 - so it is in the class above
    pseudo_dirs: list[str] = [""]  # noqa: RUF012
    faults: list[Exception] = []  # noqa: RUF012
    calls: list[str] = []  # noqa: RUF012

    def _met(self, what: str, path: str) -> None:
        self.calls.append(f"{what} {path}")
        if self.faults:
            raise self.faults.pop(0)

    def ls(self, path: str, detail: bool = True, **kwargs: Any) -> Any:
        self._met("ls", path)
        return super().ls(path, detail, **kwargs)

    def cat_file(self, path: str, start: int | None = None, end: int | None = None, **kwargs: Any) -> bytes:
        self._met("cat", path)
        return super().cat_file(path, start, end, **kwargs)

    def pipe_file(self, path: str, value: bytes, mode: str = "overwrite", **kwargs: Any) -> None:
        self._met("put", path)
        super().pipe_file(path, value, mode, **kwargs)

    def get_file(self, rpath: str, lpath: str, *args: Any, **kwargs: Any) -> None:
        self._met("get", rpath)
        super().get_file(rpath, lpath, *args, **kwargs)

    @classmethod
    def _strip_protocol(cls, path: str) -> str:
        return super()._strip_protocol(path.replace("failing://", "memory://", 1))


@contextmanager
def failing_store() -> Iterator[Failing]:
    """An empty one, known to fsspec as `failing://`."""
    fsspec.register_implementation("failing", Failing, clobber=True)
    for kept in (Failing.store, Failing.faults, Failing.calls):
        kept.clear()
    Failing.pseudo_dirs[:] = [""]
    yield Failing()
    Failing.store.clear()
