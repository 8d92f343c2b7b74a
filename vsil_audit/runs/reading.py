"""First stage of a run: the pairs that a scan is of, cut into batches, in the source's order."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator
from itertools import islice

from vsil_audit.pair import Pair, Problem
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanOptions, ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.reader import RawBatch, Reader
from vsil_audit.sources.base import Item, Source

_BATCH_BYTES = 64 << 20
_COUNT_TABLES_UP_TO = 64 << 20
_HELD_BYTES = 16 << 20
_BYTES_AN_ITEM = 2_000


def raw_batches(source: Source, options: ScanOptions) -> Iterator[RawBatch]:
    """The chosen pairs in the source's order, cut at the same places in every run (by count and by embedded bytes).

    Problems travel with the batch in which they came up; those after the last pair form a last batch of their own.
    """
    index, size = 0, 0
    pairs: list[Pair] = []
    problems: list[Problem] = []
    for item in _chosen(source, options):
        if isinstance(item, Problem):
            problems.append(item)
            continue
        pairs.append(item)
        size += sum(len(ref.data) for ref in item.images if ref.data is not None)
        if len(pairs) >= options.batch_pairs or size >= _BATCH_BYTES:
            yield RawBatch(index, tuple(pairs), tuple(problems))
            index, size, pairs, problems = index + 1, 0, [], []
    if pairs or problems or index == 0:
        yield RawBatch(index, tuple(pairs), tuple(problems))


def _chosen(source: Source, options: ScanOptions) -> Iterator[Pair | Problem]:
    if options.sample is not None:
        yield from _sampled(source, options.sample, options.seed)
        return
    kept = 0
    for item in source.read():
        if isinstance(item, Pair):
            if options.limit is not None and kept >= options.limit:
                return
            kept += 1
        yield item


def _sampled(source: Source, size: int, seed: int) -> Iterator[Pair | Problem]:
    """A uniform sample without replacement, in the source's order; two passes, memory of the sample's positions."""
    total = count_pairs(source)
    chosen = set(random.Random(seed).sample(range(total), min(size, total)))  # noqa: S311 - not for security
    position = -1
    for item in source.read():
        if isinstance(item, Pair):
            position += 1
            if position not in chosen:
                continue
        yield item


def count_pairs(source: Source, up_to: int | None = None) -> int:
    """How many pairs the source yields, at most `up_to`: a pass over the tables until then, no image opened."""
    return sum(1 for _ in islice((item for item in source.read() if isinstance(item, Pair)), up_to))


def expected_pairs(source: Source, options: ScanOptions) -> int | None:
    """For the progress bar: how many pairs will be read, or None where counting would cost a long pass."""
    wanted = options.limit or options.sample
    if sum(table.stat().st_size for table in source.tables()) > _COUNT_TABLES_UP_TO:
        return wanted
    return count_pairs(source, wanted)


class ReadOnce:
    """A source whose items, where a first whole pass shows that they are few, stay in memory: counting and reading make
    one pass over its tables. The items of a larger one are read at each pass."""

    def __init__(self, source: Source) -> None:
        self.layout, self.root, self.view = source.layout, source.root, source.view
        self.views, self.mapping = source.views, source.mapping
        self.tables = source.tables
        self._read = source.read
        self._items: list[Item] | None = None

    def read(self) -> Iterator[Item]:
        if self._items is not None:
            yield from self._items
            return
        items: list[Item] = []
        size = 0
        for item in self._read():
            if size <= _HELD_BYTES:
                items.append(item)
                size += _bytes_of(item)
            else:
                items.clear()
            yield item
        if size <= _HELD_BYTES:
            self._items = items


def _bytes_of(item: Item) -> int:
    """Roughly."""
    if isinstance(item, Problem):
        return _BYTES_AN_ITEM
    texts = len(item.text) + len(item.description or "")
    return _BYTES_AN_ITEM + texts + sum(len(ref.data) for ref in item.images if ref.data is not None)


def read_source(plan: ScanPlan, folder: RunFolder, reader: Reader, progress: Progress) -> int:
    """Commit all batches that the folder does not hold yet; returns how many batches there are."""
    doing = "Reading pairs and images" if plan.clip is None else f"Reading pairs and images, CLIP {plan.clip.model}"
    source = ReadOnce(plan.source)
    progress.stage(doing, expected_pairs(source, plan.options), "pairs")
    seen = _Counted(raw_batches(source, plan.options))
    reader.read(seen, folder, progress, folder.thumbnail_digests())
    return seen.count


class _Counted:
    """Batches as they pass, and how many there were."""

    def __init__(self, raws: Iterable[RawBatch]) -> None:
        self._raws = raws
        self.count = 0

    def __iter__(self) -> Iterator[RawBatch]:
        for raw in self._raws:
            self.count = raw.index + 1
            yield raw
