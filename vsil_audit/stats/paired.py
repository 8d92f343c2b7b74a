"""Two conditions seen on the same pairs: McNemar's exact test, and their difference with its interval."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import BOOTSTRAP, MANY, ON_CLUSTERS, ClusterSums
from vsil_audit.stats.proportions import NOTHING_SCORED, Z
from vsil_audit.stats.rates import Interval

TANGO = "Tango score 95 %"


def mcnemar_exact(b: int, c: int) -> float:
    """Two-sided exact p-value for b pairs that changed one way and c the other (binomial, ½). 1 when none changed.

    Takes pairs as independent; where they share images or texts, read `paired_difference` as well.
    """
    from scipy.special import bdtr

    if b < 0 or c < 0:
        raise ValueError(f"counts cannot be negative: b={b}, c={c}")
    return min(1.0, 2.0 * float(bdtr(min(b, c), b + c, 0.5))) if b + c else 1.0


def paired_difference(
    a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_], groups: npt.ArrayLike, seed: int = 0
) -> Interval:
    """Share of `a` minus share of `b` (flags of the same n pairs, shape (n,)), in [−1, 1], with a 95 % interval.

    Cluster bootstrap where many clusters change and many do not change as far as they can; else Tango's score interval
    (1998) on the effective sample size, which does not vanish where nothing changed, or everything.
    """
    first, second = np.asarray(a, dtype=bool), np.asarray(b, dtype=bool)
    if first.shape != second.shape:
        raise ValueError(f"shapes differ: {first.shape} and {second.shape}")
    return mean_change(first.astype(np.float64) - second, groups, seed)


def mean_change(change: npt.NDArray[np.float64], groups: npt.ArrayLike, seed: int = 0) -> Interval:
    """Mean of `change` (n,), each in [−1, 1], with a 95 % interval: of flags, or of shares of several answers.

    As `paired_difference`; where changes are fractions, Tango's interval is on the safe side, since a whole change of
    the same mean varies more.
    """
    n = len(change)
    if n == 0:
        return Interval(None, None, None, 0, NOTHING_SCORED)
    value = float(change.mean())
    clusters = ClusterSums.of(change, groups)
    changed = int((ClusterSums.of(np.abs(change), groups).sums > 0).sum())
    between = min(changed, *(int((clusters.sums != end * clusters.sizes).sum()) for end in (-1, 1)))
    single = len(clusters.sizes) == n
    if not single and min(between, clusters.effective) >= MANY:
        low, high = clusters.percentiles(seed)
        return Interval(value, low, high, n, BOOTSTRAP)
    size = float(n) if single else clusters.independent(between)
    low, high = tango_interval(float(np.maximum(change, 0).mean()), float(np.maximum(-change, 0).mean()), size)
    return Interval(value, low, high, n, TANGO if single else TANGO + ON_CLUSTERS)


def tango_interval(gained: float, lost: float, n: float) -> tuple[float, float]:
    """95 % limits of gained − lost, both being shares of `n` pairs (`n` may be an effective size). Tango (1998)."""
    observed = gained - lost
    low = -1.0 if observed <= -1 else _crossing(gained, lost, n, inside=observed, outside=-1.0)
    high = 1.0 if observed >= 1 else _crossing(gained, lost, n, inside=observed, outside=1.0)
    return low, high


def _crossing(gained: float, lost: float, n: float, *, inside: float, outside: float) -> float:
    """Where the score statistic reaches Z between the estimate and the end of the scale, by bisection."""
    for _ in range(60):
        middle = (inside + outside) / 2
        if abs(_score(gained, lost, n, middle)) < Z:
            inside = middle
        else:
            outside = middle
    return (inside + outside) / 2


def _score(gained: float, lost: float, n: float, difference: float) -> float:
    """(observed − difference) over its standard error, the nuisance share being most likely under `difference`."""
    linear = -(gained + lost) + (2 - gained + lost) * difference
    constant = -lost * difference * (1 - difference)
    nuisance = (math.sqrt(max(linear * linear - 8 * constant, 0.0)) - linear) / 4
    variance = (2 * nuisance + difference * (1 - difference)) / n
    gap = gained - lost - difference
    if variance <= 0:
        return math.copysign(math.inf, gap) if gap else 0.0
    return gap / math.sqrt(variance)
