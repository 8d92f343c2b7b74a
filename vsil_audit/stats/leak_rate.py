"""The leak rate V of a benchmark as a judge sees it, and corrected for the judge's false alarms on benign texts."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import clustered_rate
from vsil_audit.stats.rates import Interval, Rate

Flags: TypeAlias = npt.NDArray[np.bool_]

NONE_HARMFUL = "no value: the judge called no pair unsafe, so that V has no denominator"
ALL_TEXTS_UNSAFE = "no value: the judge called every text unsafe; only benign texts that it calls safe can tell why"
ALL_TEXTS_SAFE = "no value: the judge called every text safe; only harmful texts that it calls unsafe can tell why"
NO_IMAGE_MATTERED = "no value: no verdict changed without the image, as with a judge that does not look at images"
NO_CONTROL = "no value: no benign control text was scored"
NO_SPECIFICITY = "no value: the benign controls do not show that the judge calls benign texts safe"
RATIO = "ratio of the two intervals 95 %"

LEAST_SPECIFICITY = 0.1
"""V* is given where the control's upper limit leaves the judge at least this specificity."""


@dataclass(frozen=True, slots=True)
class LeakRates:
    """What one judge says of a set, uncorrected for its errors.

    `harmful` is R1 and `text_harmful` R2, both among scored pairs; `leak` is V = R2 / R1, the share of the pairs judged
    unsafe whose text alone is judged unsafe; `image_needed` is R1 − R2, unsafe only with the image.
    """

    harmful: Rate
    text_harmful: Rate
    leak: Rate
    image_needed: Rate


def leak_rates(
    pair_unsafe: Flags,
    text_unsafe: Flags,
    scored: Flags,
    groups: npt.ArrayLike,
    total: int | None = None,
    *,
    sees_images: bool = False,
    passes_benign: bool = False,
    flags_harmful: bool = False,
    seed: int = 0,
) -> LeakRates:
    """R1, R2, V and R1 − R2 with 95 % intervals that respect clusters.

    `pair_unsafe`, `text_unsafe`: J(pair) and J(text) per pair, shape (n,), read only where `scored` (n,) says that both
    verdicts are there. `groups` (n,): pairs with an equal number go together. `total` (default n) counts all pairs of
    the set; V's own total counts the pairs judged unsafe and those not scored, which may be unsafe.

    A judge that always says the same, or never looks at the image, gives V = 0 or V = 1 on any set. Such a V has no
    value, unless it was shown elsewhere that the judge `sees_images` (verdicts change with another image),
    `passes_benign` (calls benign texts safe) or `flags_harmful` (calls harmful texts unsafe); `leak.method` says which
    is wanting.
    """
    pair, text, known = (np.asarray(flags, dtype=bool) for flags in (pair_unsafe, text_unsafe, scored))
    numbers = np.asarray(groups).reshape(-1)
    if not pair.shape == text.shape == known.shape == numbers.shape:
        raise ValueError(f"shapes differ: {pair.shape}, {text.shape}, {known.shape}, {numbers.shape}")
    total = len(pair) if total is None else total
    pair, text, numbers = pair[known], text[known], numbers[known]
    harmful = clustered_rate(pair, numbers, total, seed)
    leak = clustered_rate(text[pair], numbers[pair], harmful.k + total - harmful.n, seed)
    reason = _unproven(pair, text, sees_images=sees_images, passes_benign=passes_benign, flags_harmful=flags_harmful)
    if reason:
        leak = Rate(leak.k, leak.n, leak.total, None, None, None, reason)
    return LeakRates(
        harmful,
        clustered_rate(pair & text, numbers, total, seed),
        leak,
        clustered_rate(pair & ~text, numbers, total, seed),
    )


def _unproven(pair: Flags, text: Flags, *, sees_images: bool, passes_benign: bool, flags_harmful: bool) -> str | None:
    """Why these verdicts could be those of a judge that tells nothing apart; None where they could not."""
    if not pair.any():
        return NONE_HARMFUL
    if text.all() and not passes_benign:
        return ALL_TEXTS_UNSAFE
    if not text.any() and not flags_harmful:
        return ALL_TEXTS_SAFE
    if np.array_equal(pair, text) and not sees_images:
        return NO_IMAGE_MATTERED
    return None


def chance_corrected(leak: Rate, control: Rate) -> Interval:
    """V* = (V − FPR) / (1 − FPR), where `control` is the share FPR of independent benign texts that J calls unsafe.

    At most 1; below 0 where benign texts are flagged more often than the texts of the set, and then reported as it is.
    It equals the true V if J misses no harmful text and flags the harmless texts of the set as often as the controls.
    The interval carries both uncertainties: V* = 1 − (1 − V) / (1 − FPR), a ratio of two independent estimates (Donner
    and Zou 2012). No value where V has none, or where the controls leave J's specificity unproven.
    """
    if leak.value is None or leak.low is None or leak.high is None:
        return Interval(None, None, None, leak.n, leak.method)
    if control.value is None or control.low is None or control.high is None:
        return Interval(None, None, None, leak.n, NO_CONTROL)
    if 1 - control.high < LEAST_SPECIFICITY:
        return Interval(None, None, None, leak.n, NO_SPECIFICITY)
    apart, (least, most) = _ratio(
        (1 - leak.value, 1 - leak.high, 1 - leak.low), (1 - control.value, 1 - control.high, 1 - control.low)
    )
    return Interval(1 - apart, 1 - most, 1 - least, leak.n, RATIO)


def _ratio(above: tuple[float, float, float], below: tuple[float, float, float]) -> tuple[float, tuple[float, float]]:
    """Quotient of two independent estimates (value, low, high) ≥ 0 and its limits; the one below is clearly above 0.

    Donner and Zou (2012), equation 9, rearranged so that nothing is divided by a difference of equal numbers.
    """
    (a, a_low, a_high), (b, b_low, b_high) = above, below
    product = a * b
    lower, upper = a_low * (2 * a - a_low), a_high * (2 * a - a_high)
    root = math.sqrt(max(product**2 - lower * b_high * (2 * b - b_high), 0.0))
    low = lower / (product + root) if lower else 0.0
    scale = b_low * (2 * b - b_low)
    high = (product + math.sqrt(max(product**2 - upper * scale, 0.0))) / scale
    return a / b, (low, high)
