"""Two or more audits side by side: paired where they are of the same pairs, unpaired otherwise.

The one report that computes: differences, their intervals and McNemar tests, all by `vsil_audit.stats`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from vsil_audit.detectors.base import Lens
from vsil_audit.errors import ConfigurationError
from vsil_audit.reporting.clip_model import different_clip_models
from vsil_audit.reporting.compare_asked import asked_warnings, is_compared
from vsil_audit.reporting.compare_flags import Matching, RunFlags, flag_names, match, read_flags
from vsil_audit.reporting.standing import Standing, model_of, standing
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import Summary
from vsil_audit.stats.independent import independent_difference
from vsil_audit.stats.multiple import holm
from vsil_audit.stats.paired import mcnemar_exact, paired_difference

if TYPE_CHECKING:
    from vsil_audit.reporting.compare_console import ComparisonView


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class ComparedRun(Model):
    """One of the audits. `label` is short and unlike the others' labels."""

    label: str
    name: str
    layout: str
    view: str
    pairs: int
    fingerprint: str
    tool_version: str
    folder: str


class Difference(Model):
    """A rate in run `run` minus the same rate in the first run, in [-1, 1], with its 95 % interval.

    Paired: over the `matched` pairs scored in both; `only_first` and `only_other` are flagged in one run alone (the
    discordant pairs of McNemar's exact test, whose `p` is also given Holm-adjusted over all tests here). Unpaired: over
    all scored pairs of each run; no test.
    """

    run: int
    paired: bool
    value: float | None = None
    low: float | None = None
    high: float | None = None
    interval: str = ""
    matched: int = 0
    both: int = 0
    only_first: int = 0
    only_other: int = 0
    neither: int = 0
    p: float | None = None
    p_adjusted: float | None = None


class ComparedMetric(Model):
    """One metric in every run (None: not in that run), with its differences from the first run where it is a rate.
    `caveats`: for each run what must stand beside the number (`scripted`), in a comparison of runs that asked models.
    """

    name: str
    tells: str
    lens: str | None
    detector: str | None
    metrics: list[Metric | None]
    differences: list[Difference] = []
    caveats: list[str] = []


class MatchCounts(Model):
    """How the pairs of run `run` match those of the first run, by id."""

    run: int
    paired: bool
    matched: int
    only_first: int
    only_other: int
    why: str = Field(description="why the runs were paired or not")


class Comparison(Model):
    """Everything that a comparison shows. The first run is what the others are compared with."""

    schema_version: int = 1
    runs: list[ComparedRun]
    matches: list[MatchCounts]
    metrics: list[ComparedMetric]
    warnings: list[str] = []


def compare(runs: Sequence[RunFolder]) -> Comparison:
    """Compare finished runs with the first of them. Raises ConfigurationError for fewer than two runs and for
    evaluations of models, RunFolderError for a run that is not complete."""
    if len(runs) < 2:
        raise ConfigurationError("a comparison needs at least two runs", "Name two or more run folders.")
    summaries = [run.summary() for run in runs]
    for run, summary in zip(runs, summaries, strict=True):
        if summary.evaluation is not None:
            raise ConfigurationError(
                f"{run.path} holds an evaluation of models, and no audit",
                "Compare those with `vsil-audit leaderboard`.",
            )
    manifests = [run.manifest() for run in runs]
    flags = [read_flags(run, summary) for run, summary in zip(runs, summaries, strict=True)]
    matchings = [match(flags[0], other, manifests[0], m) for other, m in zip(flags[1:], manifests[1:], strict=True)]
    return Comparison(
        runs=_compared_runs(runs, summaries, manifests),
        matches=[_match_counts(i, m) for i, m in enumerate(matchings, start=1)],
        metrics=_with_adjusted_p(_metrics(summaries, flags, matchings)),
        warnings=_warnings(summaries, manifests, matchings) + asked_warnings(_labels(summaries, runs), summaries),
    )


