"""Finding the layout of a path, and opening it."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from vsil_audit.errors import ConfigurationError, DatasetError, MissingDependencyError
from vsil_audit.pair import Pair
from vsil_audit.sources.base import Layout, SourceOptions
from vsil_audit.sources.built_in import BUILT_IN, BY_GENERAL_FORM
from vsil_audit.sources.registry import detect, layout_named, layouts, open_source

PLUGIN = """
from vsil_audit.sources.base import Match
from vsil_audit.sources.generic import open_tables

class Theirs:
    name = "theirs"
    tells = "a folder with a theirs.json"

    def detect(self, root):
        return Match(self.name, root, 1.0, "theirs.json") if (root / "theirs.json").is_file() else None

    def open(self, root, options):
        return open_tables(self.name, root, [root / "theirs.json"], options)
"""


def table(path: Path, count: int = 3) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([{"id": n, "question": f"What is number {n}?"} for n in range(count)]))
    return path


def installed(site: Path, distribution: str, entry: str, code: str, module: str) -> None:
    """A package with an entry point, as an installer leaves it."""
    info = site / f"{distribution}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[vsil_audit.layouts]\n{entry}\n")
    (site / f"{module}.py").write_text(code)


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    return folder


def test_every_layout_keeps_the_contract() -> None:
    known = layouts()
    assert [layout.name for layout in known][: len(BUILT_IN)] == list(BUILT_IN)
    for layout in known:
        assert isinstance(layout, Layout)
        assert layout.tells


@pytest.mark.parametrize("name", list(BUILT_IN))
def test_no_layout_stumbles_over_what_is_not_its_own(name: str, tmp_path: Path) -> None:
    layout = layout_named(name)
    (tmp_path / "file").write_bytes(b"\x00\x01")
    (tmp_path / "data.json").write_text("{broken")
    (tmp_path / "data.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "metadata.jsonl").write_text("[")
    (tmp_path / "folder.json").mkdir()
    for path in (tmp_path / "file", tmp_path, tmp_path / "folder.json", tmp_path / "nothing"):
        try:
            match = layout.detect(path)
        except (DatasetError, OSError):
            continue
        assert match is None or 0 < match.confidence <= 1


def test_a_guess_never_claims_more_than_a_half(tmp_path: Path) -> None:
    table(tmp_path / "d.json")
    matches = detect(tmp_path)
    assert [match.layout for match in matches] == ["generic"]
    assert matches[0].confidence <= 0.5


def test_a_dataset_two_folders_down_is_found(tmp_path: Path, site: Path) -> None:
    installed(site, "theirs-pkg", "theirs = theirs_mod:Theirs", PLUGIN, "theirs_mod")
    root = tmp_path / "outer"
    table(root / "a" / "b" / "theirs.json")
    assert [(m.layout, m.root) for m in detect(root)] == [("theirs", root / "a" / "b")]
    source = open_source(root)
    assert (source.layout, source.root) == ("theirs", root / "a" / "b")


def test_several_benchmarks_below_are_listed(tmp_path: Path, site: Path) -> None:
    installed(site, "theirs-pkg", "theirs = theirs_mod:Theirs", PLUGIN, "theirs_mod")
    root = tmp_path / "outer"
    table(root / "one" / "theirs.json")
    table(root / "two" / "d.json")
    with pytest.raises(DatasetError, match="several benchmarks") as caught:
        open_source(root)
    assert str(root / "one") in caught.value.message
    assert str(root / "two") in caught.value.message
    assert open_source(root, SourceOptions(layout="theirs")).root == root / "one"
    assert open_source(root / "two").layout == "generic"
    table(root / "three" / "theirs.json")
    with pytest.raises(DatasetError, match="several benchmarks"):
        open_source(root, SourceOptions(layout="theirs"))


def test_a_layout_named_is_used_even_where_it_does_not_recognise(tmp_path: Path) -> None:
    table(tmp_path / "d.json")
    (tmp_path / "x.png").touch()
    source = open_source(tmp_path, SourceOptions(layout="imagefolder"))
    assert [item.id for item in source.read() if isinstance(item, Pair)] == ["x.png"]


def test_an_unknown_layout_is_a_clear_error(tmp_path: Path) -> None:
    table(tmp_path / "d.json")
    with pytest.raises(ConfigurationError, match=r'no layout called "genric".*Did you mean "generic"'):
        open_source(tmp_path, SourceOptions(layout="genric"))


def test_what_is_not_there_or_empty_or_unknown(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="does not exist"):
        open_source(tmp_path / "nothing")
    (tmp_path / "empty").mkdir()
    with pytest.raises(DatasetError, match="is an empty folder"):
        open_source(tmp_path / "empty")
    (tmp_path / "odd" / "sub").mkdir(parents=True)
    (tmp_path / "odd" / "a.md").write_text("x")
    (tmp_path / "odd" / "sub" / "b.bin").write_bytes(b"x")
    with pytest.raises(
        DatasetError, match=r"no benchmark that is recognised. It holds a.md, sub/;.*1 .md, 1 .bin"
    ) as caught:
        open_source(tmp_path / "odd")
    assert "mm-safetybench" in caught.value.remedy
    with pytest.raises(DatasetError, match="It is a file of 1 bytes"):
        open_source(tmp_path / "odd" / "a.md")


def test_an_archive_is_to_be_unpacked(tmp_path: Path) -> None:
    (tmp_path / "set.ZIP").write_bytes(b"PK\5\6" + bytes(18))
    with pytest.raises(DatasetError, match="is an archive") as raised:
        open_source(tmp_path / "set.ZIP")
    assert raised.value.remedy == "Unpack it, and give the folder."


def test_a_run_folder_is_not_a_dataset(tmp_path: Path) -> None:
    (tmp_path / "findings").mkdir()
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(DatasetError, match="is a run folder"):
        open_source(tmp_path)


@pytest.mark.parametrize("name", ["hf://org/name", "hf://datasets/org/name", "org/name"])
def test_hub_ids_are_never_fetched_unasked(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DatasetError, match="--allow-remote") as caught:
        open_source(Path(name))
    assert "huggingface-cli download org/name --repo-type dataset" in caught.value.remedy


def test_hub_ids_without_the_client_say_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingDependencyError, match="needs huggingface_hub") as caught:
        open_source(Path("org/name"), SourceOptions(allow_remote=True))
    assert "pip install huggingface_hub" in caught.value.remedy


def test_an_installed_package_adds_a_layout(tmp_path: Path, site: Path) -> None:
    installed(site, "theirs-pkg", "theirs = theirs_mod:Theirs", PLUGIN, "theirs_mod")
    assert "theirs" in [layout.name for layout in layouts()]
    table(tmp_path / "set" / "theirs.json")
    assert open_source(tmp_path / "set").layout == "theirs"


@pytest.mark.parametrize(
    ("entry", "code", "says"),
    [
        ("figstep = theirs_mod:Theirs", PLUGIN, 'Two layouts are called "figstep".*theirs-pkg'),
        ("theirs = theirs_mod:Theirs", "import nothing_of_this_name", 'layout "theirs" of theirs-pkg cannot be loaded'),
        ("theirs = theirs_mod:Nothing", PLUGIN, "cannot be loaded"),
        ("other = theirs_mod:Theirs", PLUGIN, "is not the layout it is registered as"),
        ("theirs = theirs_mod:Theirs", "class Theirs:\n    name = 'theirs'", "is not the layout it is registered as"),
    ],
)
def test_a_package_that_breaks_the_contract_is_named(site: Path, entry: str, code: str, says: str) -> None:
    installed(site, "theirs-pkg", entry, code, "theirs_mod")
    with pytest.raises(ConfigurationError, match=says) as caught:
        layouts()
    assert caught.value.remedy


@pytest.fixture(autouse=True)
def _forget_the_plugin() -> object:
    yield
    sys.modules.pop("theirs_mod", None)


@pytest.mark.parametrize("part", ["processed_questions", "processed_questions/01-Fire.json"])
def test_a_part_of_a_named_benchmark_is_not_read_by_guessing(part: str, tmp_path: Path) -> None:
    row = {"Question": "How is it lit?", "Key Phrase": "x", "Rephrased Question": "How is this lit?"}
    (tmp_path / "set" / "processed_questions").mkdir(parents=True)
    (tmp_path / "set" / "processed_questions" / "01-Fire.json").write_text(json.dumps({"0": row, "1": row}))
    with pytest.raises(DatasetError, match=r"is a part of the benchmark in .*set \(mm-safetybench") as raised:
        open_source(tmp_path / "set" / part)
    assert "--layout generic" in raised.value.remedy
    by_itself = open_source(tmp_path / "set" / part, SourceOptions(layout="generic", view="Question"))
    assert sum(isinstance(item, Pair) for item in by_itself.read()) == 2


def test_a_dataset_that_lies_beside_a_named_benchmark_is_read(tmp_path: Path) -> None:
    row = {"Question": "How is it lit?", "Key Phrase": "x", "Rephrased Question": "How is this lit?"}
    (tmp_path / "processed_questions").mkdir()
    (tmp_path / "processed_questions" / "01-Fire.json").write_text(json.dumps({"0": row}))
    assert open_source(table(tmp_path / "other" / "d.json")).layout == "generic"


def test_folders_that_nobody_named_are_not_looked_through(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Above PATH only named benchmarks are looked for, by their marks: it may be a home folder with a million files."""
    given = tmp_path / "home" / "data" / "mine"
    given.mkdir(parents=True)
    table(given / "d.json")
    asked: list[Path] = []
    for name in BY_GENERAL_FORM:
        layout = type(layout_named(name))
        real = layout.detect

        def noted(self: object, root: Path, real: Any = real) -> Any:
            asked.append(root)
            return real(self, root)

        monkeypatch.setattr(layout, "detect", noted)
    open_source(given, SourceOptions())
    assert asked
    assert all(root.is_relative_to(given) for root in asked)
