"""Seeds of random choices about one pair: the same in every session, whatever the order of the work."""

from __future__ import annotations

import hashlib


def seed_of(seed: int, *parts: str | int) -> int:
    """A number below 2^31 that depends on nothing but what is given."""
    text = "\x1f".join([str(seed), *map(str, parts)])
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:4], "big") >> 1
