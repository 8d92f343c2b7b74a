"""Texts as vectors: what is kept is looked up, and what is missing is encoded once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.embeddings.space import EmbeddingSpace

_BATCH = 64

EncodeTexts: TypeAlias = Callable[[Sequence[str]], Sequence[npt.NDArray[np.floating]]]
"""Texts, which are not empty, to the vectors of each, shape (windows, width), unit length."""


def text_digest(text: str) -> str:
    """SHA-256 of a text, in hex; any text has one, also where it is not valid Unicode."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


class KeptTexts:
    """A `TextEncoder`: looks texts up, and encodes each missing one once, in batches of about the same length.

    `encode` is not called before something is missing, and never by two threads at once: it may load its model then.
    """

    def __init__(self, space: EmbeddingSpace, encode: EncodeTexts, batch: int = _BATCH) -> None:
        self._space = space
        self._encode = encode
        self._batch = batch
        self._encoding = threading.Lock()

    def __call__(self, texts: Sequence[str]) -> Rows:
        """The vectors of each text, in order; a text of nothing but white space has none. Raises what `encode` does."""
        unique = {text_digest(text): text for text in texts if text.strip()}
        found = self._kept(list(unique))
        if len(found) < len(unique):
            with self._encoding:
                found |= self._kept([digest for digest in unique if digest not in found])
                found |= self._encoded({digest: text for digest, text in unique.items() if digest not in found})
        width = next((rows.shape[1] for rows in found.values()), self._space.width)
        none = np.zeros((0, width), np.float32)
        return Rows.joined([found.get(text_digest(text), none) for text in texts], width)

    def _kept(self, digests: list[str]) -> dict[str, npt.NDArray[np.floating]]:
        rows = self._space.get(digests)
        return {digest: rows.of(i) for i, digest in enumerate(digests) if rows.starts[i + 1] > rows.starts[i]}

    def _encoded(self, missing: dict[str, str]) -> dict[str, npt.NDArray[np.floating]]:
        encoded: dict[str, npt.NDArray[np.floating]] = {}
        by_length = sorted(missing, key=lambda digest: (len(missing[digest]), missing[digest]))
        for start in range(0, len(by_length), self._batch):
            digests = by_length[start : start + self._batch]
            for digest, vectors in zip(digests, self._encode([missing[d] for d in digests]), strict=True):
                self._space.put(digest, vectors)
                encoded[digest] = vectors
        return encoded
