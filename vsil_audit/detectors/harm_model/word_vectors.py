"""Vectors of words from plain text: what lets the model guess at words that no labelled text holds.

Positive pointwise mutual information of words within a few places of each other, with context distributions smoothed
to the power 0.75, reduced by a truncated SVD and scaled to unit length (Levy, Goldberg and Dagan, TACL 2015).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from vsil_audit.detectors.harm_model.ngrams import FRAME_WORDS, words
from vsil_audit.model_file import Floats

CONTEXT = 5
"""Places to either side that count as context; a word k places away counts 1/k."""

ENGLISH_SHARE = 0.2
"""A text counts as English when at least this share of its words are frame words."""


@dataclass(frozen=True)
class WordVectors:
    """`vectors[i]` (unit length) is the vector of `vocabulary[i]`; the vocabulary is sorted."""

    vocabulary: tuple[str, ...]
    vectors: Floats


def learn(texts: Iterable[str], least_count: int, dimensions: int, seed: int) -> WordVectors:
    """Vectors of all ASCII words that occur at least `least_count` times in the English ones of these texts.

    Repeated texts count once. The same texts in the same order, and the same seed, give the same vectors.
    """
    from scipy.sparse import csr_matrix
    from sklearn.utils.extmath import randomized_svd

    documents = list(_english_content(texts))
    counts = Counter(word for document in documents for word in document)
    vocabulary = tuple(sorted(w for w, n in counts.items() if n >= least_count and w.isascii()))
    if len(vocabulary) < 2:
        return WordVectors(vocabulary, np.zeros((len(vocabulary), 1)))
    ppmi: Any = _positive_information(_together(documents, vocabulary), csr_matrix)
    rank = min(dimensions, len(vocabulary) - 1)
    left, strength, _ = randomized_svd(ppmi, rank, random_state=seed)
    vectors = left * np.sqrt(strength)
    return WordVectors(vocabulary, vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-9))


def _english_content(texts: Iterable[str]) -> Iterable[list[str]]:
    for text in dict.fromkeys(texts):
        normals = [word.normal for word in words(text)]
        content = [word for word in normals if word not in FRAME_WORDS]
        if normals and len(content) <= (1 - ENGLISH_SHARE) * len(normals):
            yield content


def _together(documents: Sequence[Sequence[str]], vocabulary: Sequence[str]) -> Any:
    """Symmetric counts of words met in each other's context."""
    from scipy.sparse import csr_matrix

    place = {word: i for i, word in enumerate(vocabulary)}
    left, right, weight = [], [], []
    for document in documents:
        ids = np.array([place.get(word, -1) for word in document])
        for distance in range(1, min(CONTEXT, len(ids) - 1) + 1):
            a, b = ids[:-distance], ids[distance:]
            both = (a >= 0) & (b >= 0)
            left.append(a[both])
            right.append(b[both])
            weight.append(np.full(int(both.sum()), 1 / distance))
    a, b, w = (np.concatenate(part) if part else np.array([]) for part in (left, right, weight))
    size = len(vocabulary)
    return csr_matrix((np.r_[w, w], (np.r_[a, b].astype(int), np.r_[b, a].astype(int))), shape=(size, size))


def _positive_information(together: Any, sparse: Any) -> Any:
    of_word = np.asarray(together.sum(axis=1)).ravel()
    context = of_word**0.75
    context /= max(context.sum(), 1e-12)
    met = together.tocoo()
    information = np.log(met.data / (of_word[met.row] * context[met.col]))
    kept = information > 0
    return sparse((information[kept], (met.row[kept], met.col[kept])), shape=together.shape)
