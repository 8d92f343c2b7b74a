"""Whether a run says enough to be acted on: what was asked for must have been measured on enough of the pairs."""

from __future__ import annotations

from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import Summary

_CONTENT = "suspected_rate"
_ASKED = ("text_only_refusal_rate", "safety_judge.rate", "llm_judge.rate")


def why_inconclusive(summary: Summary, min_coverage: float) -> list[str]:
    """The reasons, each a sentence without its full stop; empty for a run that is conclusive.

    What the user asked models for must cover `min_coverage` of the pairs, and a judge that was asked must be one that
    can be believed. The content lens need not where models were asked: it has nothing to look at in a set of texts.
    """
    if not summary.dataset.pairs:
        return ["no pair could be read"]
    ran = {d.name for d in summary.detectors if d.state == "done"}
    asked = [m for name in _ASKED if (m := summary.metric(name)) is not None and (m.detector or "text_refusal") in ran]
    content = summary.metric(_CONTENT)
    reasons = [_thin(m, min_coverage) for m in asked]
    if not asked and content is not None:
        reasons = [_thin(content, min_coverage)]
    return [reason for reason in (*reasons, _no_judge(summary)) if reason]


def _thin(metric: Metric, min_coverage: float) -> str:
    if metric.coverage is None or metric.coverage >= min_coverage:
        return ""
    return f"{metric.name} covers {metric.n} of {metric.total} pairs, less than --min-coverage {min_coverage:g}"


def _no_judge(summary: Summary) -> str:
    """Judges were asked, and none can be believed."""
    judges = summary.asked.judges if summary.asked else []
    leak_rate = summary.metric("leak_rate")
    if not judges or any(judge.trusted for judge in judges) or leak_rate is None:
        return ""
    return f"leak_rate has no value: {leak_rate.note}"
