"""The finished set: VLSBench's fields, the card, the Hugging Face folders, and round trips through scan, evaluate and
datasets."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from builders.build_records import GNOMES, begun, picture, pool_of, with_card, with_picture

from vsil_audit.audit import evaluate, load, scan
from vsil_audit.builders.card import card, escaped
from vsil_audit.builders.emission import FIELDS, emit, rows
from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.huggingface import is_saved
from vsil_audit.builders.publishing import CARD, REPORT, Publishing, SetOptions
from vsil_audit.builders.record import Record
from vsil_audit.builders.selection import twin_of
from vsil_audit.builders.summarise import summarise
from vsil_audit.builders.summary import BuildSummary
from vsil_audit.builders.twins import TwinWay
from vsil_audit.detectors.chat import AskOptions
from vsil_audit.pair import Pair
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.sources.base import SourceOptions

HOSTILE = "</script><img src=x onerror=alert(1)> | `code` [link](javascript:x) \u202e"
N = 24


def records_in(folder: BuildFolder) -> list[Record]:
    made: list[Record] = [
        with_picture(folder, f"p{i}", f"How do I use the {GNOMES[i % 10]} thing here, number {i}?", i)
        for i in range(N - 6)
    ]
    drawer = Typographic()
    made += [
        with_card(folder, f"c{i}", f"Where do I put the item, number {i}?", f"{GNOMES[i]} garden gnome", drawer)
        for i in range(6)
    ]
    return made


def published(path: Path, records: list[Record], folder: BuildFolder, options: SetOptions) -> BuildSummary:
    """What a build does when its records are there, but for the scans."""
    folder.write_records(0, records)
    publishing = Publishing(folder, options, name="gnomes", seed=0)
    publishing.select()
    emit(folder)
    told = summarise(folder.records(), command="convert", name="gnomes", before=None, after=None)
    summary = publishing.summary(told)
    manifest = folder.manifest()
    publishing.publish(manifest.model_copy(update={"settings": {"offline": True}}), summary)
    return summary


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("set")
    pool = pool_of(path / "pool", range(100, 130))
    folder = begun(path / "out")
    options = SetOptions(twins=TwinWay.BENIGN_IMAGE, pool=pool, licence="mit", hf=True)
    published(path, records_in(folder), folder, options)
    return path / "out"


def test_rows_have_vlsbenchs_fields_and_what_was_done(out: Path) -> None:
    found = list(rows(out))
    assert len(found) == 2 * N
    assert set(found[0]) == {*FIELDS, "image_path", "vsil_audit"}
    assert [row["instruction_id"] for row in found[:4]] == ["p0", "p0-benign", "p1", "p1-benign"]
    assert all((out / row["image_path"]).is_file() for row in found)
    assert {row["source"] for row in found} == {"gnomes", "pool", Typographic().identity.partition(";")[0]}
    card_row = next(row for row in found if row["instruction_id"] == "c0")
    assert card_row["vsil_audit"]["steps"] == [{"kind": "draw_words", "by": Typographic().identity, "round": 0}]


def test_the_layout_is_recognised_with_labels_and_twins(out: Path) -> None:
    source = load(out)
    pairs = [item for item in source.read() if isinstance(item, Pair)]
    assert source.layout == "vlsbench"
    assert len(pairs) == 2 * N
    assert [pair.label for pair in pairs[:4]] == ["unsafe", "safe", "unsafe", "safe"]
    assert {pair.twin_of for pair in pairs if pair.label == "safe"} == {p.id for p in pairs if p.label == "unsafe"}


def test_a_vlsbench_without_these_columns_is_read_as_before(tmp_path: Path) -> None:
    (tmp_path / "imgs").mkdir()
    (tmp_path / "imgs" / "0.png").write_bytes(picture(1))
    row = {"instruction_id": 0, "instruction": "What is it?", "image_path": "imgs/0.png", "category": "c",
           "sub_category": "s", "source": "x", "image_description": "d"}  # fmt: skip
    (tmp_path / "data.json").write_text(json.dumps([row]))
    pair = next(iter(load(tmp_path).read()))
    assert isinstance(pair, Pair)
    assert (pair.label, pair.twin_of) == (None, None)


def test_a_scan_of_the_set_reads_all_of_it(out: Path, tmp_path: Path) -> None:
    options = ScanOptions(
        detectors=("hygiene", "topic_probe"), cache=tmp_path / "cache", output=tmp_path / "run", workers=2
    )
    audit = scan(out, options=options)
    assert audit.summary.dataset.pairs == 2 * N
    assert audit.summary.dataset.layout == "vlsbench"
    bits = audit.summary.metric("topic_probe.safety_label_bits")
    assert bits is not None
    assert bits.value == pytest.approx(0, abs=0.01), "the tool's own probe finds nothing either"


def test_an_evaluation_of_the_set_asks_about_every_pair(out: Path, tmp_path: Path) -> None:
    target = tmp_path / "target.yaml"
    target.write_text("name: agreeable\nrules:\n  - answer: Sure, take it step by step.\n")
    ask = AskOptions(targets=(f"scripted/{target}",))
    options = ScanOptions(ask=ask, cache=tmp_path / "cache", output=tmp_path / "run", workers=2, limit=8)
    audit = evaluate(out, options=options)
    assert audit.summary.evaluation is not None
    assert audit.summary.dataset.pairs == 8


def front_matter(out: Path) -> tuple[dict[str, Any], str]:
    _, matter, body = (out / CARD).read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(matter), body


def test_the_card_says_how_to_load_it_how_it_was_made_and_its_limits(out: Path) -> None:
    matter, body = front_matter(out)
    assert matter["license"] == "mit"
    assert matter["configs"] == [{"config_name": "default", "data_files": [{"split": "test", "path": "imgs/**"}]}]
    expected = ("no answers", "not for training", "24 safe, 24 unsafe", "| in this set | 48 |", "benign twins added",
                "does not tell the label", "No judge has said", "from a pool")  # fmt: skip
    assert [told for told in expected if told not in body] == []
    assert "licence of gnomes is not known" not in body


def test_an_unknown_licence_is_said(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out")
    published(tmp_path, records_in(folder)[:2], folder, SetOptions())
    matter, body = front_matter(tmp_path / "out")
    assert matter["license"] == "unknown"
    assert "licence of gnomes is not known" in body
    assert "cannot be shown" in body, "a set without twins says so"
    assert "All pairs are unsafe" in body


def test_hostile_names_are_inert_in_the_card(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out", HOSTILE)
    summary = published(tmp_path, records_in(folder)[:2], folder, SetOptions())
    told = card(folder.path, folder.manifest(), summary)
    matter = yaml.safe_load(told.split("---\n", 2)[1])
    assert matter["pretty_name"].startswith("</script>"), "data, in quotes"
    body = told.split("---\n", 2)[2]
    assert "<img" not in body.replace("\\<img", "")
    assert "\u202e" not in told
    assert escaped("a|b\n# c") == r"a\|b \# c"


def test_hostile_texts_are_inert_in_the_page(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out", HOSTILE)
    record = with_picture(folder, HOSTILE, HOSTILE, 1)
    published(tmp_path, [record], folder, SetOptions())
    page = (tmp_path / "out" / REPORT).read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert page.count("</script>") == page.count("<script")
    assert "default-src &#39;none&#39;" in page


def test_lone_surrogates_survive_in_the_set_and_break_nothing(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out")
    published(tmp_path, [with_picture(folder, "q", "What \ud800 is this?", 1)], folder, SetOptions(hf=True))
    assert next(rows(tmp_path / "out"))["instruction"] == "What \ud800 is this?"


def test_pairs_without_image_stand_in_the_table_only_and_the_card_says_so(tmp_path: Path) -> None:
    from dataclasses import replace

    folder = begun(tmp_path / "out")
    records = records_in(folder)[:2]
    records.append(replace(records[0], draft=replace(records[0].draft, id="bare", image=None)))
    published(tmp_path, records, folder, SetOptions())
    metadata = (tmp_path / "out" / "imgs" / "metadata.jsonl").read_text(encoding="utf-8").splitlines()
    assert [row["image_path"] != "" for row in rows(tmp_path / "out")] == [True, True, False]
    assert len(metadata) == 2
    assert "1 pairs have no image" in front_matter(tmp_path / "out")[1]


def test_what_has_no_twin_is_not_in_the_set_and_counted(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out")
    summary = published(tmp_path, records_in(folder), folder, SetOptions(twins=TwinWay.BENIGN_IMAGE))
    assert summary.left_out == {"no benign image: no pool is named (--pool)": N - 6}
    assert (summary.emitted, summary.twins) == (12, 6)
    assert summary.pairs - sum(summary.left_out.values()) + summary.twins == summary.emitted
    assert len(list(rows(tmp_path / "out"))) == 12


def test_what_the_detectors_suspect_of_a_twin_is_said_of_its_pair(out: Path) -> None:
    folder = BuildFolder(out)
    publishing = Publishing(folder, SetOptions(), name="gnomes", seed=0)
    assert publishing.of_pairs({"p0-benign": ["ocr_overlap"], "p1": ["ocr_overlap"]}) == {
        "p0": ["ocr_overlap (of its twin)"],
        "p1": ["ocr_overlap"],
    }
    assert [twin_of(r) for r in folder.records()][:2] == ["", ""]


def test_publishing_again_writes_nothing_and_a_new_licence_only_the_card(out: Path) -> None:
    folder = BuildFolder(out)
    summary = summarise(folder.records(), command="convert", name="gnomes", before=None, after=None)
    manifest = folder.manifest().model_copy(update={"state": "complete"})
    Publishing(folder, SetOptions(licence="mit", hf=True), name="gnomes", seed=0).publish(manifest, summary)
    before = {file: file.stat().st_mtime_ns for file in out.rglob("*") if file.is_file()}
    Publishing(folder, SetOptions(licence="cc0-1.0", hf=True), name="gnomes", seed=0).publish(manifest, summary)
    changed = {f.name for f in out.rglob("*") if f.is_file() and before.get(f) != f.stat().st_mtime_ns}
    assert changed == {CARD}
    assert is_saved(out)


def test_our_own_reader_reads_the_saved_data_set(out: Path) -> None:
    source = load(out / "hf", options=SourceOptions(layout="save-to-disk"))
    pairs = [item for item in source.read() if isinstance(item, Pair)]
    assert [pair.text for pair in pairs] == [row["instruction"] for row in rows(out)]
    assert all(len(pair.images) == 1 for pair in pairs)


def check_rows(dataset: Any, out: Path) -> None:
    expected = list(rows(out))
    assert len(dataset) == len(expected)
    for number in (0, 1, len(expected) - 1):
        row = dataset[number]
        assert {name: row[name] for name in FIELDS} == {name: expected[number][name] for name in FIELDS}
        assert row["image"].size[0] > 0


@pytest.fixture
def offline_datasets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    return pytest.importorskip("datasets")


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_the_saved_data_set(out: Path, offline_datasets: Any) -> None:
    check_rows(offline_datasets.load_from_disk(str(out / "hf")), out)


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_the_image_folder(out: Path, offline_datasets: Any, tmp_path: Path) -> None:
    options = {"data_dir": str(out / "imgs"), "cache_dir": str(tmp_path / "cache"), "split": "train"}
    check_rows(offline_datasets.load_dataset("imagefolder", **options), out)


@pytest.mark.filterwarnings("ignore")
def test_datasets_loads_the_folder_itself_by_its_card(out: Path, offline_datasets: Any, tmp_path: Path) -> None:
    check_rows(offline_datasets.load_dataset(str(out), cache_dir=str(tmp_path / "cache"), split="test"), out)


def test_style_balance_leaves_out_what_tells_the_source_and_counts_it(tmp_path: Path) -> None:
    folder = begun(tmp_path / "out")
    short = [with_picture(folder, f"s{i}", f"Hide it, number {i}.", 40 + i) for i in range(4)]
    summary = published(tmp_path, [*records_in(folder), *short], folder, SetOptions(balance=True))
    sources = [row["source"] for row in rows(tmp_path / "out")]
    assert summary.emitted == len(sources)
    assert sum(summary.left_out.values()) == N + 4 - len(sources) > 0
    assert all("style balance" in why for why in summary.left_out)
    assert not any(row["instruction_id"].startswith("s") for row in rows(tmp_path / "out")), "no card is so short"
