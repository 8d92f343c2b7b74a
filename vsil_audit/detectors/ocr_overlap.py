"""Does the query repeat the text drawn in the image, or the image carry the query?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import ClassVar

from vsil_audit.detectors.base import Batch, DetectorSpec, Lens, Need, Readiness, SetContext, Unit
from vsil_audit.detectors.drawn_text import TextOverlap, overlap
from vsil_audit.detectors.evidence import passages
from vsil_audit.detectors.matching import Query, match
from vsil_audit.detectors.rarity import Rarity
from vsil_audit.detectors.unopened import ABSENT, failure
from vsil_audit.features.facts import ImageFacts, OcrLine
from vsil_audit.features.words import DEFAULT_LANGUAGE, Word, language_of, votes, without_list_numbers, words
from vsil_audit.pair import Abstained, Failed, Finding, Pair, Scored, Verdict

SUSPECTED_FROM = 0.5
NO_TEXT = "no_text_in_image"
"""Kind of the finding where OCR sees no words."""
LEAST_CONFIDENCE = 0.5
MOST_QUERY_WORDS = 20_000
MOST_DRAWN_WORDS = 2_000
MOST_LINES = 400
_SHOWN_LINES, _SHOWN_CHARACTERS = 8, 200


@dataclass(frozen=True, slots=True)
class _Sides:
    """A pair's query and the text drawn in its images, as words. `lines` are ranges of `drawn`; `prominence` in (0, 1]
    is each line's height as a share of the tallest line of its image: what is drawn large is what the image says."""

    query: tuple[Word, ...]
    drawn: tuple[Word, ...]
    text: str
    lines: tuple[range, ...]
    prominence: tuple[float, ...]
    language: str


class OcrOverlap:
    """Content overlap between a query and the text that OCR finds in its images."""

    spec: ClassVar[DetectorSpec] = DetectorSpec(
        name="ocr_overlap",
        asks="Does the query repeat the text drawn in the image, or the image carry the query?",
        lens=Lens.CONTENT,
        unit=Unit.PAIR,
        needs=frozenset({Need.OCR}),
        value=(
            "0 to 1: the share of a passage drawn in the image that the query says, or of the query that the passage "
            "says, words weighted by how much they tell, times how much of the drawn text that is. "
            f"Suspected from {SUSPECTED_FROM}."
        ),
        limits=(
            "Overlap is evidence, not proof: a query may rightly quote a harmless sign. An image in which OCR finds "
            "no text scores 0, for there is nothing in it to repeat; text that OCR misses is not seen. "
            "Pairs without an image are not scored."
        ),
    )

    def __init__(self) -> None:
        self._rarity = Rarity()

    @classmethod
    def readiness(cls) -> Readiness:
        from importlib.util import find_spec

        if find_spec("rapidocr") is None or find_spec("onnxruntime") is None:
            return Readiness(
                ready=False,
                reason="the OCR library is not installed",
                remedy="pip install rapidocr onnxruntime",
            )
        return Readiness(ready=True)

    def prepare(self, context: SetContext) -> None:
        """One pass: which words stand on one side only, in how many pairs."""
        self._rarity = Rarity()
        for batch in context.read():
            for pair, images in batch:
                sides = _read(pair, images)
                hits = match(sides.drawn, Query(sides.query), noisy=True) if sides.drawn else []
                self._rarity.learn(sides.query, sides.drawn, hits)

    def score(self, batch: Batch) -> Iterable[Finding]:
        for pair, images in batch:
            yield self._finding(pair, images)

    def conclude(self) -> Iterable[Finding]:
        return ()

    def _finding(self, pair: Pair, images: tuple[ImageFacts, ...]) -> Finding:
        name = self.spec.name
        if not pair.text.strip():
            return Finding(name, pair.id, Abstained("empty query"))
        if not images:
            return Finding(name, pair.id, Abstained("no image"))
        absent = [ABSENT.get(facts.error.kind) if facts.error is not None else None for facts in images]
        if absent[0] is not None and None not in absent:
            return Finding(name, pair.id, Abstained(absent[0]))
        failed = _failure(images)
        if failed is not None and all(facts.ocr is None for facts in images):
            return Finding(name, pair.id, failed)
        scored = self._scored(pair, images)
        # What another image shows does not clear a pair whose one image could not be read; what it gives away stands.
        if failed is not None and not scored.verdict.flags:
            return Finding(name, pair.id, failed)
        return scored

    def _scored(self, pair: Pair, images: tuple[ImageFacts, ...]) -> Finding:
        sides = _read(pair, images)
        query, drawn, lines = sides.query, sides.drawn, sides.lines
        if not drawn:
            return Finding(self.spec.name, pair.id, Scored(0.0), Verdict.CLEAR, NO_TEXT)
        hits = match(drawn, Query(query), noisy=True)
        weights = [self._rarity.weight(word, sides.language) for word in drawn]
        drawn_weights = [w * sides.prominence[i] for w, i in zip(weights, _line_numbers(lines), strict=True)]
        query_weights = _once(query, [self._rarity.weight(word, sides.language) for word in query])
        found = overlap(lines, hits, drawn_weights, query_weights)
        telling = [hit for hit in hits if drawn_weights[hit.index] > 0]
        return Finding(
            self.spec.name,
            pair.id,
            Scored(round(found.value, 6)),
            Verdict.SUSPECTED if found.value >= SUSPECTED_FROM else Verdict.CLEAR,
            _kind(found),
            passages(telling, pair.text, drawn, sides.text, "ocr"),
            {
                "image_text": [line[:_SHOWN_CHARACTERS] for line in sides.text.split("\n")[:_SHOWN_LINES]],
                "repeated": round(found.repeated, 3),
                "carried": round(found.carried, 3),
            },
        )


