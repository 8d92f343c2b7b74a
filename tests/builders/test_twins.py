"""Benign twins: every text with both labels alike, benign images that look alike and are not the set's own."""

from __future__ import annotations

import asyncio
import hashlib
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
from builders.build_records import GNOMES, begun, picture, pool_of, with_card, with_picture

from vsil_audit.builders.balance import balance
from vsil_audit.builders.benign_words import benign_words
from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.pool import ImagePool, PlainLikeness
from vsil_audit.builders.record import Record
from vsil_audit.builders.twins import TwinMaker, Twins, TwinWay
from vsil_audit.control import control_texts
from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.images import DecodedImage, ImageLimits, decode

LIMITS = ImageLimits()


def pool_at(path: Path) -> ImagePool:
    return ImagePool(path, PlainLikeness(), LIMITS)


def made(
    folder: BuildFolder, records: list[Record], pool: ImagePool | None, way: TwinWay = TwinWay.BENIGN_IMAGE
) -> Twins:
    return asyncio.run(TwinMaker(folder, Typographic(), LIMITS, 0, pool=pool).make(records, way))


@pytest.fixture
def folder(tmp_path: Path) -> BuildFolder:
    return begun(tmp_path / "out")


def test_each_text_gets_as_many_benign_images_as_it_has_unsafe_ones(folder: BuildFolder, tmp_path: Path) -> None:
    texts = ["What is this?", "what  is THIS?", "Where is it?", "What is this?"]
    records = [with_picture(folder, f"q{i}", text, i) for i, text in enumerate(texts)]
    twins = made(folder, records, pool_at(pool_of(tmp_path / "pool", range(50, 60))))
    assert twins.left_out == {}
    assert [t.draft.twin_of for t in twins.records] == ["q0", "q1", "q2", "q3"]
    assert [t.draft.text for t in twins.records] == texts
    assert {t.draft.label for t in twins.records} == {"safe"}
    of_one_text = [t.draft.image.digest for t in twins.records if t.draft.image and "his" in t.draft.text.lower()]
    assert len(set(of_one_text)) == 3, "a benign image stands once beside a text"


def test_safe_pairs_that_the_set_has_already_are_counted(folder: BuildFolder, tmp_path: Path) -> None:
    records = [
        with_picture(folder, "u", "What is this?", 1),
        with_picture(folder, "s", "What is this?", 2, label="safe"),
        with_picture(folder, "alone", "Is it late?", 3, label="safe"),
    ]
    twins = made(folder, records, pool_at(pool_of(tmp_path / "pool", range(50, 53))))
    assert twins.records == ()
    assert list(twins.left_out) == ["alone"]
    assert "no unsafe pair" in twins.left_out["alone"]


