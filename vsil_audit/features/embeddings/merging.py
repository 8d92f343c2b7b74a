"""Many small segments become few large ones, so that looking up stays fast. Memory of a few blocks."""

from __future__ import annotations

import math
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np

from vsil_audit.features.embeddings.segment import (
    BLOCK_BYTES,
    SUFFIX,
    UNFINISHED,
    Block,
    DamagedSegmentError,
    Segment,
    blocks_of,
    write_segment,
)

_TOGETHER = 8
_SMALLEST_BYTES = 1 << 20
_LARGEST_BYTES = 4 << 30
_FORGOTTEN_SECONDS = 3600.0
LOCK = "merge.lock"


def segment_names(folder: Path) -> list[str]:
    """Names of the segments in a folder, the newest first; none when it is not there. Raises OSError."""
    try:
        with os.scandir(folder) as entries:  # each look-up of something new asks this: no Path for each
            return sorted((entry.name for entry in entries if entry.name.endswith(SUFFIX)), reverse=True)
    except FileNotFoundError:
        return []


def merge_segments(folder: Path, width: int) -> bool:
    """Merge segments of about the same size as long as there are many. Whether anything changed.

    One process at a time: a second returns at once. Killed at any moment it leaves every vector in some segment; one
    that is in two is dropped by a later merge. Raises OSError.
    """
    if os.name != "posix":  # a file that somebody has mapped could not be removed
        return False
    if _many_alike(folder) is None:
        return False
    changed = False
    with _alone(folder) as alone:
        while alone and (names := _many_alike(folder)) is not None:
            try:
                sources = [Segment(folder / name, width) for name in names]
            except (DamagedSegmentError, FileNotFoundError):
                break  # whoever looks something up sets it aside; or somebody cleared the folder
            write_segment(folder, merged(sources), width, after=names[0])
            for name in names:
                (folder / name).unlink(missing_ok=True)
            changed = True
        if alone:
            _remove_forgotten(folder)
    return changed


def merged(sources: Sequence[Segment]) -> Iterator[Block]:
    """Blocks with the rows of all, sorted; of a digest that is in several, the rows of the first that has them whole.

    The space of digests is cut wherever a block begins, so that a part holds at most one block's rows of each source.
    """
    cuts = np.unique(np.concatenate([source.firsts for source in sources]))
    waiting: list[Block] = []
    size = 0
    for part in (_part(sources, cuts[i : i + 1], cuts[i + 1 : i + 2]) for i in range(len(cuts))):
        waiting.append(part)
        size += part.vectors.nbytes
        if size >= BLOCK_BYTES:
            yield from blocks_of(_joined(waiting))
            waiting, size = [], 0
            for source in sources:
                source.release()
    if waiting:
        yield from blocks_of(_joined(waiting))


def _part(sources: Sequence[Segment], low: np.ndarray, high: np.ndarray) -> Block:
    """The rows whose digests are from `low` on and before `high` (none: to the end), each digest from one source."""
    found = []
    for source in sources:
        number = int(np.searchsorted(source.firsts, low, "right")[0]) - 1
        if number < 0:
            continue
        block = source.block(number)
        start = int(np.searchsorted(block.digests, low, "left")[0])
        end = int(np.searchsorted(block.digests, high, "left")[0]) if len(high) else len(block.digests)
        found.append(_undamaged(block.rows(start, end)))
    origin = np.repeat(np.arange(len(found)), [len(block.digests) for block in found])
    together = _joined(found)
    order = np.argsort(together.digests, kind="stable")
    _, group = np.unique(together.digests[order], return_inverse=True)
    first_of_group = origin[order][np.searchsorted(group, np.arange(group.max(initial=-1) + 1))]
    kept = order[origin[order] == first_of_group[group]]
    return Block(together.digests[kept], together.vectors[kept], together.checksums[kept])


def _undamaged(block: Block) -> Block:
    """Without the digests of which any row is not as it was written."""
    whole = block.whole()
    if whole.all():
        return block
    kept = ~np.isin(block.digests, block.digests[~whole])
    return Block(block.digests[kept], block.vectors[kept], block.checksums[kept])


def _joined(blocks: Sequence[Block]) -> Block:
    return Block(
        np.concatenate([block.digests for block in blocks]),
        np.concatenate([block.vectors for block in blocks]),
        np.concatenate([block.checksums for block in blocks]),
    )


def _many_alike(folder: Path) -> list[str] | None:
    """The names of enough segments of about the same size, the newest first; None when there are not enough."""
    alike: dict[int, list[tuple[str, int]]] = {}
    for name in segment_names(folder):
        try:
            size = (folder / name).stat().st_size
        except FileNotFoundError:
            continue
        tier = int(math.log(max(size, _SMALLEST_BYTES) / _SMALLEST_BYTES, _TOGETHER))
        alike.setdefault(tier, []).append((name, size))
    for tier in sorted(alike):
        chosen = alike[tier]
        if len(chosen) >= _TOGETHER and sum(size for _, size in chosen) <= _LARGEST_BYTES:
            return [name for name, _ in chosen]
    return None


@contextmanager
def _alone(folder: Path) -> Iterator[bool]:
    """Whether no other process merges here, and none will before this ends."""
    import fcntl

    with (folder / LOCK).open("ab") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True


def _remove_forgotten(folder: Path) -> None:
    """Remove what processes left that were killed while they wrote."""
    for path in folder.glob(f"*{UNFINISHED}"):
        with suppress(FileNotFoundError):
            if time.time() - path.stat().st_mtime > _FORGOTTEN_SECONDS:
                path.unlink()
