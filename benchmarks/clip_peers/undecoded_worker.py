"""A worker process of ours that opens no image: each has the same pixels. What is left is what the parent does."""

from __future__ import annotations

import numpy as np

from vsil_audit.features import image_worker
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.examine import Examined, Work
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.ocr import OcrReader
from vsil_audit.images import ImageLimits

SIDE = 224
_PIXELS = np.random.default_rng(0).integers(0, 256, (SIDE, SIDE, 3), dtype=np.uint8)


def unopened(
    _data: bytes, _limits: ImageLimits, _work: Work, _reader: OcrReader, _preprocessing: Preprocessing | None
) -> Examined:
    return Examined(ImageFacts("", width=512, height=512, format="JPEG"), _PIXELS)


def main() -> None:
    image_worker.examine = unopened
    image_worker.main()
