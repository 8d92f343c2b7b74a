"""What of a build's records goes into the finished set, and what joins it: twins, and what was left out and why."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from vsil_audit.builders.folder import PROVENANCE, BuildFolder
from vsil_audit.builders.record import Record
from vsil_audit.errors import RunFolderError
from vsil_audit.runs.folder import write_atomically

TWIN_STEP = "benign_twin"
"""Kind of the step that makes a twin; its detail `of` is the id of the pair that it stands beside."""
_TWINS, _LEFT_OUT = "twins.jsonl", "left-out.jsonl"


def write_selection(folder: BuildFolder, twins: Iterable[Record], left_out: Mapping[str, str]) -> None:
    """Keep the twins, of which those that are emitted join the set, and by id why others are not in it. What was kept
    before goes."""
    _write(folder, _TWINS, (record.to_json() for record in twins))
    _write(folder, _LEFT_OUT, ({"id": name, "reason": reason} for name, reason in left_out.items()))


def twins(folder: BuildFolder) -> list[Record]:
    return [Record.of_json(kept) for kept in _read(folder, _TWINS)]


def left_out(folder: BuildFolder) -> dict[str, str]:
    """Ids of records that passed, and are not in the set, with the reason."""
    return {kept["id"]: kept["reason"] for kept in _read(folder, _LEFT_OUT)}


def finished_records(folder: BuildFolder) -> Iterator[Record]:
    """The records of the finished set in its order: each pair, followed by its twins."""
    beside: dict[str, list[Record]] = {}
    for record in twins(folder):
        if record.fate.emitted:
            beside.setdefault(twin_of(record), []).append(record)
    gone = left_out(folder)
    for record in folder.records():
        if record.fate.emitted and record.draft.id not in gone:
            yield record
            yield from beside.get(record.draft.id, ())


def twin_of(record: Record) -> str:
    """The id of the pair that this twin was made beside; empty for what is no twin of ours."""
    return next((str(s.details.get("of", "")) for s in record.draft.steps if s.kind == TWIN_STEP), "")


def _write(folder: BuildFolder, name: str, rows: Iterable[dict[str, Any]]) -> None:
    lines = (json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n" for row in rows)
    write_atomically(folder.path / PROVENANCE / name, "".join(lines).encode("utf-8", "surrogatepass"))


def _read(folder: BuildFolder, name: str) -> list[dict[str, Any]]:
    file = folder.path / PROVENANCE / name
    try:
        text = file.read_bytes().decode("utf-8", "surrogatepass")
        return [json.loads(line) for line in text.split("\n") if line]
    except FileNotFoundError:
        return []
    except (OSError, ValueError) as error:
        raise RunFolderError(
            f"{file} cannot be read: {error}", "Remove that file and run the same command again."
        ) from error
