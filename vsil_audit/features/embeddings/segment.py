"""Segments: immutable Arrow IPC files of vectors, sorted by digest and memory-mapped.

Columns: `digest` (32 bytes), `vector` (a fixed number of half-precision numbers) and `checksum` (CRC-32 of both). A
digest may have several rows, one after the other, in one record batch. Looking up touches the pages of a binary search
and of the rows that are found, whatever the size of the file.
"""

from __future__ import annotations

import mmap
import os
import secrets
import time
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

SUFFIX = ".arrow"
UNFINISHED = ".unfinished"
BLOCK_BYTES = 512 << 10
DIGEST_BYTES = 32


class DamagedSegmentError(Exception):
    """A file that is no segment of the width that was asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Rows sorted by digest. `digests`: shape (n,), S32; `vectors`: (n, d), float16; `checksums`: (n,), uint32."""

    digests: npt.NDArray[np.bytes_]
    vectors: npt.NDArray[np.float16]
    checksums: npt.NDArray[np.uint32]

    @classmethod
    def of(cls, kept: Iterable[tuple[bytes, npt.NDArray[np.float16]]], width: int) -> Block:
        """Of (digest, its rows); digests must be sorted and different."""
        pairs = list(kept)
        digests = [digest for digest, rows in pairs for _ in range(len(rows))]
        parts = [rows for _, rows in pairs]
        vectors = np.concatenate(parts) if parts else np.zeros((0, width), np.float16)
        return cls(as_keys(digests), vectors, _checksums(digests, vectors))

    def whole(self) -> npt.NDArray[np.bool_]:
        """Which rows are as they were written, shape (n,)."""
        raw = self.digests.view(np.uint8).reshape(-1, DIGEST_BYTES)
        same: npt.NDArray[np.bool_] = _checksums([row.tobytes() for row in raw], self.vectors) == self.checksums
        return same

    def is_whole(self, start: int, end: int) -> bool:
        """The same of all rows of one digest, `start` to `end`."""
        digests = [self.digests[start : start + 1].tobytes()] * (end - start)
        return bool((_checksums(digests, self.vectors[start:end]) == self.checksums[start:end]).all())

    def rows(self, start: int, end: int) -> Block:
        return Block(self.digests[start:end], self.vectors[start:end], self.checksums[start:end])


def as_keys(digests: Sequence[bytes]) -> npt.NDArray[np.bytes_]:
    """Digests of 32 bytes each as an array that sorts and compares as they do, shape (n,)."""
    return np.frombuffer(b"".join(digests), dtype=f"S{DIGEST_BYTES}")


def _checksums(digests: Sequence[bytes], vectors: npt.NDArray[np.float16]) -> npt.NDArray[np.uint32]:
    rows = np.ascontiguousarray(vectors).view(np.uint8)
    sums = (zlib.crc32(row, zlib.crc32(digest)) for digest, row in zip(digests, rows, strict=True))
    return np.fromiter(sums, dtype=np.uint32, count=len(digests))


class Segment:
    """One mapped file. What was found stays valid when the file is removed: copy it to let go of the map."""

    def __init__(self, path: Path, width: int | None) -> None:
        """Raises OSError (FileNotFoundError when it has gone) and DamagedSegmentError. `width` None: any."""
        self.path = path
        with path.open("rb") as file:
            self.size_bytes = os.fstat(file.fileno()).st_size
            if not self.size_bytes:
                raise DamagedSegmentError("it is empty")
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        if hasattr(mmap, "MADV_RANDOM"):
            self._map.madvise(mmap.MADV_RANDOM)
        try:
            self.width, self._places = _places(pa.py_buffer(self._map))
        except (pa.ArrowException, OSError, ValueError) as error:
            raise DamagedSegmentError(str(error)) from error
        if width is not None and self.width != width:
            raise DamagedSegmentError(f"it holds vectors of {self.width} numbers, not {width}")
        self.firsts = as_keys([self._map[place : place + DIGEST_BYTES] for place in self._places[:, 1].tolist()])
        self.n_rows = int(self._places[:, 0].sum())

    def block(self, number: int) -> Block:
        """The rows from the digest `firsts[number]` on, over the file's own bytes."""
        n, digests, vectors, checksums = self._places[number].tolist()
        return Block(
            np.frombuffer(self._map, f"S{DIGEST_BYTES}", n, digests),
            np.frombuffer(self._map, np.float16, n * self.width, vectors).reshape(n, self.width),
            np.frombuffer(self._map, np.uint32, n, checksums),
        )

    def find(self, keys: npt.NDArray[np.bytes_]) -> Iterator[tuple[int, npt.NDArray[np.float16] | None]]:
        """Of each of the sorted `keys` that is there: its place and its rows, shape (its rows, d); None in place of
        rows that are not as they were written."""
        if not len(self.firsts):
            return
        held_by = self.firsts.searchsorted(keys, "right") - 1
        first = int(held_by.searchsorted(0))  # those before it are smaller than all that is here
        while first < len(keys):
            block = self.block(int(held_by[first]))
            end = int(held_by.searchsorted(held_by[first], "right"))
            asked = keys[first:end]
            starts, ends = (block.digests.searchsorted(asked, side).tolist() for side in ("left", "right"))
            for i, (start, stop) in enumerate(zip(starts, ends, strict=True), first):
                if start < stop:
                    yield i, (block.vectors[start:stop] if block.is_whole(start, stop) else None)
            first = end

    def release(self) -> None:
        """Let the system take back the pages that were read; they are read again when needed."""
        if hasattr(mmap, "MADV_DONTNEED"):
            self._map.madvise(mmap.MADV_DONTNEED)


