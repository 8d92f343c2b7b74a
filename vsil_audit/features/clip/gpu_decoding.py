"""JPEGs decoded, resized and cropped where the CLIP model runs: many at once, by torchvision (on a GPU by nvJPEG).

Faster than the worker processes and not exact: nvJPEG fills in colours its own way, and resizing rounds once where
Pillow rounds twice. Bytes get here only after a worker process has found them plain (`images.plain_jpeg`) and within
the limits; they are decoded in this process all the same.
"""

from __future__ import annotations

import io
import warnings
from collections import defaultdict
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from vsil_audit.errors import ConfigurationError
from vsil_audit.features.clip.device import chosen_device
from vsil_audit.features.clip.model import ClipSettings
from vsil_audit.features.clip.preprocessing import Preprocessing, placed

_PIXELS_AT_ONCE = 1 << 26  # of decoded images on the device: 200 MB, and four times that while they are resized
_WITHOUT = "Leave --clip-decode gpu out."


@dataclass(frozen=True, slots=True, eq=False)
class Jpeg:
    """A file to be decoded here. `width`, `height`: as its header says. `exact`: the same image as a worker process
    prepares it, shape (height, width, 3) of what the model sees, where both are to be compared."""

    data: bytes
    width: int
    height: int
    exact: npt.NDArray[np.uint8] | None = None


@dataclass(frozen=True, slots=True, eq=False)
class DecodedJpeg:
    """What the model sees of a `Jpeg`: a tensor on the device, uint8, shape (height, width, 3)."""

    pixels: Any
    exact: npt.NDArray[np.uint8] | None = None


class NotDecodedError(Exception):
    """A JPEG that could not be decoded here; a worker process may yet open it, and says what is wrong if not."""

    def __init__(self, data: bytes) -> None:
        super().__init__("it was not decoded on the GPU")
        self.data = data


def check_decoding(settings: ClipSettings) -> None:
    """Raises ConfigurationError for a way to decode images that does not exist, or makes no sense where it is used."""
    if settings.decode not in ("cpu", "gpu"):
        raise ConfigurationError(f"images are not decoded by {settings.decode!r}", "Choose cpu or gpu.")
    if settings.decode == "cpu":
        return
    device = chosen_device(settings.device)
    if not device.startswith("cuda"):
        raise ConfigurationError(
            f"--clip-decode gpu decodes images where the CLIP model runs, and that is the {device} here",
            "Leave --clip-decode out; with a GPU, install a torch built for it, or name it with --clip-device.",
        )
    if settings.draft:
        raise ConfigurationError("--clip-draft and --clip-decode gpu exclude each other", "Give one of them.")