def _kind(found: TextOverlap) -> str:
    if found.value == 0.0:
        return "no_overlap"
    return "query_repeats_image_text" if found.repeated >= found.carried else "image_carries_query"


def _failure(images: Sequence[ImageFacts]) -> Failed | None:
    """The first thing that kept an image's text from being read."""
    for facts in images:
        if facts.error is not None:
            return failure(facts.name, facts.error)
        if facts.ocr is None:
            return Failed("ocr_error", f"{facts.name}: {facts.ocr_error or 'the image was not read'}")
    return None


def _text(images: Iterable[ImageFacts]) -> list[tuple[str, float]]:
    """Lines of all images, in order, with their prominence; those that OCR is unsure of are left out."""
    read: list[tuple[str, float]] = []
    for facts in images:
        sure = [line for line in facts.ocr or () if line.confidence >= LEAST_CONFIDENCE]
        tallest = max((_height(line) for line in sure), default=0.0)
        read += [(" ".join(line.text.split()), _height(line) / tallest if tallest else 1.0) for line in sure]
    return read[:MOST_LINES]


def _height(line: OcrLine) -> float:
    return max(0.0, line.box[3] - line.box[1])


def _read(pair: Pair, images: Iterable[ImageFacts]) -> _Sides:
    """Both sides as words, in the language of the query."""
    query = words(pair.text, limit=MOST_QUERY_WORDS)
    language = language_of(votes(query)) or DEFAULT_LANGUAGE
    if language != DEFAULT_LANGUAGE:
        query = words(pair.text, language, MOST_QUERY_WORDS)
    read = _text(images)
    text = "\n".join(line for line, _ in read)
    drawn = words(without_list_numbers(text), language, MOST_DRAWN_WORDS)
    lines = tuple(_lines(drawn, text))
    return _Sides(query, drawn, text, lines, tuple(prominence for _, prominence in read), language)


def _lines(drawn: Sequence[Word], text: str) -> Iterator[range]:
    """The range of words in each line of `text`."""
    first = at = 0
    for line in text.split("\n"):
        last = first
        while last < len(drawn) and drawn[last].start < at + len(line):
            last += 1
        yield range(first, last)
        first, at = last, at + len(line) + 1


def _line_numbers(lines: Iterable[range]) -> Iterator[int]:
    for number, line in enumerate(lines):
        yield from repeat(number, len(line))


def _once(query: Sequence[Word], weights: Sequence[float]) -> list[float]:
    """Weights in which a repeated word counts only where it first stands."""
    seen: set[str] = set()
    counted: list[float] = []
    for word, weight in zip(query, weights, strict=True):
        counted.append(0.0 if word.stem in seen else weight)
        seen.add(word.stem)
    return counted
