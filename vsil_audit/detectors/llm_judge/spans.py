"""Where a text says what a judge quotes from it: quotes that do not occur are no evidence."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator

_MOST_TRIES = 1_000
_ALIKE = str.maketrans({"’": "'", "‘": "'", "ʼ": "'", "“": '"', "”": '"', "‐": "-", "‑": "-", "–": "-", "—": "-"})


def folded(text: str) -> str:
    """How quotes are compared: without case, any white space as one space, accents and quotation marks in one
    spelling. Works code point by code point, so that places can be mapped back."""
    return " ".join("".join(map(_fold, text)).split())


class Quotable:
    """A text in which quotes are looked up. Building is linear in the text, one look-up nearly so."""

    def __init__(self, text: str) -> None:
        self._text = text
        pieces: list[str] = []
        self._starts: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        at = 0
        for index, character in enumerate(text):
            piece = _fold(character)
            if piece == " " and pieces and pieces[-1] == " ":
                continue
            if not unicodedata.combining(piece[0]):  # between a letter and its accent nothing begins or ends
                self._starts[at] = self._ends[at] = index
            pieces.append(piece)
            at += len(piece)
        self._ends[at] = len(text)
        self._folded = "".join(pieces)

    def find(self, quote: str) -> tuple[int, int] | None:
        """(start, end), code points, of the first place that says `quote`; one at the edges of words comes before one
        inside a word. None where the text does not say it."""
        sought = folded(quote)
        anywhere: tuple[int, int] | None = None
        for place in self._places(sought):
            if self._cuts_no_word(*place):
                return place
            anywhere = anywhere or place
        return anywhere

    def _places(self, sought: str) -> Iterator[tuple[int, int]]:
        at = self._folded.find(sought) if sought else -1
        for _ in range(_MOST_TRIES):
            if at < 0:
                return
            start, end = self._starts.get(at), self._ends.get(at + len(sought))
            if start is not None and end is not None:
                yield start, end
            at = self._folded.find(sought, at + 1)

    def _cuts_no_word(self, start: int, end: int) -> bool:
        text = self._text
        begins = start == 0 or not (text[start - 1].isalnum() and text[start].isalnum())
        return begins and (end == len(text) or not (text[end - 1].isalnum() and text[end].isalnum()))


def _fold(character: str) -> str:
    if character.isspace():
        return " "
    return unicodedata.normalize("NFD", character).casefold().translate(_ALIKE)
