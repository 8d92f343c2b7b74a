"""Whether a run says enough to be acted on: what was asked for must have been measured on enough of the pairs."""

from __future__ import annotations

from vsil_audit.detectors.base import Lens
from vsil_audit.runs.evaluation_summary import Evaluation
from vsil_audit.runs.summary import Summary

_CONTENT = "suspected_rate"
_ASKED = (Lens.JUDGED.value, Lens.BEHAVIOURAL.value)


def why_inconclusive(summary: Summary, min_coverage: float) -> list[str]:
    """The reasons, each a sentence without its full stop; empty for a run that is conclusive.

    What the user asked models for must cover `min_coverage` of the pairs, and of the judges that were asked one at
    least must be believable. The content lens need not where models were asked: it has nothing to look at in a set of
    texts.
    """
    pairs = summary.dataset.pairs
    if not pairs:
        return ["no pair could be read"]
    if summary.evaluation is not None:
        return _of_evaluation(summary.evaluation, min_coverage)
    asked = [d for d in summary.detectors if d.state == "done" and d.lens in _ASKED]
    content = summary.metric(_CONTENT)
    covered = [(d.name, d.scored, pairs) for d in asked]
    if not asked and content is not None:
        covered = [(_CONTENT, content.n, content.total)]
    reasons = [
        f"{name} covers {n} of {total} pairs, less than --min-coverage {min_coverage:g}"
        for name, n, total in covered
        if n < min_coverage * total
    ]
    return reasons + [reason for d in asked if (reason := _no_judge(summary, d.name))]


def _of_evaluation(found: Evaluation, min_coverage: float) -> list[str]:
    """What was asked of each model under each condition, and looked at by each classifier, over the whole set."""
    covered = [
        (f"{row.model} under {row.condition}{f', {row.variant}' if row.variant else ''}", row.metrics[0])
        for row in found.rows
        if row.slice_kind == "all" and row.metrics
    ]
    covered += [(row.classifier, row.flagged) for row in found.image_classifiers]
    measured = {row.model for row in found.rows}
    return [f"{model.model} was measured on no pair" for model in found.models if model.model not in measured] + [
        f"{name} covers {metric.n} of {metric.total}, less than --min-coverage {min_coverage:g}"
        for name, metric in covered
        if metric.n < min_coverage * metric.total
    ]


def _no_judge(summary: Summary, detector: str) -> str:
    """Judges were asked, and none can be believed."""
    judges = [judge for judge in summary.asked.judges if judge.detector == detector] if summary.asked else []
    if not judges or any(judge.trusted for judge in judges):
        return ""
    return f"{detector}: no judge can be believed ({'; '.join(f'{j.model}: {j.why_not}' for j in judges)})"
