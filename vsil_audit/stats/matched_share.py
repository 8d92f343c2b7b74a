"""How many of some pairs are tied to their own image at all, from where those images rank."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import clustered_rate
from vsil_audit.stats.proportions import NOTHING_SCORED
from vsil_audit.stats.rates import Interval
from vsil_audit.stats.retrieval import Counts, Floats, rank_p_values

ABOVE = 0.5
"""P-values above it are taken to come from pairs that are not tied (λ of Storey 2002)."""


def matched_share(
    above: Counts | Floats,
    tied: Counts | Floats,
    of: Counts | Floats,
    own: Counts,
    groups: npt.ArrayLike,
    seed: int,
) -> Interval:
    """Share of pairs whose image ranks higher than images at random do; in [0, 1], a lower bound, 95 % interval.

    1 − π₀, with π₀ the share of p-values above ½ over the share that untied pairs would have there, counted exactly
    (Storey 2002). A tie too weak to put the own image into the nearer half counts as none. Interval: that of the rate,
    which knows that pairs of a group go together. Arguments as of `rank_p_values`, and group numbers, each (n,).
    """
    if not len(of):
        return Interval(None, None, None, 0, NOTHING_SCORED)
    beyond = rank_p_values(above, tied, of, own) > ABOVE
    untied = float(_share_beyond(of, own).mean())
    rate = clustered_rate(beyond, groups, seed=seed)
    value, low, high = (
        float(np.clip(1 - (share or 0.0) / untied, 0.0, 1.0)) for share in (rate.value, rate.high, rate.low)
    )
    return Interval(value, low, high, rate.n, f"{rate.method}, of ranks in the farther half")


def _share_beyond(of: Counts | Floats, own: Counts) -> Floats:
    """How often the p-value of an untied pair lies above ½: ranks come in steps of 1 / (1 + distractors)."""
    single = 1 - (1 - ABOVE) ** (1 / own)
    return np.asarray((1 - np.floor(single * (of + 1) + 1e-9) / (of + 1)) ** own, dtype=np.float64)
