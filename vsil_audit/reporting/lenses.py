"""Which metrics stand under which lens, and what each lens is: the same in every report."""

from __future__ import annotations

from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import LensSummary, Summary

LENS_TELLS = {
    "judged": "what a safety judge says of the text alone and of the pair",
    "behavioural": "what target models do without the image",
    "content": "what the text already says of the image: suspected, not proven",
    "predicted": "an offline guess from the text, never leakage by itself",
}
LENS_TITLES = {
    "judged": "Judged",
    "behavioural": "Behavioural",
    "content": "Content",
    "predicted": "Predicted",
}

LENS_HEADINGS = {
    "judged": "Judged: leaking",
    "behavioural": "Behavioural: leaking",
    "content": "Content: suspected",
    "predicted": "Predicted harmful",
}
"""What the headline rate of each lens counts: only judges and target models show leakage."""


def lens_metrics(summary: Summary, lens: LensSummary) -> list[Metric]:
    """The lens's headline metrics, then the rates of its detectors, where there are several: one is the headline."""
    headline = [m for name in lens.metrics if (m := summary.metric(name)) is not None]
    named = {m.name for m in headline}
    rates = [m for m in summary.metrics if m.lens == lens.lens and m.detector and m.name == f"{m.detector}.rate"]
    others = [m for m in rates if m.name not in named]
    return headline + (others if len(rates) > 1 or not headline else [])


def metrics_beside_lenses(summary: Summary) -> list[Metric]:
    """Metrics of no lens (topic, hygiene): they say something of the set, but not that a pair leaks."""
    lenses = {lens.lens for lens in summary.lenses}
    return [m for m in summary.metrics if m.lens not in lenses]


def detector_metrics(summary: Summary, detector: str) -> list[Metric]:
    return [m for m in summary.metrics if m.detector == detector]
