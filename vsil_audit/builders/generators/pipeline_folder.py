"""Where a diffusers pipeline lies on this machine, and which one it is: looked at without reading its weights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.gateway.local.folder import cached_file, content_digest, download_command, folder_named

PACKAGES = ("torch", "transformers", "diffusers")
INSTALL = "pip install 'vsil-audit[diffusion]'"
INDEX = "model_index.json"
_LIBRARIES = ("diffusers", "transformers")
_PICKLES = (".bin", ".pt", ".pth", ".ckpt")


@dataclass(frozen=True, slots=True)
class PipelineFolder:
    """`label` names it in reports. `version` changes whenever its files do: the commit of a snapshot from the hub, or a
    digest of the folder. `pipeline`, `scheduler`: names of diffusers' classes. `variant`: `fp16` where its weights are
    there in half precision only."""

    path: Path
    label: str
    version: str
    pipeline: str
    scheduler: str
    variant: str | None


def find_pipeline(name: str) -> PipelineFolder:
    """The pipeline that `ORG/NAME`, `ORG/NAME@REVISION` (in the hub's cache on this machine) or a folder's path names.

    Nothing is downloaded. Raises MissingDependencyError without diffusers, ConfigurationError when the pipeline is not
    here, has weights in pickles only, or brings code of its own.
    """
    missing = [package for package in PACKAGES if find_spec(package) is None]
    if missing:
        raise MissingDependencyError(
            f"diffusers/{name} runs in this process, which needs {' and '.join(missing)}.", INSTALL
        )
    own = folder_named(name)
    try:
        folder, fetch = (own, "") if own is not None else _cached(name)
        index = _index(folder, name)
        pipeline, variant = _checked(index, folder, name, fetch)
        version = folder.name if own is None else _fingerprint(folder)
    except OSError as error:
        raise ConfigurationError(
            f"diffusers/{name} cannot be read: {error}", "Check its path and permissions."
        ) from error
    label = name.partition("@")[0] if own is None else f"{folder.name}-{version[:12]}"
    scheduler = index.get("scheduler")
    return PipelineFolder(folder, label, version, pipeline, str(scheduler[1]) if scheduler else "", variant)


def _cached(name: str) -> tuple[Path, str]:
    """A snapshot in the hub's cache, and the command that fetches it."""
    repository, at, revision = name.partition("@")
    file = cached_file(repository, revision, INDEX) if bool(at) == bool(revision.strip()) else None
    if file is None:
        raise ConfigurationError(
            f"diffusers/{name}: there is no such folder, and it is not the name of a pipeline.",
            "Write diffusers/ORG/NAME, diffusers/ORG/NAME@REVISION, or diffusers/ and the path of a folder.",
        )
    fetch = download_command(repository, revision)
    if not file:
        raise ConfigurationError(
            f"The pipeline {name} is not on this machine, neither as a folder nor in the Hugging Face cache.",
            f"Fetch it with `{fetch}`; nothing is downloaded on its own.",
        )
    return Path(file).parent, fetch


def _index(folder: Path, name: str) -> dict[str, Any]:
    try:
        index = json.loads((folder / INDEX).read_bytes())
    except (FileNotFoundError, ValueError, RecursionError):
        index = None
    if not isinstance(index, dict) or not isinstance(index.get("_class_name"), (str, list)):
        raise ConfigurationError(
            f"diffusers/{name}: the folder holds no {INDEX} that names a pipeline.",
            "Name a folder saved with save_pretrained of a diffusers pipeline.",
        )
    return index


def _checked(index: dict[str, Any], folder: Path, name: str, fetch: str) -> tuple[str, str | None]:
    """The pipeline's class and the variant of its weights."""
    pipeline = index["_class_name"]
    components = {part: said for part, said in index.items() if isinstance(said, list) and not part.startswith("_")}
    libraries = {said[0] for said in components.values() if len(said) == 2 and said[0] is not None}
    parts = [folder / part for part in components if (folder / part).is_dir()]
    if not isinstance(pipeline, str) or not libraries <= set(_LIBRARIES) or any(map(_has_code, parts)):
        raise ConfigurationError(
            f"diffusers/{name} brings code of its own, which is never run.",
            "Name a pipeline that is made of parts of diffusers and transformers alone.",
        )
    variants = {_variant(part, name, fetch) for part in parts} - {""}
    if not variants:
        again = f"Fetch it with `{fetch}`." if fetch else "Copy the whole folder again."
        raise ConfigurationError(f"diffusers/{name} cannot be loaded: there are no weights.", again)
    return pipeline, "fp16" if variants == {"fp16"} else None


def _has_code(part: Path) -> bool:
    """Classes of its own, beside it or in another repository (`auto_map`), about which transformers may ask the user
    in the middle of a run."""
    return any(
        file.suffix == ".py"
        or (file.suffix == ".json" and "config" in file.name and b'"auto_map"' in file.read_bytes())
        for file in part.iterdir()
    )


def _variant(part: Path, name: str, fetch: str) -> str:
    """`plain` or `fp16` weights; empty for a part without any, such as a tokenizer."""
    files = [file.name for file in part.iterdir()]
    safe = [file for file in files if file.endswith(".safetensors")]
    if not safe and any(file.endswith(_PICKLES) for file in files):
        raise ConfigurationError(
            f"diffusers/{name} cannot be loaded: the weights of its {part.name} are pickles, which can run code when "
            "they are loaded, and are not read.",
            "Take a revision with .safetensors files, or convert it in a place that you can lose.",
        )
    for index in (file for file in files if file.endswith(".safetensors.index.json")):
        _check_shards(part / index, name, fetch)
    return "" if not safe else "plain" if any(".fp16" not in file for file in safe) else "fp16"


def _check_shards(index: Path, name: str, fetch: str) -> None:
    try:
        shards = set(json.loads(index.read_bytes())["weight_map"].values())
        absent = sorted(shard for shard in shards if not (index.parent / shard).is_file())
    except (ValueError, KeyError, TypeError, AttributeError):
        absent = [index.name]
    fp16 = ".fp16." in index.name
    if absent and not fp16:  # half-precision files beside whole ones are often left out on purpose
        again = f"Fetch it with `{fetch}`." if fetch else "Copy the whole folder again."
        what = f"{index.parent.name}/{absent[0]}"
        raise ConfigurationError(f"diffusers/{name} cannot be loaded: {what} is missing or cannot be read.", again)


def _fingerprint(folder: Path) -> str:
    """A digest of every file's place and content, as `gateway.local.folder` takes it."""
    digest = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        place = path.relative_to(folder)
        if path.is_file() and not any(part.startswith(".") for part in place.parts) and path.suffix != ".md":
            digest.update(f"{place.as_posix()}\0{content_digest(path)}\n".encode())
    return digest.hexdigest()
