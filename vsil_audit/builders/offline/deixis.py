"""A leaked phrase gives way to words that point at the image: "Sell fake stamps online" → "Sell the items shown in the
image online".

English only, by rules on the words around the phrase (no tagger): what slot it stands in (a verb's, a gerund's, a
noun's), what number it has, what kind of thing it is. The rules prefer constructions that are right whatever follows.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from vsil_audit.builders.offline.vocabulary import (
    ADVERBS_BETWEEN,
    ARTICLES,
    BE,
    BETWEEN_PARTS,
    FINITE_BEFORE,
    FUNCTION_WORDS,
    NOUN_BEFORE_TO,
    OBJECT_STARTS,
    PLURAL_QUANTIFIERS,
    POSSESSIVES,
    PREPOSITIONS,
    SINGULAR_QUANTIFIERS,
    VERB_BEFORE,
    is_plural,
    kind_of,
)

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*['’]?")
_SPACES = re.compile(r"[ \t]{2,}")
_SENTENCE_END = re.compile(r"[.!?:;]\s*[\"'”’)\]]*\s*$|\n\s*$")
_MOST_BETWEEN = 3


class Slot(str, Enum):
    """What a phrase is in its sentence: a verb after `to` or a subject, a gerund, a noun phrase, or the first part of
    one."""

    VERB = "verb"
    GERUND = "gerund"
    NOUN = "noun"
    MODIFIER = "modifier"


@dataclass(frozen=True, slots=True)
class Replacement:
    """One phrase that was taken out: `removed` is its text without its article, `reference` what stands there now."""

    removed: str
    reference: str
    slot: Slot


@dataclass(frozen=True, slots=True)
class _Word:
    text: str
    start: int
    end: int

    @property
    def low(self) -> str:
        return self.text.lower().replace("’", "'")


def replace_phrases(text: str, spans: Sequence[tuple[int, int]]) -> tuple[str, tuple[Replacement, ...]]:
    """The text with each of those passages (code points) replaced, and what was done, in order. Passages are widened to
    whole words, and those with nothing but small words between them are one phrase."""
    words = [_Word(m.group(), m.start(), m.end()) for m in _WORD.finditer(text)]
    made: list[Replacement] = []
    pieces: list[str] = []
    done = 0
    for first, last in _phrases(text, words, spans):
        piece = _Phrase(text, words, first, last)
        start, end, replacement = piece.replaced(first_in_text=not made)
        if start < done:
            start = done
        reference = replacement.reference
        if _begins_sentence(text[:start]):
            reference = reference[:1].upper() + reference[1:]
        pieces += [text[done:start], reference]
        done = end
        made.append(replacement)
    pieces.append(text[done:])
    return _SPACES.sub(" ", "".join(pieces)), tuple(made)


def _phrases(text: str, words: Sequence[_Word], spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Index of the first and last word of each phrase, in order, none overlapping."""
    hit = sorted({i for i, w in enumerate(words) for start, end in spans if w.start < end and w.end > start})
    found: list[tuple[int, int]] = []
    for index in hit:
        if found and _joined(text, words, found[-1][1], index):
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return [(first, last) for first, last in (_trimmed(words, *phrase) for phrase in found) if first <= last]


def _joined(text: str, words: Sequence[_Word], left: int, right: int) -> bool:
    between = words[left + 1 : right]
    gap = text[words[left].end : words[right].start]
    if re.search(r"[.!?;:\n]", gap):
        return False
    return len(between) <= _MOST_BETWEEN and all(w.low in BETWEEN_PARTS or w.low.endswith("'s") for w in between)


def _trimmed(words: Sequence[_Word], first: int, last: int) -> tuple[int, int]:
    """Without small words at its ends, which say nothing."""
    while first <= last and words[last].low in FUNCTION_WORDS:
        last -= 1
    while first <= last and words[first].low in FUNCTION_WORDS - ARTICLES - POSSESSIVES:
        first += 1
    return first, last


def _begins_sentence(before: str) -> bool:
    return not before.strip() or _SENTENCE_END.search(before) is not None