class JpegDecoder:
    """Decodes on one device. For one thread at a time, which need not be the one that encodes."""

    def __init__(self, device: str, preprocessing: Preprocessing) -> None:
        """`device`: torch's name of it; `cpu` serves for tests. Raises ConfigurationError when torchvision decodes no
        JPEGs there."""
        import torch

        self._torch = torch
        self._device = torch.device(device)
        self._preprocessing = preprocessing
        self._stream = torch.cuda.Stream(self._device) if self._device.type == "cuda" else None
        warnings.filterwarnings("ignore", r"(?s).*TorchCodec", DeprecationWarning, r"torchvision\.io")
        try:
            from torchvision.io import ImageReadMode, decode_jpeg

            self._decode, self._rgb = decode_jpeg, ImageReadMode.RGB
            self._probe()
        except Exception as error:  # it was built without, has it no more, or finds no library
            reason = " ".join(str(error).split())[:200]
            raise ConfigurationError(f"torchvision cannot decode JPEGs on {device}: {reason}", _WITHOUT) from error

    def __call__(self, files: Sequence[Jpeg]) -> list[DecodedJpeg | None]:
        """What the model sees of each; None of what could not be decoded, or is not what its header says."""
        found: list[DecodedJpeg | None] = []
        with self._torch.inference_mode(), self._on_stream():
            for part in _parts(files):
                seen = self._seen_of(part)
                found += [None if s is None else DecodedJpeg(s, j.exact) for s, j in zip(seen, part, strict=True)]
            self._wait()
        return found

    def stacked(self, images: Sequence[npt.NDArray[np.uint8] | Any]) -> Any:
        """Pixels of several images, on the device already or not, as one tensor there."""
        with self._torch.inference_mode(), self._on_stream():
            here = [
                self._torch.from_numpy(np.array(image)).to(self._device) if isinstance(image, np.ndarray) else image
                for image in images
            ]
            together = self._torch.stack(here)
            self._wait()
        return together

    def _on_stream(self) -> AbstractContextManager[Any]:
        """Beside the encoder, which is at work on another stream."""
        return nullcontext() if self._stream is None else self._torch.cuda.stream(self._stream)

    def _wait(self) -> None:
        """Until all is done that was begun: only then may the encoder read it, and the decoder be given the memory of
        what was freed, into which nvJPEG writes without waiting for those who still read there."""
        if self._stream is not None:
            self._stream.synchronize()

    def _seen_of(self, files: Sequence[Jpeg]) -> list[Any | None]:
        decoded = self._decoded(files)
        alike: defaultdict[tuple[int, int], list[int]] = defaultdict(list)
        for i, (image, file) in enumerate(zip(decoded, files, strict=True)):
            if image is not None and tuple(image.shape) == (3, file.height, file.width):
                alike[file.height, file.width].append(i)
        seen: list[Any | None] = [None] * len(files)
        for places in alike.values():
            for i, pixels in zip(places, self._seen([decoded[i] for i in places]), strict=True):
                seen[i] = pixels
        return seen

    def _decoded(self, files: Sequence[Jpeg]) -> list[Any | None]:
        """Each as a tensor (3, height, width). All fail where one does, so those that fail are halved."""
        torch = self._torch
        self._wait()
        try:
            tensors = [torch.frombuffer(bytearray(file.data), dtype=torch.uint8) for file in files]
            return list(self._decode(tensors, self._rgb, self._device))
        except RuntimeError:
            if len(files) == 1:
                return [None]
        half = len(files) // 2
        return self._decoded(files[:half]) + self._decoded(files[half:])

    def _seen(self, images: Sequence[Any]) -> Sequence[Any | None]:
        """Of images alike in size, (3, height, width), what the model sees, (height, width, 3)."""
        try:
            return list(self._resized(self._torch.stack(images)))
        except RuntimeError:  # memory, or a size that torch does not resize: Pillow will
            return [None] * len(images)

    def _resized(self, images: Any) -> Any:
        functional, way = self._torch.nn.functional, self._preprocessing
        size = way.size_after(images.shape[3], images.shape[2])
        if size != (images.shape[3], images.shape[2]):
            resized = functional.interpolate(
                images.float(), size[::-1], mode=way.filter.name.lower(), align_corners=False, antialias=True
            )
            images = resized.round_().clamp_(0, 255).to(self._torch.uint8)
        (left, wide, cut_left), (top, high, cut_top) = placed(size[0], way.width), placed(size[1], way.height)
        if (wide, high) != size:
            edges = (left, wide - size[0] - left, top, high - size[1] - top)
            images = functional.pad(images, edges, value=way.fill)
        cut = images[:, :, cut_top : cut_top + way.height, cut_left : cut_left + way.width]
        return cut.permute(0, 2, 3, 1).contiguous()

    def _probe(self) -> None:
        """Raises whatever keeps a small JPEG from being decoded."""
        target = io.BytesIO()
        Image.new("RGB", (16, 16), (200, 100, 50)).save(target, "JPEG")
        with self._on_stream():
            (image,) = self._decode(
                [self._torch.frombuffer(bytearray(target.getvalue()), dtype=self._torch.uint8)], self._rgb, self._device
            )
        if tuple(image.shape) != (3, 16, 16):
            raise RuntimeError(f"an image of 16 x 16 pixels came out as {tuple(image.shape)}")


def _parts(files: Sequence[Jpeg]) -> list[list[Jpeg]]:
    """In order, none of more pixels than are decoded at once, but for an image that is larger itself."""
    parts: list[list[Jpeg]] = []
    room = 0
    for file in files:
        if not parts or file.width * file.height > room:
            parts.append([])
            room = _PIXELS_AT_ONCE
        parts[-1].append(file)
        room -= file.width * file.height
    return parts
