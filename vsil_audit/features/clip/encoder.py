"""Images and texts to CLIP vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsil_audit.errors import ConfigurationError
from vsil_audit.features.clip.device import chosen_device
from vsil_audit.features.clip.exported import check_backend, exported
from vsil_audit.features.clip.image_tower import image_tower
from vsil_audit.features.clip.loading import load_module, load_tokenizer
from vsil_audit.features.clip.model import COMPARED, ClipModel, ClipSettings
from vsil_audit.features.clip.packed import can_pack, pack
from vsil_audit.features.clip.text_tower import TextTower
from vsil_audit.features.clip.windows import TextWindows

Vectors = npt.NDArray[np.float32]

_BACKENDS = ("auto", "torch", "onnx", "openvino")
_IMAGES_AT_ONCE = {"cpu": 16, "cuda": 256}
_TEXTS_AT_ONCE = {"cpu": 64, "cuda": 1024}
_STEP = 8
"""What runs at once is a multiple of so many things, and of so many tokens of a text: shapes that depend on nothing but
the thing itself leave a vector the same to the last bit, whatever it was encoded together with."""
_SAME = 1e-5
_PROBES = ("a", "a photo of a cat", "two people carry a long table through a narrow door on a rainy morning, slowly")


class ClipEncoder:
    """A loaded model. `preprocessing` makes the pixels it takes; `width`: length of its vectors; `batch`: how many
    images it takes at once; `logit_scale`: what the model multiplies cosines by; `device`: torch's name of it;
    `runs_on`: in a few words, what.

    `stated_error`: one minus the lowest cosine between vectors as they are and the exact ones, of the images that were
    compared (`compare`): with `int8` the first ones, at most 16. None before there were any.

    For one thread at a time. On a GPU it counts in bfloat16, on the CPU in float32.
    """

    def __init__(self, model: ClipModel, settings: ClipSettings) -> None:
        """Loads everything. Raises ConfigurationError when the model, the device or the backend cannot be used, and
        MissingDependencyError for a backend that is not installed."""
        self.device = chosen_device(settings.device)
        backend = _backend(settings, self.device)
        import torch

        self._torch = torch
        _check_device(torch, self.device)
        self._windows = TextWindows(load_tokenizer(model))
        module = load_module(model).to(self.device)
        self.preprocessing = model.seen_by(settings)
        self.width = int(json.loads(model.config)["embed_dim"])
        self.batch = settings.batch or _IMAGES_AT_ONCE[self._kind]
        self.logit_scale = float(module.logit_scale.exp())
        self.stated_error: float | None = None
        self._texts_at_once = _TEXTS_AT_ONCE[self._kind]
        self._exported = None
        if backend in ("onnx", "openvino"):
            size = (self.preprocessing.height, self.preprocessing.width)
            tower = image_tower(module, model)
            self._exported = exported(tower, model.space(settings), size, backend, int8=settings.int8)
        self._measures = settings.int8
        self._put_to_work(module, model, compiled=settings.compile)
        self.runs_on = f"{self.device}, {backend}" + " int8" * settings.int8 + " compiled" * settings.compile

    @property
    def _kind(self) -> str:
        return "cuda" if self.device.startswith("cuda") else "cpu"

    def encode_images(self, pixels: npt.NDArray[np.uint8] | Any) -> Vectors:
        """Pixels of shape (n, height, width, 3), as `preprocessing` makes them, to vectors (n, width), unit length. For
        torch they may be a tensor, on the device that it runs on."""
        if self._exported is None:
            return self._with_torch(pixels)
        vectors = np.zeros((len(pixels), self.width), np.float32)
        for start in range(0, len(pixels), self.batch):
            part = pixels[start : start + self.batch]
            filled = np.concatenate([part, *[part[:1]] * _missing(len(part), self.batch)])
            vectors[start : start + len(part)] = _unit(self._exported(filled))[: len(part)]
        if self._measures and len(vectors):
            self.compare(vectors[:COMPARED], self._with_torch(pixels[:COMPARED]))
            self._measures = False
        return vectors

    def compare(self, vectors: Vectors, exact: Vectors) -> None:
        """Have `stated_error` cover these vectors, shape (n, width), where they are finite; `exact`: of the same
        images."""
        cosines = (vectors * exact).sum(axis=1)
        if len(cosines := cosines[np.isfinite(cosines)]):
            apart = float(1 - cosines.min())
            self.stated_error = max(self.stated_error or 0.0, apart)

    def encode_texts(self, texts: Sequence[str]) -> list[Vectors]:
        """For each text its vectors, shape (windows, width), unit length. A text longer than the model's context has
        several windows, an empty one has none."""
        rows = [self._windows(text) for text in texts]
        if not rows:
            return []
        tokens = self._tokens([row for of_text in rows for row in of_text])
        sizes = self._sizes(tokens)
        vectors = np.empty((len(tokens), self.width), np.float32)
        for size in np.unique(sizes):
            alike = np.flatnonzero(sizes == size)
            short = tokens[alike][:, :size].contiguous()
            vectors[alike], self._texts_at_once = self._in_parts(short, self._texts_at_once, self._texts)
        ends = np.cumsum([len(of_text) for of_text in rows], dtype=np.int64)
        return np.split(vectors, ends[:-1])

    # loading

    def _put_to_work(self, module: Any, model: ClipModel, *, compiled: bool) -> None:
        """Find the fastest way to the same vectors, on probes."""
        torch = self._torch
        tokens = self._sent(self._tokens([row for text in _PROBES for row in self._windows(text)]))
        size = (2, self.preprocessing.height, self.preprocessing.width, 3)
        pixels = np.random.default_rng(0).integers(0, 256, size, dtype=np.uint8)
        self._images, self._texts = image_tower(module, model), TextTower(module)
        if compiled:
            self._images = torch.compile(self._images)
        elif self._kind == "cpu" and can_pack():
            expected = self._probed(pixels, tokens)
            if not self._packs_to(expected, module, pixels, tokens):
                module = load_module(model)
                self._images, self._texts = image_tower(module, model), TextTower(module)
        with torch.inference_mode(), self._precision():
            self._texts.probe(tokens)

    def _packs_to(self, expected: Vectors, module: Any, pixels: npt.NDArray[np.uint8], tokens: Any) -> bool:
        try:
            with self._torch.inference_mode():
                pack(module)
            return bool(np.abs(self._probed(pixels, tokens) - expected).max() <= _SAME)
        except Exception:  # noqa: BLE001 - a model of another make: it runs as it is
            return False

    def _probed(self, pixels: npt.NDArray[np.uint8], tokens: Any) -> Vectors:
        images = self._with_torch(pixels)
        texts, _ = self._in_parts(tokens, len(tokens), self._texts)
        return np.concatenate([images, texts])

    # running

    def _with_torch(self, pixels: npt.NDArray[np.uint8] | Any) -> Vectors:
        if isinstance(pixels, np.ndarray):
            pixels = self._torch.from_numpy(np.require(pixels, np.uint8, ["C", "W"]))
        vectors, self.batch = self._in_parts(pixels, self.batch, self._images)
        return vectors

    def _sizes(self, tokens: Any) -> npt.NDArray[np.int64]:
        """Over how many tokens each row (n, context length) is run."""
        if not self._texts.exact_when_short:
            return np.full(len(tokens), tokens.shape[1])
        lengths: npt.NDArray[np.int64] = self._texts.lengths(tokens).numpy()
        return np.minimum(-(-lengths // _STEP) * _STEP, int(tokens.shape[1]))

    def _tokens(self, rows: Sequence[npt.NDArray[np.int64]]) -> Any:
        return self._torch.from_numpy(np.stack(rows)) if rows else self._torch.zeros((0, 1), dtype=self._torch.int64)

    def _sent(self, tensor: Any) -> Any:
        if self._kind == "cuda" and not tensor.is_cuda:
            return tensor.pin_memory().to(self.device, non_blocking=True)
        return tensor.to(self.device)

    def _precision(self) -> Any:
        return self._torch.autocast("cuda", self._torch.bfloat16, enabled=self._kind == "cuda")

    def _in_parts(self, things: Any, at_once: int, encode: Callable[[Any], Any]) -> tuple[Vectors, int]:
        """Vectors of a tensor's n things, and how many were encoded at once in the end: half as many where memory runs
        out."""
        torch, done, start = self._torch, [], 0
        with torch.inference_mode(), self._precision():
            while start < len(things):
                part = things[start : start + at_once]
                filler = part[:1].expand(_missing(len(part), at_once), *part.shape[1:])
                try:
                    encoded = encode(self._sent(torch.cat([part, filler]) if len(filler) else part))[: len(part)]
                    done.append(torch.nn.functional.normalize(encoded.float(), dim=-1))
                except RuntimeError as error:
                    if at_once == 1 or not _is_out_of_memory(torch, error):
                        raise
                    at_once //= 2
                    continue
                start += at_once
            if not done:
                return np.zeros((0, self.width), np.float32), at_once
            return torch.cat(done).cpu().numpy(), at_once


def _missing(n: int, at_once: int) -> int:
    """How many more things make n a multiple of the step, or of `at_once` where that is less."""
    return -n % min(_STEP, at_once)


def _backend(settings: ClipSettings, device: str) -> str:
    """Which one it is: torch, since none was found to be faster and as exact; ONNX Runtime for eight bits."""
    if settings.backend not in _BACKENDS:
        raise ConfigurationError(
            f"there is no CLIP backend {settings.backend!r}", f"There are: {', '.join(_BACKENDS)}."
        )
    backend = ("onnx" if settings.int8 else "torch") if settings.backend == "auto" else settings.backend
    if settings.int8 and backend != "onnx":
        raise ConfigurationError(
            f"the CLIP backend {backend} has no int8", "Choose the backend onnx, or leave int8 out."
        )
    if backend != "torch":
        if device != "cpu":
            raise ConfigurationError(
                f"the CLIP backend {backend} runs on the CPU, not on {device}", "Name the device cpu."
            )
        check_backend(backend)
    return backend


def _check_device(torch: Any, device: str) -> None:
    try:
        torch.zeros(1, device=device)
    except Exception as error:  # an unknown name, a build without it, a driver that is too old
        reason = str(error).splitlines()[0][:200]
        raise ConfigurationError(
            f"the device {device} cannot be used here: {reason}", "Name the device cpu."
        ) from error


def _is_out_of_memory(torch: Any, error: RuntimeError) -> bool:
    if isinstance(error, torch.OutOfMemoryError):
        torch.cuda.empty_cache()
        return True
    return "not enough memory" in str(error) or "can't allocate memory" in str(error)


def _unit(vectors: npt.NDArray[np.float32]) -> Vectors:
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(vectors / np.maximum(lengths, 1e-12), dtype=np.float32)
