"""Sentence embeddings, where the extra `[text]` is installed and a model lies on this machine. Never downloads."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.features.weights import weights_digest
from vsil_audit.features.windows import windows

MOST_CHARACTERS = 40_000
"""Of a text are looked at."""

_VERSION = 1
_NOT_READ = (".md", ".onnx", ".h5", ".msgpack", ".ot")
_BATCH = 32
_REMEDY = "Name the folder that sentence-transformers saved a model to; nothing is downloaded."


@dataclass(frozen=True, slots=True)
class SentenceModel:
    """A model's folder. `weights`: a digest of its files."""

    folder: Path
    weights: str

    @property
    def space(self) -> str:
        """All that decides a vector, in one string: vectors of equal spaces can be compared and kept together."""
        return f"sentences {_VERSION}; weights {self.weights}; sentence-transformers {_installed_version()}"


def find_model(folder: str | None) -> SentenceModel:
    """The model that sentence-transformers saved in the folder. Imports nothing heavy and loads nothing.

    Raises MissingDependencyError when the extra is not installed, and ConfigurationError when no model is named, or its
    folder is not there or cannot be read.
    """
    if find_spec("sentence_transformers") is None:
        raise MissingDependencyError("sentence-transformers is not installed", 'pip install "vsil-audit[text]"')
    if not folder:
        raise ConfigurationError("no embedding model is named", _REMEDY)
    if not Path(folder).is_dir():
        raise ConfigurationError(f"there is no embedding model at {folder}", _REMEDY)
    try:
        return SentenceModel(Path(folder), _folder_digest(Path(folder)))
    except OSError as error:
        raise ConfigurationError(f"the embedding model at {folder} cannot be read: {error}", _REMEDY) from error


class SentenceEncoder:
    """Texts to vectors, with a model that is loaded when it is first used. No remote code, no network."""

    def __init__(self, model: SentenceModel) -> None:
        self._where = model.folder
        self._loaded: Any = None

    def __call__(self, texts: Sequence[str]) -> list[npt.NDArray[np.float32]]:
        """Of each text the vectors of its windows, shape (windows, width), unit length: one for a text that the model
        takes as a whole. Texts of which the model makes no finite numbers have none.

        Raises MissingDependencyError and ConfigurationError when the model cannot be loaded.
        """
        if self._loaded is None:
            self._loaded = _load(self._where)
        cut = [text[:MOST_CHARACTERS] for text in texts]
        room, count = _window(self._loaded)
        passages = windows(cut, room, count) if room is not None else [[text] for text in cut]
        vectors = self._loaded.encode(
            [passage for of_text in passages for passage in of_text],
            batch_size=_BATCH,
            normalize_embeddings=True,
            convert_to_numpy=True,
            show_progress_bar=False,
        )
        each = np.split(np.asarray(vectors, dtype=np.float32), np.cumsum([len(p) for p in passages])[:-1])
        return [rows[np.isfinite(rows).all(axis=1)] for rows in each]


def _load(folder: Path) -> Any:
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as error:
        raise MissingDependencyError(
            f"sentence-transformers cannot be imported: {error}", 'pip install "vsil-audit[text]"'
        ) from error
    try:
        return SentenceTransformer(str(folder), local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as error:
        raise ConfigurationError(f"the embedding model at {folder} cannot be loaded: {error}", _REMEDY) from error


def _window(model: Any) -> tuple[int | None, Callable[[Sequence[str]], list[int]]]:
    """How many tokens of a text the model looks at, None for any number; and how many tokens texts have."""
    tokenizer = model.tokenizer

    def count(texts: Sequence[str]) -> list[int]:
        found = tokenizer(
            list(texts),
            add_special_tokens=False,
            truncation=False,
            padding=False,
            return_attention_mask=False,
            verbose=False,
        )
        return [len(ids) for ids in found["input_ids"]]

    longest = model.max_seq_length
    if longest is None or not math.isfinite(longest) or not hasattr(tokenizer, "num_special_tokens_to_add"):
        return None, count
    prompt = model.prompts.get(model.default_prompt_name) if model.default_prompt_name else None
    room = int(longest) - tokenizer.num_special_tokens_to_add(pair=False) - (count([prompt])[0] if prompt else 0)
    return max(1, room), count


def _folder_digest(folder: Path) -> str:
    """SHA-256 of the names and contents of the files that a model may be made of."""
    digest = hashlib.sha256()
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix not in _NOT_READ]
    for name, path in sorted((path.relative_to(folder).as_posix(), path) for path in files):
        if not name.startswith("."):
            digest.update(f"{name}\n{weights_digest(path)}\n".encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _installed_version() -> str:
    try:
        return metadata.version("sentence-transformers")
    except metadata.PackageNotFoundError:
        return "unknown"
