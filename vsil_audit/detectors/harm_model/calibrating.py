"""From held-out logits to probabilities, and to the band in which the model should rather say that it is unsure."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.harm_model.model import Calibration
from vsil_audit.model_file import Floats

_GRID = np.round(np.arange(0.5, 0.96, 0.01), 2)


def calibrate(
    logits: Floats, harmful: npt.NDArray[np.bool_], largest_errors: tuple[float, float], least_known: float
) -> Calibration:
    """Platt's scaling of held-out logits at equal class weights, and the narrowest band that keeps errors small.

    The band's upper end is the lowest cut on a grid of hundredths above which at most `largest_errors[1]` of the
    texts (classes weighted equally) are benign; its lower end likewise: at most `largest_errors[0]` below are harmful.
    """
    weight = _equal_weights(harmful)
    slope, offset = _platt(logits, harmful, weight)
    p = 1 / (1 + np.exp(-(slope * logits + offset)))
    return Calibration(
        slope=slope,
        offset=offset,
        clear_below=round(1 - _cut(1 - p, ~harmful, weight, largest_errors[0]), 2),
        flag_from=_cut(p, harmful, weight, largest_errors[1]),
        least_known=least_known,
    )


def _equal_weights(harmful: npt.NDArray[np.bool_]) -> Floats:
    share = float(harmful.mean())
    return np.where(harmful, 0.5 / share, 0.5 / (1 - share))


def _platt(logits: Floats, harmful: npt.NDArray[np.bool_], weight: Floats) -> tuple[float, float]:
    """Slope and offset of a logistic regression on the logit alone, by Newton's method (Platt 1999)."""
    design = np.column_stack([logits, np.ones(len(logits))])
    found = np.zeros(2)
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(design @ found, -30, 30)))
        gradient = design.T @ (weight * (harmful - p)) - 1e-6 * found
        curvature = (design * (weight * p * (1 - p))[:, None]).T @ design + 1e-6 * np.eye(2)
        step = np.linalg.solve(curvature, gradient)
        found += step
        if np.abs(step).max() < 1e-10:
            break
    return float(found[0]), float(found[1])


def _cut(p: Floats, right: npt.NDArray[np.bool_], weight: Floats, largest_error: float) -> float:
    for cut in _GRID:
        above = p >= cut
        if above.any() and float((weight * ~right)[above].sum() / weight[above].sum()) <= largest_error:
            return float(cut)
    return float(_GRID[-1])
