"""What leakage judges say the text reveals of the image: none, implicit or explicit (`llm_judge`)."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow.compute as pc

from vsil_audit.detectors.chat import Part
from vsil_audit.runs.asked import checks as judge_checks
from vsil_audit.runs.asked.columns import LLM_JUDGE, NOTHING, Asked, Labels, Observed
from vsil_audit.runs.asked.numbers import Naming, label_rate, mean_note, notes, why_nothing, without_value
from vsil_audit.runs.asked.votes import merged, most_voted, verdict
from vsil_audit.runs.asked_summary import ConditionRow, JudgeCheck, JudgeRow
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.metric import Metric
from vsil_audit.stats.clusters import Groups, clustered_rate
from vsil_audit.stats.proportions import wilson
from vsil_audit.stats.rates import Rate

LEAKING = ("implicit", "explicit")
"""The labels of a leak."""
_TELLS = {
    "none": "share of pairs whose text reveals nothing of what matters in the image",
    "implicit": "share of pairs whose text hints at what matters in the image",
    "explicit": "share of pairs whose text says what matters in the image",
    "leak": "share of pairs whose text hints at or says what matters in the image",
}


@dataclass(slots=True)
class Leakage:
    """Everything said of the leakage judges. `leaks` (n_pairs,): 1 where most of the trusted ones see one."""

    verdicts: dict[str, Labels] = field(default_factory=dict)
    rows: list[JudgeRow] = field(default_factory=list)
    conditions: list[ConditionRow] = field(default_factory=list)
    checks: list[JudgeCheck] = field(default_factory=list)
    metrics: list[Metric] = field(default_factory=list)
    leaks: Labels | None = None


def leakage_numbers(seen: Observed, models: Sequence[str], groups: Groups, folder: RunFolder) -> Leakage:
    found, quoted = Leakage(), quotes(folder)
    for model in models:
        conditions = seen.conditions(model)
        said = verdict(seen.on_set, model, *conditions)
        made = _checks(seen, model, said, conditions)
        why = judge_checks.why_not_trusted(made, judge_checks.NEEDED)
        rates = _rates(seen, model, conditions, groups)
        found.verdicts[model] = said
        found.checks += made
        found.conditions += _conditions(seen, model, conditions, groups)
        leak = rates.pop()
        leak = without_value(leak, f"not given, since the judge is not trusted: {why}") if why else leak
        metrics = [*rates, leak, *quoted.metrics(model)]
        found.rows.append(JudgeRow(detector=LLM_JUDGE, model=model, trusted=not why, why_not=why, metrics=metrics))
    found.metrics += _of_the_trusted(seen, found, groups)
    return found


def _checks(seen: Observed, model: str, said: Labels, conditions: Sequence[str]) -> list[JudgeCheck]:
    planted = judge_checks.canaries_of(seen, model)
    asked = _together(seen, model, conditions)
    canaries = [verdict(seen.parts[Part.CANARY], model, c) for c in dict.fromkeys(planted.conditions)]
    return [
        judge_checks.coverage_check(seen, model, [said], [asked]),
        judge_checks.varies_check(seen, model, [said, *canaries]),
        judge_checks.canary_check(seen, model, planted),
        judge_checks.injection_check(seen, model, planted),
        judge_checks.image_check(seen, model, planted),
    ]


def _together(seen: Observed, model: str, conditions: Sequence[str]) -> Labels:
    """All samples of a judge, whatever stood for the image; shape (samples, n)."""
    every = [seen.on_set.samples(Asked(model, condition)) for condition in conditions]
    most = max((len(codes) for codes in every), default=0)
    together = np.full((most, seen.on_set.n), NOTHING, dtype=np.int8)
    for codes in every:
        together[: len(codes)] = np.where(codes != NOTHING, codes, together[: len(codes)])
    return together


def _rates(seen: Observed, model: str, conditions: Sequence[str], groups: Groups) -> list[Metric]:
    """Of the three labels, and last of implicit and explicit together."""
    codes, naming = _together(seen, model, conditions), Naming(LLM_JUDGE, model)
    labels = {name: (name,) for name in seen.menu} | {"leak": LEAKING}
    note = notes(why_nothing(codes), mean_note(codes))
    return [
        naming.metric(name, _TELLS[name], label_rate(codes, seen.code(*wanted), groups), note, total=seen.on_set.n)
        for name, wanted in labels.items()
    ]


def _conditions(seen: Observed, model: str, conditions: Sequence[str], groups: Groups) -> list[ConditionRow]:
    """One row for each thing that stood for the image; only the pairs with it count."""
    rows, tally = [], seen.models[model]
    for condition in conditions:
        codes = seen.on_set.samples(Asked(model, condition))
        put = (codes != NOTHING).any(axis=0)
        metrics = [
            Naming(LLM_JUDGE, model).metric(
                f"{label}.{condition}",
                f"{_TELLS[label]}, under {condition}",
                label_rate(codes[:, put], seen.code(label), groups[put]),
                notes(why_nothing(codes), mean_note(codes)),
                total=int(put.sum()),
            )
            for label in seen.menu
        ]
        rows.append(
            ConditionRow(
                detector=LLM_JUDGE,
                model=model,
                condition=condition,
                metrics=metrics,
                blocked=tally.blocked_under[condition],
                truncated=tally.truncated_under[condition],
            )
        )
    return rows


def _of_the_trusted(seen: Observed, found: Leakage, groups: Groups) -> list[Metric]:
    trusted = [row.model for row in found.rows if row.trusted]
    naming, total = Naming(LLM_JUDGE), seen.on_set.n
    tells = f"{_TELLS['leak']}, by most of the trusted judges"
    if not trusted:
        why = "; ".join(f"{row.model}: {row.why_not}" for row in found.rows)
        empty = naming.metric("rate", tells, Rate(0, 0, total, None, None, None, ""))
        return [without_value(empty, f"not given: no judge can be trusted ({why})")]
    votes = np.stack([merged(found.verdicts[model], seen.code(*LEAKING)) for model in trusted])
    found.leaks = most_voted(votes)
    scored = found.leaks >= 0
    rate = clustered_rate(found.leaks[scored] == 1, groups[scored], total)
    return [naming.metric("rate", tells, rate, f"by {', '.join(trusted)}")]


@dataclass(slots=True)
class Quotes:
    """Of each judge's verdicts on the set with a leak: the kinds, and how many quotes were dropped because they do not
    occur in the text."""

    kinds: dict[str, Counter[str]] = field(default_factory=dict)
    leaking: Counter[str] = field(default_factory=Counter)
    kept: Counter[str] = field(default_factory=Counter)
    dropped: Counter[str] = field(default_factory=Counter)

    def metrics(self, model: str) -> list[Metric]:
        naming, n = Naming(LLM_JUDGE, model), self.leaking[model]
        quoted = self.kept[model] + self.dropped[model]
        found = [
            naming.metric(
                f"kind.{kind}",
                f"share of the judge's leaks that it calls {kind}",
                wilson(count, n),
            )
            for kind, count in sorted(self.kinds.get(model, Counter()).items())
        ]
        dropped = wilson(self.dropped[model], quoted)
        tells = "share of the judge's quotes that do not occur in the text, and were dropped"
        return [*found, naming.metric("dropped_spans", tells, dropped)] if quoted else found


def quotes(folder: RunFolder) -> Quotes:
    """Counted from the details of the verdicts, a batch in memory at a time."""
    found = Quotes()
    for table in folder.observation_tables(LLM_JUDGE, ("part", "model", "outcome", "label", "details")):
        scored = pc.and_(pc.equal(table["part"], Part.SET.value), pc.equal(table["outcome"], "scored"))
        rows = table.filter(scored).select(["model", "label", "details"])
        for model, label, text in zip(*(column.to_pylist() for column in rows.columns), strict=True):
            _count(found, model, label, json.loads(text) if text else {})
    return found


def _count(found: Quotes, model: str, label: str, details: object) -> None:
    if not isinstance(details, dict):
        return
    dropped, spans, kind = (details.get(key) for key in ("dropped_spans", "spans", "leak_kind"))
    found.dropped[model] += dropped if isinstance(dropped, int) and dropped > 0 else 0
    found.kept[model] += len(spans) if isinstance(spans, list) else 0
    if label in LEAKING:
        found.leaking[model] += 1
        if isinstance(kind, str) and kind:
            found.kinds.setdefault(model, Counter())[kind] += 1
