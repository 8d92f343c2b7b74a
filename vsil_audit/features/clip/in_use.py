"""A CLIP model as a run uses it: vectors that were made before are looked up, and it is loaded once one is missing."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from vsil_audit.errors import ConfigurationError, VsilAuditError
from vsil_audit.features.clip.gpu_decoding import DecodedJpeg, Jpeg, JpegDecoder
from vsil_audit.features.clip.images import ClipImages
from vsil_audit.features.clip.model import ClipModel, ClipSettings, find_clip, inexact
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.embeddings.store import FOLDER, EmbeddingStore
from vsil_audit.features.embeddings.texts import KeptTexts
from vsil_audit.features.worker_pool import available_cpus

if TYPE_CHECKING:
    from vsil_audit.features.clip.encoder import ClipEncoder

_TEXTS_AT_ONCE = 1024  # the encoder sorts and splits them as the device likes


class ClipInUse:
    """Vectors of images and texts under one model and settings, kept in the cache. Use it as a context manager.

    Nothing heavy is imported before a vector is missing. Raises what `find_clip` raises; a model that cannot be loaded,
    or breaks, is a ConfigurationError of whatever asked for the vector.
    """

    def __init__(self, settings: ClipSettings, cache: Path | None = None) -> None:
        """`cache`: the folder of all caches; None for the default place."""
        model = find_clip(settings.model)
        self.preprocessing: Preprocessing = model.seen_by(settings)
        self._store = EmbeddingStore(None if cache is None else cache / FOLDER)
        space = model.space(settings)
        self._encoder = encoder = _Encoder(model, settings)
        self.images = ClipImages(encoder, self._store.space(f"images; {space}"), encoder.decoded)
        self.inexact = inexact(space)
        """What is not exact about vectors of images, in words."""
        self.encode_texts = KeptTexts(self._store.space(f"texts; {space}"), encoder.encode_texts, _TEXTS_AT_ONCE)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What went wrong with the cache so far, for people."""
        return self._store.warnings

    @property
    def stated_error(self) -> float | None:
        """One minus the lowest cosine of a vector made in this run and the exact one, of the first few. None where all
        are exact, or none was made, and with drafts, where it is not measured."""
        return self._encoder.stated_error

    def texts(self, texts: Sequence[str]) -> Future[Rows]:
        """The vectors of texts, in the future: `encode_texts` in the thread that encodes images."""
        return self.images.run(partial(self.encode_texts, texts))

    def close(self) -> None:
        self.images.close()
        self._store.close()

    def __enter__(self) -> ClipInUse:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class ClipTexts:
    """A `TextEncoder` that opens its model when it is first called. Use it as a context manager."""

    def __init__(self, settings: ClipSettings, cache: Path | None = None) -> None:
        self.settings = settings
        self.cache = cache
        self._lock = threading.Lock()
        self._opened: ClipInUse | None = None

    def to_json(self) -> dict[str, Any]:
        """What another process needs to make one like it."""
        return {"settings": asdict(self.settings), "cache": None if self.cache is None else str(self.cache.resolve())}

    @classmethod
    def of_json(cls, told: Mapping[str, Any]) -> ClipTexts:
        cache = told["cache"]
        return cls(ClipSettings(**told["settings"]), None if cache is None else Path(cache))

    def __call__(self, texts: Sequence[str]) -> Rows:
        with self._lock:
            self._opened = self._opened or ClipInUse(self.settings, self.cache)
        return self._opened.encode_texts(texts)

    def close(self) -> None:
        """Write what the cache is still to keep, and let go of the model."""
        with self._lock:
            if self._opened is not None:
                self._opened.close()
            self._opened = None

    def __enter__(self) -> ClipTexts:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(frozen=True, slots=True, eq=False)
class _Decoded:
    """A batch on the device, shape (n + m, height, width, 3): n images, then again, as they are exactly, the m of them
    that are to be compared."""

    pixels: Any
    compared: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.pixels) - len(self.compared)

    @classmethod
    def of(cls, images: Sequence[npt.NDArray[np.uint8] | DecodedJpeg], decoder: JpegDecoder) -> _Decoded:
        decoded = [(i, image) for i, image in enumerate(images) if isinstance(image, DecodedJpeg)]
        exact = {i: image.exact for i, image in decoded if image.exact is not None}
        pixels = [image.pixels if isinstance(image, DecodedJpeg) else image for image in images]
        return cls(decoder.stacked([*pixels, *exact.values()]), tuple(exact))


