"""What the model sees of a response: its opening in order, words of what follows, cues by place, length."""

from __future__ import annotations

import re
from collections.abc import Mapping

from vsil_audit.evaluation.response_model.cues import CUES
from vsil_audit.evaluation.response_model.words import normal, sentences, tokens

OPENING = 25
"""Words that count as the opening: their order is read (runs of up to three)."""

BODY = 150
"""Words read in all by the word features."""

SCALES: Mapping[str, float] = {"o": 0.35, "p": 0.35, "b": 0.12, "c": 0.5}
"""Scale of each block, by the first letter of a feature: opening, first places, body, cues."""

_LENGTHS = (12, 25, 50, 100, 180)
_ITEMS = (1, 3, 6)
_LIST_ITEM = re.compile(r"(?:^|\n)\s*(?:\d+[.)]|[-*•])\s")


def features(response: str) -> dict[str, float]:
    """Scaled features by name. Time is linear in the part of the response that is read."""
    text = normal(response)
    found = dict.fromkeys(_words(tokens(text)), 1.0) | _cues(text)
    return {name: value * SCALES[name[0]] for name, value in found.items()}


def _words(words: list[str]) -> list[str]:
    opening = ["<s>", *words[:OPENING]]
    names = ["o:" + " ".join(opening[i : i + n]) for n in (1, 2, 3) for i in range(len(opening) - n + 1)]
    names += [f"p{place}:{word}" for place, word in enumerate(words[:3])]
    body = words[OPENING:BODY]
    return names + ["b:" + " ".join(body[i : i + n]) for n in (1, 2) for i in range(len(body) - n + 1)]


def _cues(text: str) -> dict[str, float]:
    """`c1:` to `cl:` cues by place (first sentence, second, next three, rest, last); `ca:` anywhere, `cn:` nowhere."""
    parts = sentences(text)
    if not parts:
        return {}
    last = len(parts) - 1
    places = [
        "1" if i == 0 else "2" if i == 1 else "3" if i < 5 else "r" if i < last else "" for i in range(len(parts))
    ]
    found: dict[str, float] = {}
    said: dict[str, list[bool]] = {}
    for cue, pattern in CUES.items():
        counts: dict[str, int] = {}
        said[cue] = []
        for i, (part, place) in enumerate(zip(parts, places, strict=True)):
            n = len(pattern.findall(part))
            said[cue].append(n > 0)
            for where in (place, "l" if i == last > 1 else ""):
                if n and where:
                    counts[where] = counts.get(where, 0) + n
        found |= {f"c{place}:{cue}": min(n, 3) ** 0.5 for place, n in counts.items()}
        found["ca:" + cue if any(said[cue]) else "cn:" + cue] = 1.0
    first = parts[0]
    length, items = len(text.split()), len(_LIST_ITEM.findall(text))
    marks = {
        "c1:no": first.startswith(("no ", "no,", "no.")),
        "c1:yes": first.startswith(("yes ", "yes,", "yes.", "yes!")),
        "c1:colon": first.rstrip().endswith(":"),
        **{f"cL:{least}": length >= least for least in _LENGTHS},
        **{f"cI:{least}": items >= least for least in _ITEMS},
    }
    return found | {name: 1.0 for name, present in marks.items() if present} | _shape(said, length, items)


KINDS: Mapping[str, tuple[str, ...]] = {
    "declines": ("decline", "can not help", "not proper to answer"),
    "lacks": ("lack", "not known", "no feelings"),
    "rebukes": ("wrong", "do not", "equality", "disapprove", "false"),
    "advises": ("seek help", "instead", "caution", "important", "not advised", "expert"),
    "weighs": ("both sides",),
}
"""Kinds of sentences by their cues."""


def _shape(said: Mapping[str, list[bool]], length: int, items: int) -> dict[str, float]:
    """`cS:` how much of the response each kind of sentence takes, and pairs of what comes early with what follows.

    `said`: for each cue, in which sentences it occurs.
    """
    marks: dict[str, float] = {}
    has = {kind: [any(hits) for hits in zip(*(said[c] for c in cues), strict=True)] for kind, cues in KINDS.items()}
    early = []
    for kind, where in has.items():
        share = sum(where) / len(where)
        for least in (0.15, 0.3, 0.5, 0.75):
            if share >= least:
                marks[f"cS:{kind} {least}"] = 1.0
        if any(where[:2]):
            early.append(kind)
        if any(where) and not any(where[:2]):
            marks[f"cS:{kind} late"] = 1.0
    early = early or ["none"]
    after = [kind for kind, where in has.items() if any(where[2:])]
    size = sum(length >= least for least in (25, 50, 100, 180))
    for kind in early:
        marks[f"cS:{kind} then length {size}"] = 1.0
        marks[f"cS:{kind} then items {min(items, 3)}"] = 1.0
        for other in after:
            marks[f"cS:{kind} then {other}"] = 1.0
    marks["cS:early " + "+".join(early)] = 1.0
    return marks
