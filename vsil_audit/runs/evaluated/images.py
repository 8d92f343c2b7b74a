"""What image-safety classifiers say of the set's images by themselves."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from vsil_audit.runs.asked.columns import EVALUATION
from vsil_audit.runs.asked.numbers import Naming
from vsil_audit.runs.evaluated.answers import Looks
from vsil_audit.runs.evaluation_summary import ImageClassifierRow
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.stats.clusters import Groups, clustered_rate
from vsil_audit.wording import plural


def classifier_rows(looks: Mapping[str, Looks], groups: Groups) -> list[ImageClassifierRow]:
    """Each distinct image counts once; images of pairs in one of `groups` (n_pairs,) go together."""
    return [ImageClassifierRow(classifier=name, flagged=_flagged(name, one, groups)) for name, one in looks.items()]


def _flagged(name: str, looks: Looks, groups: Groups) -> Metric:
    places, codes = looks.distinct()
    scored = codes >= 0
    rate = clustered_rate(codes[scored] == 1, groups[places[scored]], len(codes))
    reasons = [reason for reason, _ in looks.why_none.most_common(1)]
    if rate.value is None and reasons:
        rate = replace(rate, method=reasons[0])
    why = f"{plural(len(codes) - rate.n, 'image')} without a verdict: {reasons[0]}" if reasons and rate.n else ""
    tells = "share of the set's images that the classifier flags"
    return Naming(EVALUATION, name).metric("flagged_images", tells, rate, why, nature=Nature.PREDICTED)
