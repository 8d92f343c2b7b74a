"""What models said in each of several runs, pair by pair, by the rules of the runs' own rates."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt

from vsil_audit.reporting.standing import quantity_of, standing
from vsil_audit.runs.asked.columns import LLM_JUDGE, NOTHING, SAFETY_JUDGE, TEXT_REFUSAL, Labels, PairPlaces, observed
from vsil_audit.runs.asked.leakage import LEAKING
from vsil_audit.runs.asked.targets import SAFE
from vsil_audit.runs.asked.votes import merged, most_voted, verdict
from vsil_audit.runs.asked_summary import AskedSummary
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import Summary

_COMPARED = {
    TEXT_REFUSAL: ("safe",),
    SAFETY_JUDGE: ("harmful_rate", "text_only_harmful_rate", "vsil_rate", "vsil_rate_corrected_for_chance"),
    LLM_JUDGE: ("leak",),
}
"""Of the numbers of single models, those that a comparison shows."""

Flags = npt.NDArray[np.bool_]


def is_compared(metric: Metric) -> bool:
    """Whether a number of a single model stands in comparisons: its main rates do, on the set and not on a control."""
    parts = metric.name.partition("@")[0].split(".")
    return quantity_of(metric) in _COMPARED.get(metric.detector or "", ()) and "control" not in parts


def asked_flags(run: RunFolder, summary: Summary, n_pairs: int) -> Iterator[tuple[str, Flags, Flags]]:
    """Name of a rate, and per pair whether it was scored and whether it counts, each (n_pairs,): of each judge that can
    be believed and of their majority, and of each target that was asked once (rates of several samples are means)."""
    if summary.asked is None:
        return
    for name, codes in _codes(run, summary.asked, n_pairs):
        yield name, codes >= 0, codes == 1


def _codes(run: RunFolder, asked: AskedSummary, n_pairs: int) -> Iterator[tuple[str, Labels]]:
    """1 where the pair counts, 0 where not, below 0 where that is not known."""
    places, detectors = PairPlaces(run, n_pairs), {row.detector for row in asked.conditions}
    if TEXT_REFUSAL in detectors:
        seen = observed(run, TEXT_REFUSAL, places)
        for key in seen.on_set.codes:
            samples = seen.on_set.samples(key)
            if len(samples) == 1:
                yield f"{TEXT_REFUSAL}.safe.{key.condition}@{key.model}", merged(samples[0], seen.code(*SAFE))
    trusted = [(row.detector, row.model) for row in asked.judges if row.trusted]
    if judges := [model for detector, model in trusted if detector == SAFETY_JUDGE]:
        seen = observed(run, SAFETY_JUDGE, places)
        leaks = []
        for model in judges:
            text, pair = (verdict(seen.on_set, model, condition) for condition in ("text", "pair"))
            both = (text >= 0) & (pair >= 0)
            leaks.append(np.where(both, (text == 1) & (pair == 1), NOTHING).astype(np.int8))
            yield f"{SAFETY_JUDGE}.harmful_rate@{model}", np.where(both, pair, NOTHING).astype(np.int8)
            yield f"{SAFETY_JUDGE}.text_only_harmful_rate@{model}", leaks[-1]
        yield f"{SAFETY_JUDGE}.rate", most_voted(np.stack(leaks))
    if judges := [model for detector, model in trusted if detector == LLM_JUDGE]:
        seen = observed(run, LLM_JUDGE, places)
        votes = {m: merged(verdict(seen.on_set, m, *seen.conditions(m)), seen.code(*LEAKING)) for m in judges}
        for model, codes in votes.items():
            yield f"{LLM_JUDGE}.leak@{model}", codes
        yield f"{LLM_JUDGE}.rate", most_voted(np.stack(list(votes.values())))


def asked_warnings(labels: Sequence[str], summaries: Sequence[Summary]) -> list[str]:
    """What is unlike in whom the runs asked, and how; and what of it is not to be believed."""
    asked = [summary.asked for summary in summaries]
    if all(one is None for one in asked):
        return []
    warnings = []
    whom = [sorted({(m.role, m.model) for m in one.models}) if one else [] for one in asked]
    if any(models != whom[0] for models in whom[1:]):
        warnings.append("The runs asked different models: rates of a panel or of a majority may not be comparable.")
    prompts = [one.prompts for one in asked if one is not None]
    changed = sorted({n for one in prompts for n in one if any(n in o and o[n] != one[n] for o in prompts)})
    if changed:
        warnings.append(f"The prompts have changed between the runs: {', '.join(changed)}.")
    for label, summary in zip(labels, summaries, strict=True):
        who = standing(summary)
        if who.scripted:
            warnings.append(f"{label}: answers of {_listed(who.scripted)} come from a file of rules, and no model.")
        for (detector, model), why in who.doubts.items():
            warnings.append(f"{label}: {model} as {detector} is not to be believed ({why}).")
    return warnings


def _listed(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
