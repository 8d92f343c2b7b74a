"""The model that ships: a logistic model over words, pairs of words and pieces of words, as plain arrays in one file.

    logit(text) = intercept + sum over blocks of (block's scale / sqrt(m)) * (sum of its m distinct features' weights)

with three blocks: content words, neighbouring content words, pieces of content words. Column 0 of the weights is the
model; the other columns are the same model fitted to bootstrap samples of the training texts, and say how sure it is.
Platt's scaling (a, c), fitted on sources that were held out whole, turns a logit into a probability: sigmoid(a z + c).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from functools import cached_property
from typing import Any
from zipfile import BadZipFile

import numpy as np

from vsil_audit.detectors.harm_model.ngrams import POINTERS, Word, neighbours, pieces, words
from vsil_audit.model_file import Floats, ModelFile

FORMAT = "vsil-audit harm_prior 1"
BLOCKS = ("w", "b", "c")
BLOCK_SCALES: Mapping[str, float] = {"w": 1.0, "b": 0.5, "c": 1.0}
"""How much a block's features count next to the others', chosen by cross-validation on the training texts."""

WINDOW = 48
"""Words read at once; a longer text is read in windows that overlap by half, and its highest window counts."""

MOST_WINDOWS = 2048
"""Windows read of one text at most, spread evenly over it: bounds the time for one text."""

LEAST_BESIDE_POINTER = 2
"""Distinct content words that a text with a pointer needs before it can be flagged."""

MOST_KEPT = 1 << 14
"""Words whose pieces are kept looked up."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """p = sigmoid(slope * z + offset). A text with `clear_below < p < flag_from` is unsure.
    `least_known`: share of content words that must be known, in [0, 1]."""

    slope: float
    offset: float
    clear_below: float
    flag_from: float
    least_known: float


class Standing(Enum):
    """What becomes of a prediction; the value of those that abstain is the reason."""

    FLAGGED = "flagged"
    CLEAR = "clear"
    POINTS = "unsure: its one word beside a pointer (this, it, there) does not say enough"
    UNSURE = "unsure: the probability is neither high nor low enough"
    UNKNOWN = "not English, or too few known words"
    EMPTY = "empty text, or no words in it"

    @property
    def decided(self) -> bool:
        return self in (Standing.FLAGGED, Standing.CLEAR)

    @property
    def told(self) -> bool:
        """Whether the probability means anything."""
        return self not in (Standing.UNKNOWN, Standing.EMPTY)


@dataclass(frozen=True, slots=True)
class Part:
    """A content word and what it adds to the logit: its own weight, its pieces' and half of each pair it is in."""

    word: Word
    adds: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """`p`, `low`, `high` in [0, 1]: probability and 95 % bootstrap interval; `members` are the p of the bootstrap
    models. `parts` belong to the window that counted; their sum plus the intercept is the logit.
    `content`: content words of the text (distinct); `known`: those with a weight. `windows` read of `windows_in_all`.
    `seen`: the model was fitted to this text (but for case and punctuation), so that this is no prediction.
    `points`: the text has a word such as "this", for something that it does not say."""

    p: float
    low: float
    high: float
    members: Floats
    parts: tuple[Part, ...]
    content: int
    known: int
    words: int
    windows: int
    windows_in_all: int
    seen: bool
    points: bool


@dataclass(frozen=True, slots=True)
class _Held:
    """Known features of one window: their rows in the weights, and the scale of each."""

    rows: list[int]
    scales: Floats

    def logits(self, weights: Floats, intercepts: Floats) -> Floats:
        """One logit a column."""
        found: Floats = intercepts + self.scales @ weights[self.rows]
        return found


