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
    ADJECTIVE_ENDINGS,
    ADJECTIVES,
    ADVERBS_BETWEEN,
    ARTICLES,
    ASKING_FOR,
    BE,
    BEFORE_A_SUBJECT,
    BEFORE_DOING,
    BETWEEN_PARTS,
    DETERMINERS,
    FINITE_BEFORE,
    FUNCTION_WORDS,
    GOING,
    INVERTING,
    LETTING,
    LIKE_ADJECTIVES,
    MODALS,
    NAMED_PEOPLE,
    NO_GERUNDS,
    NOUN_BEFORE_TO,
    NOUN_OR_VERB,
    OBJECT_STARTS,
    OBJECTS_THAT_ACT,
    PARTICLES,
    PLURAL_QUANTIFIERS,
    POSSESSIVES,
    PREPOSITIONS,
    QUESTION_WORDS,
    SINGULAR_QUANTIFIERS,
    SINGULAR_SUBJECTS,
    SOMEBODY,
    VERB_BEFORE,
    is_plural,
    kind_of,
)

_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*['’]?")
_SPACES = re.compile(r"[ \t]{2,}")
_SENTENCE_END = re.compile(r"[.!?:;]\s*[\"'”’)\]]*\s*$|\n\s*$")
_REFERENCE = re.compile(r"\b(?:the|such) (?:[\w'’-]+ ){1,2}shown (in the image|there)\b", re.IGNORECASE)
_IMAGE_AGAIN = re.compile(
    r",?\s+(?:(?:like|similar to) (?:the ones?|that|this|those) |as )?(?:shown |seen |depicted |pictured )?"
    r"in (?:the|this) (?:image|picture|photo|photograph)\b(?!['’-])",
    re.IGNORECASE,
)
_NEXT_WORD = re.compile(r"\s+([\w'’-]+)")
_MOST_BETWEEN = 3


class Slot(str, Enum):
    """What a phrase is in its sentence: a verb after `to` or a subject, a gerund, a noun phrase, or the first part of
    one."""

    VERB = "verb"
    FINITE = "finite"
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
        pointing = "shown there" if made else "shown in the image"
        piece = _Phrase(text, words, first, last, pointing)
        start, end, replacement = piece.replaced()
        if start < done:
            start = done
        reference = replacement.reference
        if reference.endswith(pointing):
            end = _image_again(text, end)
        if _begins_sentence(text[:start]):
            reference = reference[:1].upper() + reference[1:]
        pieces += [text[done:start], reference]
        done = end
        made.append(replacement)
    pieces.append(text[done:])
    return _SPACES.sub(" ", "".join(pieces)), tuple(made)


def point_again(text: str, spans: Sequence[tuple[int, int]]) -> str:
    """The text with references of ours that those passages lie in made wordless: their nouns said too much."""

    def wordless(found: re.Match[str]) -> str:
        if not any(start < found.end() and end > found.start() for start, end in spans):
            return found.group()
        first = "What" if found.group()[0].isupper() else "what"
        return f"{first} is shown {found.group(1)}"

    return _REFERENCE.sub(wordless, text)


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
    if between and words[left].low.endswith("'s") and not any(w.low in FUNCTION_WORDS for w in between):
        return len(between) <= _MOST_BETWEEN  # whose is followed by what
    return len(between) <= _MOST_BETWEEN and all(w.low in BETWEEN_PARTS or w.low.endswith("'s") for w in between)


def _trimmed(words: Sequence[_Word], first: int, last: int) -> tuple[int, int]:
    """Without small words at its ends, which say nothing."""
    while first <= last and words[last].low in FUNCTION_WORDS - NAMED_PEOPLE:
        last -= 1
    while first <= last and words[first].low in FUNCTION_WORDS - ARTICLES - POSSESSIVES - NAMED_PEOPLE:
        first += 1
    return first, last


def _image_again(text: str, end: int) -> int:
    """Where words end that say once more what a reference says, as in `the gnome in the picture`; else `end`."""
    again = _IMAGE_AGAIN.match(text, end)
    if again is None:
        return end
    after = _NEXT_WORD.match(text, again.end())
    compound = after is not None and after[1].lower() not in FUNCTION_WORDS  # `in the picture frame`
    return end if compound else again.end()


def _begins_sentence(before: str) -> bool:
    return not before.strip() or _SENTENCE_END.search(before) is not None


class _Phrase:
    """One phrase in its sentence."""

    def __init__(self, text: str, words: Sequence[_Word], first: int, last: int, pointing: str) -> None:
        self._text, self._words, self._pointing = text, words, pointing
        while first < last and words[first].low in DETERMINERS:
            first += 1
        self._first, self._last = first, last
        self._inside = [w.low for w in words[first : last + 1]]
        if self._has_particle():
            self._last += 1
            self._inside.append(words[self._last].low)

    def replaced(self) -> tuple[int, int, Replacement]:
        """(start, end) of what is cut out of the text, and what comes in its place."""
        removed = self._text[self._words[self._first].start : self._words[self._last].end]
        slot = self._slot()
        start, end, reference = {
            Slot.VERB: lambda: self._doing("do"),
            Slot.FINITE: lambda: self._doing("does"),
            Slot.GERUND: self._gerund,
            Slot.MODIFIER: self._modifier,
            Slot.NOUN: self._noun,
        }[slot]()
        return self._words[start].start, self._words[end].end, Replacement(removed, reference, slot)

    # what stands around it

    def _has_particle(self) -> bool:
        """`pay down debts`, but not `pour paint down the drain`."""
        if self._after() not in PARTICLES:
            return False
        beyond = self._words[self._last + 2].low if self._last + 2 < len(self._words) else ""
        return beyond not in OBJECT_STARTS or self._slot() in (Slot.VERB, Slot.FINITE, Slot.GERUND)

    def _adjacent(self, index: int) -> bool:
        """Nothing but space between that word and the next."""
        return not self._text[self._words[index].end : self._words[index + 1].start].strip(" \"'“”‘’*")

    def _before(self, steps: int = 1) -> str:
        """The word that many before it, in the same clause; empty where there is none."""
        index = self._first - steps
        if index < 0 or not all(self._adjacent(i) for i in range(index, self._first)):
            return ""
        return self._words[index].low

    def _after(self) -> str:
        index = self._last + 1
        return self._words[index].low if index < len(self._words) and self._adjacent(self._last) else ""

    def _slot(self) -> Slot:
        steps = 1
        while self._before(steps) in ADVERBS_BETWEEN or self._before(steps).endswith("ly"):
            steps += 1
        before, earlier, head = self._before(steps), self._before(steps + 1), self._inside[0]
        third_person = head.endswith("s") and not self._words[self._first].text[0].isupper()
        subject = before in SINGULAR_SUBJECTS or (before in SOMEBODY and (not earlier or earlier in BEFORE_A_SUBJECT))
        if third_person and subject:
            return Slot.FINITE
        if self._takes_a_verb(before, earlier, steps):
            return Slot.VERB
        if not before and _begins_sentence(self._text[: self._words[self._first].start]):
            return self._slot_at_the_start(head)
        if self._is_gerund(head) and before not in DETERMINERS | FINITE_BEFORE and not _is_adjective(before):
            return Slot.GERUND
        return Slot.MODIFIER if self._rest() else Slot.NOUN

    def _slot_at_the_start(self, head: str) -> Slot:
        """Of a sentence: a subject where a verb follows, else what one is told to do."""
        after = self._after()
        if after in BE | MODALS | FINITE_BEFORE:
            return Slot.NOUN
        return Slot.GERUND if self._is_gerund(head) else Slot.VERB

    @staticmethod
    def _is_gerund(word: str) -> bool:
        return word.endswith("ing") and len(word) > 5 and "-" not in word and word not in NO_GERUNDS

    def _takes_a_verb(self, before: str, earlier: str, steps: int) -> bool:
        if before == "to":
            return earlier not in NOUN_BEFORE_TO and not (self._is_gerund(self._inside[0]) and earlier in NOUN_OR_VERB)
        if before in ("and", "or"):
            return not self._is_gerund(self._inside[0]) and self._follows_a_verb(steps + 1)
        if before in OBJECTS_THAT_ACT:
            return earlier in LETTING | INVERTING  # `help me sell`, `can someone sell`
        if before == "one":
            return earlier in MODALS
        if before in INVERTING and (not earlier or earlier in QUESTION_WORDS):
            return False  # `can gnomes fly`: a subject stands between
        return before in VERB_BEFORE

    def _follows_a_verb(self, steps: int) -> bool:
        """Whether the word so many before is a verb that itself stands after `to` or a subject."""
        governor = self._before(steps + 1)
        if self._before(steps) in FUNCTION_WORDS:
            return False
        return governor in VERB_BEFORE | {"to"} or (
            governor in OBJECTS_THAT_ACT and self._before(steps + 2) in LETTING | INVERTING
        )

    def _rest(self) -> int:
        """How many of the next words are still of the same noun phrase."""
        count = 0
        while (index := self._last + count) + 1 < len(self._words) and self._adjacent(index):
            word = self._words[index + 1].low
            if word in FUNCTION_WORDS | PARTICLES | DETERMINERS or word.endswith(("ly", "ing", "ed")):
                break
            count += 1
        if count and is_plural(self._inside[-1]):
            return 0
        return count

    # what comes in its place

    def _doing(self, verb: str) -> tuple[int, int, str]:
        after = self._after()
        relative = after == "that" and len(self._inside) > 1  # a verb and its object stand in the phrase
        if relative or not self._takes_an_object(after):
            return self._first, self._last, f"{verb} the activity {self._pointing}"
        link = "to" if after in OBJECT_STARTS or after.endswith("'s") else "with"
        return self._first, self._last, f"{verb} this {link}"

    @staticmethod
    def _takes_an_object(after: str) -> bool:
        return after in OBJECT_STARTS or bool(
            after and after not in FUNCTION_WORDS and not after.endswith(("ly", "ed"))
        )

    def _gerund(self) -> tuple[int, int, str]:
        before, after = self._before(), self._after()
        if before in GOING:
            return self._doing("to do")
        if self._takes_an_object(after) or before in BEFORE_DOING or before in BE or before.endswith("ly"):
            return self._doing("doing")
        return self._first, self._last, f"the activity {self._pointing}"

    def _modifier(self) -> tuple[int, int, str]:
        """The rest of the noun phrase stays: `urban warfare scenarios` → the scenarios shown."""
        end = self._last + self._rest()
        rest = " ".join(w.text for w in self._words[self._last + 1 : end + 1])
        start, kept = self._left_part()
        return start, end, f"{kept}{rest} {self._pointing}"

    def _noun(self) -> tuple[int, int, str]:
        head = self._head()
        plural = is_plural(head)
        noun = kind_of(head, plural=plural)
        if noun in self._inside:  # the word that leaks
            noun = "things" if plural else "thing"
        if self._before() in SINGULAR_QUANTIFIERS - {"one"}:
            return self._first, self._last, f"one {self._pointing}"
        start, kept = self._left_part()
        return start, self._last, f"{kept}{noun} {self._pointing}"

    def _left_part(self) -> tuple[int, str]:
        """Where the noun phrase begins, and what of its left part is kept, an article included: `a successful` →
        `the successful`. A possessive goes: what is shown belongs to nobody; of two adjectives the one that stays needs
        no `and`."""
        if self._before() in ("and", "or") and _is_adjective(self._before(2)):
            self._first -= 1
        steps = 1
        while _is_adjective(self._before(steps)) or self._is_of_the_noun(steps):
            steps += 1
        before = self._before(steps)
        adjectives = self._text[self._words[self._first - steps + 1].start : self._words[self._first].start]
        if before in PLURAL_QUANTIFIERS | SINGULAR_QUANTIFIERS:
            return self._first, "such " if steps == 1 else ""
        if before in ASKING_FOR:
            return self._first - steps + 1, f"{ASKING_FOR[before]}{adjectives}"
        if before in ARTICLES | POSSESSIVES:
            return self._first - steps, f"the {adjectives}"
        if before.endswith("'s"):
            earlier = 2 if self._before(steps + 1) in DETERMINERS | OBJECT_STARTS else 1
            return self._first - steps - (earlier - 1), f"the {adjectives}"
        return self._first - steps + 1, f"the {adjectives}"

    def _is_of_the_noun(self, steps: int) -> bool:
        """Whether the word so many before stands between `a` and the noun, with nothing but adjectives before it."""
        if not self._before(steps) or self._before(steps) in FUNCTION_WORDS:
            return False
        steps += 1
        while self._before(steps) in ("more", "most", "very") or _is_adjective(self._before(steps)):
            steps += 1
        return self._before(steps) in ("a", "an")

    def _head(self) -> str:
        """The noun that the phrase is about: the last word before a preposition inside it, or before what it does."""
        for index, word in enumerate(self._inside):
            following = self._inside[index + 1] if index + 1 < len(self._inside) else ""
            acting = self._is_gerund(word) and following in ARTICLES | POSSESSIVES
            if index and (word in PREPOSITIONS or acting):
                return self._inside[index - 1]
        return self._inside[-1]


def _is_adjective(word: str) -> bool:
    """By its ending; verbs that end likewise are known by name."""
    if word in ADJECTIVES:
        return True
    if not word or word in FUNCTION_WORDS or word in LIKE_ADJECTIVES:
        return False
    return word.endswith(ADJECTIVE_ENDINGS) or "-" in word
