"""The part of `Path` that run folders use, on other file systems."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")

from failing_store import Failing  # only where there is fsspec
from fsspec.implementations.dirfs import DirFileSystem
from fsspec.implementations.local import LocalFileSystem

from vsil_audit.errors import StoreError
from vsil_audit.places import RemotePath, filesystems

RUN = RemotePath("failing://bucket/run")


def test_what_is_written_is_there_by_all_accounts(failing: Failing) -> None:
    file = RUN / "pairs" / "part-00000.parquet"
    assert not file.is_file()
    assert not RUN.is_dir()
    file.write(b"12345")
    assert file.is_file()
    assert (RUN / "pairs").is_dir()
    assert file.stat().st_size == 5
    assert list(RUN.iterdir()) == [RUN / "pairs"]
    assert list((RUN / "pairs").glob("part-*.parquet")) == [file]
    assert list((RUN / "pairs").glob("set*")) == []
    assert list(RUN.rglob("*.parquet")) == [file]


def test_what_is_removed_is_gone(failing: Failing) -> None:
    (RUN / "a").write(b"1")
    (RUN / "below" / "b").write(b"2")
    (RUN / "a").unlink()
    (RUN / "a").unlink(missing_ok=True)
    with pytest.raises(FileNotFoundError):
        (RUN / "a").unlink()
    (RUN / "below").remove_below()
    (RUN / "never").remove_below()
    assert list(RUN.iterdir()) == []


def test_only_one_creates_a_file(failing: Failing) -> None:
    (RUN / ".lock").create(b"mine")
    with pytest.raises(FileExistsError):
        (RUN / ".lock").create(b"theirs")
    assert (RUN / ".lock").read_bytes() == b"mine"


class _OnDisk(DirFileSystem):
    """A store that shows half-written files, as sftp and the like do. `full`: writing stops in the middle."""

    full = False

    def pipe_file(self, path: str, value: bytes, **kwargs: Any) -> None:
        if self.full:
            super().pipe_file(path, value[: len(value) // 2], **kwargs)
            raise PermissionError("quota")
        super().pipe_file(path, value, **kwargs)


def test_elsewhere_than_in_object_stores_a_file_is_renamed_when_it_is_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = _OnDisk(str(tmp_path), LocalFileSystem())
    monkeypatch.setattr(filesystems, "filesystem", lambda url: (disk, url.partition("://")[2]))
    file = RemotePath("disk://run/pairs/a")
    file.write(b"first")
    disk.full = True
    with pytest.raises(StoreError, match="quota"):
        file.write(b"second, and longer")
    assert file.read_bytes() == b"first"
    assert [p.name for p in (tmp_path / "run" / "pairs").iterdir()] == ["a"], "nothing of the attempt is left"
