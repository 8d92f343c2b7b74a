"""Style balance: pairs are left out until length, pointing words and question form say nothing of where a pair is from.

Coarsened exact matching (Iacus, King and Porro 2012): texts fall into strata of style, and in each stratum the sources
are kept in the same proportion.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from vsil_audit.builders.probe import style_of
from vsil_audit.builders.record import Record
from vsil_audit.builders.seeds import seed_of

_LENGTHS = 4
"""Classes of length, each with as many texts."""
_FINEST = 6
"""Largest number in a proportion of sources: finer ones keep nothing of small strata."""


@dataclass(frozen=True, slots=True)
class Balanced:
    """`left_out`: by id, why. `by_source`: pairs of each source before and after."""

    left_out: dict[str, str]
    by_source: dict[str, tuple[int, int]]


def balance(records: Sequence[Record], source_of: Callable[[Record], str], seed: int) -> Balanced:
    """What to leave out so that the style of a text does not tell its source; nothing where there is one source."""
    sources = [source_of(record) for record in records]
    before = Counter(sources)
    if len(before) < 2:
        return Balanced({}, {name: (count, count) for name, count in before.items()})
    strata = _strata([record.draft.text for record in records])
    members: dict[tuple[int, ...], dict[str, list[Record]]] = defaultdict(lambda: defaultdict(list))
    for record, source, stratum in zip(records, sources, strata, strict=True):
        members[stratum][source].append(record)
    counts = [{name: len(found[name]) for name in before} for found in members.values()]
    ratio = _best_ratio(counts, before)
    left_out: dict[str, str] = {}
    for found in members.values():
        kept = _kept({name: len(found[name]) for name in before}, ratio)
        for name in before:
            order = sorted(found[name], key=lambda record: seed_of(seed, record.draft.id, "balance"))
            why = f"style balance: too many of {name} in its style"
            left_out |= {record.draft.id: why for record in order[kept[name] :]}
    gone = Counter(source for record, source in zip(records, sources, strict=True) if record.draft.id in left_out)
    return Balanced(left_out, {name: (count, count - gone[name]) for name, count in before.items()})


def _strata(texts: Sequence[str]) -> list[tuple[int, ...]]:
    """Class of length, question or not, pointing or not."""
    style = style_of(texts)
    edges = np.quantile(style[:, 1], np.linspace(0, 1, _LENGTHS + 1)[1:-1])
    lengths = np.searchsorted(edges, style[:, 1])
    return [
        (int(length), int(question), int(pointing > 0))
        for length, question, pointing in zip(lengths, style[:, 2], style[:, 3], strict=True)
    ]


def _best_ratio(counts: Sequence[Mapping[str, int]], before: Mapping[str, int]) -> dict[str, int]:
    """The proportion of the sources, in small whole numbers, that keeps most pairs: an equal one, the whole set's, or
    that of some stratum."""
    candidates = [dict.fromkeys(before, 1), _as_ratio(before)]
    candidates += [_as_ratio(count) for count in counts if all(count.values())]

    def pairs_kept(ratio: Mapping[str, int]) -> int:
        return sum(sum(_kept(count, ratio).values()) for count in counts)

    return max(candidates, key=pairs_kept)


def _as_ratio(counts: Mapping[str, int]) -> dict[str, int]:
    most = max(counts.values())
    ratio = {name: max(1, round(_FINEST * count / most)) for name, count in counts.items()}
    common = math.gcd(*ratio.values())
    return {name: part // common for name, part in ratio.items()}


def _kept(counts: Mapping[str, int], ratio: Mapping[str, int]) -> dict[str, int]:
    """Of one stratum, how many of each source in exactly that proportion."""
    times = min(counts[name] // part for name, part in ratio.items())
    return {name: times * part for name, part in ratio.items()}
