"""Facts of images in the store of features."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
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

    def get(self, digests: Sequence[str]) -> dict[str, ImageFacts]:
        """Of those of `digests` of which all that is wanted is kept."""
        packed = self._store.get(digests, self._feature, self._pixels_version)
        texts: dict[str, bytes] = {}
        if self._work is Work.TEXT:
            texts = self._store.get(list(packed), "text", self._text_version)
            packed = {digest: packed[digest] for digest in texts}
        found: dict[str, ImageFacts] = {}
        for digest, value in packed.items():
            with suppress(ValueError, KeyError, TypeError):  # not what this version would write: work it out again
                facts = unpack_pixels(value)
                found[digest] = replace(facts, ocr=unpack_text(texts[digest])) if digest in texts else facts
        return found

    def put(self, facts: ImageFacts) -> None:
        self._store.put(facts.digest, self._feature, self._pixels_version, pack_pixels(facts))
        if facts.ocr is not None:
            self._store.put(facts.digest, "text", self._text_version, pack_text(facts.ocr))
