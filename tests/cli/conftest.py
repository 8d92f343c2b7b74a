"""The command line as its user meets it: arguments in; exit code, standard output and standard error out."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from vsil_audit.audit import scan
from vsil_audit.cli.main import main
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.sources.base import ColumnMapping, SourceOptions


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def vsil_audit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    """Run `vsil-audit ARGS…` in this process, in an empty folder of its own."""
    workplace = tmp_path / "workplace"
    workplace.mkdir()
    monkeypatch.chdir(workplace)
    monkeypatch.setenv("COLUMNS", "100")

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["vsil-audit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def drawn_gnomes(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The set that each test gets a copy of, and a feature store that holds the texts of its images."""
    folder = tmp_path_factory.mktemp("gnomes")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("VSIL_AUDIT_CACHE", str(folder / "cache"))
        question = SourceOptions(columns=ColumnMapping(text="question"))
        options = ScanOptions(output=folder / "run", detectors=("ocr_overlap",), workers=1)
        scan(draw_gnomes(folder / "gnomes"), source_options=question, options=options)
    return folder / "gnomes", folder / "cache"


@pytest.fixture
def gnomes(drawn_gnomes: tuple[Path, Path], own_feature_store: Path, tmp_path: Path) -> Path:
    """Twelve pairs: every second query names what is drawn in its image. Their images were read before."""
    drawn, store = drawn_gnomes
    shutil.copytree(store, own_feature_store, dirs_exist_ok=True)
    return shutil.copytree(drawn, tmp_path / "gnomes")


def draw_gnomes(root: Path) -> Path:
    (root / "images").mkdir(parents=True)
    rows = []
    for i, thing in enumerate(
        ["garden gnome", "tin whistle", "paper kite", "clay teapot", "toy trumpet", "wool sock"] * 2
    ):
        picture = Image.new("RGB", (320, 80), "white")
        ImageDraw.Draw(picture).text((12, 24), f"{thing} {i}", fill="black", font_size=28)
        picture.save(root / "images" / f"{i}.png")
        asked = f"a {thing}" if i % 2 else "this thing"
        rows.append(
            {
                "id": f"g{i}",
                "question": f"How do I hide {asked} from my neighbour, case {i}?",
                "statement": f"My neighbour hid {thing} number {i}.",
                "image": f"images/{i}.png",
                "category": "toys" if i % 3 else "kitchen",
                "description": thing.capitalize(),
            }
        )
    (root / "data.json").write_text(json.dumps(rows))
    return root
