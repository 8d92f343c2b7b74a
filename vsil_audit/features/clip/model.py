"""Which CLIP model is meant, and where its files lie. Nothing is fetched; neither torch nor open_clip is imported."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from vsil_audit.detectors.base import Readiness
from vsil_audit.errors import ConfigurationError, MissingDependencyError, VsilAuditError
from vsil_audit.features.clip import hub, known
from vsil_audit.features.clip.device import chosen_device
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.weights import weights_digest
from vsil_audit.json_file import json_object

DEFAULT_CLIP = "ViT-B-32:laion2b_s34b_b79k"
INSTALL = 'pip install "vsil-audit[clip]"'
COMPARED = 16
"""On how many images the error of vectors that are not exact is measured."""

_VERSION = "1"
_MEAN, _STD = (
    (0.48145466, 0.4578275, 0.40821073),
    (0.26862954, 0.26130258, 0.27577711),
)  # CLIP's own, open_clip's default
_CONFIG = "open_clip_config.json"
_SAFE, _PICKLE = "open_clip_model.safetensors", "open_clip_pytorch_model.bin"
_WEIGHT_FILES = (
    _SAFE, "open_clip_pytorch_model.safetensors", "model.safetensors",
    _PICKLE, "open_clip_pytorch_model.pth", "pytorch_model.bin", "pytorch_model.pth", "model.pth",
)  # fmt: skip
_TOKENIZER_FILES = ("tokenizer.json", "spiece.model", "sentencepiece.bpe.model", "vocab.txt", "vocab.json")
_NAMES = (
    "Name a model as MODEL:CHECKPOINT, as open_clip does, hf-hub:ORG/NAME, or a folder that open_clip saved one to."
)


@dataclass(frozen=True, slots=True)
class ClipSettings:
    """How a model is run. `device`: torch's name of it (None: a GPU when there is one). `backend`: `auto`, `torch`,
    `onnx` or `openvino`. `int8`: images at eight bits, faster and inexact. `compile`: torch.compile. `draft`: JPEGs may
    be decoded at a fraction of their size. `decode`: `cpu`, or `gpu`: JPEGs where the model runs, by `gpu_decoding`,
    inexact too. `batch`: how many images at once (None: what suits the device)."""

    model: str = DEFAULT_CLIP
    device: str | None = None
    backend: str = "auto"
    int8: bool = False
    compile: bool = False
    draft: bool = False
    decode: str = "cpu"
    batch: int | None = None


@dataclass(frozen=True, slots=True)
class ClipModel:
    """A model whose files are all here. `config`: open_clip's `model_cfg` as JSON. `checkpoint`: its weights, with the
    digest `weights`. `tokenizer`: the folder of its own tokenizer, None for CLIP's. `text_folder`: the configuration of
    a text tower of the library transformers."""

    name: str
    checkpoint: Path
    config: str
    preprocessing: Preprocessing
    weights: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    tokenizer: Path | None = None
    text_folder: Path | None = None

    def seen_by(self, settings: ClipSettings) -> Preprocessing:
        """How its images are prepared under these settings."""
        return replace(self.preprocessing, draft=settings.draft, on_gpu=settings.decode == "gpu")

    def space(self, settings: ClipSettings) -> str:
        """All that decides a vector, in one string: vectors of equal spaces can be compared and kept together."""
        config = hashlib.sha256(f"{self.config} {self.mean} {self.std}".encode()).hexdigest()[:12]
        precision = "int8" if settings.int8 else "bf16" if chosen_device(settings.device).startswith("cuda") else "fp32"
        parts = (
            f"clip {_VERSION}",
            f"weights {self.weights} {config}",
            self.seen_by(settings).version,
            f"open_clip {known.open_clip_version()}",
            precision,
        )
        return "; ".join(parts)


def inexact(space: str) -> str:
    """What is not exact about vectors of images in that space (`ClipModel.space`), in words; empty where all is."""
    parts = space.split("; ")
    pixels = next((part.split() for part in parts if part.startswith("pixels ")), [])
    ways = (
        ("int8" in parts, "images at eight bits"),
        ("draft" in pixels, "JPEGs decoded at a fraction of their size"),
        ("gpu" in pixels, "JPEGs decoded on the GPU"),
    )
    return ", ".join(what for chosen, what in ways if chosen)


def find_clip(name: str) -> ClipModel:
    """The model called `name`: `MODEL:CHECKPOINT` of open_clip, where CHECKPOINT may be a file of weights too;
    `hf-hub:ORG/NAME`; or a folder that open_clip saved a model to (`local-dir:` before it or not).

    Raises MissingDependencyError where open_clip or a tokenizer's library is not installed, and ConfigurationError for
    an unknown name and for weights or a tokenizer that are not on this machine: the remedy fetches them.
    """
    if known.package_folder() is None:
        raise MissingDependencyError("open_clip is not installed", INSTALL)
    try:
        folder = _folder(name)
        if folder is not None:
            return _in_folder(folder, name, "Save the model there again, or copy the whole folder.")
        scheme, colon, rest = name.partition(":")
        if scheme == "hf-hub":
            return _on_hub(rest, name)
        return _known(scheme, rest if colon else "", name)
    except OSError as error:
        raise ConfigurationError(
            f"the CLIP model {name} cannot be read: {error}", "Check its path and rights."
        ) from error


def clip_readiness(name: str) -> Readiness:
    """Whether `find_clip` finds the model; if not, why, and the command that helps."""
    try:
        find_clip(name)
    except VsilAuditError as error:
        return Readiness(ready=False, reason=error.message, remedy=error.remedy)
    return Readiness(ready=True)


# folders


def _folder(name: str) -> Path | None:
    path = name.removeprefix("local-dir:")
    try:
        folder = Path(path).expanduser()
        is_folder = bool(path) and folder.is_dir()
    except (OSError, RuntimeError, ValueError):  # no such user, no possible path
        is_folder = False
    if name.startswith("local-dir:") and not is_folder:
        raise ConfigurationError(f"there is no folder {path}", _NAMES)
    return folder.resolve() if is_folder else None


def _on_hub(repository: str, name: str) -> ClipModel:
    fetch = _python(f"open_clip.create_model({name!r}); open_clip.get_tokenizer({name!r})")
    if not hub.is_repository(repository):
        raise ConfigurationError(f"{repository!r} is not the name of a model on the Hugging Face hub", _NAMES)
    folder = hub.snapshot(repository)
    if folder is None:
        raise ConfigurationError(f"the CLIP model {name} is not in the Hugging Face cache of this machine", fetch)
    return _in_folder(folder, name, fetch)


def _in_folder(folder: Path, name: str, remedy: str) -> ClipModel:
    config = json_object(folder / _CONFIG)
    model = config.get("model_cfg")
    if not isinstance(model, dict):
        what = "is not what open_clip writes" if (folder / _CONFIG).is_file() else "is missing"
        raise ConfigurationError(f"{folder} holds no CLIP model: {_CONFIG} {what}", remedy)
    weights = hub.first_file(folder, _WEIGHT_FILES)
    if weights is None:
        raise ConfigurationError(f"{folder} holds no weights, such as {_SAFE}", remedy)
    prepared = config.get("preprocess_cfg")
    return _model(name, model, prepared if isinstance(prepared, dict) else {}, weights, folder, remedy)


# names of open_clip


def _known(named: str, tag: str, name: str) -> ClipModel:
    architecture = named.replace("/", "-")
    config = known.architecture(architecture)
    if config is None:
        close = get_close_matches(architecture, known.architectures(), n=1)
        hint = f"Did you mean {close[0]}? " if close else ""
        raise ConfigurationError(f"open_clip knows no model {named!r}, and there is no such folder", hint + _NAMES)
    entry = known.checkpoints(architecture).get(tag.lower().replace("-", "_"))
    if entry is None:
        return _own_weights(architecture, config, tag, name)
    fetch = _fetch(architecture, tag, config)
    weights = _cached_weights(entry)
    if weights is None:
        raise ConfigurationError(f"the weights of {name} are not on this machine", fetch)
    if entry.get(
        "quick_gelu"
    ):  # how the weights were trained; open_clip only warns when the architecture says otherwise
        config["quick_gelu"] = True
    return _model(name, config, entry, weights, None, fetch)


def _own_weights(architecture: str, config: dict[str, Any], tag: str, name: str) -> ClipModel:
    """A checkpoint that is a file of the user's."""
    file = Path(tag).expanduser() if tag else None
    if file is None or not file.is_file():
        tags = ", ".join(known.checkpoints(architecture)) or "none"
        what = (
            f"open_clip knows no checkpoint {tag!r} of {architecture}" if tag else f"no checkpoint of {name} is named"
        )
        raise ConfigurationError(what, f"Name one as {architecture}:CHECKPOINT. It has: {tags}.")
    return _model(
        name, config, {}, file.resolve(), None, f"{architecture} needs a tokenizer: " + _fetch_tokenizer(architecture)
    )