class _Encoder:
    """The model's encoder, loaded when it is first needed; what keeps it from loading is told again each time."""

    def __init__(self, model: ClipModel, settings: ClipSettings) -> None:
        self._model = model
        self._settings = settings
        self._lock = threading.Lock()
        self._loaded: ClipEncoder | None = None
        self._decoder: JpegDecoder | None = None
        self._error: VsilAuditError | None = None

    @property
    def batch(self) -> int:
        return self._load().batch

    def decoded(self, files: Sequence[Jpeg]) -> list[DecodedJpeg | None]:
        """Pixels of JPEGs, on the device of the model; None of those that cannot be decoded there."""
        encoder = self._load()
        try:
            self._decoder = self._decoder or JpegDecoder(encoder.device, self._model.seen_by(self._settings))
            return self._decoder(files)
        except Exception as error:
            raise self._said(error, f"cannot be given {len(files)} JPEGs") from error

    def stacked(self, pixels: Sequence[npt.NDArray[np.uint8] | DecodedJpeg]) -> npt.NDArray[np.uint8] | _Decoded:
        """For a GPU in memory that it copies from by itself (page-locked), or on the GPU where some are there."""
        arrays = [image for image in pixels if not isinstance(image, DecodedJpeg)]
        if len(arrays) < len(pixels) and self._decoder is not None:
            return _Decoded.of(pixels, self._decoder)
        if not self._load().device.startswith("cuda"):
            return np.stack(arrays)
        import torch

        locked = torch.empty((len(arrays), *arrays[0].shape), dtype=torch.uint8, pin_memory=True)
        together: npt.NDArray[np.uint8] = locked.numpy()
        return np.stack(arrays, out=together)

    @property
    def stated_error(self) -> float | None:
        """Of vectors that are not exact, by `ClipEncoder`; None before any was made."""
        return None if self._loaded is None else self._loaded.stated_error

    def encode_images(self, pixels: npt.NDArray[np.uint8] | _Decoded) -> npt.NDArray[np.float32]:
        encoder = self._load()
        try:
            if not isinstance(pixels, _Decoded):
                return encoder.encode_images(pixels)
            vectors = encoder.encode_images(pixels.pixels)
            encoder.compare(vectors[list(pixels.compared)], vectors[len(pixels) :])
            return vectors[: len(pixels)]
        except Exception as error:
            raise self._said(error, f"cannot encode {len(pixels)} images") from error

    def encode_texts(self, texts: Sequence[str]) -> Sequence[npt.NDArray[np.floating]]:
        encoder = self._load()
        try:
            return encoder.encode_texts(texts)
        except Exception as error:
            raise self._said(error, f"cannot encode {len(texts)} texts") from error

    def _load(self) -> ClipEncoder:
        with self._lock:
            if self._error is not None:
                raise self._error
            if self._loaded is None:
                try:
                    self._loaded = _loaded(self._model, self._settings)
                except Exception as error:
                    self._error = self._said(error, "cannot be loaded")
                    raise self._error from error
            return self._loaded

    def _said(self, error: Exception, what: str) -> VsilAuditError:
        if isinstance(error, VsilAuditError):
            return error
        detail = " ".join(str(error).split())[:300]
        return ConfigurationError(
            f"the CLIP model {self._model.name} {what}: {type(error).__name__}: {detail}",
            "Name another model, device or backend with --clip, --clip-device or --clip-backend; or go without CLIP: "
            "--skip clip_overlap.",
        )


def _loaded(model: ClipModel, settings: ClipSettings) -> ClipEncoder:
    """On no more threads than there are CPUs to be used, which sleep while they wait: they share the cores with those
    who decode images, and spinning among them costs half of the speed."""
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # read when torch is first imported
    import torch

    from vsil_audit.features.clip.encoder import ClipEncoder

    torch.set_num_threads(min(torch.get_num_threads(), available_cpus()))
    return ClipEncoder(model, settings)
