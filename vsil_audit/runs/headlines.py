"""The metrics of a run: the rates of the lenses, of each detector, and what is said of the whole set."""

from __future__ import annotations

import numpy as np

from vsil_audit.detectors.base import Lens
from vsil_audit.runs.asked.judges import LEAK_TELLS, NOT_ASKED
from vsil_audit.runs.asked.numbers import LENS
from vsil_audit.runs.asked.summary import AskedNumbers
from vsil_audit.runs.columns import IssueColumns, set_findings
from vsil_audit.runs.evidence import Evidence, Flags, content_columns
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.metrics import detector_metrics, nature_of, rate_metric, set_metric

HEADLINES = ("leak_rate", "leak_rate_corrected_for_chance", "text_only_refusal_rate")
"""What models said, in three numbers."""


def all_metrics(evidence: Evidence, folder: RunFolder, asked: AskedNumbers | None) -> list[Metric]:
    """Headlines first. What detectors that ask models say comes from their observations, not from their findings: a
    finding does not know which judge can be trusted."""
    said = asked.metrics if asked is not None else []
    about_the_set = [
        set_metric(spec, finding, evidence.pairs.n)
        for name, spec in evidence.specs.items()
        for finding in set_findings(folder, name, spec.unit)
    ]
    metrics = [*_leak_rate(evidence, said), *_suspected(evidence), *_predicted(evidence, about_the_set)]
    for name, columns in evidence.by_detector.items():
        if asked is None or name not in LENS:
            metrics.extend(detector_metrics(evidence.specs[name], columns, evidence.clusters.for_intervals))
    metrics += [metric for metric in said if metric.name not in HEADLINES]
    for name, issues in evidence.issues.items():
        metrics.append(_issue_rate(name, issues, evidence))
    return metrics + about_the_set


def _leak_rate(evidence: Evidence, said: list[Metric]) -> list[Metric]:
    """Without a judge leakage itself is not measured: no number, and the reason."""
    headlines = [metric for metric in said if metric.name in HEADLINES]
    if any(metric.name == "leak_rate" for metric in headlines):
        return headlines
    not_asked = Metric(
        name="leak_rate",
        tells=LEAK_TELLS,
        lens=Lens.JUDGED.value,
        nature=Nature.JUDGED,
        unit="share",
        total=evidence.pairs.n,
        note=NOT_ASKED,
    )
    return [not_asked, *headlines]


def _suspected(evidence: Evidence) -> list[Metric]:
    if not evidence.of_lens(Lens.CONTENT):
        return []
    suspected, scored = content_columns(evidence)
    groups = evidence.clusters.for_intervals
    tells = "share of {} whose text already says what the image shows, by any content detector"

    def metric(name: str, tells: str, among: Flags) -> Metric:
        return rate_metric(
            name, tells, suspected[among], scored[among], groups[among], nature=Nature.MEASURED, lens=Lens.CONTENT
        )

    metrics = [metric("suspected_rate", tells.format("pairs"), np.ones(evidence.pairs.n, dtype=bool))]
    if len(evidence.pairs.labels.names) > 1:
        for label in sorted(evidence.pairs.labels.names):
            among = evidence.pairs.labels.where(label)
            labelled = tells.format(f"the pairs labelled {label}")
            metrics.append(metric(f"suspected_rate.{label}", labelled, among))
    return metrics


def _predicted(evidence: Evidence, about_the_set: list[Metric]) -> list[Metric]:
    """The predicted rate; its `chance` is the same model's rate on its benign controls."""
    found = evidence.of_lens(Lens.PREDICTED)
    if not found:
        return []
    columns = found[0]
    control = next((m.value for m in about_the_set if m.name.endswith("predicted_rate_control")), None)
    rate = rate_metric(
        "predicted_rate",
        "share of texts predicted to read as harmful on their own",
        columns.flagged,
        columns.scored,
        evidence.clusters.for_intervals,
        nature=Nature.PREDICTED,
        lens=Lens.PREDICTED,
        note="a prediction from a small model, not a judgement; read it beside its rate on benign controls",
    )
    return [rate.model_copy(update={"chance": control})]


def _issue_rate(name: str, issues: IssueColumns, evidence: Evidence) -> Metric:
    return rate_metric(
        f"{name}.rate",
        "share of pairs with at least one problem",
        issues.flagged,
        np.ones(evidence.pairs.n, dtype=bool),
        evidence.clusters.for_intervals,
        nature=nature_of(evidence.specs[name].lens),
        detector=name,
        lens=evidence.specs[name].lens,
    )
