"""First stage of a run on Ray: the source is streamed on the driver's machine; workers open images and commit."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

from vsil_audit.errors import RunFolderError
from vsil_audit.places.addresses import Place
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.on_ray.attempts import ATTEMPTS, Attempts
from vsil_audit.runs.on_ray.cluster import Cluster
from vsil_audit.runs.on_ray.places import check_held, everywhere
from vsil_audit.runs.on_ray.spread import Spread
from vsil_audit.runs.plan import ScanOptions, ScanPlan
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.runs.reader import RawBatch, Reader, ReaderSettings
from vsil_audit.runs.reading import expected_pairs, raw_batches
from vsil_audit.sources.base import Source

_AT_ONCE = 3  # so that a reader's processes need not wait for the last image of a batch


@dataclass(frozen=True, slots=True)
class Piece:
    """Work for a reader: a batch, and how many batches and pairs there were up to it that need no work."""

    raw: RawBatch | None
    batches: int
    pairs_passed: int = 0


@dataclass(frozen=True, slots=True)
class _Read:
    """`batches`: how many there are up to this one. `pairs` that are done. For people: `warnings`, and `notes` of all
    that the reader `by` has read so far."""

    batches: int
    pairs: int
    by: str = ""
    warnings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def read_pairs(plan: ScanPlan, folder: RunFolder, progress: Progress, cluster: Cluster) -> int:
    """Commit all batches that the folder does not hold yet; returns how many batches there are.

    Raises RunFolderError where the folder cannot be written, or a batch ends each worker that reads it.
    """
    progress.stage("Reading pairs and images", expected_pairs(plan.source, plan.options), "pairs")
    settings = plan.reader
    pool = cluster.readers(settings.workers, encode=settings.clip is not None)
    settings = replace(
        settings,
        root=everywhere(settings.root),
        workers=pool.cpus,
        cache=settings.cache and settings.cache.resolve(),
    )
    place = everywhere(folder.path)
    spread: Spread[Piece, _Read] = Spread(
        partial(_pieces, plan.source, plan.options, frozenset(folder.committed())),
        BatchReader,
        (settings, place, Attempts(cluster)),
        cluster,
        pool,
        _AT_ONCE,
    )
    count, warned, noted = 0, set[str](), dict[str, tuple[str, ...]]()
    for read in spread.answers():
        check_held(folder.path)
        count = max(count, read.batches)
        progress.advance(read.pairs)
        noted[read.by] = read.notes
        for warning in read.warnings:
            if warning not in warned:
                warned.add(warning)
                progress.remark(warning)
    if lost := set(range(count)) - folder.committed():
        raise RunFolderError(
            f"{len(lost)} of {count} batches were given to workers and never committed, the first of them {min(lost)}",
            "Run the same command again; what was read is kept.",
        )
    for note in dict.fromkeys(note for notes in noted.values() for note in notes):
        progress.remark(note)
    return count


def _pieces(source: Source, options: ScanOptions, committed: frozenset[int]) -> Iterator[Piece]:
    """A piece for each batch that is not `committed`; those that are count in the next piece.

    It must give the same pieces again when its process is lost: Ray then skips as many as have been handed on.
    """
    batches, passed = 0, 0
    for raw in raw_batches(source, options):
        batches = raw.index + 1
        if raw.index in committed:
            passed += len(raw.pairs)
        else:
            yield Piece(raw, batches, passed)
            passed = 0
    yield Piece(None, batches, passed)


class BatchReader:
    """Reads batches in one process of the cluster, with processes of its own for images."""

    def __init__(self, settings: ReaderSettings, place: Place, attempts: Attempts) -> None:
        self._folder = RunFolder(place)
        self._attempts = attempts
        self._reader = Reader(settings)
        self._reader.__enter__()
        self._name = secrets.token_hex(8)

    def __call__(self, piece: Piece) -> _Read:
        raw = piece.raw
        if raw is None:
            return _Read(piece.batches, piece.pairs_passed)
        if not self._folder.has_batch(raw.index):  # else a worker was lost after its commit
            if self._attempts.are_used_up(f"batch {raw.index}"):
                raise _deadly(raw)
            self._reader.read([raw], self._folder, Silent())
        notes = tuple(self._reader.notes())
        pairs = piece.pairs_passed + len(raw.pairs)
        return _Read(piece.batches, pairs, self._name, tuple(self._reader.warnings), notes)

    def close(self) -> None:
        self._reader.__exit__(None, None, None)


def _deadly(raw: RawBatch) -> RunFolderError:
    pairs = f"pairs {raw.pairs[0].id!r} to {raw.pairs[-1].id!r}" if raw.pairs else "no pairs"
    return RunFolderError(
        f"batch {raw.index} ({pairs}) or one read beside it ended its worker {ATTEMPTS} times",
        "Perhaps memory is short: give Ray fewer CPUs a machine, or name fewer --workers; what was read is kept.",
    )
