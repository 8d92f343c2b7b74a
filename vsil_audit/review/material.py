"""What people review: the pairs of a run, or of a dataset that nobody scanned, with their images by digest."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

from vsil_audit.audit import Audit, dataset_name
from vsil_audit.detectors.base import Batch
from vsil_audit.errors import RunFolderError, VsilAuditError
from vsil_audit.features.facts import ImageError, ImageFacts
from vsil_audit.images import ImageLimits, read_bytes
from vsil_audit.pair import ImageRef, Pair
from vsil_audit.runs.arrow import canonical_json
from vsil_audit.runs.detecting import clusters
from vsil_audit.runs.engine import Here
from vsil_audit.runs.folder import RunFolder, write_atomically
from vsil_audit.runs.manifest import Manifest, RunState
from vsil_audit.runs.plan import RUNS_FOLDER, ScanOptions, plan_scan
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.sources.base import ColumnMapping, Source, SourceOptions
from vsil_audit.sources.built_in import BY_GENERAL_FORM
from vsil_audit.sources.registry import open_source
from vsil_audit.stats.clusters import Groups

DIGEST = re.compile(r"[0-9a-f]{64}")
_BATCHES_KEPT = 8
_READER = "hygiene"  # a scan needs a detector; none of them runs here
_READING = "reading.json"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a pair stands in the folder: batch, and row in it. `number`: its position in the set."""

    batch: int
    row: int
    number: int


class Material:
    """Pairs by id, in the order of the set. Only their places are held; batches are read as they are wanted."""

    def __init__(self, folder: RunFolder, manifest: Manifest, *, scanned: bool) -> None:
        """`scanned`: whether the folder is a finished run, or holds pairs only."""
        self.folder, self.manifest, self.scanned = folder, manifest, scanned
        self.root = Path(manifest.dataset_path)
        self.limits = ImageLimits(max_pixels=manifest.config.max_pixels)
        self.places: dict[str, Place] = {}
        self._contents: dict[str, bytes] = {}
        number = 0
        for batch in folder.batches():
            for row, (pair, images) in enumerate(batch):
                self.places[pair.id] = Place(batch.index, row, number)
                self._contents[pair.id] = content_of(pair, images)
                number += 1
        self._batch = lru_cache(maxsize=_BATCHES_KEPT)(folder.read_batch)
        self._images: dict[str, tuple[Place, int]] = {}

    @property
    def name(self) -> str:
        return self.manifest.dataset_name

    def pair(self, pair_id: str) -> tuple[Pair, tuple[ImageFacts, ...]]:
        """The pair with its images' facts. Raises KeyError."""
        return self._at(self.places[pair_id])

    def content(self, pair_id: str) -> str:
        """sha256 hex (shortened to 128 bits) over text and images: equal for equal pairs. Raises KeyError."""
        return self._contents[pair_id].hex()

    def contents(self, pair_ids: Collection[str]) -> Mapping[str, str]:
        return {pair_id: self.content(pair_id) for pair_id in pair_ids if pair_id in self._contents}

    def groups(self) -> Groups:
        """Which pairs are not independent of each other, by their position in the set; shape (n_pairs,)."""
        return clusters(self.folder, len(self.places)).for_intervals

    def show_only(self, pair_ids: Collection[str]) -> int:
        """Images of these pairs can be asked for from now on, and no others. Returns how many cannot be shown, since
        they stand in a table that can no longer be read."""
        self._images = {}
        inside: set[str] = set()
        for pair_id in sorted(pair_ids, key=lambda name: self.places[name].number):
            pair, images = self.pair(pair_id)
            for index, (ref, facts) in enumerate(zip(pair.images, images, strict=True)):
                if facts.error is None and DIGEST.fullmatch(facts.digest):
                    self._images.setdefault(facts.digest, (self.places[pair_id], index))
                    if ref.data is not None:
                        inside.add(facts.digest)
        missing = {digest for digest in inside if isinstance(self.folder.kept_image(digest), ImageError)}
        return len(missing) - self._keep(missing) if missing else 0

    def image(self, digest: str) -> bytes | ImageError | None:
        """The bytes of an image that is shown, checked against its digest; why there are none; None for any other."""
        if digest not in self._images:
            return None
        place, index = self._images[digest]
        ref = self._at(place)[0].images[index]
        data = self._bytes(ref, digest)
        if isinstance(data, ImageError) or hashlib.sha256(data).hexdigest() == digest:
            return data
        return ImageError("changed", "the image is no longer the one that was read")

    def thumbnail(self, digest: str) -> bytes | None:
        """The run's own small copy of an image, where it has one."""
        return self.folder.thumbnails({digest}).get(digest) if digest in self._images else None

    def _bytes(self, ref: ImageRef, digest: str) -> bytes | ImageError:
        if ref.data is not None:
            return self.folder.kept_image(digest)
        return read_bytes(ref, self.root, self.limits)  # a URL is not fetched: the limits do not allow it

    def _at(self, place: Place) -> tuple[Pair, tuple[ImageFacts, ...]]:
        batch: Batch = self._batch(place.batch)
        return batch.pairs[place.row], tuple(batch.images[place.row])

    def _keep(self, wanted: Collection[str]) -> int:
        """Copy images out of the dataset's tables into the folder; returns how many were found."""
        found: set[str] = set()
        try:
            for ref in _embedded(reopened(self.manifest)):
                digest = hashlib.sha256(ref.data or b"").hexdigest()
                if digest in wanted and digest not in found:
                    self.folder.keep_image(digest, ref.data or b"")
                    found.add(digest)
                if len(found) == len(wanted):
                    break
        except VsilAuditError:
            return len(found)
        return len(found)


