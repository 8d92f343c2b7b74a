"""Which metrics stand under which lens, and what each lens is: the same in every report."""

from __future__ import annotations

from vsil_audit.reporting.standing import Standing, model_of
from vsil_audit.runs.asked.columns import SAFETY_JUDGE
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


OF_THE_SET = {
    "content": (
        "clip_overlap.least_share",
        *(
            f"clip_overlap.{name}{within}"
            for name in ("matched_share", "recall_at_1", "bits")
            for within in ("", "_within_category")
        ),
    )
}
"""What stands under a lens beside its rates: numbers about the whole set that no single pair shows."""

_HEADLINE = {"judged": "leak_rate", "behavioural": "text_only_refusal_rate"}
_NO_MODELS = Standing()


def headline(summary: Summary, lens: LensSummary, who: Standing = _NO_MODELS) -> Metric | None:
    """The one number of a lens that stands first in a report; without a value where it is not to be shown, None where
    nothing was measured."""
    shown = next((m for m in lens_metrics(summary, lens, who) if m.value is not None), None)
    own = summary.metric(_HEADLINE.get(lens.lens, ""))
    if summary.asked is None or not lens.available or own is None:
        return shown
    # where no safety judge was asked, a leakage judge speaks for the lens; never in place of one that failed
    judged = any(row.detector == SAFETY_JUDGE for row in summary.asked.judges)
    return own if own.value is not None or judged or shown is None else shown


def lens_metrics(summary: Summary, lens: LensSummary, who: Standing = _NO_MODELS) -> list[Metric]:
    """The lens's headline metrics, then the rates of its detectors, where there are several: one is the headline. Of a
    lens that asked models, always: what they ask differs. Those of single models stand elsewhere. Last, what was
    measured of the whole set only."""
    headline = [m for name in lens.metrics if (m := summary.metric(name)) is not None and not model_of(m)]
    named = {m.name for m in headline}
    rates = [m for m in summary.metrics if m.lens == lens.lens and m.detector and m.name == f"{m.detector}.rate"]
    others = [m for m in rates if m.name not in named]
    several = len(rates) > 1 or not headline or lens.lens in who.detectors
    of_the_set = [m for name in OF_THE_SET.get(lens.lens, ()) if (m := summary.metric(name)) and m.value is not None]
    return [who.believed(m) for m in headline + (others if several else []) + of_the_set]


def metrics_beside_lenses(summary: Summary) -> list[Metric]:
    """Metrics of no lens (topic, hygiene): they say something of the set, but not that a pair leaks."""
    lenses = {lens.lens for lens in summary.lenses}
    return [m for m in summary.metrics if m.lens not in lenses]


def detector_metrics(summary: Summary, detector: str, who: Standing = _NO_MODELS) -> list[Metric]:
    """A detector's metrics, but those of single models, which stand elsewhere."""
    return [who.believed(m) for m in summary.metrics if m.detector == detector and not model_of(m)]
