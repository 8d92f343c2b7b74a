"""CLIP vectors for the conformance checks, as a model would give them, from words: no model is needed.

A text's vector is the sum of its words' vectors, a window for every 77 words; an image's is that of the text drawn in
it, or of its name.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Batch, ClipVectors
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.facts import ImageFacts

WIDTH = 32
NOT_FINITE = "not-finite.png"
"""The image whose vector holds NaN: a detector must not score what hangs on it."""
NOT_ENCODED = "not-encoded.png"
"""The image that was opened and has no vector."""
_WINDOW = 77
_MOST_WINDOWS = 40


def with_vectors(batches: Iterable[Batch]) -> list[Batch]:
    """The batches as they are read for a detector that needs CLIP."""
    return [
        replace(
            batch,
            clip=ClipVectors(
                encode_texts([pair.text for pair in batch.pairs]),
                Rows.joined([_image(facts) for images in batch.images for facts in images], WIDTH),
            ),
        )
        for batch in batches
    ]


def encode_texts(texts: Sequence[str]) -> Rows:
    """A `TextEncoder`."""
    return Rows.joined([_text(text) for text in texts], WIDTH)


def _text(text: str) -> npt.NDArray[np.float64]:
    words = text.casefold().split()[: _WINDOW * _MOST_WINDOWS]
    windows = [words[at : at + _WINDOW] for at in range(0, len(words), _WINDOW)]
    return np.array([_sum(window) for window in windows]).reshape(-1, WIDTH)


def _image(facts: ImageFacts) -> npt.NDArray[np.float64]:
    if facts.error is not None or facts.name == NOT_ENCODED:
        return np.zeros((0, WIDTH))
    if facts.name == NOT_FINITE:
        return np.full((1, WIDTH), np.nan)
    drawn = " ".join(line.text for line in facts.ocr or ())
    return _sum((drawn or facts.name).casefold().split()[:_WINDOW] or [facts.name])[None]


def _sum(words: Sequence[str]) -> npt.NDArray[np.float64]:
    total = np.sum([_word(word) for word in words], axis=0)
    return np.asarray(total / max(float(np.linalg.norm(total)), 1e-9), dtype=np.float64)


def _word(word: str) -> npt.NDArray[np.float64]:
    digest = hashlib.sha256(word.encode("utf-8", "surrogatepass")).digest()
    return np.random.default_rng(list(digest)).standard_normal(WIDTH)
