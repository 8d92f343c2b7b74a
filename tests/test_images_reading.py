"""Reading: an image reference gives bytes from inside the dataset root, or the reason why not."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from vsil_audit.features.facts import ImageError
from vsil_audit.images import ImageLimits, RealFolder, locate, read_bytes
from vsil_audit.pair import ImageRef

LIMITS = ImageLimits(max_file_bytes=1000)


def read(path: str, root: Path, limits: ImageLimits = LIMITS) -> bytes | str:
    result = read_bytes(ImageRef(path, path=path), root, limits)
    return result.kind if isinstance(result, ImageError) else result


@pytest.fixture
def root(tmp_path: Path) -> Path:
    inside = tmp_path / "set"
    (inside / "images").mkdir(parents=True)
    (inside / "images" / "a.png").write_bytes(b"inside")
    (tmp_path / "secret.png").write_bytes(b"secret")
    (tmp_path / "set-b").mkdir()
    (tmp_path / "set-b" / "a.png").write_bytes(b"neighbour")
    return inside


def test_a_file_inside_the_root_is_read(root: Path) -> None:
    assert read("images/a.png", root) == b"inside"
    assert read("./images//a.png", root) == b"inside"


@pytest.mark.parametrize(
    "path",
    [
        "../secret.png",
        "images/../../secret.png",
        "images/../images/a.png",
        "..\\secret.png",
        "/etc/hostname",
        "//server/share/a.png",
        "\\\\server\\share\\a.png",
        "C:\\secret.png",
        "C:secret.png",
        "..",
    ],
)
def test_paths_that_leave_the_root_are_refused(root: Path, path: str) -> None:
    assert read(path, root) == "outside_root"


def test_an_absolute_path_is_refused_even_to_a_file_inside(root: Path) -> None:
    assert read(str(root / "images" / "a.png"), root) == "outside_root"


def test_links_inside_are_followed_and_links_outside_refused(root: Path) -> None:
    (root / "good.png").symlink_to("images/a.png")
    (root / "bad.png").symlink_to("../secret.png")
    (root / "folder").symlink_to("..", target_is_directory=True)
    (root / "neighbour").symlink_to("../set-b", target_is_directory=True)
    assert read("good.png", root) == b"inside"
    assert read("bad.png", root) == "outside_root"
    assert read("folder/secret.png", root) == "outside_root"
    assert read("neighbour/a.png", root) == "outside_root"


def test_the_root_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root, target_is_directory=True)
    assert read("images/a.png", tmp_path / "alias") == b"inside"


def test_links_in_a_circle_end(root: Path) -> None:
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    assert read("one", root) in ("missing", "unreadable")


@pytest.mark.parametrize("path", ["images/b.png", "images/a.png/b.png", "", "nowhere/at/all.jpg"])
def test_what_is_not_there_is_missing(root: Path, path: str) -> None:
    assert read(path, root) == "missing"


@pytest.mark.parametrize("path", ["images/a\x00.png", "images", "x" * 5000, "images/\udcff.png\udc80" * 200])
def test_names_and_things_that_cannot_be_opened(root: Path, path: str) -> None:
    assert read(path, root) in ("unreadable", "missing")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no pipes in folders")
def test_a_pipe_does_not_hang_the_scan(root: Path) -> None:
    os.mkfifo(root / "pipe.png")
    assert read("pipe.png", root) == "unreadable"


@pytest.mark.skipif(not Path("/dev/zero").exists(), reason="there are no device files")
def test_devices_are_not_read(root: Path) -> None:
    assert read("zero", Path("/dev")) == "unreadable"


def test_sizes_are_bounded(root: Path) -> None:
    (root / "empty.png").write_bytes(b"")
    (root / "large.png").write_bytes(b"x" * 1001)
    (root / "just.png").write_bytes(b"x" * 1000)
    assert read("empty.png", root) == "empty_file"
    assert read("large.png", root) == "too_large"
    assert read("just.png", root) == b"x" * 1000


@pytest.mark.skipif(not Path("/proc/version").exists(), reason="there are no files of unknown size")
def test_a_file_is_read_to_its_end_whatever_size_it_claims() -> None:
    text = Path("/proc/version").read_bytes()  # its size is told as 0
    assert read("version", Path("/proc")) == text
    assert read("version", Path("/proc"), ImageLimits(max_file_bytes=len(text) - 1)) == "too_large"


def test_a_file_that_grows_is_read_to_its_end(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (root / "growing.png").write_bytes(b"x" * 100)
    fstat = os.fstat

    def just_before(descriptor: int) -> os.stat_result:
        status = fstat(descriptor)
        with (root / "growing.png").open("ab") as file:
            file.write(b"y" * 70_000)
        return status

    monkeypatch.setattr(os, "fstat", just_before)
    found = read_bytes(ImageRef("growing.png", path="growing.png"), root, ImageLimits())
    assert found == b"x" * 100 + b"y" * 70_000


def test_a_folder_whose_links_are_resolved_guards_as_any(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    (tmp_path / "secret.png").write_bytes(b"secret")
    (root / "out.png").symlink_to(tmp_path / "secret.png")
    (root / "in.png").write_bytes(b"image")
    folder = RealFolder.of(tmp_path / "alias")
    assert folder == RealFolder(os.path.realpath(root))
    found = [read_bytes(ImageRef(name, path=name), folder, LIMITS) for name in ("in.png", "out.png", "../secret.png")]
    assert [one.kind if isinstance(one, ImageError) else one for one in found] == [
        b"image", "outside_root", "outside_root",
    ]  # fmt: skip


def test_embedded_bytes_are_bounded_too(root: Path) -> None:
    def kind(data: bytes) -> bytes | str:
        result = read_bytes(ImageRef("row 1", data=data), root, LIMITS)
        return result.kind if isinstance(result, ImageError) else result

    assert kind(b"abc") == b"abc"
    assert kind(b"") == "empty_file"
    assert kind(b"x" * 1001) == "too_large"


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read everything")
def test_a_file_without_permission_is_unreadable(root: Path) -> None:
    (root / "images" / "a.png").chmod(0)
    assert read("images/a.png", root) == "unreadable"


def test_details_do_not_repeat_hostile_names(root: Path) -> None:
    result = locate("../\x1b[31m<script>", root)
    assert isinstance(result, ImageError)
    assert "script" not in result.detail
