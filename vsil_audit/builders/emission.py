"""The finished set: VLSBench's layout (`data.json` beside `imgs/`), with what became of each pair beside its fields.

`imgs/metadata.jsonl` makes the same folder an `imagefolder` of Hugging Face. `data.json` is written last: where it is,
all of the set is there.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.record import Record
from vsil_audit.builders.selection import finished_records
from vsil_audit.errors import RunFolderError

DATA = "data.json"
IMAGES = "imgs"
METADATA = "metadata.jsonl"
FIELDS = (
    "instruction_id",
    "instruction",
    "category",
    "sub_category",
    "source",
    "image_description",
    "safety_reason",
    "label",
    "twin_of",
)
"""Columns of a pair beside its image, all text."""
USE_NOTICE = (
    "Made by vsil-audit as a safety-evaluation set: test queries and images only, no answers. For testing how models "
    "handle unsafe requests; not for training models to comply with them."
)


def emit(folder: BuildFolder) -> int:
    """Write the set that the folder's records and twins make; returns how many pairs it has. What was written before
    goes."""
    root = folder.path
    written = _Images(root / IMAGES, folder)
    benchmark = folder.manifest().name
    count = 0
    temporary = root / f".{DATA}.tmp"
    try:
        (root / DATA).unlink(missing_ok=True)
        shutil.rmtree(root / IMAGES, ignore_errors=True)
        (root / IMAGES).mkdir()
        with (
            temporary.open("w", encoding="utf-8", errors="surrogatepass") as file,
            (root / IMAGES / METADATA).open("w", encoding="utf-8", errors="replace") as metadata,
        ):
            file.write("[")
            for record in finished_records(folder):
                row = _row(record, written.path_of(record), benchmark)
                file.write(("," if count else "") + "\n" + json.dumps(row, ensure_ascii=False, allow_nan=False))
                if row["image_path"]:
                    metadata.write(json.dumps(_metadata(row), ensure_ascii=False) + "\n")
                count += 1
            file.write("\n]\n")
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(root / DATA)
    except OSError as error:
        raise RunFolderError(
            f"cannot write the set in {root}: {error.strerror or error}",
            "Free some space and run the same command again; what was built is kept.",
        ) from error
    return count


def _metadata(row: Mapping[str, Any]) -> dict[str, Any]:
    """As `imagefolder` wants it: the image's name beside this file."""
    return {"file_name": str(row["image_path"]).removeprefix(f"{IMAGES}/"), **{name: row[name] for name in FIELDS}}


def _row(record: Record, image_path: str, benchmark: str) -> dict[str, Any]:
    draft = record.draft
    scores = {
        vote.by: vote.details.get("score")
        for result in record.gates
        for vote in result.votes
        if "score" in vote.details
    }
    return {
        "instruction_id": draft.id,
        "instruction": draft.text,
        "image_path": image_path,
        "category": draft.category or "",
        "sub_category": draft.subcategory or "",
        "source": source_of(record, benchmark),
        "image_description": draft.description,
        "safety_reason": draft.safety_reason,
        "label": draft.label,
        "twin_of": draft.twin_of or "",
        "vsil_audit": {
            "fate": record.fate.value,
            "label_assumed": draft.label_assumed,
            "leak_scores": scores,
            "gates": [_gate(result.gate, result.passed, result.votes) for result in record.gates],
            "image": None
            if draft.image is None
            else {"digest": draft.image.digest, "prompt": draft.image.prompt, "seed": draft.image.seed},
            "steps": [{"kind": step.kind, "by": step.by, "round": step.round} for step in draft.steps],
        },
    }


def source_of(record: Record, benchmark: str) -> str:
    """Where the image is from: the benchmark, the pool, or who made it; empty without an image."""
    image = record.draft.image
    if image is None:
        return ""
    return benchmark if image.generator == "source" else image.generator.partition(";")[0]


def _gate(letter: str, passed: bool | None, votes: Iterable[Any]) -> dict[str, Any]:  # noqa: FBT001 - a field
    return {"gate": letter, "passed": passed, "votes": [{"by": v.by, "verdict": v.verdict} for v in votes]}


class _Images:
    """Images under running numbers, each content once."""

    def __init__(self, target: Path, folder: BuildFolder) -> None:
        self._target, self._folder = target, folder
        self._names: dict[str, str] = {}

    def path_of(self, record: Record) -> str:
        """Relative to the set's root; empty for a pair without image. The file is there when this returns."""
        image = record.draft.image
        if image is None:
            return ""
        if image.digest not in self._names:
            kept = self._folder.image_file(image.digest, image.format)
            name = f"{len(self._names):06d}{kept.suffix}"
            _link(kept, self._target / name)
            self._names[image.digest] = name
        return f"{IMAGES}/{self._names[image.digest]}"


def _link(kept: Path, target: Path) -> None:
    """The same bytes under a second name, without a second copy where the file system allows that."""
    try:
        os.link(kept, target)
    except OSError:
        shutil.copyfile(kept, target)


def rows(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a set that `emit` wrote."""
    yield from json.loads((path / DATA).read_text(encoding="utf-8", errors="surrogatepass"))
