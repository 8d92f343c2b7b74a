"""How probable the verdict was, from the log-probabilities of its token.

It is the probability of the verdict after the reasons that the judge wrote: near 0 or 1 for most judges, and no measure
of how often it is right.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from itertools import accumulate

from vsil_audit.detectors.safety_judge.verdict import SAFE, UNSAFE
from vsil_audit.gateway.answers import TokenLogprob

LEAST_MASS = 0.5
"""The two choices must have at least this probability together: else the token is not where the choice was made."""

_RAW_TOKENS = str.maketrans({"▁": " ", "Ġ": " ", "Ċ": "\n"})
_IN_JSON = re.compile(r"""["']verdict["']\s*:\s*["']\s*(?P<word>unsafe|safe)\b""", re.IGNORECASE)
_ANYWHERE = re.compile(r"\b(?P<word>unsafe|safe)\b", re.IGNORECASE)


def probability_of_unsafe(tokens: Sequence[TokenLogprob] | None, label: str) -> float | None:
    """P(unsafe) = U / (U + S), U and S being the probabilities of the alternatives that begin `unsafe` and `safe` at
    the token where the verdict `label` begins; None where the answer does not tell. In [0, 1].

    The token may begin before the word (` "safe`) or hold a part of it only (`un`): the two choices differ in their
    first letter. Tokens may come in a vocabulary's own spelling (`Ġsafe`, `▁safe`).
    """
    if not tokens:
        return None
    spelt = [token.token.translate(_RAW_TOKENS) for token in tokens]
    answer = "".join(spelt)
    matches = list(_IN_JSON.finditer(answer)) or list(_ANYWHERE.finditer(answer))
    if not matches or matches[-1]["word"].casefold() != label:
        return None
    begins = matches[-1].start("word")
    ends = list(accumulate(len(text) for text in spelt))
    at = next(index for index, end in enumerate(ends) if end > begins)
    before = spelt[at][: begins - (ends[at] - len(spelt[at]))]
    return _share(tokens[at], before)


def _share(token: TokenLogprob, before: str) -> float | None:
    if not token.top:
        return None
    mass = {SAFE: 0.0, UNSAFE: 0.0}
    for text, logprob in {**dict(token.top), token.token: token.logprob}.items():
        choice = _choice(text.translate(_RAW_TOKENS), before)
        if choice is not None:
            mass[choice] += math.exp(min(logprob, 0.0))
    total = mass[SAFE] + mass[UNSAFE]
    return mass[UNSAFE] / total if total >= LEAST_MASS else None


def _choice(token: str, before: str) -> str | None:
    """Which verdict begins in a token that stands where `before` stood before the verdict's first letter."""
    if before.strip():
        if not token.startswith(before):
            return None
        token = token[len(before) :]
    word = token.strip().casefold()
    for choice in (SAFE, UNSAFE):
        if word and (choice.startswith(word) or re.match(rf"{choice}\b", word)):
            return choice
    return None
