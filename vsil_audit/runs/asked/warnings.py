"""What a reader must know of the models that were asked before quoting a number of theirs."""

from __future__ import annotations

from collections.abc import Iterator

from vsil_audit.detectors.base import Lens
from vsil_audit.runs.asked.bounds import LEAST_COVERAGE, MOST_OVER_REFUSAL, MOST_TRUNCATED
from vsil_audit.runs.asked.columns import SAFETY_JUDGE, TEXT_REFUSAL
from vsil_audit.runs.asked.numbers import LENS
from vsil_audit.runs.asked_summary import AskedModel, AskedSummary
from vsil_audit.runs.metric import Metric
from vsil_audit.wording import plural


def lens_sentence(lens: Lens, asked: AskedSummary) -> str:
    """Who was asked under a lens, and who of them can be believed; empty where nobody was."""
    models = [m for m in asked.models if any(LENS.get(d) is lens for d in m.detectors) and m.role != "response judge"]
    names = list(dict.fromkeys(m.model for m in models))
    if not names:
        return ""
    if lens is Lens.BEHAVIOURAL:
        sentence = f"{plural(len(names), 'target model')} answered: {', '.join(names)}."
    else:
        doubted = [f"{row.model} ({row.detector})" for row in asked.judges if not row.trusted]
        trust = f" Not trusted: {', '.join(doubted)}." if doubted else " All passed their checks."
        sentence = f"{plural(len(names), 'judge')} took part: {', '.join(names)}.{trust}"
    scripted = list(dict.fromkeys(m.model for m in models if m.scripted))
    if len(scripted) == len(names):
        return f"{sentence} Scripted answers: these numbers describe the script."
    return f"{sentence} Scripted, no model: {', '.join(scripted)}." if scripted else sentence


def asked_warnings(asked: AskedSummary) -> Iterator[str]:
    """In the order of their weight."""
    yield from _scripted(asked)
    yield from _untrusted(asked)
    yield from _no_control(asked)
    for model in asked.models:
        yield from _of_calls(model)
    yield from _over_refusal(asked)
    yield from _low_coverage(asked)
    yield from _blocked(asked)


def _scripted(asked: AskedSummary) -> Iterator[str]:
    scripted = list(dict.fromkeys(m.model for m in asked.models if m.scripted))
    if scripted:
        yield (
            f"Answers of {', '.join(scripted)} come from a file of rules; these numbers describe the script, and no "
            "model."
        )


def _untrusted(asked: AskedSummary) -> Iterator[str]:
    for row in asked.judges:
        if not row.trusted:
            yield (
                f"{row.detector}: {row.model} is not trusted ({row.why_not}). No leak rate is given of it, and its "
                "verdicts on single pairs mean little."
            )


def _no_control(asked: AskedSummary) -> Iterator[str]:
    judged = any(row.detector == SAFETY_JUDGE for row in asked.judges)
    refused = any(row.detector == TEXT_REFUSAL for row in asked.conditions)
    if (judged or refused) and not asked.control_pairs:
        yield "No benign control was asked about: false alarms are unknown, and V* cannot be given."


def _of_calls(model: AskedModel) -> Iterator[str]:
    who = f"{', '.join(model.detectors)}: {model.model}"
    if model.failed:
        kinds = ", ".join(f"{kind} {n:,}" for kind, n in model.failure_kinds.items())
        yield f"{who} failed on {model.failed:,} of {plural(model.asked, 'question')} ({kinds})."
    if model.truncated > MOST_TRUNCATED * model.answered:
        late = ": late warnings are missed" if model.role == "target" else ""
        yield (
            f"{who}: {model.truncated:,} of {plural(model.answered, 'answer')} were cut at the most tokens{late}. "
            "Allow longer answers."
        )


def _over_refusal(asked: AskedSummary) -> Iterator[str]:
    for row in asked.conditions:
        safe = _named(row.control, "safe")
        if row.detector == TEXT_REFUSAL and safe is not None and (safe.value or 0.0) > MOST_OVER_REFUSAL:
            yield (
                f"{row.model} refuses or warns about {safe.value:.0%} of the benign control under {row.condition} "
                f"({plural(safe.n, 'answer')} of {safe.total:,}): its refusals say little about this set."
            )


def _low_coverage(asked: AskedSummary) -> Iterator[str]:
    doubted = {(row.detector, row.model) for row in asked.judges if not row.trusted}  # told of already
    for row in asked.conditions:
        if (row.detector, row.model) in doubted:
            continue
        metric = next(iter(row.metrics), None)
        if metric is not None and metric.total and metric.n < LEAST_COVERAGE * metric.total:
            yield (
                f"{row.detector}: {row.model} under {row.condition} covers {metric.n:,} of {metric.total:,} pairs only "
                "and tells nothing of the others."
            )


def _blocked(asked: AskedSummary) -> Iterator[str]:
    for row in asked.conditions:
        if row.blocked and row.detector == TEXT_REFUSAL:  # a judge's are told of as failures
            yield (
                f"{row.model}: its provider blocked {plural(row.blocked, 'answer')} under {row.condition}, which count "
                "in no rate: a filter is no refusal of the model."
            )


def _named(metrics: list[Metric], quantity: str) -> Metric | None:
    return next((m for m in metrics if m.name.startswith(f"{TEXT_REFUSAL}.{quantity}.")), None)
