"""Tables made to crash, hang or fill memory, and tables that are links to someone's own files."""

from __future__ import annotations

import io
import json
import tarfile
import time
import zipfile
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.features.words import without_list_numbers, words
from vsil_audit.pair import Pair, Problem
from vsil_audit.sources.base import Source
from vsil_audit.sources.mapping_file import read_mapping_file
from vsil_audit.sources.parquet import ParquetTable
from vsil_audit.sources.pattern import parse_pattern
from vsil_audit.sources.record_batches import RowTooLargeError, rows_of
from vsil_audit.sources.registry import open_source
from vsil_audit.sources.tables import MOST_COLUMNS, open_table
from vsil_audit.sources.text_stream import JsonGuard

SECRET = "a line of a private file"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dataset folder with one image."""
    folder = tmp_path / "set"
    folder.mkdir()
    Image.new("RGB", (32, 32), (200, 30, 30)).save(folder / "a.png")
    return folder


@pytest.fixture
def private(tmp_path: Path) -> Path:
    """A file outside the dataset that a link may lead to."""
    file = tmp_path / "private.jsonl"
    file.write_text(json.dumps({"question": SECRET, "image": "a.png"}) + "\n")
    return file


def pairs(source: Source) -> list[Pair]:
    return [item for item in source.read() if isinstance(item, Pair)]


def problems(source: Source) -> list[Problem]:
    return [item for item in source.read() if isinstance(item, Problem)]


# links


def test_a_shard_that_is_a_link_out_of_the_dataset_is_refused(root: Path, private: Path) -> None:
    (root / "train-00000-of-00002.jsonl").write_text('{"question": "What is this here?", "image": "a.png"}\n')
    (root / "train-00001-of-00002.jsonl").symlink_to(private)
    with pytest.raises(DatasetError, match=r"train-00001-of-00002\.jsonl is a link that leads out"):
        open_source(root)


def test_a_named_layouts_table_that_is_a_link_out_of_the_dataset_is_refused(root: Path, tmp_path: Path) -> None:
    row = {"instruction_id": 1, "instruction": SECRET, "sub_category": "x", "image_description": "y", "image_path": "a"}
    (tmp_path / "elsewhere.json").write_text(json.dumps([row]))
    (root / "data.json").symlink_to(tmp_path / "elsewhere.json")
    with pytest.raises(DatasetError, match=r"data\.json is a link that leads out"):
        open_source(root)


def test_a_folder_of_tables_that_is_a_link_out_of_the_dataset_is_refused(root: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    row = {"instruction_id": 1, "instruction": SECRET, "sub_category": "x", "image_description": "y", "image_path": "a"}
    (elsewhere / "data.json").write_text(json.dumps([row]))
    (root / "data").symlink_to(elsewhere)
    with pytest.raises(DatasetError):
        open_source(root)


def test_links_within_the_dataset_and_a_link_that_the_user_names_are_followed(
    root: Path, private: Path, tmp_path: Path
) -> None:
    (root / "real").mkdir()
    (root / "real" / "train-00001-of-00002.jsonl").write_text('{"question": "And what is that?", "image": "a.png"}\n')
    (root / "train-00000-of-00002.jsonl").write_text('{"question": "What is this here?", "image": "a.png"}\n')
    (root / "train-00001-of-00002.jsonl").symlink_to(root / "real" / "train-00001-of-00002.jsonl")
    assert len(pairs(open_source(root / "train-00000-of-00002.jsonl"))) == 2
    link = tmp_path / "mine" / "link.jsonl"
    link.parent.mkdir()
    link.symlink_to(private)
    assert [pair.text for pair in pairs(open_source(link))] == [SECRET]


# JSON


@pytest.mark.parametrize("digits", [4_301, 100_000, 3_000_000])
def test_a_number_without_end_is_a_problem_and_does_not_crash_the_process(root: Path, digits: int) -> None:
    rows = '[{"question": "What is this here?", "image": "a.png"}, {"question": "And that?", "n": %s}]'
    (root / "t.json").write_text(rows % ("9" * digits))
    found = list(open_table(root / "t.json").rows())
    assert "broken_json" in [item.kind for item in found if isinstance(item, Problem)]


def test_many_digits_within_a_text_are_a_text(root: Path) -> None:
    (root / "t.json").write_text(json.dumps([{"question": "7" * 10_000, "image": "a.png"}]))
    assert [len(pair.text) for pair in pairs(open_source(root / "t.json"))] == [10_000]


def test_the_guard_counts_digits_over_pieces_of_any_size() -> None:
    for size in (1, 7, 1_999, 4_000):
        guard = JsonGuard()
        data = b'{"a": ' + b"1" * 4_001 + b"}"
        with pytest.raises(ValueError, match="digits"):
            feed(guard, data, size)
        guard = JsonGuard()
        data = b"[" + b",".join([b"1" * 4_000] * 3) + b"]"
        feed(guard, data, size)


def feed(guard: JsonGuard, data: bytes, size: int) -> None:
    for start in range(0, len(data), size):
        guard.feed(data[start : start + size])


def test_a_long_text_in_a_document_is_read_in_linear_time(root: Path) -> None:
    (root / "t.json").write_text('[{"question": "' + "a" * 30_000_000 + '", "image": "a.png"}]')
    started = time.process_time()
    found = problems(open_source(root / "t.json"))
    assert time.process_time() - started < 10
    assert [problem.kind for problem in found] == ["text_too_long"]


# texts and columns


def test_a_text_as_long_as_a_library_is_a_problem_of_its_row(root: Path) -> None:
    rows = [{"question": "very long " * 150_000, "image": "a.png"}, {"question": "What is this?", "image": "a.png"}]
    (root / "t.jsonl").write_text("\n".join(map(json.dumps, rows)))
    source = open_source(root / "t.jsonl")
    assert [pair.text for pair in pairs(source)] == ["What is this?"]
    assert [(p.kind, p.origin.row, p.fatal_for_pair) for p in problems(source)] == [("text_too_long", 1, True)]


@pytest.mark.parametrize("name", ["t.csv", "t.json"])
def test_a_table_of_a_hundred_thousand_columns_is_refused_at_once(root: Path, name: str) -> None:
    columns = [f"c{number}" for number in range(100_000)]
    text = ",".join(columns) + "\n" + ",".join(columns) if name == "t.csv" else json.dumps([dict.fromkeys(columns, 1)])
    (root / name).write_text(text)
    started = time.process_time()
    with pytest.raises(DatasetError, match=f"100,000 columns, more than {MOST_COLUMNS:,}"):
        open_source(root / name)
    assert time.process_time() - started < 10


@pytest.mark.parametrize("text", ["\n" * 100_000, "a\u0301" * 50_000, "1.\n" * 50_000, "a\u200d" * 50_000 + "\u0301!"])
def test_no_text_costs_more_than_its_length(text: str) -> None:
    started = time.process_time()
    without_list_numbers(text)
    words(text)
    assert time.process_time() - started < 5


# Parquet and Arrow


def test_one_long_text_named_by_many_rows_is_not_unfolded_at_once(tmp_path: Path) -> None:
    long = pa.DictionaryArray.from_arrays(pa.array([0] * 5_000, pa.int32()), pa.array(["b" * (2 << 20)]))
    file = tmp_path / "t.parquet"
    pq.write_table(pa.table({"q": long}), file, compression="zstd", dictionary_pagesize_limit=1 << 30)
    assert file.stat().st_size < 10_000
    before = pa.total_allocated_bytes()
    rows = ParquetTable(file, tmp_path).rows()
    for _ in range(20):
        next(rows)
    assert pa.total_allocated_bytes() - before < 200 << 20  # unfolded whole: 10 GB


def test_rows_that_unfold_too_far_are_left_out_and_their_neighbours_kept() -> None:
    nulls = pa.ListArray.from_arrays(pa.array([0, 1, 40_000_001, 40_000_003], pa.int32()), pa.nulls(40_000_003))
    found = list(rows_of(pa.record_batch({"id": pa.array([1, 2, 3]), "x": nulls})))
    assert [isinstance(row, RowTooLargeError) for row in found] == [False, True, False]
    assert found[2] == {"id": 3, "x": [None, None]}


def test_rows_of_a_dictionary_are_unfolded_some_at_a_time() -> None:
    column = pa.DictionaryArray.from_arrays(pa.array([0, 1] * 500, pa.int32()), pa.array(["b" * (1 << 20), "short"]))
    rows = rows_of(pa.record_batch({"q": column}))
    assert [len(row["q"]) for row, _ in zip(rows, range(4), strict=False)] == [1 << 20, 5, 1 << 20, 5]  # type: ignore[arg-type,index,call-overload]


# workbooks and archives


def workbook(path: Path, sheet_data: str) -> None:
    """A workbook of one sheet with the given rows in XML."""
    import openpyxl

    book = openpyxl.Workbook()
    book.active["A1"] = "x"
    plain = io.BytesIO()
    book.save(plain)
    with zipfile.ZipFile(plain) as old, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            data = old.read(name)
            if name == "xl/worksheets/sheet1.xml":
                begin, end = data.index(b"<sheetData>") + 11, data.index(b"</sheetData>")
                data = data[:begin] + sheet_data.encode() + data[end:]
            new.writestr(name, data)


def cells(row: int, *texts: str) -> str:
    inner = "".join(f'<c r="{"AB"[i]}{row}" t="inlineStr"><is><t>{t}</t></is></c>' for i, t in enumerate(texts))
    return f'<row r="{row}">{inner}</row>'


def test_a_cell_in_row_a_trillion_does_not_make_the_scan_count_to_it(root: Path) -> None:
    far = cells(999_999_999_999, "far away").replace('r="A999999999999"', 'r="A3"')
    workbook(root / "t.xlsx", cells(1, "question", "image") + cells(2, "What is this here?", "a.png") + far)
    started = time.process_time()
    assert [pair.text for pair in pairs(open_source(root / "t.xlsx"))] == ["What is this here?"]
    assert time.process_time() - started < 20


def test_a_workbook_that_unpacks_to_hundreds_of_times_its_size_is_refused(root: Path) -> None:
    workbook(root / "t.xlsx", cells(1, "question", "image") + cells(2, "A" * (257 << 20), "a.png"))
    with pytest.raises(DatasetError, match="unpacks to"):
        open_source(root / "t.xlsx")


def test_a_zip_member_whose_packed_bytes_are_damaged_is_a_missing_image(tmp_path: Path) -> None:
    from vsil_audit.sources.benchmark_images import BenchmarkImages

    file = tmp_path / "imgs.zip"
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x.png", b"some bytes of an image " * 50)
    data = bytearray(file.read_bytes())
    data[30 + len("x.png") : 30 + len("x.png") + 8] = b"\xff" * 8
    file.write_bytes(bytes(data))
    assert BenchmarkImages(tmp_path, [file]).find(("",), "x.png") is None


def tar_of(path: Path, *members: tuple[str, bytes]) -> None:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))


def test_a_tar_with_a_name_of_megabytes_is_a_problem(tmp_path: Path) -> None:
    image = io.BytesIO()
    Image.new("RGB", (16, 16)).save(image, "PNG")
    good = [("k.txt", b"What is this here?"), ("k.png", image.getvalue())]
    tar_of(tmp_path / "s.tar.gz", *good, ("n" * (2 << 20) + ".png", b"x"))
    source = open_source(tmp_path / "s.tar.gz")
    assert [pair.text for pair in pairs(source)] == ["What is this here?"]
    assert ["a header of" in problem.detail for problem in problems(source)] == [True]


def test_a_sample_of_many_large_members_is_not_held_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from vsil_audit.sources import webdataset

    monkeypatch.setattr(webdataset, "_BYTES_A_SAMPLE", 10_000)
    members = [("k.txt", b"What is this here?")] + [(f"k.{number}.png", b"\x89PNG" * 1_000) for number in range(5)]
    tar_of(tmp_path / "s.tar.gz", *members)
    found = problems(open_source(tmp_path / "s.tar.gz"))
    assert [problem.kind for problem in found].count("oversized_member") == 3


# what may come along with a dataset: a mapping file, a pattern


def test_a_mapping_file_that_nests_without_end_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yml"
    file.write_text("text: " + "[" * 20_000)
    with pytest.raises(ConfigurationError, match="nests too deep"):
        read_mapping_file(file)


def test_a_mapping_file_runs_nothing_and_unfolds_no_alias(tmp_path: Path) -> None:
    file = tmp_path / "mapping.yml"
    for text in (
        f'text: !!python/object/apply:os.mkdir ["{tmp_path / "made"}"]\n',
        "text: &a [x, x]\n" + "".join(f"image: &b{i} [*a, *a]\n" for i in range(40)),
    ):
        file.write_text(text)
        with pytest.raises(ConfigurationError):
            read_mapping_file(file)
    assert not (tmp_path / "made").exists()


@pytest.mark.parametrize("pattern", ["{0..99999999}.png", "{0..30}{0..30}{0..30}{0..30}", "{0.." + "9" * 5_000 + "}"])
def test_a_pattern_for_any_number_of_images_is_refused(pattern: str) -> None:
    with pytest.raises(DatasetError):
        parse_pattern(pattern).check(["image"])
