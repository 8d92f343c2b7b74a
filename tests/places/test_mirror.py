"""A remote set as a folder here: its tables, and of its images the names."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("fsspec")

from failing_store import Failing  # only where there is fsspec

from vsil_audit.errors import DatasetError
from vsil_audit.places import RemotePath, mirror
from vsil_audit.places.mirror import image_root, listed_images, remote_of, shown
from vsil_audit.sources.remote import at_hand

SET = RemotePath("failing://bucket/set")


def put(store: Failing, **files: bytes) -> None:
    for name, data in files.items():
        store.pipe_file(f"/bucket/set/{name}", data)
    store.calls.clear()


def copied(store: Failing) -> list[str]:
    return sorted(call for call in store.calls if call.startswith("get"))


def names_in(folder: Path) -> list[str]:
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def test_tables_are_copied_and_images_are_only_named(failing: Failing) -> None:
    put(failing, **{"data.csv": b"text,image\nhello,a.png\n", "img/a.png": b"pixels", ".git/config": b"[x]"})
    folder = at_hand(SET).path
    assert folder.name == "set"
    assert names_in(folder) == ["data.csv", "img/a.png"]
    assert (folder / "data.csv").read_bytes() == b"text,image\nhello,a.png\n"
    assert (folder / "img/a.png").stat().st_size == 0
    assert copied(failing) == ["get /bucket/set/data.csv"]


def test_a_table_is_copied_again_only_when_it_has_changed(failing: Failing) -> None:
    put(failing, **{"data.csv": b"text\nhello\n", "other.csv": b"text\nstays\n"})
    at_hand(SET)
    failing.calls.clear()
    folder = at_hand(SET).path
    assert copied(failing) == []
    put(failing, **{"data.csv": b"text\nchanged\n"})
    assert at_hand(SET).path == folder
    assert copied(failing) == ["get /bucket/set/data.csv"]
    assert (folder / "data.csv").read_bytes() == b"text\nchanged\n"


def test_what_is_gone_there_is_gone_here(failing: Failing) -> None:
    put(failing, **{"data.csv": b"1", "old.csv": b"2", "img/a.png": b"3", "img/b.png": b"4", "more/c.png": b"5"})
    folder = at_hand(SET).path
    for name in ("old.csv", "img/b.png", "more/c.png"):
        failing.rm_file(f"/bucket/set/{name}")
    at_hand(SET)
    assert names_in(folder) == ["data.csv", "img/a.png"]
    assert not (folder / "more").exists()


def test_a_file_is_found_in_the_mirror_of_its_folder(failing: Failing) -> None:
    put(failing, **{"data.csv": b"text\nhello\n", "img/a.png": b"pixels"})
    file = at_hand(SET / "data.csv").path
    assert file.name == "data.csv"
    assert names_in(file.parent) == ["data.csv", "img/a.png"]
    assert remote_of(file) == SET / "data.csv"


def test_a_place_that_is_not_there_is_said(failing: Failing) -> None:
    with pytest.raises(DatasetError, match="failing://bucket/set does not exist, or is empty"):
        at_hand(SET)


def test_large_files_that_are_no_tables_stay_there(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mirror, "OTHER_FILES_UP_TO", 10)
    put(failing, **{"data.csv": b"x" * 100, "film.mp4": b"x" * 100, "state.bin": b"x"})
    found = at_hand(SET)
    assert names_in(found.path) == ["data.csv", "state.bin"]
    assert found.left_out == 1


def test_more_than_the_disk_holds_is_not_begun(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    put(failing, **{"data.csv": b"text\n"})
    full = shutil.disk_usage("/")._replace(free=1 << 30)
    monkeypatch.setattr(mirror.shutil, "disk_usage", lambda _: full)  # type: ignore[attr-defined]
    with pytest.raises(DatasetError, match=r"1\.1 GB free") as caught:
        at_hand(SET)
    assert "VSIL_AUDIT_CACHE" in caught.value.remedy
    assert copied(failing) == []


@pytest.mark.parametrize("name", ["..", ".", "a\\b.csv", "C:x.csv", "n\0l.csv", "x" * 300 + ".csv"])
def test_names_that_no_file_here_can_have_are_left_out(
    failing: Failing, cache: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(failing, **{"data.csv": b"text\n"})
    entry = {"name": f"/bucket/set/{name}", "size": 3, "type": "file", "created": "2026"}
    listed = Failing.ls
    monkeypatch.setattr(Failing, "ls", lambda self, path, detail=True, **k: [*listed(self, path, detail, **k), entry])
    found = at_hand(SET)
    assert found.left_out == 1
    assert names_in(found.path) == ["data.csv"]


@pytest.mark.parametrize("told", [{"type": "link"}, {"type": "file", "islink": True}, {"type": "other"}])
def test_links_there_are_not_followed(failing: Failing, told: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    put(failing, **{"data.csv": b"text\n", "secret.csv": b"key\n"})
    listed = Failing.ls

    def with_link(self: Failing, path: str, detail: bool = True, **given: Any) -> list[dict[str, Any]]:
        return [{**e, **told} if e["name"].endswith("secret.csv") else e for e in listed(self, path, detail, **given)]

    monkeypatch.setattr(Failing, "ls", with_link)
    found = at_hand(SET)
    assert names_in(found.path) == ["data.csv"]
    assert found.left_out == 1


def test_a_link_put_into_the_mirror_is_not_written_through(failing: Failing, tmp_path: Path) -> None:
    put(failing, **{"data.csv": b"text\nhello\n"})
    folder = at_hand(SET).path
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    (folder / "data.csv").unlink()
    (folder / "data.csv").symlink_to(mine)
    put(failing, **{"data.csv": b"text\nchanged\n"})
    at_hand(SET)
    assert mine.read_text() == "mine"
    assert not (folder / "data.csv").is_symlink()


def test_a_copy_that_comes_short_is_refused(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    put(failing, **{"data.csv": b"text\nhello\n"})

    def short(self: Failing, rpath: str, lpath: str, **_: Any) -> None:
        Path(lpath).write_bytes(b"text")

    monkeypatch.setattr(Failing, "get_file", short)
    with pytest.raises(DatasetError, match="4 of 11 bytes"):
        at_hand(SET)
    monkeypatch.undo()


def test_images_are_read_from_where_they_are(failing: Failing) -> None:
    put(failing, **{"sub/data.csv": b"text\n", "sub/img/a.png": b"pixels"})
    folder = at_hand(SET).path
    assert image_root(folder / "sub") == SET / "sub"
    assert image_root(Path("/data")) == Path("/data")
    assert shown(folder) == "failing://bucket/set"


def test_the_listing_tells_of_images_as_a_walk_would(failing: Failing, tmp_path: Path) -> None:
    files = {"b.png": b"1", "a.png": b"22", "z/a.png": b"333", "c/d/e.jpg": b"4444", "c/a.png": b"5", "c.csv": b"6"}
    put(failing, **files)
    folder = at_hand(SET).path
    for name, data in files.items():
        (tmp_path / "copy" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "copy" / name).write_bytes(data)
    from vsil_audit.runs.fingerprint import _image_files

    listed = listed_images(folder)
    assert listed is not None
    assert [(i.name, i.size) for i in listed] == [(n, s) for n, s, _ in _image_files(tmp_path / "copy")]
    assert [i.name for i in listed_images(folder / "c") or ()] == ["a.png", "d/e.jpg"]
    assert listed_images(tmp_path / "copy") is None


def test_only_folders_of_the_cache_are_taken_for_mirrors(tmp_path: Path) -> None:
    """A data set from elsewhere must not choose from where its images are fetched."""
    fake = tmp_path / "remote" / "0123456789abcdef"
    (fake / "set" / "evil").mkdir(parents=True)
    (fake / "place.json").write_text('{"url": "s3://theirs/set"}')
    assert remote_of(fake / "set" / "evil") is None
