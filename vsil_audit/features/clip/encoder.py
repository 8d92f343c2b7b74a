"""Images and texts to CLIP vectors."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from vsil_audit.errors import ConfigurationError
from vsil_audit.features.clip.device import chosen_device
from vsil_audit.features.clip.loading import load_module, load_tokenizer
from vsil_audit.features.clip.model import ClipModel, ClipSettings
from vsil_audit.features.clip.text_tower import TextTower
from vsil_audit.features.clip.windows import TextWindows

Vectors = npt.NDArray[np.float32]

_IMAGES_AT_ONCE = {"cpu": 32, "cuda": 256}
_TEXTS_AT_ONCE = {"cpu": 64, "cuda": 1024}
_PROBES = ("a", "a photo of a cat", "two people carry a long table through a narrow door on a rainy morning, slowly")


class ClipEncoder:
    """A loaded model. `preprocessing` makes the pixels it takes; `width`: length of its vectors; `batch`: how many
    images it takes at once; `logit_scale`: what the model multiplies cosines by.

    One thread at a time. On a GPU it counts in bfloat16, on the CPU in float32.
    """

    def __init__(self, model: ClipModel, settings: ClipSettings) -> None:
        """Loads everything. Raises ConfigurationError when the model or the device cannot be used."""
        import torch

        self._torch = torch
        self._device = _usable(torch, chosen_device(settings.device))
        self._module = load_module(model).to(self._device)
        self.preprocessing = model.seen_by(settings)
        self.width = int(json.loads(model.config)["embed_dim"])
        self.batch = settings.batch or _IMAGES_AT_ONCE[self._kind]
        self.logit_scale = float(self._module.logit_scale.exp())
        self._images = _ImageTower(torch, self._module, model, compiled=settings.compile)
        self._windows = TextWindows(load_tokenizer(model))
        self._texts = TextTower(self._module)
        self._texts_at_once = _TEXTS_AT_ONCE[self._kind]
        with self._as_measured():
            self._texts.probe(self._tokens([row for text in _PROBES for row in self._windows(text)]))

    @property
    def _kind(self) -> str:
        return "cuda" if self._device.startswith("cuda") else "cpu"

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> Vectors:
        """Pixels of shape (n, height, width, 3), as `preprocessing` makes them, to vectors (n, width), unit length."""
        encoded, self.batch = self._in_parts(
            len(pixels), self.batch, lambda part: self._images(self._sent(pixels[part]))
        )
        return encoded

    def encode_texts(self, texts: Sequence[str]) -> list[Vectors]:
        """For each text its vectors, shape (windows, width), unit length. A text longer than the model's context has
        several windows, an empty one has none."""
        rows = [self._windows(text) for text in texts]
        tokens = self._tokens([row for of_text in rows for row in of_text])
        lengths = self._texts.lengths(tokens).numpy() if len(tokens) else np.zeros(0, np.int64)
        order = np.argsort(lengths, kind="stable")

        def part(of: slice) -> Any:
            chosen = order[of]
            size = int(lengths[chosen].max()) if self._texts.exact_when_short else tokens.shape[1]
            return self._texts(self._sent_tensor(tokens[chosen][:, :size]))

        sorted_vectors, self._texts_at_once = self._in_parts(len(tokens), self._texts_at_once, part)
        vectors = np.empty_like(sorted_vectors)
        vectors[order] = sorted_vectors
        ends = np.cumsum([len(of_text) for of_text in rows], dtype=np.int64)
        return np.split(vectors, ends[:-1]) if rows else []

    def _tokens(self, rows: Sequence[npt.NDArray[np.int64]]) -> Any:
        return self._torch.from_numpy(np.stack(rows)) if rows else self._torch.zeros((0, 1), dtype=self._torch.int64)

    def _sent(self, pixels: npt.NDArray[np.uint8]) -> Any:
        return self._sent_tensor(self._torch.from_numpy(np.require(pixels, np.uint8, ["C", "W"])))

    def _sent_tensor(self, tensor: Any) -> Any:
        return (
            tensor.pin_memory().to(self._device, non_blocking=True) if self._kind == "cuda" else tensor.to(self._device)
        )

    def _as_measured(self) -> Any:
        return self._torch.inference_mode()

    def _in_parts(self, n: int, at_once: int, encode: Callable[[slice], Any]) -> tuple[Vectors, int]:
        """Vectors of n things, and how many were encoded at once in the end: half as many where memory runs out."""
        torch, done, start = self._torch, [], 0
        with torch.inference_mode(), torch.autocast("cuda", torch.bfloat16, enabled=self._kind == "cuda"):
            while start < n:
                try:
                    encoded = encode(slice(start, min(n, start + at_once)))
                    done.append(torch.nn.functional.normalize(encoded.float(), dim=-1))
                except RuntimeError as error:
                    if at_once == 1 or not _is_out_of_memory(torch, error):
                        raise
                    at_once = max(1, at_once // 2)
                    continue
                start += at_once
            if not done:
                return np.zeros((0, self.width), np.float32), at_once
            return torch.cat(done).cpu().numpy(), at_once


class _ImageTower:
    """Pixels (n, height, width, 3) on the device, uint8, to vectors. The mean and deviation that the model was trained
    with are taken off here, in one multiplication and one addition a number."""

    def __init__(self, torch: Any, module: Any, model: ClipModel, *, compiled: bool) -> None:
        self._torch = torch
        device = next(module.parameters()).device
        self._scale = torch.tensor([1 / (255 * s) for s in model.std], device=device).view(1, 3, 1, 1)
        self._shift = torch.tensor([-m / s for m, s in zip(model.mean, model.std, strict=True)], device=device).view(
            1, 3, 1, 1
        )
        self._encode = module.encode_image
        if compiled:
            self._encode = torch.compile(module.encode_image)

    def __call__(self, pixels: Any) -> Any:
        numbers = pixels.permute(0, 3, 1, 2).float().mul_(self._scale).add_(self._shift)
        return self._encode(numbers.contiguous(), normalize=False)


def _usable(torch: Any, device: str) -> str:
    try:
        torch.zeros(1, device=device)
    except Exception as error:  # an unknown name, a build without it, a driver that is too old
        reason = str(error).splitlines()[0][:200]
        raise ConfigurationError(
            f"the device {device} cannot be used here: {reason}", "Name the device cpu."
        ) from error
    return device


def _is_out_of_memory(torch: Any, error: RuntimeError) -> bool:
    return (
        isinstance(error, torch.OutOfMemoryError) or "not enough memory" in str(error) or "can't allocate" in str(error)
    )