def _compared_runs(
    runs: Sequence[RunFolder], summaries: Sequence[Summary], manifests: Sequence[Manifest]
) -> list[ComparedRun]:
    return [
        ComparedRun(
            label=label,
            name=summary.dataset.name,
            layout=summary.dataset.layout,
            view=summary.dataset.view,
            pairs=summary.dataset.pairs,
            fingerprint=manifest.fingerprint,
            tool_version=manifest.tool_version,
            folder=str(run.path),
        )
        for label, run, summary, manifest in zip(_labels(summaries, runs), runs, summaries, manifests, strict=True)
    ]


def _labels(summaries: Sequence[Summary], runs: Sequence[RunFolder]) -> list[str]:
    """The shortest of view, name, name with view, folder that tells all runs apart."""
    views = [s.dataset.view for s in summaries]
    names = [s.dataset.name for s in summaries]
    both = [f"{name} {view}".strip() for name, view in zip(names, views, strict=True)]
    folders = [run.path.name for run in runs]
    one_set = len(set(names)) == 1
    choices = [views if one_set else names, both, folders]
    apart = next((c for c in choices if len(set(c)) == len(c) and all(c)), None)
    return apart or [f"{i}: {label}" for i, label in enumerate(both, start=1)]


def _match_counts(run: int, matching: Matching) -> MatchCounts:
    return MatchCounts(
        run=run,
        paired=matching.paired,
        matched=len(matching.first) if matching.paired else 0,
        only_first=matching.only_first,
        only_other=matching.only_other,
        why=matching.why,
    )


def _metrics(
    summaries: Sequence[Summary], flags: Sequence[RunFlags], matchings: Sequence[Matching]
) -> list[ComparedMetric]:
    standings = [standing(summary) for summary in summaries]
    believed = [_believed(summary, who) for summary, who in zip(summaries, standings, strict=True)]
    names = dict.fromkeys(name for by_name in believed for name in by_name)
    compared = []
    for name in names:
        found = [by_name.get(name) for by_name in believed]
        shown = next(m for m in found if m is not None)
        if sum(m is not None and m.value is not None for m in found) == 0:
            continue
        compared.append(
            ComparedMetric(
                name=name,
                tells=shown.tells,
                lens=shown.lens,
                detector=shown.detector,
                metrics=found,
                caveats=[who.caveat(m) if m else "" for who, m in zip(standings, found, strict=True)],
                differences=[
                    d
                    for run, matching in enumerate(matchings, start=1)
                    if (d := _difference(name, run, found, flags, matching)) is not None
                ],
            )
        )
    return compared


def _believed(summary: Summary, who: Standing) -> dict[str, Metric]:
    """By name, the metrics that a comparison shows, without the values that are not to be believed."""
    return {m.name: who.believed(m) for m in summary.metrics if not model_of(m) or is_compared(m)}


def _difference(
    name: str, run: int, found: Sequence[Metric | None], flags: Sequence[RunFlags], matching: Matching
) -> Difference | None:
    first, other = found[0], found[run]
    if first is None or other is None or first.unit != "share" or other.unit != "share":
        return None
    key = flag_names(name)
    if matching.paired:
        if key not in flags[0].flagged or key not in flags[run].flagged:
            return None
        return _paired(key, run, flags[0], flags[run], matching)
    return _unpaired(run, first, other)


def _paired(key: str, run: int, first: RunFlags, other: RunFlags, matching: Matching) -> Difference:
    scored = first.scored[key][matching.first] & other.scored[key][matching.other]
    a = first.flagged[key][matching.first][scored]
    b = other.flagged[key][matching.other][scored]
    only_first, only_other = int((a & ~b).sum()), int((b & ~a).sum())
    interval = paired_difference(b, a, matching.groups[scored])
    return Difference(
        run=run,
        paired=True,
        value=interval.value,
        low=interval.low,
        high=interval.high,
        interval=interval.method,
        matched=len(a),
        both=int((a & b).sum()),
        only_first=only_first,
        only_other=only_other,
        neither=int((~a & ~b).sum()),
        p=mcnemar_exact(only_first, only_other) if len(a) else None,
    )


