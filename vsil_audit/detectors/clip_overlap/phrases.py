"""Which phrase of a query brings it near its image: the cosine with each phrase left out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from vsil_audit.detectors.clip_overlap.standing import cosines
from vsil_audit.detectors.clip_overlap.vectors import PairVectors
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.words import DEFAULT_LANGUAGE, Word, background_weight, language_of, votes, words
from vsil_audit.pair import Evidence, Json

MOST_PHRASES = 8
MOST_SHOWN = 3
_MOST_WORDS = 20_000
_LONGEST = 6
_LEAST_CHANGE = 0.003  # half-precision vectors move a cosine by up to 0.001
_SHARE_OF_LARGEST = 0.5
_STEP = 0.75  # a window begins where three quarters of the one before are over


@dataclass(frozen=True, slots=True)
class Variants:
    """A query's best window, `whole` (None: the query itself), and what is left of it without each of `spans`, which
    are places in the query."""

    whole: str | None
    spans: tuple[tuple[int, int], ...]
    without: tuple[str, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        return self.without if self.whole is None else (self.whole, *self.without)


def variants(text: str, vectors: PairVectors) -> Variants:
    """What is to be encoded. Empty where leaving out a phrase leaves nothing, or where there is none."""
    start, end = _window(text, vectors)
    whole = text if (start, end) == (0, len(text)) else text[start:end]
    kept = [
        (span, rest)
        for span in phrases(text, start, end)
        if (rest := f"{text[start : span[0]]} {text[span[1] : end]}".strip()) and rest != whole
    ]
    return Variants(None if whole is text else whole, tuple(s for s, _ in kept), tuple(r for _, r in kept))


def phrases(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Places of the content phrases of `text[start:end]`: words with no function word or punctuation between them. Of
    more than MOST_PHRASES, neighbours are taken together."""
    found = words(text[start:end], limit=_MOST_WORDS)
    language = language_of(votes(found)) or DEFAULT_LANGUAGE
    runs = [(start + first, start + last) for first, last in _runs(text[start:end], found, language)]
    if len(runs) <= MOST_PHRASES:
        return runs
    return [(part[0][0], part[-1][1]) for part in _split(runs)]


def _split(runs: Sequence[tuple[int, int]]) -> Iterator[Sequence[tuple[int, int]]]:
    edges = np.linspace(0, len(runs), MOST_PHRASES + 1).round().astype(int).tolist()
    return (runs[first:last] for first, last in pairwise(edges))


def _runs(text: str, found: Sequence[Word], language: str) -> Iterator[tuple[int, int]]:
    run: list[Word] = []
    reached = 0  # pieces of unspaced scripts overlap
    for word in (*found, None):
        tells = word is not None and background_weight(word, language) > 0
        if run and (word is None or not tells or len(run) == _LONGEST or not _joined(text[run[-1].end : word.start])):
            yield max(reached, run[0].start), run[-1].end
            reached, run = run[-1].end, []
        if word is not None and tells:
            run.append(word)


def _joined(gap: str) -> bool:
    return not gap.strip(" \t-–'’\u00a0")


def _window(text: str, vectors: PairVectors) -> tuple[int, int]:
    """Where about in the text its best window lies: windows are taken to hold equally many words."""
    windows = len(vectors.text)
    if windows == 1:
        return 0, len(text)
    best = int(cosines([row[None] for row in vectors.text], vectors.images).max(axis=1).argmax())
    found = words(text)
    if len(found) < windows:
        return 0, len(text)
    share = len(found) / (1 + _STEP * (windows - 1))
    first = best * _STEP * share
    return found[int(first)].start, found[min(len(found), round(first + share)) - 1].end


def evidence(
    variants: Variants, encoded: Rows, first: int, vectors: PairVectors
) -> tuple[tuple[Evidence, ...], list[Json]]:
    """The phrases whose omission lowers the cosine most, in the query's order, and by how much each phrase does.

    The i-th of `variants.texts` is `encoded.of(first + i)`.
    """
    rows = [encoded.of(first + i) for i in range(len(variants.texts))]
    reached = [float(cosines([row], vectors.images).max()) if len(row) else None for row in rows]
    if variants.whole is None:
        before: float | None = float(cosines([vectors.text], vectors.images).max())
    else:
        before, reached = reached[0], reached[1:]
    changes = {
        span: value - before
        for span, value in zip(variants.spans, reached, strict=True)
        if before is not None and value is not None
    }
    table: list[Json] = [[start, end, round(change, 4)] for (start, end), change in changes.items()]
    lowering = sorted((change, span) for span, change in changes.items() if change <= -_LEAST_CHANGE)
    telling = [(span, change) for change, span in lowering[:MOST_SHOWN] if change <= _SHARE_OF_LARGEST * lowering[0][0]]
    found = [Evidence(*span, f"cosine {-change:.3f} lower without it", "image") for span, change in sorted(telling)]
    return tuple(found), table
