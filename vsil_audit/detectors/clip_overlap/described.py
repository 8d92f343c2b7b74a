"""What a finding tells of a pair's ranks, for people and reports."""

from __future__ import annotations

import numpy as np

from vsil_audit.detectors.clip_overlap.ranks import LEAST, Ranks
from vsil_audit.pair import Json
from vsil_audit.stats.retrieval import Floats, rank_error


def details(found: Ranks, mismatched: Floats, *, sampled: bool) -> list[dict[str, Json]]:
    """Of each pair. `mismatched`: cosines of texts with other pairs' images, sorted. `sampled`: whether the distractors
    are a sample of the set's images, so that a rank has a standard error."""
    within, scored = found.in_category.of >= LEAST, found.scored
    columns = {**_in_set(found, mismatched), **(_error(found) if sampled else {})}
    of_category = _in_category(found)
    told: list[dict[str, Json]] = []
    for i in range(len(scored)):
        row: dict[str, Json] = {name: values[i] for name, values in columns.items()} if scored[i] else {}
        if scored[i] and within[i]:
            row |= {name: values[i] for name, values in of_category.items()}
        row["decided_by"] = "set and category" if found.categorised[i] else "set"
        told.append(row)
    return told


def _in_set(found: Ranks, mismatched: Floats) -> dict[str, list[float]]:
    standings = found.in_set
    spread = float(mismatched.std()) if len(mismatched) else 0.0
    columns = {"cosine": standings.cosine.round(4).tolist()}
    if spread > 1e-6:
        sides = [np.searchsorted(mismatched, standings.cosine, side) for side in ("left", "right")]
        columns["z"] = ((standings.cosine - mismatched.mean()) / spread).round(3).tolist()
        columns["percentile"] = (50 * (sides[0] + sides[1]) / len(mismatched)).round(2).tolist()
    columns["margin"] = (standings.cosine - standings.best_other).round(4).tolist()
    columns["place"] = (standings.above + 1).tolist()
    columns["distractors"] = standings.of.tolist()
    columns["p"] = standings.p().round(6).tolist()
    return columns


def _error(found: Ranks) -> dict[str, list[float]]:
    of = np.maximum(found.in_set.of, 1)
    return {"rank_error": rank_error(found.in_set.share(), of).round(4).tolist()}


def _in_category(found: Ranks) -> dict[str, list[float]]:
    standings = found.in_category
    return {
        "category_rank": standings.share().round(4).tolist(),
        "category_place": (standings.above + 1).tolist(),
        "category_distractors": standings.of.tolist(),
        "category_p": standings.p().round(6).tolist(),
    }
