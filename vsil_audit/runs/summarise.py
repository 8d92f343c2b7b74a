"""The last stage of a run: from findings to the numbers that reports show, each computed here and nowhere else."""

from __future__ import annotations

import numpy as np

from vsil_audit.detectors import registry
from vsil_audit.detectors.base import DetectorSpec
from vsil_audit.runs.asked.summary import asked_summary
from vsil_audit.runs.evidence import Evidence, gather
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.headlines import all_metrics
from vsil_audit.runs.issues import issue_rows
from vsil_audit.runs.lenses import lens_summaries, warnings_for, warnings_of_reading
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.summary import DatasetSummary, DetectorRun, Summary
from vsil_audit.runs.tables import category_rows, most_suspicious, telling_ngrams
from vsil_audit.sources.base import reading_of

_BINS = 20


def summarise(plan: ScanPlan, folder: RunFolder) -> Summary:
    """Every number of the run in `folder`, whose pairs and findings must be complete."""
    evidence = gather(plan, folder)
    if plan.evaluates:
        return _of_evaluation(plan, folder, evidence)
    asked = asked_summary(evidence, folder)
    metrics = all_metrics(evidence, folder, asked)
    detectors = _detector_runs(plan, evidence)
    dataset = _dataset(plan, folder, evidence)
    said = asked.summary if asked else None
    return Summary(
        dataset=dataset,
        metrics=metrics,
        lenses=lens_summaries(metrics, detectors, said),
        detectors=detectors,
        categories=category_rows(evidence),
        issues=issue_rows(folder, evidence.issues),
        ngrams=telling_ngrams(plan, folder),
        warnings=warnings_for(dataset, metrics, detectors, evidence.clusters, said),
        suspicious=most_suspicious(evidence, folder, asked.leaks if asked else None),
        asked=said,
    )


def _of_evaluation(plan: ScanPlan, folder: RunFolder, evidence: Evidence) -> Summary:
    """An evaluation says what models do, and nothing of the benchmark: it has no lenses and no suspicious pairs."""
    from vsil_audit.runs.evaluated.summary import evaluation_summary

    found, metrics = evaluation_summary(plan, folder, evidence)
    dataset = _dataset(plan, folder, evidence)
    return Summary(
        dataset=dataset,
        metrics=metrics,
        lenses=[],
        detectors=_detector_runs(plan, evidence),
        warnings=[*found.warnings, *warnings_of_reading(dataset, evidence.clusters)],
        evaluation=found,
    )


def _detector_runs(plan: ScanPlan, evidence: Evidence) -> list[DetectorRun]:
    runs = [_detector_run(spec, evidence) for spec in evidence.specs.values()]
    for absent in plan.not_run:
        spec = registry.load(absent.name).spec
        runs.append(
            _described(spec).model_copy(
                update={"state": absent.state, "reason": absent.reason, "remedy": absent.remedy}
            )
        )
    order = {name: place for place, name in enumerate(registry.available())}
    return sorted(runs, key=lambda run: order.get(run.name, len(order)))


def _described(spec: DetectorSpec) -> DetectorRun:
    return DetectorRun(
        name=spec.name,
        asks=spec.asks,
        lens=spec.lens.value,
        unit=spec.unit.value,
        value=spec.value,
        limits=spec.limits,
        version=spec.version,
        state="done",
    )


def _detector_run(spec: DetectorSpec, evidence: Evidence) -> DetectorRun:
    run = _described(spec)
    if spec.name in evidence.issues:
        issues = evidence.issues[spec.name]
        return run.model_copy(update={"scored": evidence.pairs.n, "flagged": int(issues.flagged.sum())})
    if spec.name not in evidence.by_detector:
        return run
    columns = evidence.by_detector[spec.name]
    values = columns.values[columns.scored]
    inside = bool(len(values)) and float(values.min()) >= 0.0 and float(values.max()) <= 1.0
    histogram = np.histogram(values, bins=_BINS, range=(0.0, 1.0))[0].tolist() if inside else []
    return run.model_copy(
        update={
            "scored": int(columns.scored.sum()),
            "abstained": columns.abstain_reasons.total(),
            "failed": columns.failure_kinds.total(),
            "flagged": int(columns.flagged.sum()),
            "abstain_reasons": dict(columns.abstain_reasons.most_common(10)),
            "failure_kinds": dict(columns.failure_kinds.most_common(10)),
            "histogram": histogram,
        }
    )


def _dataset(plan: ScanPlan, folder: RunFolder, evidence: Evidence) -> DatasetSummary:
    source, pairs = plan.source, evidence.pairs
    return DatasetSummary(
        name=plan.name,
        layout=source.layout,
        view=reading_of(source),
        views=[(view.name, view.tells, view.official) for view in source.views],
        view_counts=plan.view_counts,
        mapping=plan.config.columns,
        mapping_reasons=dict(source.mapping.reasons),
        pairs=pairs.n,
        rows_unreadable=sum(p.rows for p in folder.problems() if p.fatal_for_pair),
        texts=pairs.distinct_texts,
        images=pairs.distinct_images,
        image_refs=pairs.image_refs,
        image_errors=dict(pairs.image_errors.most_common()),
        pairs_without_image=pairs.without_image,
        categories=len(pairs.categories.names),
        labels=pairs.labels.counts(),
        clusters=len(np.unique(evidence.clusters.connected)),
        fingerprint=plan.fingerprint.content,
        limited_to=_limited_to(plan),
    )


def _limited_to(plan: ScanPlan) -> str:
    options = plan.options
    if options.limit is not None:
        return f"the first {options.limit} pairs (--limit)"
    return f"{options.sample} pairs drawn at random with seed {options.seed} (--sample)" if options.sample else ""
