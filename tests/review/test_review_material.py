"""What is shown of a run: images in its tables, images that are gone, addresses that are not fetched."""

from __future__ import annotations

import hashlib
import io
import shutil
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image
from review_server import draw_set

import vsil_audit
from vsil_audit.features.facts import ImageError
from vsil_audit.review.desk import Desk, Invited
from vsil_audit.review.labels import Chosen, LabelStore
from vsil_audit.review.material import Material, of_dataset, of_run
from vsil_audit.review.pictures import SEEN_BLURRED, Pictures
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.sources.base import SourceOptions


def scan(root: Path, detectors: tuple[str, ...] = ("hygiene",)) -> Material:
    options = ScanOptions(output=root.parent / f"run-{root.name}", detectors=detectors, workers=1)
    return of_run(vsil_audit.scan(root, options=options).path)


def digest_of(material: Material, pair_id: str) -> str:
    return material.pair(pair_id)[1][0].digest


@pytest.fixture
def in_a_table(tmp_path: Path) -> Path:
    drawn = draw_set(tmp_path / "drawn")
    rows = [
        {"id": f"p{i}", "question": f"What is in {i}?", "image": {"bytes": (drawn / f"images/{i}.png").read_bytes()}}
        for i in range(4)
    ]
    (tmp_path / "table").mkdir()
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "table" / "data.parquet")
    return tmp_path / "table"


def test_images_inside_a_table_are_shown(in_a_table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for material in (scan(in_a_table), of_dataset(in_a_table, SourceOptions())):
        assert material.show_only(["p1", "p2"]) == 0
        assert material.image(digest_of(material, "p1")) == (tmp_path / "drawn/images/1.png").read_bytes()
        assert len(list((material.folder.path / "embedded").iterdir())) == 2, "no more than is reviewed"


def test_images_inside_a_table_that_is_gone_are_counted(in_a_table: Path) -> None:
    material = scan(in_a_table)
    shutil.rmtree(in_a_table)
    assert material.show_only(["p1", "p2"]) == 2
    assert isinstance(material.image(digest_of(material, "p1")), ImageError)


def test_of_an_image_that_is_gone_the_runs_thumbnail_is_shown(tmp_path: Path) -> None:
    root = draw_set(tmp_path / "set")
    material = scan(root, ("ocr_overlap",))
    shutil.rmtree(root)
    material.show_only(["p1"])
    pictures = Pictures(material)
    jpeg = pictures.full(digest_of(material, "p1"))
    assert isinstance(jpeg, bytes)
    assert max(Image.open(io.BytesIO(jpeg)).size) == 160
    assert isinstance(pictures.blurred(digest_of(material, "p1")), bytes)
    assert pictures.full(digest_of(material, "p2")) is None, "not under review"


def test_a_folder_from_elsewhere_cannot_choose_which_files_are_shown(tmp_path: Path) -> None:
    """Its run.json may name any folder as the dataset's: what is there is not what its digest says."""
    root = draw_set(tmp_path / "set")
    material = scan(root)
    private = draw_set(tmp_path / "private")
    Image.new("RGB", (9, 9), "red").save(private / "images" / "1.png")
    material.root = private
    material.show_only(["p1"])
    found = material.image(digest_of(material, "p1"))
    assert isinstance(found, ImageError)
    assert found.kind == "changed"


def test_a_preview_holds_a_few_pixels_of_the_image(tmp_path: Path) -> None:
    material = scan(draw_set(tmp_path / "set"))
    material.show_only(["p1"])
    jpeg = Pictures(material).blurred(digest_of(material, "p1"))
    assert isinstance(jpeg, bytes)
    preview = Image.open(io.BytesIO(jpeg)).convert("L")
    few = preview.resize((SEEN_BLURRED, SEEN_BLURRED), Image.Resampling.BOX)
    again = few.resize(preview.size, Image.Resampling.BICUBIC)
    differences = [abs(a - b) for a, b in zip(preview.tobytes(), again.tobytes(), strict=True)]
    assert sum(differences) / len(differences) < 3, "nothing is in it but those"


def test_what_a_page_is_told_of_a_pair_is_safe_to_show(tmp_path: Path) -> None:
    root = draw_set(tmp_path / "set", ["nul\x00 and \u202egnp.exe", ""])
    material = scan(root)
    with LabelStore(tmp_path / "review.sqlite", "set") as store:
        store.choose([Chosen(name, material.content(name), "all") for name in material.places])
        desk = Desk(material, store, store.items(), (), 0, Invited(("ann",)))
        texts = {str(desk.item("ann", place)["text"]) for place in range(2)}
    assert not any(mark in text for text in texts for mark in "\x00\u202e")
    assert hashlib.sha256(b"").hexdigest() not in {digest_of(material, name) for name in material.places}
