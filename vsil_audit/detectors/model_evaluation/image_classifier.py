"""Image-safety classifiers over images alone: does what is seen look unsafe, whatever is asked about it?

The VLSBench paper (section 5) tries two of them and finds that they flag none of its images. They are transformers
models for image classification, run in this process; their weights are never downloaded from here.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from vsil_audit.detectors.base import Readiness
from vsil_audit.features.facts import ImageError
from vsil_audit.gateway.image_url import prepare
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.pair import Abstained, Failed, Outcome, Scored

OF_THE_PAPER = ("Falconsai/nsfw_image_detection", "AdamCodd/vit-base-nsfw-detector")

SAFE, UNSAFE = "safe", "unsafe"
MISSING = "missing"
_SAFE_NAMES = frozenset({"safe", "sfw", "normal", "neutral", "benign", "ok", "clean", "drawing", "drawings"})
_UNSAFE_NAMES = frozenset(
    {"unsafe", "nsfw", "porn", "hentai", "sexy", "explicit", "nude", "violence", "gore", "harmful"}
)
_AT_ONCE = 16
_MOST_KEPT = 65_536
_SIDE = 512  # pixels, before the model's own processing


@dataclass(frozen=True, slots=True)
class ImageVerdict:
    """What a classifier says of an image. `outcome`: Scored with the probability in [0, 1] that it is unsafe;
    `label`: SAFE or UNSAFE where Scored; `scores`: by its own labels."""

    outcome: Outcome
    label: str = ""
    scores: dict[str, float] = field(default_factory=dict)


def readiness(name: str) -> Readiness:
    """Whether the classifier `name`, a folder or a name on the hub, can run here. Imports nothing heavy."""
    absent = [package for package in ("torch", "transformers") if find_spec(package) is None]
    if absent:
        reason = f"image classifiers run in this process, which needs {' and '.join(absent)}"
        return Readiness(ready=False, reason=reason, remedy='pip install "vsil-audit[local]"')
    if find_weights(name) is None:
        reason = f"the classifier {name} is not on this machine"
        return Readiness(ready=False, reason=reason, remedy=f"hf download {name}")
    return Readiness(ready=True)


def find_weights(name: str) -> Path | None:
    """The folder of the classifier, with its weights as safetensors: `name` itself, or a snapshot in the cache of the
    hub on this machine."""
    try:
        folder = Path(name).expanduser()
        if folder.is_dir():
            return folder.resolve() if _whole(folder) else None
        if find_spec("huggingface_hub") is None:
            return None
        from huggingface_hub import try_to_load_from_cache

        config = try_to_load_from_cache(name, "config.json")
    except (OSError, RuntimeError, ValueError):  # no possible path, and no name that a repository can have
        return None
    return Path(config).parent if isinstance(config, str) and _whole(Path(config).parent) else None


def version(name: str) -> str:
    """What changes whenever the classifier does: digest of its configuration and the size and name of its weights, or
    MISSING. A snapshot of the hub has its commit in its path."""
    folder = find_weights(name)
    if folder is None or not readiness(name).ready:
        return MISSING
    weights = folder / "model.safetensors"
    told = f"{folder.name} {weights.stat().st_size}".encode() + (folder / "config.json").read_bytes()
    return hashlib.sha256(told).hexdigest()[:12]


def _whole(folder: Path) -> bool:
    return (folder / "config.json").is_file() and (folder / "model.safetensors").is_file()


class ImageClassifier:
    """One classifier of a run. Each image is classified once, by its digest; those that wait are taken together."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._known: OrderedDict[str, ImageVerdict] = OrderedDict()
        self._waiting: dict[str, ImagePart] = {}
        self._under_way: set[str] = set()
        self._turn = asyncio.Lock()
        self._pipeline: _Pipeline | ImageVerdict | None = None

    async def verdict(self, image: ImagePart) -> ImageVerdict:
        """What it says of the image. Raises nothing for what an image may hold; where the classifier cannot run here,
        an abstention that names the command which enables it."""
        if image.digest not in self._known:
            if image.digest not in self._under_way:
                self._waiting[image.digest] = image
            async with self._turn:
                while image.digest not in self._known:
                    await self._classify([self._waiting.pop(d) for d in list(self._waiting)[:_AT_ONCE]] or [image])
        return self._known[image.digest]

    async def _classify(self, images: Sequence[ImagePart]) -> None:
        self._under_way = {image.digest for image in images}
        try:
            for image, verdict in zip(images, await asyncio.to_thread(self._verdicts, images), strict=True):
                self._known[image.digest] = verdict
        finally:
            self._under_way = set()
        while len(self._known) > _MOST_KEPT:
            self._known.popitem(last=False)

    def _verdicts(self, images: Sequence[ImagePart]) -> list[ImageVerdict]:
        if self._pipeline is None:
            self._pipeline = _loaded(self.name)
        if isinstance(self._pipeline, ImageVerdict):
            return [self._pipeline] * len(images)
        return self._pipeline.verdicts(images)


