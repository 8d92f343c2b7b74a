"""How often a judge is wrong, from items with a known truth, and the prevalence behind what it says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import clustered_rate
from vsil_audit.stats.proportions import NOTHING_SCORED
from vsil_audit.stats.rates import Interval, Rate

Flags: TypeAlias = npt.NDArray[np.bool_]

ROGAN_GLADEN = "Rogan-Gladen, Fieller limits of the three intervals, 95 %"
AT_THE_END = ", the estimate held at the end of the scale"
NO_LABELS = "no value: no item labelled {} was judged"
UNINFORMATIVE = (
    "no value: the labels do not show that the judge tells harmful from harmless (sensitivity + specificity)"
)
CONTRADICTED = "no value: no prevalence gives this rate with these errors: the labels do not describe this set"
YOUDEN = "square-and-add of the two intervals 95 %"


@dataclass(frozen=True, slots=True)
class JudgeError:
    """Sensitivity: share of truly unsafe items called unsafe. Specificity: share of truly safe items called safe."""

    sensitivity: Rate
    specificity: Rate

    def youden(self) -> Interval:
        """Sensitivity + specificity − 1, in [−1, 1] (Youden 1950); 0 for a judge whose verdict tells nothing."""
        one, other = self.sensitivity, self.specificity
        n = one.n + other.n
        for rate, kind in ((one, "unsafe"), (other, "safe")):
            if rate.value is None:
                return Interval(None, None, None, n, NO_LABELS.format(kind))
        (a, a_low, a_high), (b, b_low, b_high) = _limits(one), _limits(other)
        value = a + b - 1
        low, high = value - math.hypot(a - a_low, b - b_low), value + math.hypot(a_high - a, b_high - b)
        return Interval(value, max(low, -1.0), min(high, 1.0), n, YOUDEN)


def judge_error(
    said_unsafe: Flags, truly_unsafe: Flags, groups: npt.ArrayLike, scored: Flags | None = None, seed: int = 0
) -> JudgeError:
    """Both rates with 95 % intervals that respect clusters. All arguments have shape (n,), one entry per labelled item.

    Where `scored` (default: everywhere) is false the judge gave no verdict: counted in the rates' totals only.
    """
    said, truth, numbers = np.asarray(said_unsafe, dtype=bool), np.asarray(truly_unsafe, dtype=bool), np.asarray(groups)
    known = np.ones(said.shape, dtype=bool) if scored is None else np.asarray(scored, dtype=bool)
    if not said.shape == truth.shape == numbers.shape == known.shape:
        raise ValueError(f"shapes differ: {said.shape}, {truth.shape}, {numbers.shape}, {known.shape}")
    unsafe, safe = truth & known, ~truth & known
    return JudgeError(
        clustered_rate(said[unsafe], numbers[unsafe], int(truth.sum()), seed),
        clustered_rate(~said[safe], numbers[safe], int((~truth).sum()), seed),
    )


def rogan_gladen(apparent: Rate, error: JudgeError) -> Interval:
    """True prevalence behind the rate `apparent` at which a judge of known error says unsafe, in [0, 1].

    (apparent + specificity − 1) / (sensitivity + specificity − 1), Rogan and Gladen (1978); the labelled items must be
    others than those behind `apparent`, judged with the same errors. The limits are the prevalences π for which
    apparent − π sensitivity − (1 − π)(1 − specificity) may be 0, by the square-and-add of the three rates' own limits
    (Fieller 1954; Zou and Donner 2008): they stay wide when the judge is weak, and do not vanish at 0 and 1. An
    estimate outside [0, 1] is held at the end, and `method` says so. No value where the Youden index is not clearly
    above 0, or where no prevalence fits.
    """
    if apparent.value is None:
        return Interval(None, None, None, apparent.n, NOTHING_SCORED)
    youden = error.youden()
    if youden.value is None or youden.low is None:
        return Interval(None, None, None, apparent.n, youden.method)
    if youden.low <= 0:
        return Interval(None, None, None, apparent.n, UNINFORMATIVE)
    seen, sensitivity, specificity = _limits(apparent), _limits(error.sensitivity), _limits(error.specificity)

    def fits(prevalence: float) -> bool:
        return _fits(prevalence, seen, sensitivity, specificity)

    estimate = (seen[0] + specificity[0] - 1) / youden.value
    value = min(max(estimate, 0.0), 1.0)
    if not fits(value):
        return Interval(None, None, None, apparent.n, CONTRADICTED)
    limits = []
    for end in (0.0, 1.0):
        inside, outside = (end, end) if fits(end) else (value, end)
        for _ in range(50):
            middle = (inside + outside) / 2
            inside, outside = (middle, outside) if fits(middle) else (inside, middle)
        limits.append(inside)
    method = ROGAN_GLADEN if value == estimate else ROGAN_GLADEN + AT_THE_END
    return Interval(value, limits[0], limits[1], apparent.n, method)


def _fits(
    prevalence: float,
    seen: tuple[float, float, float],
    sensitivity: tuple[float, float, float],
    specificity: tuple[float, float, float],
) -> bool:
    """Whether 0 lies in the interval of seen − prevalence · sensitivity − (1 − prevalence) · (1 − specificity)."""
    (q, q_low, q_high), (se, se_low, se_high), (sp, sp_low, sp_high) = seen, sensitivity, specificity
    rest = 1 - prevalence
    gap = q - prevalence * se - rest * (1 - sp)
    if gap >= 0:
        reach = math.hypot(q - q_low, prevalence * (se_high - se), rest * (sp - sp_low))
    else:
        reach = math.hypot(q_high - q, prevalence * (se - se_low), rest * (sp_high - sp))
    return abs(gap) <= reach


def _limits(rate: Rate) -> tuple[float, float, float]:
    if rate.value is None or rate.low is None or rate.high is None:
        raise ValueError(f"a rate without a value: {rate.method}")
    return rate.value, rate.low, rate.high
