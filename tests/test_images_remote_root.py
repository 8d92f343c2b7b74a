"""Images below a remote root: those there, and never one beside it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

fsspec = pytest.importorskip("fsspec")

from vsil_audit.errors import StoreError  # noqa: E402 - only where there is fsspec
from vsil_audit.features.facts import ImageError  # noqa: E402
from vsil_audit.images import ImageLimits, read_bytes, remote_root  # noqa: E402
from vsil_audit.pair import ImageRef  # noqa: E402
from vsil_audit.places import RemotePath  # noqa: E402

ROOT = RemotePath("memory://bucket/set")


@pytest.fixture(autouse=True)
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr("vsil_audit.places.filesystems._FIRST_PAUSE", 0.0)
    memory = fsspec.filesystem("memory")
    memory.pipe_file("/bucket/set/img/a b#1?.png", b"pixels")
    memory.pipe_file("/bucket/set/empty.png", b"")
    memory.pipe_file("/bucket/secret.png", b"secret")
    memory.pipe_file("/other/secret.png", b"secret")
    remote_root._faults.clear()
    yield memory
    memory.rm("/bucket", recursive=True)
    memory.rm("/other", recursive=True)


def read(path: str, most: int = 100) -> bytes | ImageError:
    return read_bytes(ImageRef("it", path=path), ROOT, ImageLimits(max_file_bytes=most))


def kind(path: str, most: int = 100) -> str:
    found = read(path, most)
    assert isinstance(found, ImageError)
    return found.kind


def test_an_image_is_read() -> None:
    assert read("img/a b#1?.png") == b"pixels"
    assert read("./img//a b#1?.png") == b"pixels"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png", "img/../../secret.png", "..\\secret.png", "/bucket/secret.png", "/etc/passwd", "C:\\x.png",
        "memory://other/secret.png", "s3://other/secret.png", "file:///etc/passwd", "img/memory://other/secret.png",
    ],
)  # fmt: skip
def test_nothing_outside_the_root_is_read(path: str) -> None:
    assert kind(path) == "outside_root"


def test_what_is_wrong_with_an_image_is_said_as_for_a_file() -> None:
    assert kind("img/none.png") == "missing"
    assert kind("") == "missing"
    assert kind("a\0.png") == "unreadable"
    assert kind("empty.png") == "empty_file"
    assert kind("img/a b#1?.png", most=5) == "too_large"


def test_no_more_than_the_limit_is_asked_for(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[int, int]] = []
    real = type(store).cat_file

    def seen(self: Any, path: str, start: int, end: int) -> bytes:
        asked.append((start, end))
        return real(self, path, start, end)

    monkeypatch.setattr(type(store), "cat_file", seen)
    read("img/a b#1?.png", most=5)
    assert asked == [(0, 6)]


def test_one_image_that_does_not_come_is_that_images_fault(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def reset(*_: Any, **__: Any) -> bytes:
        raise ConnectionError("reset by peer")

    monkeypatch.setattr(type(store), "cat_file", reset)
    found = read("img/a b#1?.png")
    assert isinstance(found, ImageError)
    assert found.kind == "unreadable"
    assert "reset by peer" in found.detail


def test_a_store_that_gives_none_ends_the_scan(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Better no answer now than a set full of unreadable images."""

    def reset(*_: Any, **__: Any) -> bytes:
        raise ConnectionError("no route to host")

    monkeypatch.setattr(type(store), "cat_file", reset)
    for number in range(remote_root._FAULTS_IN_A_ROW - 1):
        assert kind(f"{number}.png") == "unreadable"
    with pytest.raises(StoreError, match="no route to host"):
        read("one more.png")


def test_a_store_that_forbids_ends_the_scan_at_once(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> bytes:
        raise PermissionError("expired token")

    monkeypatch.setattr(type(store), "cat_file", forbidden)
    with pytest.raises(StoreError, match="not allowed"):
        read("img/a b#1?.png")
