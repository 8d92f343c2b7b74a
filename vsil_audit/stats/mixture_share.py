"""The share of one kind of pair, seen only through a judge whose confusions are known from labels elsewhere."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.stats.clusters import t_quantile
from vsil_audit.stats.rates import Interval

Floats: TypeAlias = npt.NDArray[np.float64]

PROFILE = "likelihood ratio 95 % with the judge's errors as labelled"

LEAST_LABELS = 10
"""Labelled pairs of each kind, below which its confusions are taken as unknown."""

FEW_LABELS = f"no value: fewer than {LEAST_LABELS} labelled pairs are {{}}"
NOT_TOLD_APART = "no value: the labels do not show that the judge tells pairs that are {} from pairs that are {}"
OTHER_ERRORS = (
    "no value: no share gives these verdicts: the judge errs otherwise on the labelled pairs than on this set"
)
ANY_FITS = "no value: any share from {:.2f} to {:.2f} fits these verdicts"

_MISFIT = 15.136705226623606  # 1 in 10,000 sets that the labels do describe
_ALIKE = 21.107513468921127  # 1 in 10,000 judges that cannot tell two kinds apart
_ROUNDS = 200
_SMALL = 1e-3
_FAR = 8.0  # log-likelihoods that far below the best are rejected whatever their last digits
_GRID = 41
_TINY = 1e-300


@dataclass(frozen=True, slots=True)
class Mixture:
    """How often each of K verdicts was given: in the set, `seen` (K,), and to labelled pairs of each of three kinds,
    `labelled` (3, K): 0 outside the denominator, 1 in it and no hit, 2 a hit. Counts; fractions where clusters make
    them tell less."""

    seen: Floats
    labelled: Floats


def mixture_share(mixture: Mixture, kinds: tuple[str, str, str]) -> Interval:
    """Share of kind 2 among kinds 1 and 2 in the set, in [0, 1]. `kinds` name the three kinds in reasons.

    Verdicts of the set are a mixture of the three kinds' verdicts, which are assumed to be those of the labelled pairs
    of that kind; nothing is assumed of how verdicts depend on each other, so that correlated errors are no harm.
    Limits: the shares that the likelihood ratio does not reject, the confusions and the share of kind 0 being each
    time those most likely (EM over K × 3 cells); clusters enter through the counts (Rao and Scott 1981).
    No value where a kind has fewer than LEAST_LABELS labels, where the labels don't show that the judge tells the hits
    or the others from their neighbours, where any share fits, or where none does.
    """
    n = round(float(mixture.seen.sum()))
    for kind, counts in zip(kinds, mixture.labelled, strict=True):
        if counts.sum() < LEAST_LABELS:
            return Interval(None, None, None, n, FEW_LABELS.format(kind))
    for one, other in ((0, 1), (1, 2)):
        if _homogeneity(mixture.labelled[[one, other]]) < _ALIKE:
            return Interval(None, None, None, n, NOT_TOLD_APART.format(kinds[one], kinds[other]))
    grid = np.linspace(0.0, 1.0, _GRID)
    profile, states = _profile(mixture, grid, _start(mixture))
    best = float(grid[profile.argmax()])
    around = np.clip(np.linspace(best - 1 / (_GRID - 1), best + 1 / (_GRID - 1), _GRID), 0.0, 1.0)
    finer, _ = _profile(mixture, around, states[profile.argmax()])
    value, top = float(around[finer.argmax()]), float(finer.max())
    saturated = _likelihood(mixture.seen, mixture.seen / mixture.seen.sum()) + _likelihood(
        mixture.labelled, mixture.labelled / mixture.labelled.sum(axis=1, keepdims=True)
    )
    if 2 * (saturated - top) > _MISFIT:
        return Interval(None, None, None, n, OTHER_ERRORS)
    reach = t_quantile(float(mixture.labelled.sum(axis=1).min()) - 1) ** 2
    shares, losses = np.concatenate([grid, around]), 2 * (top - np.concatenate([profile, finer]))
    order = np.argsort(shares)
    low, high = _accepted(shares[order], losses[order], reach)
    if high - low > 0.9:
        return Interval(None, None, None, n, ANY_FITS.format(low, high))
    return Interval(value, low, high, n, PROFILE)


def _start(mixture: Mixture) -> Floats:
    """Where EM begins: the share of kind 0 and of the others, then the labelled verdicts of each kind. (2 + 3 K,)."""
    smoothed = mixture.labelled + 0.5
    return np.concatenate([[0.3, 0.7], (smoothed / smoothed.sum(axis=1, keepdims=True)).reshape(-1)])


def _profile(mixture: Mixture, shares: Floats, start: Floats) -> tuple[Floats, Floats]:
    """Log-likelihood at each of `shares` (G,), all else being most likely, and the states where it is: (G, 2 + 3 K).

    EM, sped up by squared extrapolation (SQUAREM: Varadhan and Roland 2008) of the roots of the parameters.
    """
    state = np.repeat(start[None], len(shares), axis=0)
    best = np.full(len(shares), -np.inf)
    for _ in range(_ROUNDS):
        _, once = _em_step(mixture, shares, state)
        reached, twice = _em_step(mixture, shares, once)
        near = reached > reached.max() - _FAR
        done = float(np.max((reached - best)[near])) < _SMALL
        best = reached
        if done:
            break
        far = _extrapolated(state, once, twice)
        tried, further = _em_step(mixture, shares, far)
        state = np.where((tried > reached)[:, None], further, twice)
    return best, twice


def _em_step(mixture: Mixture, shares: Floats, state: Floats) -> tuple[Floats, Floats]:
    """(log-likelihood of `state`, the state after one EM step): (G,) and (G, 2 + 3 K)."""
    confusions = state[:, 2:].reshape(len(state), 3, -1)
    weights = np.stack([state[:, 0], state[:, 1] * (1 - shares), state[:, 1] * shares], axis=1)
    joint = weights[:, :, None] * confusions
    verdicts = np.maximum(joint.sum(axis=1), _TINY)
    likelihood = np.log(verdicts) @ mixture.seen
    likelihood += np.log(np.maximum(state[:, 2:], _TINY)) @ mixture.labelled.reshape(-1)
    expected = joint * (mixture.seen / verdicts)[:, None, :]
    outside = np.minimum(expected[:, 0].sum(axis=1, keepdims=True) / mixture.seen.sum(), 1.0)
    counts = mixture.labelled + expected
    counts /= counts.sum(axis=2, keepdims=True)
    return likelihood, np.concatenate([outside, 1 - outside, counts.reshape(len(state), -1)], axis=1)


def _extrapolated(state: Floats, once: Floats, twice: Floats) -> Floats:
    first, second, third = np.sqrt(state), np.sqrt(once), np.sqrt(twice)
    step = second - first
    bend = third - second - step
    length = np.sqrt((step**2).sum(axis=1) / np.maximum((bend**2).sum(axis=1), _TINY))
    reach = np.maximum(length, 1.0)[:, None]
    far = (first + 2 * reach * step + reach**2 * bend) ** 2
    far[:, :2] /= far[:, :2].sum(axis=1, keepdims=True)
    rows = far[:, 2:].reshape(len(far), 3, -1)
    rows /= rows.sum(axis=2, keepdims=True)
    return np.concatenate([far[:, :2], rows.reshape(len(far), -1)], axis=1)


def _likelihood(counts: Floats, shares: Floats) -> float:
    """Multinomial log-likelihood without its constant."""
    return float((counts * np.log(np.maximum(shares, _TINY))).sum())


def _homogeneity(table: Floats) -> float:
    """Likelihood-ratio statistic of "both rows (2, K) come from the same shares"."""
    pooled = table.sum(axis=0) / table.sum()
    return 2 * (_likelihood(table, table / table.sum(axis=1, keepdims=True)) - _likelihood(table, pooled[None]))


def _accepted(shares: Floats, losses: Floats, reach: float) -> tuple[float, float]:
    """Where the loss crosses `reach` on either side of its least, interpolated in its nearly straight root."""
    inside = np.flatnonzero(losses <= reach)
    roots, edge = np.sqrt(np.maximum(losses, 0.0)), math.sqrt(reach)
    limits = []
    for last, step in ((int(inside[0]), -1), (int(inside[-1]), 1)):
        beyond = last + step
        if not 0 <= beyond < len(shares):
            limits.append(float(shares[last]))
            continue
        part = (edge - roots[last]) / (roots[beyond] - roots[last])
        limits.append(float(shares[last] + part * (shares[beyond] - shares[last])))
    return limits[0], limits[1]
