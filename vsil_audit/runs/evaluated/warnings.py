"""What a reader must know of an evaluation before quoting a number of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from vsil_audit.detectors.chat import Condition
from vsil_audit.runs.asked.bounds import LEAST_COVERAGE, MOST_OVER_REFUSAL, MOST_TRUNCATED
from vsil_audit.runs.asked.targets import OFFLINE
from vsil_audit.runs.evaluated.rates import ALL
from vsil_audit.runs.evaluation_summary import Balance, EvaluatedModel, Evaluation, EvaluationRow
from vsil_audit.wording import plural


def evaluation_warnings(found: Evaluation) -> Iterator[str]:
    """In the order of their weight."""
    yield from _scripted(found)
    yield from _judges(found)
    yield from _benign(found)
    for model in found.models:
        yield from _of_calls(model, found.max_tokens)
    rows = [row for row in found.rows if row.slice_kind == ALL]
    yield from _low_coverage(rows)
    yield from _blocked(rows)
    for row in found.image_classifiers:
        if row.flagged.n < LEAST_COVERAGE * row.flagged.total:
            yield (
                f"{row.classifier} looked at {row.flagged.n:,} of {plural(row.flagged.total, 'image')} only "
                f"({row.flagged.note})."
            )


def _scripted(found: Evaluation) -> Iterator[str]:
    scripted = [model.model for model in found.models if model.scripted]
    if scripted:
        yield (
            f"Answers of {', '.join(scripted)} come from a file of rules; these numbers describe the script, and no "
            "model."
        )


def _judges(found: Evaluation) -> Iterator[str]:
    if found.models and OFFLINE in found.judged_by:
        yield (
            "Answers were classed by the offline classifier, whose error on held-out models and sets is in the "
            "intervals of the rates; it is not in those of differences, where it would have to differ between the two."
        )
    models = {model.model for model in found.models}
    for judge in dict.fromkeys(name for names in found.judged_by for name in names.split(" + ")):
        if judge in models:
            yield f"{judge} classes its own answers too: a judge may be lenient towards itself."


def _benign(found: Evaluation) -> Iterator[str]:
    benign = [balance for balance in found.balance if balance.helpful_on_benign.total]
    if found.balance and not benign:
        yield "No benign pair was asked about: a model that refuses everything looks perfectly safe here."
    yield from _over_refusal(benign)
    yield from _hardly_classed(benign)
    if found.balance and not found.harmful_pairs:
        yield "Every pair of this set is labelled safe: there is nothing to refuse, and the safe rate is over-refusal."
    elif found.balance and (harmless := found.pairs - found.harmful_pairs):
        yield (
            f"{harmless:,} of {plural(found.pairs, 'pair')} are labelled safe. Rates over the set and its categories "
            "hold them too, and to refuse them counts as safe there: of the harmful pairs alone read `safe_on_harmful`."
        )


def _over_refusal(balances: Iterable[Balance]) -> Iterator[str]:
    by_model: dict[str, list[tuple[str, float]]] = {}
    for balance in balances:
        helpful = balance.helpful_on_benign.value
        if helpful is not None and 1 - helpful > MOST_OVER_REFUSAL:
            by_model.setdefault(balance.model, []).append((_shown(balance), 1 - helpful))
    for model, found in by_model.items():
        where = ", ".join(f"{share:.0%} under {shown}" for shown, share in found)
        yield f"{model} refuses or warns about benign queries ({where}): its refusals say little about this set."


def _hardly_classed(balances: Iterable[Balance]) -> Iterator[str]:
    alike: dict[tuple[str, str], list[str]] = {}
    for balance in balances:
        helpful = balance.helpful_on_benign
        if helpful.n < LEAST_COVERAGE * helpful.total:
            counts = f"classed answers to {helpful.n:,} of {plural(helpful.total, 'benign pair')} only"
            alike.setdefault((_shown(balance), counts), []).append(balance.model)
    for (shown, counts), models in alike.items():
        yield f"{', '.join(models)} under {shown}: {counts}, which tell nothing of the others."


def _of_calls(model: EvaluatedModel, max_tokens: int) -> Iterator[str]:
    without_verdict = sum(model.judge_failures.values())
    failed, came = model.failed - without_verdict, model.answers + without_verdict
    if failed:
        asked = came + failed + model.blocked
        yield f"{model.model} failed on {failed:,} of {plural(asked, 'question')} ({_tally(model.failure_kinds)})."
    if without_verdict:
        yield (
            f"{model.model}: no judge gave a verdict on {without_verdict:,} of {plural(came, 'answer')} "
            f"({_tally(model.judge_failures)})."
        )
    cut = model.truncated
    if (cut.value or 0.0) > MOST_TRUNCATED:
        yield (
            f"{model.model}: {cut.k:,} of {plural(cut.n, 'answer')} were cut at {max_tokens} tokens: late warnings are "
            "missed."
        )


def _tally(kinds: Mapping[str, int]) -> str:
    return ", ".join(f"{kind} {n:,}" for kind, n in kinds.items())


def _low_coverage(rows: Iterable[EvaluationRow]) -> Iterator[str]:
    """Models of which the same is to be said are named together."""
    alike: dict[tuple[str, str], list[str]] = {}
    for row in rows:
        metric = row.metrics[0]
        if metric.n < LEAST_COVERAGE * metric.total:
            ends = {"failed": row.failed, "unclear": row.unclear, "blocked": row.blocked, "not shown": row.not_shown}
            told = ", ".join(f"{name} {n:,}" for name, n in ends.items() if n)
            counts = f"classed answers to {metric.n:,} of {metric.total:,} pairs only ({told})"
            alike.setdefault((_shown(row), counts), []).append(row.model)
    for (shown, counts), models in alike.items():
        captions = " Name a captioner." if shown.startswith(Condition.CAPTION.value) and "not shown" in counts else ""
        yield f"{', '.join(models)} under {shown}: {counts}, which tell nothing of the others.{captions}"


def _blocked(rows: Iterable[EvaluationRow]) -> Iterator[str]:
    by_model: Counter[str] = Counter()
    for row in rows:
        by_model[row.model] += row.blocked
    for model, blocked in by_model.items():
        if blocked:
            yield (
                f"{model}: the provider blocked {plural(blocked, 'answer')}, which count in no rate: a filter is no "
                "refusal of the model."
            )


def _shown(of: EvaluationRow | Balance) -> str:
    return f"{of.condition}, {of.variant}" if of.variant else of.condition
