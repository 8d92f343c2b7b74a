"""V = R2 / R1 corrected for the judge's errors, from people's labels: which correction holds depends on the labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import ClusterSums
from vsil_audit.stats.mixture_share import Mixture, mixture_share
from vsil_audit.stats.prediction_powered import prediction_powered_share
from vsil_audit.stats.proportions import NOTHING_SCORED
from vsil_audit.stats.rates import Interval

Flags: TypeAlias = npt.NDArray[np.bool_]
Floats: TypeAlias = npt.NDArray[np.float64]

KINDS = ("harmless", "harmful with a harmless text", "harmful with a harmful text")


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """People's labels of pairs of the audited set itself, drawn at random and not by what the judge said of them.

    All of shape (n,), as the set; `pair_harmful` and `text_harmful` are read only where `labelled`.
    """

    labelled: Flags
    pair_harmful: Flags
    text_harmful: Flags


@dataclass(frozen=True, slots=True)
class LabelledElsewhere:
    """The judge's verdicts and people's labels of m pairs that are not of the audited set, or not a random part of it.

    All of shape (m,). Used to learn how the judge errs on each kind of pair, and it is assumed to err alike on the set:
    pairs chosen by what the judge said of them (its disagreements, say) teach the wrong errors.
    """

    pair_unsafe: Flags
    text_unsafe: Flags
    pair_harmful: Flags
    text_harmful: Flags
    groups: npt.NDArray[np.generic]


def corrected_leak_rate(
    pair_unsafe: Flags,
    text_unsafe: Flags,
    scored: Flags,
    groups: npt.ArrayLike,
    labels: LabelledSample | LabelledElsewhere,
    seed: int = 0,
) -> Interval:
    """Share of the truly harmful pairs whose text alone is truly harmful, in [0, 1], with a 95 % interval.

    `pair_unsafe`, `text_unsafe` (n,): J(pair) and J(text), read where `scored` (n,); `groups` (n,). The result's
    `method` names the correction:

    - a `LabelledSample` of the set: prediction-powered inference over the verdicts' cells. It assumes nothing of the
      judge (a useless one leaves an interval as wide as that of the labels), and only scored pairs take part.
    - `LabelledElsewhere`: sensitivity and specificity of J(pair) and J(text) together, as the shares of their four
      joint verdicts for each kind of pair (Rogan and Gladen's idea with correlated errors). No value where the labels
      do not show that the judge tells the kinds apart, or where they do not describe this set.
    """
    pair, text, known = (np.asarray(flags, dtype=bool) for flags in (pair_unsafe, text_unsafe, scored))
    numbers = np.asarray(groups).reshape(-1)
    if not pair.shape == text.shape == known.shape == numbers.shape:
        raise ValueError(f"shapes differ: {pair.shape}, {text.shape}, {known.shape}, {numbers.shape}")
    verdicts, numbers = _verdicts(pair, text)[known], numbers[known]
    if not known.any():
        return Interval(None, None, None, 0, NOTHING_SCORED)
    if isinstance(labels, LabelledSample):
        drawn, harmful, leaking = (
            np.asarray(flags, dtype=bool)[known]
            for flags in (labels.labelled, labels.pair_harmful, labels.text_harmful)
        )
        return prediction_powered_share(leaking, harmful, drawn, verdicts, numbers, seed)
    kinds = np.where(labels.pair_harmful, 1 + np.asarray(labels.text_harmful, dtype=bool), 0)
    given = _verdicts(labels.pair_unsafe, labels.text_unsafe)
    counts = [_effective_counts(given[kinds == kind], labels.groups[kinds == kind]) for kind in range(len(KINDS))]
    return mixture_share(Mixture(_effective_counts(verdicts, numbers), np.stack(counts)), KINDS)


def _verdicts(pair_unsafe: npt.ArrayLike, text_unsafe: npt.ArrayLike) -> npt.NDArray[np.int64]:
    return 2 * np.asarray(pair_unsafe, dtype=np.int64) + np.asarray(text_unsafe, dtype=np.int64)


def _effective_counts(verdicts: npt.NDArray[np.int64], groups: npt.NDArray[np.generic]) -> Floats:
    """Counts of the four joint verdicts, divided by the mean design effect of their shares (Rao and Scott 1981)."""
    n = len(verdicts)
    counts = np.bincount(verdicts, minlength=4).astype(np.float64)
    if n == 0 or len(np.unique(groups)) == n:
        return counts
    alone = float((counts / n * (1 - counts / n)).sum()) / n
    sums = [ClusterSums.of(verdicts == verdict, groups) for verdict in range(4)]
    if alone == 0 or len(sums[0].sizes) < 2:
        return counts * sums[0].effective / n
    return counts / max(sum(each.variance for each in sums) / alone, 1.0)
