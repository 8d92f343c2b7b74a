"""A store that fails when it is told to, and a cache of the test's own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from failing_store import Failing


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Iterator[Failing]:
    """An empty one, and no pause between attempts."""
    pytest.importorskip("fsspec")
    from failing_store import failing_store

    monkeypatch.setattr("vsil_audit.places.filesystems._FIRST_PAUSE", 0.0)
    with failing_store() as store:
        yield store


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "cache"
    monkeypatch.setenv("VSIL_AUDIT_CACHE", str(folder))
    return folder
