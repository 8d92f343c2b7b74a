"""First stage of a run: stream the source, open every image once, commit batches of pairs with their facts."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from itertools import islice

from vsil_audit.detectors.base import Batch
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.pair import Pair, Problem
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanOptions, ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.sources.base import Source

_BATCHES_AHEAD = 3
_BATCH_BYTES = 64 << 20
_COUNT_TABLES_UP_TO = 64 << 20


@dataclass(frozen=True, slots=True)
class RawBatch:
    """Pairs and problems as the source yields them, before any image is opened."""

    index: int
    pairs: tuple[Pair, ...]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class _InFlight:
    raw: RawBatch
    futures: tuple[tuple[Future[ImageFacts], ...], ...]


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


def expected_pairs(plan: ScanPlan) -> int | None:
    """For the progress bar: how many pairs will be read, or None where counting would cost a long pass."""
    wanted = plan.options.limit or plan.options.sample
    if sum(table.stat().st_size for table in plan.source.tables()) > _COUNT_TABLES_UP_TO:
        return wanted
    return count_pairs(plan.source, wanted)


def read_source(plan: ScanPlan, folder: RunFolder, pipeline: ImagePipeline, progress: Progress) -> int:
    """Commit all batches that the folder does not hold yet; returns how many batches there are."""
    progress.stage("Reading pairs and images", expected_pairs(plan), "pairs")
    thumbnails_kept = _digests_with_thumbnail(folder)
    in_flight: deque[_InFlight] = deque()
    count = 0
    for raw in raw_batches(plan.source, plan.options):
        count = raw.index + 1
        if folder.has_batch(raw.index):
            progress.advance(len(raw.pairs))
            continue
        in_flight.append(_InFlight(raw, tuple(tuple(map(pipeline.submit, pair.images)) for pair in raw.pairs)))
        if len(in_flight) > _BATCHES_AHEAD:
            _commit(in_flight.popleft(), plan, folder, thumbnails_kept, progress)
    while in_flight:
        _commit(in_flight.popleft(), plan, folder, thumbnails_kept, progress)
    return count


def _digests_with_thumbnail(folder: RunFolder) -> set[bytes]:
    """Digests whose thumbnail an earlier, interrupted call of this run has kept."""
    return {bytes.fromhex(digest) for digest in folder.thumbnail_digests()}


def _commit(
    work: _InFlight, plan: ScanPlan, folder: RunFolder, thumbnails_kept: set[bytes], progress: Progress
) -> None:
    images: list[tuple[ImageFacts, ...]] = []
    thumbnails: list[tuple[str, bytes]] = []
    for futures in work.futures:
        facts = tuple(future.result() for future in futures)
        for f in facts:
            if f.thumbnail is not None and (key := bytes.fromhex(f.digest)) not in thumbnails_kept:
                thumbnails_kept.add(key)
                thumbnails.append((f.digest, f.thumbnail))
        images.append(tuple(replace(f, thumbnail=None) for f in facts))
        progress.advance(1)
    raw = work.raw
    if plan.chat_detectors:
        _keep_embedded(raw.pairs, images, folder)
    folder.write_batch(Batch(raw.index, raw.pairs, tuple(images)), list(raw.problems), thumbnails)


def _keep_embedded(pairs: Sequence[Pair], images: Sequence[Sequence[ImageFacts]], folder: RunFolder) -> None:
    """The bytes of images that stand inside a table: models are asked when the table is read no more."""
    for pair, facts in zip(pairs, images, strict=True):
        for ref, f in zip(pair.images, facts, strict=True):
            if ref.data is not None and f.error is None:
                folder.keep_image(f.digest, ref.data)