def _unpaired(run: int, first: Metric, other: Metric) -> Difference | None:
    parts = [(m.value, m.low, m.high) for m in (other, first)]
    limits = [(v, low, high) for v, low, high in parts if v is not None and low is not None and high is not None]
    if len(limits) < 2:
        return None
    interval = independent_difference(limits[0], limits[1], first.n + other.n)
    return Difference(
        run=run, paired=False, value=interval.value, low=interval.low, high=interval.high, interval=interval.method
    )


def _with_adjusted_p(metrics: list[ComparedMetric]) -> list[ComparedMetric]:
    """Holm's adjustment over every McNemar test of the comparison."""
    tested = [d.p for metric in metrics for d in metric.differences if d.p is not None]
    adjusted = iter(holm(np.array(tested)).tolist() if tested else [])

    def with_p(difference: Difference) -> Difference:
        return difference if difference.p is None else difference.model_copy(update={"p_adjusted": next(adjusted)})

    return [m.model_copy(update={"differences": [with_p(d) for d in m.differences]}) for m in metrics]


def _warnings(summaries: Sequence[Summary], manifests: Sequence[Manifest], matchings: Sequence[Matching]) -> list[str]:
    warnings = []
    versions = [m.config.detector_versions for m in manifests]
    for name in sorted({name for version in versions for name in version}):
        seen = {version[name] for version in versions if name in version}
        if len(seen) > 1:
            listed = ", ".join(str(v) for v in sorted(seen))
            warnings.append(
                f"{name} has different versions in these runs ({listed}): its numbers may not be comparable."
            )
        if any(name not in version for version in versions):
            warnings.append(f"{name} did not run in all of them.")
    warnings += _different_lenses(summaries)
    warnings += different_clip_models([m.config for m in manifests])
    if len({m.tool_version for m in manifests}) > 1:
        warnings.append("The runs were made by different versions of vsil-audit.")
    if len({(m.config.limit, m.config.sample, m.config.seed) for m in manifests}) > 1:
        warnings.append("The runs have different limits, samples or seeds: rates are of different parts of the set.")
    if len({m.config.max_pixels for m in manifests}) > 1 or len({m.config.allow_remote for m in manifests}) > 1:
        warnings.append("The runs opened images under different limits: their coverage may differ.")
    if len({s.dataset.name for s in summaries}) > 1:
        warnings.append("The runs are of different datasets.")
    warnings += [f"Run {i} is not paired with the first: {m.why}" for i, m in enumerate(matchings, 2) if not m.paired]
    return warnings + list(dict.fromkeys(m.note for m in matchings if m.note))


def _different_lenses(summaries: Sequence[Summary]) -> list[str]:
    """A warning where the content lens of the runs does not rest on the same detectors."""
    rests_on = [
        ", ".join(sorted(d.name for d in s.detectors if d.lens == Lens.CONTENT.value and d.unit == "pair" and d.scored))
        for s in summaries
    ]
    if len(set(rests_on)) < 2 or "" in rests_on:
        return []
    named = "; ".join(dict.fromkeys(rests_on))
    return [f"suspected_rate rests on different detectors in these runs ({named}): a difference may be theirs."]


def comparison_view(comparison: Comparison) -> ComparisonView:
    """A rich renderable of the comparison."""
    from vsil_audit.reporting.compare_console import ComparisonView

    return ComparisonView(comparison)


def render_comparison_json(comparison: Comparison) -> str:
    return comparison.model_dump_json(indent=2) + "\n"


def render_comparison_html(comparison: Comparison) -> str:
    """The comparison as one HTML page that opens from disk."""
    from vsil_audit.reporting.compare_html import render

    return render(comparison)