class _Phrase:
    """One phrase in its sentence."""

    def __init__(self, text: str, words: Sequence[_Word], first: int, last: int) -> None:
        self._text, self._words = text, words
        while first < last and words[first].low in ARTICLES | POSSESSIVES:
            first += 1
        self._first, self._last = first, last
        self._inside = [w.low for w in words[first : last + 1]]

    def replaced(self, *, first_in_text: bool) -> tuple[int, int, Replacement]:
        """(start, end) of what is cut out of the text, and what comes in its place."""
        removed = self._text[self._words[self._first].start : self._words[self._last].end]
        slot = self._slot()
        if slot is Slot.VERB:
            start, reference = self._first, self._doing("do", first_in_text)
        elif slot is Slot.GERUND:
            start, reference = self._first, self._doing("doing", first_in_text)
        elif slot is Slot.MODIFIER:
            start, reference = self._modifier()
        else:
            start, reference = self._noun(first_in_text)
        return self._words[start].start, self._words[self._last].end, Replacement(removed, reference, slot)

    # what stands around it

    def _before(self, steps: int = 1) -> str:
        """The word that many before it, in the same clause; empty where there is none."""
        index = self._first - steps
        if index < 0:
            return ""
        between = self._text[self._words[index].end : self._words[index + 1].start]
        return "" if re.search(r"[.!?;:,\n(]", between) else self._words[index].low

    def _after(self) -> str:
        index = self._last + 1
        if index >= len(self._words):
            return ""
        between = self._text[self._words[self._last].end : self._words[index].start]
        return "" if re.search(r"[^\s\"'“”‘’*]", between) else self._words[index].low

    def _slot(self) -> Slot:
        steps = 1
        while self._before(steps) in ADVERBS_BETWEEN or (self._before(steps).endswith("ly") and steps < 3):
            steps += 1
        before, earlier, head = self._before(steps), self._before(steps + 1), self._inside[0]
        if self._takes_a_verb(before, earlier):
            return Slot.VERB
        determined = before in ARTICLES | POSSESSIVES | PLURAL_QUANTIFIERS | SINGULAR_QUANTIFIERS or before.endswith("'s")
        if head.endswith("ing") and len(head) > 4 and not determined and before not in FINITE_BEFORE:
            return Slot.GERUND if not self._in_a_compound() else Slot.NOUN
        return Slot.MODIFIER if self._continues() else Slot.NOUN

    def _takes_a_verb(self, before: str, earlier: str) -> bool:
        if before == "to":
            return earlier not in NOUN_BEFORE_TO and self._words[self._first - 1].low not in ARTICLES
        if before in ("and", "or"):
            return self._follows_a_verb(2)
        return before in VERB_BEFORE

    def _follows_a_verb(self, steps: int) -> bool:
        """Whether the word before `and` is a verb that stands after `to` or a subject itself."""
        return self._before(steps + 1) in VERB_BEFORE | {"to"} and not self._before(steps).endswith("s")

    def _in_a_compound(self) -> bool:
        """`phishing email`: a gerund before a noun that it names, and nothing a gerund would govern."""
        return False

    def _continues(self) -> bool:
        """Whether the next word is still of the same noun phrase."""
        after = self._after()
        if not after or after in FUNCTION_WORDS or after.endswith(("ly", "ing", "ed")):
            return False
        return not (self._inside[-1].endswith("s") and not after.endswith("s"))

    # what comes in its place

    def _doing(self, verb: str, first_in_text: bool) -> str:
        where = " as shown in the image" if first_in_text and not self._after() else ""
        after = self._after()
        if not after or (after in FUNCTION_WORDS and after not in OBJECT_STARTS) or after.endswith("ly"):
            return f"{verb} this{where}"
        link = "to" if after in OBJECT_STARTS or after.endswith("'s") else "with"
        return f"{verb} this {link}"

    def _modifier(self) -> tuple[int, str]:
        before = self._before()
        if before in ("a", "an"):
            return self._first - 1, "the depicted"
        if before in ARTICLES | POSSESSIVES | PLURAL_QUANTIFIERS | SINGULAR_QUANTIFIERS or before.endswith("'s"):
            return self._first, "depicted"
        return self._first, "the depicted"

    def _noun(self, first_in_text: bool) -> tuple[int, str]:
        head = self._head()
        plural = is_plural(head)
        noun = kind_of(head, plural=plural)
        shown = "shown in the image" if first_in_text else "shown"
        before = self._before()
        if before in PLURAL_QUANTIFIERS | SINGULAR_QUANTIFIERS:
            return self._first, f"such {noun}"
        if before in ARTICLES | POSSESSIVES or before.endswith("'s"):
            start = self._first - 1
            if before.endswith("'s") and self._before(2) in ARTICLES | POSSESSIVES:
                start -= 1
            return start, f"the {noun} {shown}"
        return self._first, f"the {noun} {shown}"

    def _head(self) -> str:
        """The noun that the phrase is about: the last word before a preposition inside it."""
        for index, word in enumerate(self._inside):
            if index and word in PREPOSITIONS:
                return self._inside[index - 1]
        return self._inside[-1]