def _cached_weights(entry: Mapping[str, Any]) -> Path | None:
    """Where open_clip would find them: safetensors before pickles, the hub's cache before its own."""
    repository, _, file = str(entry.get("hf_hub") or "").rpartition("/")
    if repository:
        names = (_SAFE, _PICKLE)
        if file:
            stem, dot, ending = file.rpartition(".")
            names = (f"{stem}.safetensors", file) if dot and ending in ("bin", "pth") else (file, file)
        found = hub.cached(repository, *names)
        if found is not None:
            return found
    url = str(entry.get("url") or "")
    return hub.fetched_from_url(url) if url and not repository else None


def _fetch(architecture: str, tag: str, config: Mapping[str, Any]) -> str:
    """The command that makes open_clip fetch what it needs, as it would itself."""
    fetch = f"open_clip.download_pretrained(open_clip.get_pretrained_cfg({architecture!r}, {tag!r}))"
    own = config["text_cfg"].get("hf_tokenizer_name")
    return _python(fetch + (f"; open_clip.get_tokenizer({architecture!r})" if own else ""))


def _fetch_tokenizer(architecture: str) -> str:
    return _python(f"open_clip.get_tokenizer({architecture!r})")


def _python(code: str) -> str:
    return f'python -c "import open_clip; {code}"'


