"""What is read before the first image: no more of the tables than the scan needs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from vsil_audit.pair import Origin, Pair, Problem
from vsil_audit.runs import reading
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.runs.reading import ReadOnce, count_pairs, expected_pairs, raw_batches
from vsil_audit.sources.base import ColumnMapping, Source


@dataclass
class Counting:
    """Stands in for a source of 100 pairs, with a problem before each tenth; counts what is asked of it."""

    given: int = field(default=0)
    passes: int = field(default=0)
    layout, view, views, mapping, root = "counting", "default", (), ColumnMapping(), Path()
    text: str = "text"

    def tables(self) -> tuple[Path, ...]:
        return ()

    def read(self) -> Iterator[Pair | Problem]:
        self.passes += 1
        for i in range(100):
            self.given += 1
            if i % 10 == 0:
                yield Problem("bad_row", "ragged", Origin("data.csv", i))
            yield Pair(str(i), f"{self.text} {i}")


@pytest.fixture
def source() -> Counting:
    return Counting()


def test_all_pairs_are_counted_and_no_problem(source: Source) -> None:
    assert count_pairs(source) == 100


@pytest.mark.parametrize(("up_to", "counted"), [(7, 7), (100, 100), (1000, 100)])
def test_counting_ends_when_enough_are_counted(source: Counting, up_to: int, counted: int) -> None:
    assert count_pairs(source, up_to) == counted  # type: ignore[arg-type]  # only `read` is used
    assert source.given == counted


def test_a_limit_reads_no_further(source: Counting) -> None:
    batches = list(raw_batches(source, ScanOptions(limit=7, batch_pairs=4)))  # type: ignore[arg-type]  # likewise
    assert [pair.id for batch in batches for pair in batch.pairs] == [str(i) for i in range(7)]
    assert source.given <= 8


def test_batches_are_cut_at_the_same_places_each_time(source: Source) -> None:
    options = ScanOptions(sample=20, seed=3, batch_pairs=6)
    first, again = (list(raw_batches(source, options)) for _ in range(2))
    assert first == again
    assert [len(batch.pairs) for batch in first] == [6, 6, 6, 2]


@pytest.mark.parametrize("options", [ScanOptions(), ScanOptions(sample=20, seed=3), ScanOptions(limit=7)])
def test_a_small_source_is_counted_and_read_in_one_pass(source: Counting, options: ScanOptions) -> None:
    wanted = list(raw_batches(source, options))
    source.passes = 0
    once = ReadOnce(source)
    assert expected_pairs(once, options) == sum(len(batch.pairs) for batch in wanted)
    assert list(raw_batches(once, options)) == wanted
    assert source.passes == (1 if options == ScanOptions() else 2), "of a pass that ended early nothing is known"


def test_a_large_source_is_read_at_each_pass(source: Counting, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_HELD_BYTES", 50_000)
    source.text = "long " * 2_000
    once = ReadOnce(source)
    passes = [list(once.read()) for _ in range(3)]
    assert passes[0] == passes[1] == passes[2] == list(source.read())
    assert source.passes == 4
