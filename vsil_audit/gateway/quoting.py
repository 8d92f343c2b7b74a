"""Texts as JSON strings, remembered for a while: each is written into the cache key, and then into the request."""

from __future__ import annotations

from functools import lru_cache
from json.encoder import encode_basestring_ascii

_MOST_TEXTS = 1024
_MOST_CHARACTERS = 8192

_remembered = lru_cache(maxsize=_MOST_TEXTS)(encode_basestring_ascii)


def quoted(text: str) -> str:
    """The text as a JSON string, in ASCII."""
    return _remembered(text) if len(text) <= _MOST_CHARACTERS else encode_basestring_ascii(text)
