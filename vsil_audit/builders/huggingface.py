"""The finished set as Hugging Face's `save_to_disk` lays it out, images inside; written with pyarrow alone."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from vsil_audit.builders.emission import DATA, FIELDS, rows
from vsil_audit.errors import RunFolderError

FOLDER = "hf"
_FILE = "data-00000-of-00001.arrow"
_ROWS_AT_ONCE = 64


def write_saved_dataset(root: Path) -> Path:
    """`root/hf`, for `datasets.load_from_disk`, of the set in `root`; what was there goes. Its state comes last."""
    import pyarrow as pa

    target = root / FOLDER
    text = {name: {"dtype": "string", "_type": "Value"} for name in FIELDS}
    features = {"image": {"_type": "Image"}, **text}
    info = {"citation": "", "description": "", "features": features, "homepage": "", "license": ""}
    image_type = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    schema = pa.schema(
        [("image", image_type), *((name, pa.string()) for name in FIELDS)],
        metadata={"huggingface": json.dumps({"info": {"features": features}})},
    )
    try:
        shutil.rmtree(target, ignore_errors=True)
        target.mkdir()
        with pa.OSFile(str(target / _FILE), "wb") as sink, pa.ipc.new_stream(sink, schema) as writer:
            for part in _parts(root):
                writer.write_batch(pa.RecordBatch.from_pylist(part, schema=schema))
        _write_json(target / "dataset_info.json", info)
        _write_json(target / "state.json", _state(root / DATA))
    except OSError as error:
        raise RunFolderError(
            f"cannot write the data set in {target}: {error.strerror or error}",
            "Free some space and run the same command again; what was built is kept.",
        ) from error
    return target


def is_saved(root: Path) -> bool:
    """Whether the set in `root` was written before, as it is now."""
    try:
        kept = json.loads((root / FOLDER / "state.json").read_bytes())
    except (OSError, ValueError):
        return False
    return bool(kept == _state(root / DATA))


def _parts(root: Path) -> Iterator[list[dict[str, Any]]]:
    part: list[dict[str, Any]] = []
    for row in rows(root):
        path = row["image_path"]
        image = {"bytes": (root / path).read_bytes(), "path": Path(path).name} if path else None
        part.append({"image": image, **{name: _writable(row[name]) for name in FIELDS}})
        if len(part) == _ROWS_AT_ONCE:
            yield part
            part = []
    if part:
        yield part


def _writable(text: str) -> str:
    """Lone surrogates, which no Arrow string can hold, as question marks."""
    return text.encode("utf-8", "replace").decode()


def _state(data: Path) -> dict[str, Any]:
    return {
        "_data_files": [{"filename": _FILE}],
        "_fingerprint": hashlib.sha256(data.read_bytes()).hexdigest()[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": "test",
    }


def _write_json(file: Path, value: dict[str, Any]) -> None:
    with file.open("w", encoding="utf-8") as stream:
        json.dump(value, stream, indent=2)
        stream.flush()
        os.fsync(stream.fileno())
