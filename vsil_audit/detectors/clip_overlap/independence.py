"""Which sampled pairs are not independent of each other: what the intervals rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsil_audit.detectors.clip_overlap.vectors import ComparedPair
from vsil_audit.stats.clusters import Groups, PairGroups, interval_groups


@dataclass(frozen=True, slots=True)
class Independence:
    """`groups`: (n,), the group number of each pair. `note`: what is to be said of them."""

    groups: Groups
    note: str = ""


def independence(sample: Sequence[ComparedPair]) -> Independence:
    """By the rule of a run's other intervals, within the sample."""
    found = interval_groups(_connected(sample, texts=True), lambda: _connected(sample, texts=False))
    note = "repeated texts are taken as given" * found.texts_given
    return Independence(found.groups, note or "shared images connect most pairs: few independent groups" * found.few)


def _connected(sample: Sequence[ComparedPair], *, texts: bool) -> Groups:
    groups = PairGroups()
    for pair in sample:
        groups.add(key.to_bytes(8, "big") for key in (*pair.names, *pair.keys[0 if texts else 1 :]))
    return groups.groups()
