"""Which sampled pairs are not independent of each other: what the intervals rest on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vsil_audit.detectors.clip_overlap.vectors import ComparedPair
from vsil_audit.stats.clusters import Groups, PairGroups


@dataclass(frozen=True, slots=True)
class Independence:
    """`groups`: (n,), the group number of each pair. `note`: what is to be said of them."""

    groups: Groups
    note: str = ""


def independence(sample: Sequence[ComparedPair]) -> Independence:
    """By the rule that a run's other intervals follow (`runs.detecting.Clusters.for_intervals`), within the sample:
    pairs that share a text, an image or a scenario go together, transitively; but where that connects more than half
    of them, repeated texts are taken as given and do not connect."""
    connected = _connected(sample, texts=True)
    if _largest(connected) <= len(sample) / 2:
        return Independence(connected)
    without_texts = _connected(sample, texts=False)
    if _largest(without_texts) <= len(sample) / 2:
        return Independence(without_texts, "repeated texts are taken as given")
    return Independence(connected, "shared images connect most pairs: few independent groups")


def _connected(sample: Sequence[ComparedPair], *, texts: bool) -> Groups:
    groups = PairGroups()
    for pair in sample:
        groups.add(key.to_bytes(8, "big") for key in (*pair.names, *pair.keys[0 if texts else 1 :]))
    return groups.groups()


def _largest(groups: Groups) -> int:
    return int(np.bincount(groups).max(initial=0))