def _loaded(name: str) -> _Pipeline | ImageVerdict:
    ready, folder = readiness(name), find_weights(name)
    if not ready.ready or folder is None:
        return ImageVerdict(Abstained(f"{ready.reason}: {ready.remedy}"))
    try:
        return _Pipeline(folder)
    except Exception as error:  # noqa: BLE001 - transformers raises nearly anything for models that it cannot build
        why = " ".join(str(error).split())[:300] or type(error).__name__
        return ImageVerdict(Failed("classifier_error", f"{name} cannot be loaded: {why}"))


class _Pipeline:
    """A transformers pipeline for image classification: safetensors only, no code but that of transformers."""

    def __init__(self, folder: Path) -> None:
        import torch
        from transformers import AutoImageProcessor, AutoModelForImageClassification, pipeline

        safe: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
        model, info = AutoModelForImageClassification.from_pretrained(
            folder, use_safetensors=True, output_loading_info=True, **safe
        )
        if info["missing_keys"]:  # transformers would make them up
            raise ValueError(f"its weights are not whole: {len(info['missing_keys'])} are missing")
        model.eval()
        processor = AutoImageProcessor.from_pretrained(folder, **safe)
        device = "cuda" if torch.cuda.is_available() else "cpu"
        self._classify = pipeline("image-classification", model=model, image_processor=processor, device=device)

    def verdicts(self, images: Sequence[ImagePart]) -> list[ImageVerdict]:
        pixels: list[Any] = []
        found: list[ImageVerdict | None] = []
        for image in images:
            prepared = prepare(ImagePart(image.digest, image.read, _SIDE, image.name))
            readable = not isinstance(prepared, ImageError)
            found.append(None if readable else ImageVerdict(Failed(prepared.kind, prepared.detail)))  # type: ignore[union-attr]  # an ImageError where not readable
            if readable:
                pixels.append(prepared.pixels)  # type: ignore[union-attr]  # likewise
        said = iter(self._classified(pixels))
        return [verdict or next(said) for verdict in found]

    def _classified(self, pixels: Sequence[Any]) -> list[ImageVerdict]:
        if not pixels:
            return []
        try:
            answers = self._classify(list(pixels), top_k=None, batch_size=_AT_ONCE)
        except Exception as error:  # noqa: BLE001 - recorded as a failure of these images, with its reason
            failure = Failed("classifier_error", f"{type(error).__name__}: {error}"[:300])
            return [ImageVerdict(failure)] * len(pixels)
        return [read_scores({str(a["label"]): float(a["score"]) for a in answer}) for answer in answers]


def read_scores(scores: dict[str, float]) -> ImageVerdict:
    """The verdict in a classifier's scores by label: the share that its unsafe labels have of all it gives. Unsafe from
    one half. Where its labels do not tell which are unsafe, an abstention."""
    by_name = {label.strip().casefold(): score for label, score in scores.items()}
    safe = sum(score for name, score in by_name.items() if name in _SAFE_NAMES)
    unsafe = sum(score for name, score in by_name.items() if name in _UNSAFE_NAMES)
    told = {label: round(score, 6) for label, score in scores.items()}
    if set(by_name) - _SAFE_NAMES - _UNSAFE_NAMES or safe + unsafe <= 0 or not set(by_name) & _UNSAFE_NAMES:
        return ImageVerdict(Abstained(f"its labels do not say which is unsafe: {', '.join(scores)}"), scores=told)
    probability = min(1.0, max(0.0, unsafe / (safe + unsafe)))
    return ImageVerdict(Scored(probability), UNSAFE if probability >= 0.5 else SAFE, told)
