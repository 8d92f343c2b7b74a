"""A leaking pair becomes one that does not, without any model; or the reason why it cannot be done.

Round by round: the passages that the content detectors point to are replaced, and the detectors look again. What was
taken out of the text is moved into the image, unless the image carries it already.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from vsil_audit.builders.content_lens import ContentLens, passages, suspected
from vsil_audit.builders.gates.hygiene import TAG
from vsil_audit.builders.offline.deixis import Replacement, point_again, replace_phrases
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.words import language_of, stem, votes, words
from vsil_audit.pair import Finding, Pair

MOST_ROUNDS = 3
_CARRIED_BY = frozenset({"ocr", "description", "image"})
"""Sides of an evidence that the image itself shows."""


@dataclass(frozen=True, slots=True)
class Rewriting:
    """What became of one text. `reason` says why it still leaks; empty when it does not. `findings`: the content
    detectors' last look. `moves`: what must be drawn into the image, empty when the image carries it."""

    text: str
    replacements: tuple[Replacement, ...]
    rounds: int
    findings: tuple[Finding, ...]
    reason: str = ""
    moves: str = ""


def rewrite(
    pairs: Sequence[Pair],
    images: Sequence[tuple[ImageFacts, ...]],
    findings: Sequence[Sequence[Finding]],
    lens: ContentLens,
) -> list[Rewriting]:
    """Rewrite the texts of pairs that leak; `findings` are the content detectors' of the texts as they are."""
    state = [_State(pair, facts, tuple(found)) for pair, facts, found in zip(pairs, images, findings, strict=True)]
    for _ in range(MOST_ROUNDS):
        changed = [one for one in state if one.replace()]
        looks = lens.look([one.pair for one in changed], [one.facts for one in changed])
        for one, found in zip(changed, looks, strict=True):
            one.findings = tuple(found)
    return [one.finished() for one in state]


class _State:
    """One text on its way."""

    def __init__(self, pair: Pair, facts: tuple[ImageFacts, ...], findings: tuple[Finding, ...]) -> None:
        self.source, self.pair, self.facts, self.findings = pair, pair, facts, findings
        self._carried = {e.where for f in findings for e in f.evidence if e.end > e.start} & _CARRIED_BY
        self._made: list[Replacement] = []
        self._rounds = 0
        self._stuck = _not_english(pair.text)

    def replace(self) -> bool:
        """Replace what is suspected now; False when there is nothing to do, or nothing that can be done."""

        if self._stuck or not suspected(self.findings):
            return False
        found = passages(self.findings)
        tags = [match.span() for match in TAG.finditer(self.pair.text)]
        if any(start < last and end > first for start, end in found for first, last in tags):
            self._stuck = "what leaks stands within markup"
            return False
        text = point_again(self.pair.text, found)
        made: tuple[Replacement, ...] = ()
        if text == self.pair.text:
            text, made = replace_phrases(text, found)
        if text == self.pair.text:
            self._stuck = "the detectors point to no passage that could be replaced"
            return False
        self.pair = replace(self.pair, text=text)
        self._made += made
        self._rounds += 1
        return True

    def finished(self) -> Rewriting:
        reason = self._stuck
        if not reason and suspected(self.findings):
            by = ", ".join(f.detector for f in self.findings if suspected([f]))
            reason = f"still suspected by {by} after {MOST_ROUNDS} rounds"
        moves = "" if reason else self._moved()
        return Rewriting(self.pair.text, tuple(self._made), self._rounds, self.findings, reason, moves)

    def _moved(self) -> str:
        """What was taken out of the text and is not in the image."""
        removed = list(dict.fromkeys(_tidy(one.removed) for one in self._made))
        if self._carried & {"description", "image"}:
            return ""
        lines = [line.text for facts in self.facts for line in facts.ocr or ()]
        drawn = {stem(word.folded) for line in lines for word in words(line)}
        wanted = [phrase for phrase in removed if not {stem(word.folded) for word in words(phrase)} <= drawn]
        return ", ".join(wanted)


def _tidy(phrase: str) -> str:
    """As one would draw it: without the marks of an escape, on one line."""
    return " ".join(phrase.replace("\\", "").split())


def _not_english(text: str) -> str:
    spoken = language_of(votes(words(text)))
    return "" if spoken in (None, "english") else f"the text is {spoken}; rewriting without a model is for English only"
