"""Where a model of this machine lies, and which one it is: found and fingerprinted without reading its weights."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.json_file import json_object

_HUB_NAME = re.compile(r"^[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?$")
_SMALL = 64 << 20
_SAMPLES, _SAMPLE_BYTES = 64, 64 << 10
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")
_TEMPLATE_FILES = ("chat_template.jinja", "chat_template.json", "tekken.json")
_TEMPLATE_CONFIGS = ("tokenizer_config.json", "processor_config.json")

NO_TEMPLATE = (
    "it has no chat template, so there is no telling how it wants to be asked. Take its instruction-tuned variant "
    "(-Instruct, -it, -chat), or put the template that it was trained with into chat_template.jinja in a folder of the "
    "model and name that folder"
)
"""What is wrong with a model that was never taught to chat, and what to do. The subject comes before it."""


@dataclass(frozen=True, slots=True)
class ModelFolder:
    """A model on disk. `label` names it in reports; `version` changes whenever its files do: the commit of a snapshot
    from the Hugging Face hub, or a digest of the folder."""

    path: Path
    label: str
    version: str


def find_model(name: str) -> ModelFolder:
    """The model that `ORG/NAME`, `ORG/NAME@REVISION` (in the hub's cache on this machine) or a folder's path names.

    Nothing is downloaded. Raises MissingDependencyError without torch or transformers, ConfigurationError when the
    model is not here, is not whole, has its weights in pickles only, or has no chat template.
    """
    missing = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if missing:
        raise MissingDependencyError(
            f"hf/{name} runs in this process, which needs {' and '.join(missing)}.", "pip install 'vsil-audit[local]'"
        )
    folder = folder_named(name)
    try:
        return _cached(name) if folder is None else _own(folder, name)
    except OSError as error:
        raise ConfigurationError(f"hf/{name} cannot be read: {error}", "Check its path and permissions.") from error


def folder_named(name: str) -> Path | None:
    """The folder with that path, if there is one."""
    try:
        folder = Path(name).expanduser()
        return folder.resolve() if name and folder.is_dir() else None
    except (OSError, RuntimeError, ValueError):  # no such user, no possible path
        return None


def _own(folder: Path, name: str) -> ModelFolder:
    _check(folder, name)
    version = _fingerprint(folder)
    return ModelFolder(folder, f"{folder.name}-{version[:12]}", version)


def _cached(name: str) -> ModelFolder:
    """A snapshot in the hub's cache. Weights that transformers itself fetched earlier count, whole snapshot or not."""
    repository, at, revision = name.partition("@")
    config = cached_file(repository, revision, "config.json") if bool(at) == bool(revision.strip()) else None
    if config is None:
        raise ConfigurationError(
            f"hf/{name}: there is no such folder, and it is not the name of a model.",
            "Write hf/ORG/NAME, hf/ORG/NAME@REVISION, or hf/ and the path of a folder that holds a model.",
        )
    if not config:
        raise ConfigurationError(
            f"The model {name} is not on this machine, neither as a folder nor in the Hugging Face cache.",
            f"Fetch it with `{download_command(repository, revision)}`; nothing is downloaded on its own.",
        )
    snapshot = Path(config).parent
    _check(snapshot, name, download_command(repository, revision))
    return ModelFolder(snapshot, repository, snapshot.name)


def cached_file(repository: str, revision: str, file: str) -> str | None:
    """The path of a file of it; empty where it is not in the cache, None where no model can have that name."""
    from huggingface_hub import try_to_load_from_cache

    if not _HUB_NAME.match(repository):
        return None
    try:
        found = try_to_load_from_cache(repository, file, revision=revision or None)
    except ValueError:  # the hub's own rules of names
        return None
    return found if isinstance(found, str) else ""


def download_command(repository: str, revision: str) -> str:
    """What a user types to have it on this machine."""
    return f"hf download {repository}" + (f" --revision {revision}" if revision else "")


def _check(folder: Path, name: str, fetch: str = "") -> None:
    if not (folder / "config.json").is_file():
        raise ConfigurationError(
            f"hf/{name}: the folder holds no config.json, so no model.", "Name a folder saved with save_pretrained."
        )
    weights = _weight_files(folder, name)
    absent = sorted(file for file in weights if not (folder / file).is_file())
    if absent or not weights:
        again = f"Fetch it with `{fetch}`." if fetch else "Copy the whole folder again."
        what = f"{absent[0]} is missing" if absent else "there are no weights"
        if not weights and any(file.suffix in _PICKLES for file in folder.iterdir()):
            what = "its weights are pickles, which can run code when they are loaded, and are not read"
            again = "Take a revision with .safetensors files, or convert it in a place that you can lose."
        raise ConfigurationError(f"hf/{name} cannot be loaded: {what}.", again)
    if not _has_template(folder):
        raise ConfigurationError(f"hf/{name} cannot be asked: {NO_TEMPLATE}.")


def _weight_files(folder: Path, name: str) -> set[str]:
    index = folder / "model.safetensors.index.json"
    if not index.is_file():
        return {"model.safetensors"} if (folder / "model.safetensors").is_file() else set()
    shards = json_object(index).get("weight_map")
    if not isinstance(shards, dict) or not all(isinstance(shard, str) for shard in shards.values()):
        raise ConfigurationError(f"hf/{name}: {index.name} cannot be read.", "Fetch or copy the model again.")
    return set(shards.values())


def _has_template(folder: Path) -> bool:
    """Whether there may be one. Loading has the last word."""
    if any((folder / file).is_file() for file in _TEMPLATE_FILES):
        return True
    return any(json_object(folder / file).get("chat_template") for file in _TEMPLATE_CONFIGS)


def _fingerprint(folder: Path) -> str:
    """A digest of every file's name and content. Of a file above 64 MB, its size, its time of change and 64 samples
    stand for the content: reading all weights would take as long as loading them."""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        if path.is_file() and not path.name.startswith(".") and path.suffix != ".md":
            digest.update(f"{path.name}\0{content_digest(path)}\n".encode())
    return digest.hexdigest()


def content_digest(path: Path) -> str:
    """sha256 hex that stands for a file's content; see `_fingerprint`. Raises OSError."""
    status = path.stat()
    if status.st_size <= _SMALL:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    samples = hashlib.sha256(f"{status.st_size} {status.st_mtime_ns}".encode())
    with path.open("rb") as file:
        for number in range(_SAMPLES):
            file.seek((status.st_size - _SAMPLE_BYTES) * number // (_SAMPLES - 1))
            samples.update(file.read(_SAMPLE_BYTES))
    return samples.hexdigest()
