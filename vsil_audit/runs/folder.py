"""The run folder: every file in it is written to a temporary name, fsynced and renamed, so it is whole or absent.

run.json                                the manifest
pairs/part-00000.parquet …              the pairs as read, in batches
problems/part-00000.parquet …           rows that could not be read, by the batch in which they came up
images/part-00000.parquet …             facts of the images of that batch's pairs
embedded/DIGEST                         bytes of an image that stands inside a table, where models are asked
embeddings/clip/part-00000.arrow …      CLIP vectors of that batch's texts and images, where a detector needs them
thumbnails/part-00000.parquet …         a thumbnail per image first seen in that batch
findings/DETECTOR/part-00000.parquet …  findings of that batch's pairs
findings/DETECTOR/set.parquet           findings about the whole set
observations/DETECTOR/part-00000.parquet …  what models said of that batch's pairs, and of the canaries among them
observations/DETECTOR/control.parquet   what they said of the benign control
summary.json, report.html …             what the reports show
calibration.json                        what people's labels say of the judges, where there are any
calibration-draws.json                  what was drawn at random to be labelled
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import ValidationError

from vsil_audit.detectors.base import Batch, ClipVectors
from vsil_audit.detectors.chat import Observation
from vsil_audit.errors import RunFolderError
from vsil_audit.features.facts import ImageError, ImageFacts
from vsil_audit.pair import Finding, Pair, Problem
from vsil_audit.places.addresses import Place
from vsil_audit.places.ahead import read_ahead
from vsil_audit.places.lease import check_lease
from vsil_audit.places.remote_path import RemotePath
from vsil_audit.runs import arrow
from vsil_audit.runs.clip_parts import clip_from_bytes, clip_to_bytes
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.observations import observations_from_table, observations_to_table
from vsil_audit.runs.summary import Summary

A = TypeVar("A")
B = TypeVar("B")
Decoded: TypeAlias = "tuple[tuple[Pair, ...], tuple[tuple[ImageFacts, ...], ...]]"
_DECODED_BYTES = 1 << 20
"""Arrow bytes of batches that stay decoded, some five times as much as objects: of sets of a few thousand pairs all."""


def write_atomically(path: Place, data: bytes) -> None:
    """Write `data` under a temporary name in the same folder, fsync, rename; in an object store, where what is uploaded
    appears when it is whole, upload it. Raises RunFolderError naming the file."""
    if isinstance(path, RemotePath):
        check_lease(path)
        path.write(data)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.unlink(missing_ok=True)
        with temporary.open("xb") as file:  # never through a link that lay there under that name
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise RunFolderError(
            f"cannot write {path}: {error.strerror or error}",
            "Free some space, or choose another folder; what was written before is kept.",
        ) from error


def _parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd")
    return bytes(sink.getvalue().to_pybytes())


def _opened(file: Place) -> Path | pa.BufferReader:
    """What pyarrow reads: a part of a remote run is small, and comes in one request."""
    return file if isinstance(file, Path) else pa.BufferReader(file.read_bytes())


def _part(index: int) -> str:
    return f"part-{index:05d}.parquet"


class RunFolder:
    """Reads and writes one run folder. What a scan has committed never changes: the batches of a small set are decoded
    once and stay. Of a remote folder it is remembered which parts were seen."""

    def __init__(self, path: Place) -> None:
        self.path = path
        self._decoded: dict[int, Decoded] = {}
        self._room = _DECODED_BYTES
        self._seen: dict[RemotePath, set[RemotePath]] = {}

    def remove_rests(self) -> None:
        """Remove what killed processes left of files that they were writing. Only for who holds the folder's lock."""
        for rest in self.path.rglob(".*.tmp"):
            with contextlib.suppress(OSError):
                rest.unlink()

    # manifest and summary

    def exists(self) -> bool:
        return (self.path / "run.json").is_file()

    def manifest(self) -> Manifest:
        """Raises RunFolderError when there is none, or it is not of this tool's making."""
        file = self.path / "run.json"
        try:
            return Manifest.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            raise RunFolderError(
                f"{self.path} is not a run folder: it has no run.json", "Name a folder that `vsil-audit scan` wrote."
            ) from None
        except (OSError, ValidationError) as error:
            raise RunFolderError(
                f"{file} cannot be read: {error}", "Scan again with --overwrite, or name another folder."
            ) from error

    def write_manifest(self, manifest: Manifest) -> None:
        write_atomically(self.path / "run.json", manifest.model_dump_json(indent=2).encode())

    def summary(self) -> Summary:
        """Raises RunFolderError when the run is not complete."""
        file = self.path / "summary.json"
        try:
            return Summary.model_validate_json(file.read_bytes())
        except FileNotFoundError:
            raise RunFolderError(
                f"{self.path} holds an unfinished run", "Run the same scan again; it continues where it stopped."
            ) from None
        except (OSError, ValidationError) as error:
            raise RunFolderError(f"{file} cannot be read: {error}", "Run the same scan again.") from error

    def write_summary(self, summary: Summary) -> None:
        write_atomically(self.path / "summary.json", summary.model_dump_json(indent=2).encode())

    # batches; the pairs are written last, so a batch is there when its pairs are

    def has_batch(self, index: int) -> bool:
        return self._is_there(self.path / "pairs" / _part(index))

    def write_batch(self, batch: Batch, problems: list[Problem], thumbnails: list[tuple[str, bytes]]) -> None:
        part = _part(batch.index)
        write_atomically(self.path / "problems" / part, _parquet(arrow.problems_to_table(problems)))
        write_atomically(self.path / "thumbnails" / part, _parquet(arrow.thumbnails_to_table(thumbnails)))
        write_atomically(self.path / "images" / part, _parquet(arrow.facts_to_table(batch.images)))
        if batch.clip is not None:
            write_atomically(self._clip_file(batch.index), clip_to_bytes(batch.clip))
        write_atomically(self.path / "pairs" / part, _parquet(arrow.pairs_to_table(batch.pairs)))
        self._decoded.pop(batch.index, None)

    def read_batch(self, index: int, *, clip: bool = False) -> Batch:
        """`clip`: with its CLIP vectors."""
        pairs, images = self._decoded.get(index) or self._decode(index)
        return Batch(index, pairs, images, self._clip(index, len(pairs), sum(map(len, images))) if clip else None)

    def _decode(self, index: int) -> Decoded:
        """What batch `index` holds. The first ones stay in memory: the set is read from its beginning again and again,
        where the last ones would always be those just dropped."""
        part = _part(index)
        tables = [self._table(self.path / folder / part) for folder in ("pairs", "images")]
        pairs = arrow.pairs_from_table(tables[0])
        decoded = pairs, arrow.facts_from_table(tables[1], len(pairs))
        size = sum(table.nbytes for table in tables)
        if size <= self._room:
            self._room -= size
            self._decoded[index] = decoded
        return decoded

    def _clip(self, index: int, n_texts: int, n_images: int) -> ClipVectors:
        file = self._clip_file(index)
        try:
            return clip_from_bytes(file.read_bytes(), n_texts, n_images)
        except (OSError, ValueError) as error:
            raise _damaged(file, error) from error

    def _clip_file(self, index: int) -> Place:
        return self.path / "embeddings" / "clip" / f"part-{index:05d}.arrow"

    def n_pairs(self, index: int) -> int:
        """How many pairs batch `index` holds, without reading them."""
        file = self.path / "pairs" / _part(index)
        try:
            return int(pq.read_metadata(_opened(file)).num_rows)
        except (OSError, pa.ArrowInvalid) as error:
            raise _damaged(file, error) from error

    def pairs_in(self, n_batches: int) -> int:
        """How many pairs the first batches hold together."""
        return sum(self._each(self.n_pairs, range(n_batches)))

    def n_batches(self) -> int:
        folder = self.path / "pairs"
        return len(list(folder.glob("part-*.parquet"))) if folder.is_dir() else 0

    def committed(self) -> set[int]:
        """Which batches are there; while they are read, in any order, there may be gaps."""
        return {
            int(part.name.removeprefix("part-").removesuffix(".parquet")) for part in _parts_in(self.path / "pairs")
        }

    def batches(self, *, clip: bool = False) -> Iterator[Batch]:
        """All batches in order, of a large set one in memory at a time; `clip`: with their CLIP vectors."""
        yield from self._each(partial(self.read_batch, clip=clip), range(self.n_batches()))

    def pair_ids(self) -> Iterator[str]:
        """Ids of all pairs, in order."""
        for table in self._tables((self.path / "pairs" / _part(i) for i in range(self.n_batches())), ["id"]):
            yield from table["id"].to_pylist()

    def problems(self) -> Iterator[Problem]:
        for table in self._tables(_parts_in(self.path / "problems")):
            yield from arrow.problems_from_table(table)

    def thumbnails(self, digests: set[str]) -> dict[str, bytes]:
        """JPEG bytes of those of `digests` that have a thumbnail."""
        found: dict[str, bytes] = {}
        for table in self._tables(_parts_in(self.path / "thumbnails")):
            if len(found) == len(digests):
                break
            for digest, jpeg in zip(table["digest"].to_pylist(), table["jpeg"], strict=True):
                if digest in digests:
                    found[digest] = jpeg.as_py()
        return found

    def thumbnail_digests(self) -> Iterator[str]:
        """Digests of the images whose thumbnail is kept, of committed batches only; there may be gaps between them."""
        files = (self.path / "thumbnails" / pairs.name for pairs in _parts_in(self.path / "pairs"))
        for table in self._tables(files, ["digest"]):
            yield from table["digest"].to_pylist()

    # images that stand inside a table: kept where they are to be sent to models later

    def keep_image(self, digest: str, data: bytes) -> None:
        file = self.path / "embedded" / digest
        if not file.is_file():
            write_atomically(file, data)

    def kept_image(self, digest: str) -> bytes | ImageError:
        """The bytes kept under that digest (64 hex digits), or why there are none."""
        try:
            return (self.path / "embedded" / digest).read_bytes()
        except OSError as error:
            return ImageError("missing", f"the run folder's copy cannot be read: {error.strerror}")

    # findings

    def has_findings(self, detector: str, index: int | None) -> bool:
        return self._is_there(self._findings_file(detector, index))

    def write_findings(self, detector: str, index: int | None, findings: list[Finding]) -> None:
        """Findings of batch `index`, or of the whole set for None."""
        write_atomically(self._findings_file(detector, index), _parquet(arrow.findings_to_table(findings)))

    def detectors(self) -> list[str]:
        folder = self.path / "findings"
        return sorted(p.name for p in folder.iterdir() if p.is_dir()) if folder.is_dir() else []

    def findings(self, detector: str, index: int | None = None) -> Iterator[Finding]:
        """Findings of one batch, or, for None, of all batches in order and then of the whole set."""
        if index is not None:
            yield from arrow.findings_from_table(self._table(self._findings_file(detector, index)))
            return
        for table in self._tables(self._finding_files(detector)):
            yield from arrow.findings_from_table(table)

    def finding_tables(self, detector: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns of what `findings(detector)` gives, in that order: for who needs no evidence, at a third of
        the cost."""
        yield from self._tables(self._finding_files(detector), columns)

    def findings_without_pair(self, detector: str) -> Iterator[Finding]:
        """Those of `findings(detector)` that are about no single pair, in that order; the others are not decoded."""
        for file in self._finding_files(detector):
            if self._table(file, columns=["pair_id"])["pair_id"].null_count:
                table = self._table(file)
                yield from arrow.findings_from_table(table.filter(table["pair_id"].is_null()))

    def set_findings(self, detector: str) -> Iterator[Finding]:
        """Findings that only the whole set could show; some may still be about single pairs."""
        if self.has_findings(detector, None):
            yield from arrow.findings_from_table(self._table(self._findings_file(detector, None)))

    def findings_table(self) -> pa.Table:
        """All findings of all detectors as one Arrow table."""
        files = [file for name in self.detectors() for file in self._finding_files(name)]
        return pa.concat_tables(self._tables(files)) if files else arrow.FINDINGS.empty_table()

    # observations: written before the findings that are made of them, so a batch's are there when its findings are

    def has_observations(self, detector: str, index: int | None) -> bool:
        return self._is_there(self._observations_file(detector, index))

    def write_observations(self, detector: str, index: int | None, observations: Iterable[Observation]) -> None:
        """Those of batch `index`, or of the benign control for None."""
        table = observations_to_table(observations)
        write_atomically(self._observations_file(detector, index), _parquet(table))

    def observations(self, detector: str) -> Iterator[Observation]:
        """All of a detector's: batch after batch, and then of the control."""
        for table in self._tables(self._observation_files(detector)):
            yield from observations_from_table(table)

    def observation_tables(self, detector: str, columns: Sequence[str]) -> Iterator[pa.Table]:
        """Some columns (`observations.OBSERVATIONS`) of what `observations` gives, in that order."""
        yield from self._tables(self._observation_files(detector), columns)

    def _observation_files(self, detector: str) -> list[Place]:
        folder = self.path / "observations" / detector
        return [*_parts_in(folder), *folder.glob("control.parquet")]

    def _observations_file(self, detector: str, index: int | None) -> Place:
        return self.path / "observations" / detector / ("control.parquet" if index is None else _part(index))

    def _finding_files(self, detector: str) -> list[Place]:
        folder = self.path / "findings" / detector
        return [*_parts_in(folder), *folder.glob("set.parquet")]

    def _findings_file(self, detector: str, index: int | None) -> Place:
        return self.path / "findings" / detector / ("set.parquet" if index is None else _part(index))

    def _is_there(self, file: Place) -> bool:
        """Whether a part is there. Each folder of a remote run is listed once, and what was seen there stays."""
        if isinstance(file, Path):
            return file.is_file()
        if file.parent not in self._seen:
            self._seen[file.parent] = set(file.parent.iterdir())
        seen = self._seen[file.parent]
        if file not in seen and file.is_file():
            seen.add(file)
        return file in seen

    def _tables(self, files: Iterable[Place], columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        return self._each(partial(self._table, columns=None if columns is None else list(columns)), files)

    def _each(self, read: Callable[[A], B], items: Iterable[A]) -> Iterator[B]:
        """`read` of each, in order; remote ones some ahead."""
        return map(read, items) if isinstance(self.path, Path) else read_ahead(read, items)

    @staticmethod
    def _table(file: Place, columns: list[str] | None = None) -> pa.Table:
        try:
            # not pq.read_table, which imports pyarrow.dataset and pandas first
            with pq.ParquetFile(_opened(file)) as parquet:
                return parquet.read(columns=columns, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise _damaged(file, error) from error


def _parts_in(folder: Place) -> list[Place]:
    """In the order of their batches: from the 100,000th on their names are longer."""
    return sorted(folder.glob("part-*.parquet"), key=lambda part: (len(part.name), part.name))


def _damaged(file: Place, error: Exception) -> RunFolderError:
    return RunFolderError(f"{file} cannot be read: {error}", "Scan again with --overwrite to make the run anew.")