@dataclass(frozen=True)
class HarmModel:
    """Features (`w:`, `b:`, `c:` strings), weights (features x columns), intercepts (columns), and how it was made."""

    features: tuple[str, ...]
    weights: Floats
    intercepts: Floats
    calibration: Calibration
    training_digests: frozenset[int]
    about: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {feature: row for row, feature in enumerate(self.features)}

    @cached_property
    def _kept_pieces(self) -> dict[str, tuple[frozenset[int], frozenset[str]]]:
        return {}

    def standing(self, prediction: Prediction) -> Standing:
        """Whether the prediction flags its text, clears it, or should rather not be told."""
        if prediction.words == 0:
            return Standing.EMPTY
        if prediction.known < self.calibration.least_known * prediction.content:
            return Standing.UNKNOWN
        if prediction.p >= self.calibration.flag_from:
            # "Should I burn this?" hangs on what is pointed at, which the text alone does not tell.
            return (
                Standing.POINTS if prediction.points and prediction.content < LEAST_BESIDE_POINTER else Standing.FLAGGED
            )
        return Standing.CLEAR if prediction.p <= self.calibration.clear_below else Standing.UNSURE

    def predict(self, text: str, *, explain: bool = True) -> Prediction:
        """The probability that this text alone would be refused or judged harmful; `parts` only with `explain`.

        Time is linear in the text's length for finding its words, and bounded by MOST_WINDOWS for the rest.
        """
        found = words(text)
        windows = _windows(found)
        content = [[word for word in window if word.is_content] for window in _evenly(windows, MOST_WINDOWS)]
        read = [self._held([word.normal for word in window]) for window in content]
        logits = [held.logits(self.weights, self.intercepts) for held in read]
        best = max(range(len(read)), key=lambda i: float(logits[i][0]))
        z = self.calibration.slope * logits[best] + self.calibration.offset
        spread = 1.96 * _deviation(z[1:].tolist())
        distinct = {word.normal for window in content for word in window}
        return Prediction(
            p=sigmoid(float(z[0])),
            low=sigmoid(float(z[0]) - spread),
            high=sigmoid(float(z[0]) + spread),
            members=1 / (1 + np.exp(-z[1:])),
            parts=tuple(self._parts(content[best], read[best])) if explain else (),
            content=len(distinct),
            known=sum(f"w:{word}" in self._rows for word in distinct),
            words=len(found),
            windows=len(read),
            windows_in_all=len(windows),
            seen=_digest(found) in self.training_digests,
            points=any(word.normal in POINTERS for word in found),
        )

    def _held(self, normals: list[str]) -> _Held:
        """What of these content words the model knows."""
        distinct = set(normals)
        pairs = set(neighbours(normals))
        rows = sorted(self._rows[f"w:{word}"] for word in distinct if f"w:{word}" in self._rows)
        of_words = len(rows)
        rows += sorted(self._rows[pair] for pair in pairs if pair in self._rows)
        of_pairs = len(rows) - of_words
        known: set[int] = set()
        unknown: set[str] = set()
        for word in distinct:
            its_known, its_unknown = self._pieces(word)
            known |= its_known
            unknown |= its_unknown
        rows += sorted(known)
        counts = (len(distinct), len(pairs), len(known) + len(unknown))
        scales = [BLOCK_SCALES[block] / math.sqrt(max(n, 1)) for block, n in zip(BLOCKS, counts, strict=True)]
        return _Held(rows, np.repeat(scales, [of_words, of_pairs, len(known)]))

    def _pieces(self, word: str) -> tuple[frozenset[int], frozenset[str]]:
        """Rows of a word's known pieces, and its unknown pieces; kept, as few words make up most texts."""
        kept = self._kept_pieces.get(word)
        if kept is None:
            of_word = set(pieces(word))
            known = frozenset(self._rows[piece] for piece in of_word if piece in self._rows)
            kept = known, frozenset(piece for piece in of_word if piece not in self._rows)
            if len(self._kept_pieces) >= MOST_KEPT:
                self._kept_pieces.clear()
            self._kept_pieces[word] = kept
        return kept

    def _parts(self, content: list[Word], held: _Held) -> list[Part]:
        """What each word adds: a feature counts for the first word that has it, a pair half for each of its words."""
        left = dict(zip(held.rows, (self.weights[held.rows, 0] * held.scales).tolist(), strict=True))
        take, rows = left.pop, self._rows
        normals = [word.normal for word in content]
        adds = []
        for normal in normals:
            added = take(rows.get(f"w:{normal}", -1), 0.0)
            for row in sorted(left.keys() & self._pieces(normal)[0]):
                added += take(row)
            adds.append(added)
        for place, pair in enumerate(neighbours(normals)):
            half = take(rows.get(pair, -1), 0.0) / 2
            adds[place] += half
            adds[place + 1] += half
        return [Part(word, value) for word, value in zip(content, adds, strict=True)]

    def to_bytes(self) -> bytes:
        """The file. Equal models give equal bytes."""
        about = {**self.about, "calibration": _as_dict(self.calibration)}
        digests = np.array(sorted(self.training_digests), dtype="<u8")
        file = ModelFile(self.features, self.weights, self.intercepts, about, {"training_digests": digests})
        return file.to_bytes(FORMAT)

    @classmethod
    def from_bytes(cls, data: bytes) -> HarmModel:
        """Read what `to_bytes` wrote. Raises ValueError when it is another format or its arrays do not fit."""
        try:
            file = ModelFile.of(data, FORMAT, ["training_digests"])
            calibration = Calibration(**file.about["calibration"])
        except (KeyError, TypeError, BadZipFile) as error:
            raise ValueError(f"the model file is damaged: {error}") from error
        digests = frozenset(file.arrays["training_digests"].tolist())
        return cls(file.features, file.weights, file.intercepts, calibration, digests, file.about)


def text_digest(text: str) -> int:
    """64 bits of a text's words in normal form: tells a text that was trained on without holding it."""
    return _digest(words(text))


def _digest(found: list[Word]) -> int:
    normal = " ".join([word.normal for word in found]).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(normal, digest_size=8).digest(), "little")


def _deviation(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    mean = sum(values) / len(values)
    return math.sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))


def sigmoid(z: float) -> float:
    """1 / (1 + exp(-z)), without overflow."""
    return 1 / (1 + math.exp(-z)) if z >= 0 else math.exp(z) / (1 + math.exp(z))


def _as_dict(calibration: Calibration) -> dict[str, float]:
    return {name: getattr(calibration, name) for name in Calibration.__slots__}


def _windows(found: list[Word]) -> list[list[Word]]:
    if len(found) <= WINDOW:
        return [found]
    step = WINDOW // 2
    return [found[start : start + WINDOW] for start in range(0, len(found) - step, step)]


def _evenly(windows: list[list[Word]], most: int) -> list[list[Word]]:
    if len(windows) <= most:
        return windows
    return [windows[round(i * (len(windows) - 1) / (most - 1))] for i in range(most)]