def content_of(pair: Pair, images: Sequence[ImageFacts]) -> bytes:
    """16 bytes that are equal for pairs of equal text and images."""
    said = canonical_json([pair.text, [facts.digest or facts.name for facts in images]])
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).digest()[:16]


def of_run(path: Path) -> Material:
    """The pairs of a finished run. Raises RunFolderError."""
    folder = Audit.open(path).folder
    return Material(folder, folder.manifest(), scanned=True)


def of_dataset(path: Path, options: SourceOptions, progress: Progress | None = None) -> Material:
    """The pairs of a benchmark that nobody scanned, read into a folder of their own below `vsil-audit-runs/`.

    Images are opened as a scan opens them, and nothing is detected; what was read before is not read again. Raises
    VsilAuditError of some kind, each with a remedy.
    """
    source = open_source(path, options)
    asked = ScanOptions(detectors=(_READER,))
    plan = plan_scan(source, dataset_name(path, source), asked)
    place = Path(RUNS_FOLDER) / f"{plan.folder.name}-review"
    plan = replace(plan, detectors=(), folder=place)
    folder = RunFolder(place)
    manifest = Manifest(
        tool_version="",
        state=RunState.READING,
        dataset_path=str(source.root.resolve()),
        dataset_name=plan.name,
        fingerprint=plan.fingerprint.content,
        stamp=plan.fingerprint.stamp,
        config=plan.config,
        command="",
    )
    file = place / _READING
    before = _manifest(file)
    if before is None or before.stamp != manifest.stamp:
        _forget(folder)
    if before is None or before.state is not RunState.COMPLETE or before.stamp != manifest.stamp:
        write_atomically(file, manifest.model_dump_json().encode())
        Here().read_pairs(plan, folder, progress or Silent())
        manifest = manifest.model_copy(update={"state": RunState.COMPLETE})
        write_atomically(file, manifest.model_dump_json().encode())
    return Material(folder, manifest, scanned=False)


def is_run(path: Path) -> bool:
    return (path / "run.json").is_file()


def reopened(manifest: Manifest) -> Source:
    """The dataset of a run, read as it was. Raises DatasetError where it is gone."""
    config = manifest.config
    roles: dict[str, Any] = dict(config.columns) if config.layout in BY_GENERAL_FORM else {}
    options = SourceOptions(layout=config.layout, view=config.view, split=config.split, columns=ColumnMapping(**roles))
    return open_source(Path(manifest.dataset_path), options)


def _embedded(source: Source) -> Iterator[ImageRef]:
    for item in source.read():
        if isinstance(item, Pair):
            yield from (ref for ref in item.images if ref.data is not None)


def _manifest(file: Path) -> Manifest | None:
    try:
        return Manifest.model_validate_json(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise RunFolderError(f"{file} cannot be read: {error}", f"Remove {file.name}; labels are not in it.") from error


def _forget(folder: RunFolder) -> None:
    """Remove what was read of data that has changed; labels stay."""
    for name in ("pairs", "problems", "images", "thumbnails", "embedded"):
        for file in (folder.path / name).glob("*"):
            file.unlink()
