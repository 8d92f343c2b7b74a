"""A detector that needs CLIP and says plainly what it was given: the cosine of each pair, and of one more text."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np

from vsil_audit.detectors.base import Batch, DetectorSpec, Lens, Need, Readiness, SetContext, Unit
from vsil_audit.pair import Abstained, Finding, Scored

FURTHER_TEXT = "a photo of a garden"


class ClipProbe:
    spec = DetectorSpec(
        name="clip_probe",
        asks="what are the pair's CLIP vectors?",
        lens=Lens.CONTENT,
        unit=Unit.PAIR,
        needs=frozenset({Need.TEXT, Need.CLIP}),
        value="cosine of text and image, -1 to 1",
    )

    @classmethod
    def readiness(cls) -> Readiness:
        return Readiness(ready=True)

    def prepare(self, context: SetContext) -> None:
        assert context.clip_texts is not None
        self.further = context.clip_texts([FURTHER_TEXT]).of(0)[0]
        self.images = sum(len(batch.clip.images.vectors) for batch in context.read() if batch.clip is not None)

    def score(self, batch: Batch) -> Iterable[Finding]:
        assert batch.clip is not None
        first = 0
        for i, (pair, images) in enumerate(batch):
            texts = batch.clip.texts.of(i)
            vectors = np.concatenate([batch.clip.images.of(first + k) for k in range(len(images))] or [texts[:0]])
            first += len(images)
            if not len(texts) or not len(vectors):
                yield Finding("clip_probe", pair.id, Abstained("no text" if not len(texts) else "no image"))
                continue
            best = float((texts @ vectors.T).max())
            further = float((vectors @ self.further).max())
            yield Finding("clip_probe", pair.id, Scored(best), details={"further": further, "images": self.images})

    def conclude(self) -> Iterable[Finding]:
        return ()


def install(folder: Path) -> Path:
    """Make a package in `folder` that registers the detector; put the folder on `sys.path`."""
    information = folder / "clip_probe-1.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text("Metadata-Version: 2.1\nName: clip-probe\nVersion: 1\n")
    (information / "entry_points.txt").write_text("[vsil_audit.detectors]\nclip_probe = clip_probe:ClipProbe\n")
    return folder
