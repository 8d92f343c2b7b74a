"""How many labels a precision needs, before any is there: at worst, with a judge that helps nothing."""

from __future__ import annotations

import math

from vsil_audit.stats.proportions import Z, score_interval


def half_width(labels: int) -> float:
    """Half of the 95 % interval of a share of one half, from so many labels of independent items; in (0, 0.5]."""
    low, high = score_interval(0.5, labels)
    return (high - low) / 2


def labels_for(half: float) -> int:
    """The fewest labels whose `half_width` is at most `half`, in (0, 0.5): Wilson's interval solved for n."""
    if not 0 < half < 0.5:
        raise ValueError(f"half of an interval must lie between 0 and 0.5, got {half}")
    return math.ceil(Z * Z * (1 / (4 * half * half) - 1))
