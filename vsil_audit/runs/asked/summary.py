"""Everything that a report shows of the models that were asked, from the observations in the run folder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

import numpy as np

from vsil_audit.detectors.base import Lens, Need
from vsil_audit.detectors.chat import Part
from vsil_audit.runs.asked.agreement import Agreed, Raters, agreement_of
from vsil_audit.runs.asked.columns import (
    LLM_JUDGE,
    MENUS,
    NOTHING,
    SAFETY_JUDGE,
    TEXT_REFUSAL,
    Labels,
    Observed,
    PairPlaces,
    observed,
)
from vsil_audit.runs.asked.flows import Flow
from vsil_audit.runs.asked.judges import Judges, judge_numbers
from vsil_audit.runs.asked.leakage import Leakage, leakage_numbers
from vsil_audit.runs.asked.targets import Targets, target_numbers
from vsil_audit.runs.asked_summary import AskedModel, AskedSummary
from vsil_audit.runs.columns import lens_columns
from vsil_audit.runs.evidence import Evidence, Flags, content_columns
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.metric import Metric

SHIPPED_CONTROL = "the small benign control in the package"
_TARGET, _JUDGE, _RESPONSE_JUDGE = "target", "judge", "response judge"


@dataclass(frozen=True, slots=True)
class AskedNumbers:
    """`summary` for reports, `metrics` for the list of the run, and `leaks` (n_pairs,): 1 where a pair leaks by the
    judges that can be trusted, 0 where not, below 0 where unknown; None without such a judge."""

    summary: AskedSummary
    metrics: list[Metric]
    leaks: Labels | None


def asked_summary(evidence: Evidence, folder: RunFolder) -> AskedNumbers | None:
    """None when no model was asked. Reads the observations, the manifest and the pairs' ids; memory of a byte for each
    pair, model, condition and sample."""
    asking = [name for name, spec in evidence.specs.items() if Need.CHAT in spec.needs]
    if not asking:
        return None
    detectors = [name for name in MENUS if name in asking] + [name for name in asking if name not in MENUS]
    manifest, groups = folder.manifest(), evidence.clusters.for_intervals
    places = PairPlaces(folder, evidence.pairs.n)
    seen = {name: observed(folder, name, places) for name in detectors}
    models = {name: _models(evidence.specs[name].lens, seen[name], manifest.config.asking) for name in detectors}
    targets = target_numbers(seen[TEXT_REFUSAL], models[TEXT_REFUSAL], groups) if TEXT_REFUSAL in seen else Targets()
    judges = judge_numbers(seen[SAFETY_JUDGE], models[SAFETY_JUDGE], groups) if SAFETY_JUDGE in seen else Judges()
    leakage = leakage_numbers(seen[LLM_JUDGE], models[LLM_JUDGE], groups, folder) if LLM_JUDGE in seen else Leakage()
    leaks = judges.leaks if SAFETY_JUDGE in seen else leakage.leaks
    agreed = [agreement_of(raters, groups) for raters in _raters(evidence, judges, leakage, leaks)]
    flows = [*targets.flows, *judges.flows]
    ids = _ids(folder, flows, agreed)
    summary = AskedSummary(
        models=list(_asked_models(evidence, seen, models, manifest)),
        conditions=[*targets.rows, *judges.conditions, *leakage.conditions],
        flows=[flow.shown(ids) for flow in flows],
        judges=[*judges.rows, *leakage.rows],
        checks=[*judges.checks, *leakage.checks],
        agreement=[each.shown(ids) for each in agreed],
        control=control_in_words(manifest) if _most(seen, Part.CONTROL) else "",
        control_pairs=_most(seen, Part.CONTROL),
        canaries=sum(each.parts[Part.CANARY].n for each in seen.values()),
        prompts=manifest.config.prompts,
        spend=manifest.spend,
    )
    headlines = [*judges.metrics, *targets.metrics, *leakage.metrics]
    return AskedNumbers(summary, different([*headlines, *_in(summary)]), leaks)


def _models(lens: Lens, seen: Observed, asking: Mapping[str, Any]) -> list[str]:
    """Those whose answers the detector is about, as the user listed them, or as they came up."""
    listed = asking.get("targets" if lens is Lens.BEHAVIOURAL else "judges", ())
    named = [name for name in dict.fromkeys(listed) if name in seen.models]
    others = [name for name in seen.models if name not in named]
    if seen.detector == TEXT_REFUSAL:  # a judge of answers stands among the models where an answer was never classed
        others = [name for name in others if seen.conditions(name)]
    return named + others


def _raters(evidence: Evidence, judges: Judges, leakage: Leakage, leaks: Labels | None) -> Iterator[Raters]:
    if len(judges.found) > 1:
        majority = {about: judges.majority_rate(about, evidence.clusters.for_intervals) for about in ("text", "pair")}
        yield Raters("text", {judge.model: judge.text for judge in judges.found}, majority["text"])
        yield Raters("pair", {judge.model: judge.pair for judge in judges.found}, majority["pair"])
        rate = next((m for m in judges.metrics if m.name == f"{SAFETY_JUDGE}.rate"), None)
        yield Raters("leak", {judge.model: judge.leaks for judge in judges.found}, rate)
    if len(leakage.verdicts) > 1:
        rate = next((m for m in leakage.metrics if m.name == f"{LLM_JUDGE}.rate"), None)
        yield Raters("reveals", leakage.verdicts, rate)
    lenses = _lenses(evidence, leaks)
    if len(lenses) > 1:
        yield Raters("lenses", lenses, with_alpha=False)


def _lenses(evidence: Evidence, leaks: Labels | None) -> dict[str, Labels]:
    lenses: dict[str, Labels] = {}
    if leaks is not None:
        lenses[Lens.JUDGED.value] = leaks
    if behavioural := evidence.of_lens(Lens.BEHAVIOURAL):
        lenses[Lens.BEHAVIOURAL.value] = _coded(*lens_columns(behavioural, evidence.pairs.n))
    if evidence.of_lens(Lens.CONTENT):
        lenses[Lens.CONTENT.value] = _coded(*content_columns(evidence))
    return lenses if len(lenses.keys() - {Lens.CONTENT.value}) else {}


def _coded(flagged: Flags, scored: Flags) -> Labels:
    return np.where(scored, flagged, NOTHING).astype(np.int8)


def _ids(folder: RunFolder, flows: Iterable[Flow], agreed: Iterable[Agreed]) -> dict[int, str]:
    wanted = {place for flow in flows for place in flow.wanted} | {place for each in agreed for place in each.places}
    return {i: pair_id for i, pair_id in enumerate(folder.pair_ids()) if i in wanted}


def _asked_models(
    evidence: Evidence, seen: Mapping[str, Observed], models: Mapping[str, Sequence[str]], manifest: Manifest
) -> Iterator[AskedModel]:
    """A model that is a target and a judge stands here once for each role."""
    scripted = {row.model for row in manifest.spend if row.scripted}
    by_role: dict[tuple[str, str], list[str]] = {}
    for detector, names in models.items():
        role = _TARGET if evidence.specs[detector].lens is Lens.BEHAVIOURAL else _JUDGE
        for name in names:
            by_role.setdefault((name, role), []).append(detector)
    for (name, role), detectors in by_role.items():
        tallies = [seen[detector].models[name] for detector in detectors]
        failures = sum((tally.failure_kinds for tally in tallies[1:]), tallies[0].failure_kinds)
        yield AskedModel(
            model=name,
            role=role,
            detectors=detectors,
            scripted=is_scripted(name) or name in scripted,
            observations=sum(tally.observations for tally in tallies),
            asked=sum(tally.asked for tally in tallies),
            answered=sum(tally.answered for tally in tallies),
            failed=sum(tally.failed for tally in tallies),
            abstained=sum(tally.abstained for tally in tallies),
            truncated=sum(tally.truncated for tally in tallies),
            failure_kinds=dict(failures.most_common()),
        )
    for name in dict.fromkeys(manifest.config.asking.get("response_judges", ())) if TEXT_REFUSAL in seen else ():
        classed = sum(
            count
            for tally in seen[TEXT_REFUSAL].models.values()
            for classers, count in tally.classed_by.items()
            if name in classers.split(" + ")
        )
        yield AskedModel(
            model=name,
            role=_RESPONSE_JUDGE,
            detectors=[TEXT_REFUSAL],
            scripted=is_scripted(name),
            observations=classed,
            asked=classed,
            answered=classed,
        )


def is_scripted(name: str) -> bool:
    """Whether a model string names a file of rules."""
    return name.startswith("scripted/")


def control_in_words(manifest: Manifest) -> str:
    """What the benign control of a run is."""
    named = manifest.config.asking.get("control")
    return f"the benign set {PurePath(named).name}" if named else SHIPPED_CONTROL


def _most(seen: Mapping[str, Observed], part: Part) -> int:
    return max(each.parts[part].n for each in seen.values())


def _in(summary: AskedSummary) -> Iterator[Metric]:
    for judge in summary.judges:
        yield from judge.metrics
    for row in summary.conditions:
        yield from (*row.metrics, *row.control)
    for flow in summary.flows:
        yield from (flow.share, flow.difference)
    yield from (check.metric for check in summary.checks)


def different(metrics: Iterable[Metric]) -> list[Metric]:
    """By name, the first of each."""
    by_name: dict[str, Metric] = {}
    for metric in metrics:
        by_name.setdefault(metric.name, metric)
    return list(by_name.values())
