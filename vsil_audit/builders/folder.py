"""A build on disk: its settings, a record for every pair that it took in, and its images, all by atomic commits.

OUT/provenance/build.json                 what was asked for, of what data, and how far it is
OUT/provenance/records/part-00000.jsonl   what became of each pair, batch by batch
OUT/provenance/images/DIGEST.png          images that were made or taken over, by content
OUT/data.json, OUT/imgs/ …                the finished set, written last
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from vsil_audit.builders.draft import BuiltImage
from vsil_audit.builders.record import Record
from vsil_audit.errors import ConfigurationError, RunFolderError
from vsil_audit.features.facts import ImageError
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.runs.asked_summary import SpendRow
from vsil_audit.runs.folder import write_atomically
from vsil_audit.runs.locking import locked

PROVENANCE = "provenance"
_OF_SCANS = ("--output", "--overwrite")
_OTHER_FOLDER = "Name another folder with --out; what models answered is in the cache, and is not paid for again."
_KEEPING = threading.Lock()
_EXTENSIONS = {"PNG": "png", "JPEG": "jpg", "WEBP": "webp", "GIF": "gif", "BMP": "bmp", "TIFF": "tiff"}


class BuildManifest(BaseModel):
    """`settings`: all that decides what comes out; a folder that holds others is another build. `spend`: calls, tokens
    and dollars by model, of all sessions; what the scans asked stands in their own folders."""

    model_config = ConfigDict(extra="forbid")

    command: Literal["convert", "build"]
    name: str
    tool_version: str
    command_line: str = ""
    started: str
    finished: str = ""
    state: Literal["building", "interrupted", "complete"] = "building"
    fingerprint: str = ""
    settings: dict[str, Any] = {}
    spend: list[SpendRow] = []
    acknowledged: bool = False


class BuildFolder:
    """Reads and writes one build. Holds nothing but its path."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._own = path / PROVENANCE

    @classmethod
    def beside(cls, path: Path, source: str | Path) -> BuildFolder:
        """That folder. Raises ConfigurationError where it lies in the data, which would then be another set."""
        if Path(source).resolve() in path.resolve().parents:
            raise ConfigurationError(f"{path} lies inside {source}, which is not changed", "Name another --out.")
        return cls(path)

    def exists(self) -> bool:
        return (self._own / "build.json").is_file()

    def manifest(self) -> BuildManifest:
        """Raises RunFolderError where there is none that can be read."""
        file = self._own / "build.json"
        try:
            return BuildManifest.model_validate_json(file.read_bytes())
        except (OSError, ValidationError) as error:
            raise RunFolderError(
                f"{file} cannot be read: {error}", "Name a folder that vsil-audit built, or build anew."
            ) from error

    def write_manifest(self, manifest: BuildManifest) -> None:
        write_atomically(self._own / "build.json", manifest.model_dump_json(indent=2).encode())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the folder against other builds. Raises RunFolderError where one is at work there, ConfigurationError
        where the folder holds other things, which are left as they are.

        What a scan within the build advises is put in the build's words: it has no run folder that a user could name.
        """
        self._check_ours()
        try:
            with locked(self._own, ".lock", "build"):
                yield
        except RunFolderError as error:
            if not any(option in error.remedy for option in _OF_SCANS):
                raise
            raise RunFolderError(error.message, _OTHER_FOLDER) from error

    def begin(self, manifest: BuildManifest) -> BuildManifest:
        """Start in this folder, or go on with what it holds.

        Raises ConfigurationError where the folder holds other things, or a build of other data or settings.
        """
        self._check_ours()
        if not self.exists():
            self.write_manifest(manifest)
            return manifest
        found = self.manifest()
        changed = [
            name
            for name in {**found.settings, **manifest.settings}
            if found.settings.get(name) != manifest.settings.get(name)
        ]
        if found.fingerprint != manifest.fingerprint:
            changed.append("the data")
        if found.command != manifest.command or changed:
            raise ConfigurationError(
                f"{self.path} holds another build; what differs: {', '.join(sorted(changed)) or 'the command'}",
                "Name another folder with --out, or run the same command as before to continue that one.",
            )
        return found

    def _check_ours(self) -> None:
        if self.exists() or not self.path.exists():
            return
        if any(entry.name != PROVENANCE for entry in self.path.iterdir()):
            raise ConfigurationError(
                f"{self.path} is not empty, and holds no build of vsil-audit", "Name a new folder with --out."
            )

    # records, batch by batch

    def has_records(self, index: int) -> bool:
        return self._part(index).is_file()

    def write_records(self, index: int, records: Sequence[Record]) -> None:
        lines = (json.dumps(record.to_json(), ensure_ascii=False, allow_nan=False) for record in records)
        write_atomically(self._part(index), "".join(line + "\n" for line in lines).encode("utf-8", "surrogatepass"))

    def records(self, index: int | None = None) -> Iterator[Record]:
        """Of one batch, or of all in order. Raises RunFolderError naming a file that is damaged."""
        for part in self.part_indices() if index is None else [index]:
            yield from _read_records(self._part(part))

    def _part(self, index: int) -> Path:
        return self._own / "records" / f"part-{index:05d}.jsonl"

    def part_indices(self) -> list[int]:
        """Of the batches that have their records, in order."""
        return sorted(int(file.stem.removeprefix("part-")) for file in (self._own / "records").glob("part-*.jsonl"))

    # images, by content

    def keep_image(self, data: bytes, image_format: str) -> str:
        """Keep the bytes and return their digest, sha256 hex."""
        digest = hashlib.sha256(data).hexdigest()
        file = self.image_file(digest, image_format)
        with _KEEPING:  # two drafts may have the same image at the same moment
            if not file.is_file():
                write_atomically(file, data)
        return digest

    def image_part(self, image: BuiltImage) -> ImagePart:
        """The image as it is sent to a model: read from this folder, when it is sent."""
        file = self.image_file(image.digest, image.format)

        def read() -> bytes | ImageError:
            try:
                return file.read_bytes()
            except OSError as error:
                return ImageError("missing", f"the build folder's copy cannot be read: {error.strerror}")

        return ImagePart(image.digest, read, name=image.digest[:12])

    def image_file(self, digest: str, image_format: str) -> Path:
        return self._own / "images" / f"{digest}.{_EXTENSIONS.get(image_format, 'img')}"


def _read_records(file: Path) -> list[Record]:
    try:
        lines = file.read_bytes().decode("utf-8", "surrogatepass").split("\n")
        return [Record.of_json(json.loads(line)) for line in lines if line]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise RunFolderError(
            f"{file} cannot be read: {error}", "Remove that file and run the same command again."
        ) from error
