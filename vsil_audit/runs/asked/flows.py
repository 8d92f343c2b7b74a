"""The same pairs under two conditions: how many go which way."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from vsil_audit.runs.asked.bounds import EXAMPLES
from vsil_audit.runs.asked.columns import Labels
from vsil_audit.runs.asked.numbers import Naming
from vsil_audit.runs.asked_summary import FlowCell, PairedFlow
from vsil_audit.runs.metric import Metric
from vsil_audit.stats.clusters import Groups, clustered_rate
from vsil_audit.stats.paired import paired_difference
from vsil_audit.stats.rates import Interval, Rate
from vsil_audit.stats.sign_flip import sign_flip_p


@dataclass(frozen=True, slots=True)
class Flow:
    """A paired flow whose examples are places of pairs still. `share`: of the pairs with the outcome under the second
    condition, those with it under the first; its total counts the pairs that may have it too."""

    naming: Naming
    first: str
    second: str
    outcome: str
    places: dict[str, list[int]]
    counts: dict[str, int]
    n: int
    total: int
    difference: Interval
    p_value: float | None
    share: Rate
    metrics: tuple[Metric, ...] = ()

    def told(self, share: Metric, difference_tells: str, note: str = "") -> Flow:
        """The flow with its share as a metric, and the words of its difference."""
        difference = self.naming.metric(
            f"{self.first}_minus_{self.second}",
            difference_tells,
            self.difference,
            note,
            unit="difference",
            total=self.total,
        )
        return replace(self, metrics=(difference, share))

    @property
    def wanted(self) -> set[int]:
        return {place for places in self.places.values() for place in places}

    def shown(self, ids: dict[int, str]) -> PairedFlow:
        difference, share = self.metrics
        return PairedFlow(
            detector=self.naming.detector,
            model=self.naming.model,
            first=self.first,
            second=self.second,
            outcome=self.outcome,
            cells=[
                FlowCell(name=name, pairs=self.counts[name], examples=[ids[place] for place in places])
                for name, places in self.places.items()
            ],
            n=self.n,
            total=self.total,
            difference=difference,
            p_value=self.p_value,
            share=share,
        )


def flow_of(
    naming: Naming, first: str, second: str, outcome: str, yes_first: Labels, yes_second: Labels, groups: Groups
) -> Flow:
    """`yes_first`, `yes_second` (n_pairs,): 1 where the pair has the outcome, 0 where not, below 0 where unknown."""
    both = (yes_first >= 0) & (yes_second >= 0)
    one, two = yes_first == 1, yes_second == 1
    cells = {"both": one & two, "only_first": one & ~two, "only_second": ~one & two, "neither": ~one & ~two}
    places = {name: np.flatnonzero(cell & both) for name, cell in cells.items()}
    total, n = len(both), int(both.sum())
    among = both & two
    share = clustered_rate(one[among], groups[among], int(among.sum()) + total - n)
    if n and not share.n:
        share = replace(share, method=f"no pair was {outcome} under {second}")
    return Flow(
        naming,
        first,
        second,
        outcome,
        {name: found[:EXAMPLES].tolist() for name, found in places.items()},
        {name: len(found) for name, found in places.items()},
        n,
        total,
        paired_difference(one[both], two[both], groups[both]),
        sign_flip_p(one[both].astype(np.int8) - two[both].astype(np.int8), groups[both]) if n else None,
        share,
    )