def _places(file: Any) -> tuple[int, npt.NDArray[np.int64]]:
    """The width, and of each record batch the number of rows and where its digests, vectors and checksums begin, shape
    (n, 4): so a large file costs a few bytes a batch. Raises DamagedSegmentError, and what pyarrow raises."""
    reader = pa.ipc.open_file(file)
    kind = reader.schema.field("vector").type if "vector" in reader.schema.names else None
    if kind is None or not pa.types.is_fixed_size_list(kind) or reader.schema != _schema(kind.list_size):
        raise DamagedSegmentError("its columns are not those of a segment")
    width = int(kind.list_size)
    places = []
    for i in range(reader.num_record_batches):
        batch = reader.get_batch(i)
        batch.validate()
        if any(column.null_count or column.offset for column in batch.columns):
            raise DamagedSegmentError("it has rows without a value")
        digest, vector, checksum = batch.columns
        buffers = (digest.buffers()[1], vector.values.buffers()[1], checksum.buffers()[1])
        begins = [buffer.address - file.address for buffer in buffers]
        if not all(0 <= begin <= file.size - buffer.size for begin, buffer in zip(begins, buffers, strict=True)):
            raise DamagedSegmentError("its rows are compressed")
        if batch.num_rows:
            places.append((batch.num_rows, *begins))
    return width, np.array(places, dtype=np.int64).reshape(-1, 4)


def write_segment(folder: Path, blocks: Iterable[Block], width: int, after: str = "") -> Path:
    """Write a new segment, all or nothing; it is on disk when this returns. `after`: name of the segment in whose place
    it comes in the order; else it is the newest. Blocks must be sorted, and no digest be in two. Raises OSError."""
    stamp = after.split("-", 1)[0] or f"{time.time_ns():020d}"
    path = folder / f"{stamp}-{os.getpid()}-{secrets.token_hex(4)}{SUFFIX}"
    unfinished = path.with_suffix(UNFINISHED)
    try:
        with unfinished.open("wb") as file:
            with pa.ipc.new_file(file, _schema(width)) as writer:
                for block in blocks:
                    writer.write_batch(_record_batch(block, width))
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return path


def sync_folder(folder: Path) -> None:
    """Make the names in a folder last. Windows has no such thing."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _schema(width: int) -> Any:
    return pa.schema(
        [
            pa.field("digest", pa.binary(DIGEST_BYTES), nullable=False),
            pa.field("vector", pa.list_(pa.field("item", pa.float16(), nullable=False), width), nullable=False),
            pa.field("checksum", pa.uint32(), nullable=False),
        ]
    )


def _record_batch(block: Block, width: int) -> Any:
    schema = _schema(width)
    n = len(block.digests)
    raw = np.ascontiguousarray(block.digests)
    numbers = pa.array(np.ascontiguousarray(block.vectors).reshape(-1), type=pa.float16())
    columns = [
        pa.Array.from_buffers(schema.field("digest").type, n, [None, pa.py_buffer(raw)]),
        pa.Array.from_buffers(schema.field("vector").type, n, [None], children=[numbers]),
        pa.array(np.ascontiguousarray(block.checksums), type=pa.uint32()),
    ]
    return pa.record_batch(columns, schema=schema)


def blocks_of(block: Block) -> Iterator[Block]:
    """The same rows in blocks of about `BLOCK_BYTES`, cut between digests."""
    n, width = block.vectors.shape
    most = max(1, BLOCK_BYTES // (2 * width + 1))
    start = 0
    while start < n:
        end = min(start + most, n)
        if end < n:
            before = int(np.searchsorted(block.digests, block.digests[end - 1 : end], "left")[0])
            after = int(np.searchsorted(block.digests, block.digests[end - 1 : end], "right")[0])
            end = before if before > start and after > end else after
        yield block.rows(start, end)
        start = end
