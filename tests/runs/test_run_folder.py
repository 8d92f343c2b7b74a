"""The run folder: what goes in comes out, files are whole or absent, other folders are refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.detectors.base import Batch
from vsil_audit.errors import RunFolderError
from vsil_audit.features.facts import ImageError, ImageFacts, OcrLine
from vsil_audit.pair import Abstained, Evidence, Failed, Finding, ImageRef, Origin, Pair, Problem, Scored, Verdict
from vsil_audit.runs import arrow
from vsil_audit.runs import folder as folder_module
from vsil_audit.runs.folder import RunFolder, write_atomically

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
maybe_text = st.none() | text
outcomes = st.one_of(
    st.builds(Scored, st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(Abstained, text),
    st.builds(Failed, text, text),
)
findings = st.builds(
    Finding,
    detector=text,
    pair_id=maybe_text,
    outcome=outcomes,
    verdict=st.sampled_from(Verdict),
    kind=text,
    evidence=st.lists(st.builds(Evidence, st.integers(0, 9), st.integers(0, 9), text, text), max_size=3).map(tuple),
    details=st.dictionaries(text, text | st.integers(-9, 9) | st.booleans() | st.none(), max_size=3),
)
pairs = st.builds(
    Pair,
    id=text,
    text=text,
    images=st.lists(st.builds(lambda name: ImageRef(name, path=name), text), max_size=2).map(tuple),
    category=maybe_text,
    description=maybe_text,
    label=maybe_text,
    origin=st.builds(Origin, text, st.none() | st.integers(1, 99)),
    meta=st.dictionaries(text, text, max_size=2),
)


@given(st.lists(findings, max_size=4))
def test_findings_come_back_as_they_went_in(given_findings: list[Finding]) -> None:
    assert list(arrow.findings_from_table(arrow.findings_to_table(given_findings))) == given_findings


@given(st.lists(pairs, max_size=4))
def test_pairs_come_back_as_they_went_in(given_pairs: list[Pair]) -> None:
    assert list(arrow.pairs_from_table(arrow.pairs_to_table(given_pairs))) == given_pairs


def test_facts_come_back_with_their_pair(tmp_path: Path) -> None:
    read = ImageFacts(
        "a.png", "ab" * 32, 3, 4, "PNG", ("wrong_extension",), 2**64 - 1, (OcrLine("hello", 0.9, (0, 0, 1, 0.5)),)
    )
    broken = ImageFacts("b.png", error=ImageError("truncated", "ends after 10 bytes"))
    batch = Batch(0, (Pair("0", "x"), Pair("1", "y"), Pair("2", "z")), ((read, broken), (), (broken,)))
    folder = RunFolder(tmp_path)
    folder.write_batch(batch, [Problem("bad_row", "ragged", Origin("d.csv", 3))], [("ab" * 32, b"jpeg")])
    assert folder.read_batch(0) == batch
    assert [p.origin.row for p in folder.problems()] == [3]
    assert folder.thumbnails({"ab" * 32, "cd" * 32}) == {"ab" * 32: b"jpeg"}


def test_a_write_that_fails_leaves_the_old_file_and_no_rest(tmp_path: Path) -> None:
    target = tmp_path / "pairs" / "part.parquet"
    write_atomically(target, b"old")
    (tmp_path / "file-in-the-way").write_bytes(b"")
    with pytest.raises(RunFolderError, match="cannot write"):
        write_atomically(tmp_path / "file-in-the-way" / "x", b"new")
    assert target.read_bytes() == b"old"
    assert [p.name for p in target.parent.iterdir()] == ["part.parquet"]


def test_a_folder_without_a_run_is_refused_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match=r"no run\.json") as caught:
        RunFolder(tmp_path).manifest()
    assert "vsil-audit scan" in caught.value.remedy


def test_a_damaged_manifest_is_an_error_and_not_a_crash(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text('{"schema_version": 1, "state"')
    with pytest.raises(RunFolderError, match=r"run\.json cannot be read"):
        RunFolder(tmp_path).manifest()


def test_an_unfinished_run_has_no_summary(tmp_path: Path) -> None:
    with pytest.raises(RunFolderError, match="unfinished") as caught:
        RunFolder(tmp_path).summary()
    assert "continues" in caught.value.remedy


def test_a_damaged_shard_names_the_file(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path)
    folder.write_findings("hygiene", 0, [])
    (tmp_path / "findings" / "hygiene" / "part-00000.parquet").write_bytes(b"PAR1 not really")
    with pytest.raises(RunFolderError, match=r"part-00000\.parquet"):
        list(folder.findings("hygiene", 0))


def test_a_small_set_is_decoded_once_and_a_large_one_as_far_as_there_is_room(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    batches = [Batch(i, (Pair(f"p{i}", "x" * 300),), ((ImageFacts("a.png", "ab" * 32),),)) for i in range(6)]
    writing = RunFolder(tmp_path)
    for batch in batches:
        writing.write_batch(batch, [], [])
    decoded: list[int] = []
    decode = arrow.pairs_from_table

    def counting(table: pa.Table) -> tuple[Pair, ...]:
        pairs = decode(table)
        decoded.extend(int(pair.id[1:]) for pair in pairs)
        return pairs

    monkeypatch.setattr(arrow, "pairs_from_table", counting)
    small = RunFolder(tmp_path)
    assert [list(small.batches()) for _ in range(3)] == [batches] * 3
    assert decoded == [0, 1, 2, 3, 4, 5]
    batches[2] = Batch(2, (Pair("p2", "written anew"),), batches[2].images)
    small.write_batch(batches[2], [], [])
    assert list(small.batches()) == batches
    decoded.clear()
    monkeypatch.setattr(folder_module, "_DECODED_BYTES", 1200)
    large = RunFolder(tmp_path)
    assert [list(large.batches()) for _ in range(2)] == [batches] * 2
    assert decoded[:6] == [0, 1, 2, 3, 4, 5]
    assert decoded[6:] == list(range(6 - len(decoded[6:]), 6)), "the first ones stay"
    assert 0 < len(decoded[6:]) < 6
