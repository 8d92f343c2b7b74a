"""One judge asked several times about the same pair: how probable is its yes?"""

from __future__ import annotations

from functools import lru_cache

from vsil_audit.stats.proportions import NOTHING_SCORED
from vsil_audit.stats.rates import Interval

JEFFREYS = "Beta posterior, Jeffreys prior, 95 %"


@lru_cache(maxsize=4096)
def beta_probability(yes: int, n: int) -> Interval:
    """Probability, in (0, 1), that the judge says yes, from `yes` of `n` independent samples at temperature > 0.

    `value` is the mean of the Beta(yes + ½, n − yes + ½) posterior, so that few samples never give 0 or 1; the limits
    are its 2.5 % and 97.5 % quantiles, opened to 0 when none and to 1 when all said yes (Brown, Cai and DasGupta 2001,
    section 4.1). It tells how steadily the judge says yes, not how often it is right. Samples without a verdict are
    left out of both counts. Raises ValueError unless 0 ≤ yes ≤ n.
    """
    from scipy.special import betaincinv

    if not 0 <= yes <= n:
        raise ValueError(f"need 0 ≤ yes ≤ n, got yes={yes}, n={n}")
    if n == 0:
        return Interval(None, None, None, 0, NOTHING_SCORED)
    low, high = betaincinv(yes + 0.5, n - yes + 0.5, [0.025, 0.975])
    return Interval(
        (yes + 0.5) / (n + 1), 0.0 if yes == 0 else float(low), 1.0 if yes == n else float(high), n, JEFFREYS
    )
