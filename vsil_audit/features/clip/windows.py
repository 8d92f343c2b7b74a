"""Texts as rows of tokens: what fits the model's context as open_clip would have it, what does not in windows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_CHARACTERS = 50_000
"""No more of a text is read."""

MOST_WINDOWS = 64
_LONGEST_RUN = 1_000  # byte-pair encoding takes quadratic time in the length of one word
_OVERLAP = 4  # a window repeats a quarter of the one before

Tokens = npt.NDArray[np.int64]


class TextWindows:
    """Rows of tokens for texts, of the model's context length.

    A text of at most that length gives one row, the very one that open_clip's tokenizer gives. A longer one gives
    windows of whole words that overlap by a quarter, at most `MOST_WINDOWS`; a word longer than a window is cut. A text
    without anything to encode gives none. Names of special tokens in a text are words like any other.
    """

    def __init__(self, tokenizer: Any) -> None:
        """`tokenizer`: open_clip's SimpleTokenizer or HFTokenizer."""
        self._tokenizer = tokenizer
        self._rows: Callable[[str], list[Tokens]] = self._of_library
        if hasattr(tokenizer, "bpe"):
            for special in ("<start_of_text>", "<end_of_text>"):
                tokenizer.cache.pop(special, None)  # by which they would become the tokens that end a text
            self._rows = self._of_clip

    def __call__(self, text: str) -> list[Tokens]:
        """Rows of shape (context length,), int64."""
        return self._rows(_decent(text[:MOST_CHARACTERS]))

    # CLIP's own tokenizer

    def _of_clip(self, text: str) -> list[Tokens]:
        room = self._tokenizer.context_length - 2
        words = _cut([self._pieces(word) for word in self._tokenizer.clean_fn(text).split()], room)
        rows = []
        for start, end in _spans([len(word) for word in words], room):
            tokens = [token for word in words[start:end] for token in word]
            row = np.zeros(self._tokenizer.context_length, dtype=np.int64)
            row[: len(tokens) + 2] = [self._tokenizer.sot_token_id, *tokens, self._tokenizer.eot_token_id]
            rows.append(row)
        return rows

    def _pieces(self, word: str) -> list[int]:
        own, pieces = self._tokenizer, []
        for found in own.pat.findall(word):
            for start in range(0, len(found), _LONGEST_RUN):
                symbols = "".join(
                    own.byte_encoder[byte] for byte in found[start : start + _LONGEST_RUN].encode("utf-8")
                )
                pieces += [own.encoder[piece] for piece in own.bpe(symbols).split(" ")]
        return pieces

    # a tokenizer of the library transformers

    def _of_library(self, text: str) -> list[Tokens]:
        clean = self._tokenizer.clean_fn(text)
        if not clean:
            return []
        whole = self._tokenizer.tokenizer(clean)["input_ids"]
        context = self._tokenizer.context_length
        if len(whole) <= context:
            return self._read([clean])
        room = context - self._tokenizer.tokenizer.num_special_tokens_to_add()
        words = [part for word in clean.split() for part in self._short_words(word, room)]
        sizes = self._sizes(words)
        return self._read([" ".join(words[start:end]) for start, end in _spans(sizes, room)])

    def _read(self, texts: Sequence[str]) -> list[Tokens]:
        return list(self._tokenizer(texts).numpy().astype(np.int64))

    def _sizes(self, words: Sequence[str]) -> list[int]:
        apart = [f" {word}" for word in words]  # as it stands in a text
        return [len(ids) for ids in self._tokenizer.tokenizer(apart, add_special_tokens=False)["input_ids"]]

    def _short_words(self, word: str, room: int) -> Iterator[str]:
        """The word, halved until it fits."""
        if len(word) <= 1 or self._sizes([word])[0] <= room:
            yield word
        else:
            half = len(word) // 2
            yield from self._short_words(word[:half], room)
            yield from self._short_words(word[half:], room)


def _decent(text: str) -> str:
    """Halves of surrogate pairs, which no encoder takes, replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _cut(words: Sequence[list[int]], room: int) -> list[list[int]]:
    return [word[start : start + room] for word in words for start in range(0, len(word), room)]


def _spans(sizes: Sequence[int], room: int) -> list[tuple[int, int]]:
    """Windows [start, end) over things of these sizes, none above `room`: each as full as can be, and the last too."""
    ends = list(accumulate(sizes))
    if not ends:
        return []
    spans: list[tuple[int, int]] = []
    start = 0
    while len(spans) < MOST_WINDOWS:
        before = ends[start - 1] if start else 0
        end = int(np.searchsorted(ends, before + room, side="right"))
        spans.append((start, end))
        if end == len(sizes):
            break
        repeating = _first_after(ends, ends[end - 1] - room // _OVERLAP)
        reaching_on = _first_after(ends, ends[end] - room)
        reaching_the_end = max(start + 1, _first_after(ends, ends[-1] - room))
        start = max(reaching_on, min(repeating, reaching_the_end))
    return spans


def _first_after(ends: Sequence[int], size: int) -> int:
    """The first thing that begins when at least `size` went before it."""
    return 0 if size <= 0 else int(np.searchsorted(ends, size, side="left")) + 1