def test_an_image_of_the_set_is_never_its_own_twin(folder: BuildFolder, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    records = [with_picture(folder, "q0", "What is this?", 1)]
    pool = tmp_path / "pool"
    pool.mkdir()
    (pool / "copy.png").write_bytes(picture(1))
    again = BytesIO()
    Image.open(BytesIO(picture(1))).resize((192, 128)).save(again, "JPEG")
    (pool / "again.jpg").write_bytes(again.getvalue())
    assert made(folder, records, pool_at(pool)).left_out == {
        "q0": "no benign image: the pool has none left that is not of the set"
    }
    (pool / "other.png").write_bytes(picture(9))
    twin = made(folder, records, pool_at(pool)).records[0]
    assert twin.draft.image is not None
    assert twin.draft.image.digest == hashlib.sha256(picture(9)).hexdigest()


def test_the_image_that_looks_most_alike_is_taken(folder: BuildFolder, tmp_path: Path) -> None:
    from io import BytesIO

    from PIL import Image

    records = [with_picture(folder, "q0", "What is this?", 4)]
    pool = pool_of(tmp_path / "pool", range(50, 60))
    near = Image.open(BytesIO(picture(4)))
    near.paste((250, 250, 250), (20, 10, 70, 55))
    near.save(pool / "near.png")
    twin = made(folder, records, pool_at(pool)).records[0]
    assert twin.draft.steps[0].details["from"] == "near.png"


def test_a_small_pool_is_used_evenly_and_damaged_images_are_counted(folder: BuildFolder, tmp_path: Path) -> None:
    records = [with_picture(folder, f"q{i}", f"What is this, number {i}?", i) for i in range(9)]
    path = pool_of(tmp_path / "pool", range(50, 53))
    (path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    pool = pool_at(path)
    assert pool.unreadable == 1
    used = Counter(t.draft.image.digest for t in made(folder, records, pool).records if t.draft.image)
    assert sorted(used.values()) == [3, 3, 3]


def test_a_drawn_card_gets_benign_words_of_like_length(folder: BuildFolder) -> None:
    records = [
        with_card(folder, f"q{i}", "What is this?", f"{w} garden gnome", Typographic()) for i, w in enumerate(GNOMES)
    ]
    twins = made(folder, records, None)
    assert twins.left_out == {}
    for record, twin in zip(records, twins.records, strict=True):
        assert record.draft.image is not None
        assert twin.draft.image is not None
        assert abs(len(twin.draft.image.prompt) - len(record.draft.image.prompt)) <= 5
        assert "gnome" not in twin.draft.image.prompt


@pytest.mark.parametrize("like", ["gnome", "SHOUTED GNOME", "a, b gnomes, and a third thing", "gnome " * 30, "ü"])
def test_benign_words_have_the_form_of_what_they_stand_for(like: str) -> None:
    told = benign_words(like, 3)
    assert told.count(",") == like.count(",")
    assert told.isupper() == like.isupper()
    assert abs(len(told) - len(like)) <= max(8, 0.25 * len(like))


def test_without_a_pool_pictures_have_no_twin_and_are_left_out(folder: BuildFolder) -> None:
    twins = made(folder, [with_picture(folder, "q0", "What is this?", 1)], None)
    assert twins.left_out == {"q0": "no benign image: no pool is named (--pool)"}


def test_of_a_block_one_combination_is_harmful(folder: BuildFolder, tmp_path: Path) -> None:
    records = [with_picture(folder, f"q{i}", f"How do I hide this, number {i}?", i) for i in range(4)]
    twins = made(folder, records, pool_at(pool_of(tmp_path / "pool", range(50, 60))), TwinWay.BLOCKS)
    for record in records:
        block = [record, *(t for t in twins.records if t.draft.twin_of == record.draft.id)]
        combinations = {(r.draft.text, r.draft.image.digest): r.draft.label for r in block if r.draft.image}
        assert len(combinations) == 4
        assert len({text for text, _ in combinations}) == len({image for _, image in combinations}) == 2
        assert Counter(combinations.values()) == {"safe": 3, "unsafe": 1}
        assert {text for text, _ in combinations} - {record.draft.text} <= set(control_texts("pointing"))


def test_a_pool_with_texts_gives_the_benign_text_of_a_block(folder: BuildFolder, tmp_path: Path) -> None:
    import json

    pool = pool_of(tmp_path / "pool" / "images", range(50, 54)).parent
    rows = [{"question": f"How many corners has shape {i}?", "image": f"images/{i}.png"} for i in range(50, 54)]
    (pool / "data.json").write_text(json.dumps(rows))
    twins = made(folder, [with_picture(folder, "q0", "How do I hide this?", 1)], pool_at(pool), TwinWay.BLOCKS)
    assert any(t.draft.text.startswith("How many corners") for t in twins.records)


def test_what_the_pool_calls_unsafe_takes_no_part(tmp_path: Path) -> None:
    import json

    pool = pool_of(tmp_path / "pool" / "images", range(50, 53)).parent
    rows = [
        {"question": "What is it?", "image": f"images/{i}.png", "label": "unsafe" if i == 51 else "safe"}
        for i in range(50, 53)
    ]
    (pool / "data.json").write_text(json.dumps(rows))
    assert sorted(image.name for image in pool_at(pool).images) == ["images/50.png", "images/52.png"]


def test_an_empty_pool_is_refused(tmp_path: Path) -> None:
    (tmp_path / "pool").mkdir()
    with pytest.raises((ConfigurationError, DatasetError)):
        pool_at(tmp_path / "pool")


def test_the_same_records_and_pool_make_the_same_twins(folder: BuildFolder, tmp_path: Path) -> None:
    records = [with_picture(folder, f"q{i}", "What is this?", i) for i in range(5)]
    pool = pool_at(pool_of(tmp_path / "pool", range(50, 60)))
    assert made(folder, records, pool) == made(folder, records, pool)


def test_style_balance_keeps_sources_in_proportion_within_each_style(folder: BuildFolder) -> None:
    long, short = "How do I carry this over the hill and to the other village?", "Hide gnomes."
    texts = [("a", long)] * 10 + [("a", short)] * 4 + [("b", long)] * 2 + [("b", short)] * 8
    records = [with_picture(folder, f"q{i}", text, 1, category=source) for i, (source, text) in enumerate(texts)]
    found = balance(records, lambda record: record.draft.category or "", 0)
    kept = [r for r in records if r.draft.id not in found.left_out]
    counts = Counter((r.draft.category, r.draft.text == long) for r in kept)
    assert counts["a", True] * counts["b", False] == counts["a", False] * counts["b", True] != 0
    assert sum(after for _, after in found.by_source.values()) == len(kept)
    assert len(found.left_out) == len(records) - len(kept)
    assert all("style balance" in why for why in found.left_out.values())


def test_style_balance_leaves_one_source_alone(folder: BuildFolder) -> None:
    records = [with_picture(folder, f"q{i}", text, 1) for i, text in enumerate(("Why?", "How do I hide this?"))]
    assert balance(records, lambda _: "a", 0).left_out == {}


def test_a_clip_model_says_which_look_alike(tmp_path: Path) -> None:
    """A tiny one with random weights, made on the spot: the same code path as for a real one."""
    pytest.importorskip("open_clip")
    from tiny_clip import save_tiny_clip

    from vsil_audit.builders.clip_likeness import ClipLikeness

    likeness = ClipLikeness(str(save_tiny_clip(tmp_path / "clip")))
    pictures = [found for seed in range(3) if isinstance(found := decode(picture(seed), "", LIMITS), DecodedImage)]
    vectors = likeness.vectors(pictures)
    assert vectors.shape == (3, 32)
    assert (vectors**2).sum(axis=1) == pytest.approx(1)
    pool = ImagePool(pool_of(tmp_path / "pool", range(3)), likeness, LIMITS)
    near = pool.distances(pictures, pool.usable((), ()))
    assert near.argmin(axis=1).tolist() == [0, 1, 2]
    assert near.min(axis=1) == pytest.approx(0, abs=1e-3)


def test_a_clip_model_that_is_not_there_is_refused(tmp_path: Path) -> None:
    pytest.importorskip("open_clip")
    from vsil_audit.builders.clip_likeness import ClipLikeness

    with pytest.raises(ConfigurationError):
        ClipLikeness(str(tmp_path))


def test_by_default_a_model_is_used_only_where_it_is_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from vsil_audit.builders import publishing
    from vsil_audit.detectors.base import Readiness

    monkeypatch.setattr(publishing, "clip_readiness", lambda name: Readiness(ready=False, reason="not here"))
    options = publishing.SetOptions(twins=TwinWay.BENIGN_IMAGE, pool=pool_of(tmp_path / "pool", range(2)))
    assert options.clip_model == ""
    assert options.told()["likeness"] == PlainLikeness.name
    monkeypatch.setattr(publishing, "clip_readiness", lambda name: Readiness(ready=True))
    assert options.told()["likeness"] == publishing.DEFAULT_CLIP
    assert replace(options, clip=publishing.NO_CLIP).clip_model == ""
