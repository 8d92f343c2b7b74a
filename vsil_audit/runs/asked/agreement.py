"""How far judges agree with each other, and the lenses of the report with each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vsil_audit.runs.asked.bounds import MOST_DISAGREEMENTS
from vsil_audit.runs.asked.columns import Labels
from vsil_audit.runs.asked.numbers import as_fields
from vsil_audit.runs.asked_summary import Agreement, AgreementCell
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.stats.agreement import krippendorff_alpha, pairwise_agreement
from vsil_audit.stats.clusters import Groups
from vsil_audit.stats.rates import Interval, Rate


@dataclass(frozen=True, slots=True)
class Raters:
    """Several raters of one thing. `codes[name]` (n_pairs,), below 0 where not rated; `majority`: its rate among those
    that can be trusted."""

    about: str
    codes: Mapping[str, Labels]
    majority: Metric | None = None
    with_alpha: bool = True


@dataclass(frozen=True, slots=True)
class Agreed:
    """An agreement whose disagreements are places of pairs still."""

    raters: Raters
    cells: list[AgreementCell]
    alpha: Metric | None
    places: list[int]

    def shown(self, ids: dict[int, str]) -> Agreement:
        return Agreement(
            about=self.raters.about,
            raters=list(self.raters.codes),
            cells=self.cells,
            alpha=self.alpha,
            majority=self.raters.majority,
            disagreements=[ids[place] for place in self.places],
        )


def agreement_of(raters: Raters, groups: Groups) -> Agreed:
    """Every two raters on the pairs that both rated; alpha over all; the first pairs on which any two differ."""
    names, ratings = list(raters.codes), np.stack(list(raters.codes.values()))
    scored = ratings >= 0
    cells = [
        AgreementCell(
            first=names[found.first],
            second=names[found.second],
            kappa=_metric(raters.about, "kappa", "Cohen's kappa", found.kappa, "kappa", ratings.shape[1]),
            agree=_metric(raters.about, "agree", "share on which both say the same", found.same, "share", 0),
        )
        for found in pairwise_agreement(ratings, scored, groups)
    ]
    alpha = None
    if raters.with_alpha:
        found = krippendorff_alpha(ratings, scored, groups)
        alpha = _metric(raters.about, "alpha", "Krippendorff's alpha over all raters", found, "alpha", ratings.shape[1])
    return Agreed(raters, cells, alpha, _differ(ratings, scored))


def _differ(ratings: Labels, scored: np.ndarray) -> list[int]:
    highest = np.where(scored, ratings, -128).max(axis=0)
    lowest = np.where(scored, ratings, 127).min(axis=0)
    differ = (scored.sum(axis=0) > 1) & (highest != lowest)
    places: list[int] = np.flatnonzero(differ)[:MOST_DISAGREEMENTS].tolist()
    return places


def _metric(about: str, name: str, tells: str, found: Rate | Interval, unit: str, total: int) -> Metric:
    fields = {
        "name": f"agreement.{about}.{name}",
        "tells": tells,
        "nature": Nature.MEASURED,
        "unit": unit,
        **as_fields(found),
    }
    return Metric.model_validate(fields | ({"total": total} if total else {}))
