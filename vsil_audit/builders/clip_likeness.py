"""Which images look alike by what a CLIP-like encoder sees. Extra `[clip]`: torch and transformers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from vsil_audit.builders.pool import Vectors
from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.images import DecodedImage


class ClipLikeness:
    """`model`: a folder, or a hub's ORG/NAME, of CLIP, SigLIP or another encoder of images in transformers."""

    def __init__(self, model: str, *, offline: bool = False) -> None:
        """Raises MissingDependencyError without the extra, ConfigurationError for a model that cannot be loaded."""
        try:
            import torch
            import transformers
        except ImportError as error:
            raise MissingDependencyError(
                "--clip needs torch and transformers", "pip install 'vsil-audit[clip]'"
            ) from error
        local = offline or Path(model).is_dir()
        try:
            self._processor: Any = transformers.AutoImageProcessor.from_pretrained(model, local_files_only=local)
            self._model: Any = transformers.AutoModel.from_pretrained(model, local_files_only=local).eval()
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"{model} cannot be loaded: {str(error).splitlines()[0]}",
                "Name the folder of a CLIP model, or its ORG/NAME on the hub without --offline.",
            ) from error
        if not hasattr(self._model, "get_image_features"):
            raise ConfigurationError(f"{model} gives no image features", "Name a CLIP or SigLIP model.")
        self._torch: Any = torch
        self.identity = f"clip {Path(model).name if Path(model).is_dir() else model}"

    def vectors(self, images: Sequence[DecodedImage]) -> Vectors:
        """Of length 1, so that distance grows as cosine similarity falls."""
        inputs = self._processor(images=[image.pixels for image in images], return_tensors="pt")
        with self._torch.inference_mode():
            found = self._model.get_image_features(**inputs)
        tensor = getattr(found, "pooler_output", found)
        values: Vectors = tensor.float().numpy().astype(np.float32)
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        return np.asarray(values / np.maximum(lengths, 1e-12), dtype=np.float32)