# what they have in common


def _model(
    name: str, config: Mapping[str, Any], prepared: Mapping[str, Any], weights: Path, folder: Path | None, remedy: str
) -> ClipModel:
    """`folder`: where everything of the model lies; None where its tokenizer has its own place in the hub's cache."""
    text, vision = config.get("text_cfg"), config.get("vision_cfg")
    if not isinstance(text, dict) or not isinstance(vision, dict):
        raise ConfigurationError(f"the configuration of {name} lacks its text or image tower", remedy)
    try:
        preprocessing = Preprocessing.of_config(prepared, vision.get("image_size", 224))
        mean, std = _channels(prepared.get("mean") or _MEAN), _channels(prepared.get("std") or _STD)
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"the configuration of {name} does not say how images are prepared: {error}", remedy
        ) from error
    tokenizer = _tokenizer(text, folder, name, remedy)
    return ClipModel(
        name=name,
        checkpoint=weights,
        config=json.dumps(config, sort_keys=True),
        preprocessing=preprocessing,
        weights=weights_digest(weights),
        mean=mean,
        std=std,
        tokenizer=tokenizer,
        text_folder=_text_folder(text, name),
    )


def _channels(value: Any) -> tuple[float, float, float]:
    red, green, blue = value if isinstance(value, (list, tuple)) else (value,) * 3
    return float(red), float(green), float(blue)


def _tokenizer(text: Mapping[str, Any], folder: Path | None, name: str, remedy: str) -> Path | None:
    own = text.get("hf_tokenizer_name")
    if not own:
        return None
    from importlib.util import find_spec

    if find_spec("transformers") is None:
        raise MissingDependencyError(
            f"{name} reads texts with the library transformers, which is not installed", INSTALL
        )
    found = folder if folder is not None else hub.snapshot(str(own))
    if found is None or hub.first_file(found, _TOKENIZER_FILES) is None:
        raise ConfigurationError(f"the tokenizer of {name} is not on this machine", remedy)
    return found


def _text_folder(text: Mapping[str, Any], name: str) -> Path | None:
    tower = text.get("hf_model_name")
    if not tower:
        return None
    found = hub.cached(str(tower), "config.json")
    if found is None:
        raise ConfigurationError(f"the text tower of {name} is not on this machine", f"hf download {tower} config.json")
    return found.parent
