"""Facts of images in the store of features."""

from __future__ import annotations

from dataclasses import replace

import PIL

from vsil_audit.features.examine import PIXELS_VERSION, Work, pack_pixels, pack_text, unpack_pixels, unpack_text
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.ocr import ocr_version
from vsil_audit.features.store import FeatureStore
from vsil_audit.images import ImageLimits


class KeptFacts:
    """Facts in the store: pixels and text apart, each under the version of what made it. What a header says is kept
    where no more is wanted of an image than that and its CLIP vector: with both kept it is not opened again."""

    def __init__(self, store: FeatureStore, limits: ImageLimits, work: Work) -> None:
        self._store = store
        self._work = work
        self._feature = "header" if work is Work.HEADER else "pixels"
        decoding = f"{PIXELS_VERSION}; pillow {PIL.__version__}"
        bounds = f"at most {limits.max_pixels} pixels, {limits.max_frames} frames, {limits.max_file_bytes} bytes"
        self._pixels_version = f"{decoding}; {bounds}"
        self._text_version = f"{ocr_version()}; {decoding}" if work is Work.TEXT else ""

    def get(self, digest: str) -> ImageFacts | None:
        packed = self._store.get(digest, self._feature, self._pixels_version)
        text = self._store.get(digest, "text", self._text_version) if packed and self._work is Work.TEXT else None
        if packed is None or (text is None and self._work is Work.TEXT):
            return None
        try:
            facts = unpack_pixels(packed)
            return facts if text is None else replace(facts, ocr=unpack_text(text))
        except (ValueError, KeyError, TypeError):  # not what this version would write: work it out again
            return None

    def put(self, facts: ImageFacts) -> None:
        self._store.put(facts.digest, self._feature, self._pixels_version, pack_pixels(facts))
        if facts.ocr is not None:
            self._store.put(facts.digest, "text", self._text_version, pack_text(facts.ocr))
