"""Texts that are longer than a model's window, as passages that are not."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

_WORD = re.compile(r"\S+")
_OVERLAP = 4
_PIECE = 4


@dataclass(frozen=True, slots=True)
class _Piece:
    """A word, or a part of a very long one; `tokens`: how many tokens it has."""

    start: int
    end: int
    tokens: int


def windows(texts: Sequence[str], room: int, count: Callable[[Sequence[str]], Sequence[int]]) -> list[list[str]]:
    """Each text as passages of at most `room` tokens, or just that one text where it fits. `count` tells how many
    tokens texts have.

    Nothing is left out. Passages begin and end between words, and overlap by up to a quarter, so that what stands at
    the end of one stands in the middle of another. Tokens are counted word by word, which for some tokenizers is one or
    two off.
    """
    return [
        [text] if tokens <= room else _passages(text, room, count)
        for text, tokens in zip(texts, count(texts), strict=True)
    ]


def _passages(text: str, room: int, count: Callable[[Sequence[str]], Sequence[int]]) -> list[str]:
    pieces = list(_pieces(text, max(1, room // _PIECE), count))
    found: list[str] = []
    first = 0
    while first < len(pieces):
        last, tokens = first, pieces[first].tokens
        while last + 1 < len(pieces) and tokens + pieces[last + 1].tokens <= room:
            last += 1
            tokens += pieces[last].tokens
        found.append(text[pieces[first].start : pieces[last].end])
        if last + 1 == len(pieces):
            break
        following, again = last + 1, 0
        while following - 1 > first and again + pieces[following - 1].tokens <= room // _OVERLAP:
            following -= 1
            again += pieces[following].tokens
        first = following
    return found


def _pieces(text: str, most: int, count: Callable[[Sequence[str]], Sequence[int]]) -> Iterator[_Piece]:
    """The text's words, those of more than `most` tokens in parts."""
    spans = [match.span() for match in _WORD.finditer(text)]
    tokens = _counted([text[start:end] for start, end in spans], count)
    for start, end in spans:
        yield from _parts(text, _Piece(start, end, tokens[text[start:end]]), most, count)


def _parts(text: str, piece: _Piece, most: int, count: Callable[[Sequence[str]], Sequence[int]]) -> Iterator[_Piece]:
    length = piece.end - piece.start
    if piece.tokens <= most or length == 1:
        yield piece
        return
    step = max(1, min(length * most // piece.tokens, length - 1))
    spans = [(start, min(start + step, piece.end)) for start in range(piece.start, piece.end, step)]
    tokens = _counted([text[start:end] for start, end in spans], count)
    for start, end in spans:
        yield from _parts(text, _Piece(start, end, tokens[text[start:end]]), most, count)


def _counted(words: Sequence[str], count: Callable[[Sequence[str]], Sequence[int]]) -> dict[str, int]:
    """How many tokens each word has where it follows another."""
    unique = list(dict.fromkeys(words))
    return dict(zip(unique, count([f" {word}" for word in unique]), strict=True))
