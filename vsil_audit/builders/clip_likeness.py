"""Which images look alike by what a CLIP model sees. Extra `[clip]`; any model that a scan can use."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from vsil_audit.builders.pool import Vectors
from vsil_audit.features.clip.model import ClipSettings, find_clip
from vsil_audit.images import DecodedImage


class ClipLikeness:
    """`model`: its name, as `ClipSettings` has it."""

    def __init__(self, model: str) -> None:
        """Raises MissingDependencyError without the extra, ConfigurationError for a model that is not here."""
        from vsil_audit.features.clip.encoder import ClipEncoder

        self._encoder = ClipEncoder(find_clip(model), ClipSettings(model=model))

    def vectors(self, images: Sequence[DecodedImage]) -> Vectors:
        """Of length 1, so that distance grows as cosine similarity falls."""
        seen = [self._encoder.preprocessing.pixels(image.pixels) for image in images]
        return np.asarray(self._encoder.encode_images(np.stack(seen)), dtype=np.float32)
