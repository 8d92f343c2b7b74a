"""Everything that a report shows of an evaluation, from the observations in the run folder."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from vsil_audit.detectors.chat import Part
from vsil_audit.runs.asked.columns import PairPlaces
from vsil_audit.runs.asked.summary import control_in_words, different, is_scripted
from vsil_audit.runs.columns import PairColumns
from vsil_audit.runs.evaluated.answers import (
    BLOCKED,
    CLASSED,
    FAILED,
    NOT_SHOWN,
    UNCLEAR,
    Answers,
    read_answers,
)
from vsil_audit.runs.evaluated.balance import balance_of
from vsil_audit.runs.evaluated.gains import gains_of
from vsil_audit.runs.evaluated.images import classifier_rows
from vsil_audit.runs.evaluated.paired import Harmful, paired_tests
from vsil_audit.runs.evaluated.rates import ALL, CONTROL, Slice, evaluation_rows, slices_of, truncated_share
from vsil_audit.runs.evaluated.warnings import evaluation_warnings
from vsil_audit.runs.evaluation_summary import EvaluatedModel, Evaluation
from vsil_audit.runs.evidence import Evidence
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.stats.clusters import Groups

_SAFE_LABEL = "safe"


def evaluation_summary(plan: ScanPlan, folder: RunFolder, evidence: Evidence) -> tuple[Evaluation, list[Metric]]:
    """The evaluation, and the metrics of the run: those over all pairs, on the control, the balance, the gains and the
    classifiers, by name. Memory of two bytes for each pair, model, condition, variant and sample."""
    manifest, pairs, groups = folder.manifest(), evidence.pairs, evidence.clusters.for_intervals
    options = plan.options.ask
    answers = read_answers(folder, PairPlaces(folder, pairs.n))
    harmful = harmful_pairs(pairs, groups)
    targets, base = targets_of(answers, options.targets), options.base_model or ""
    everybody = [*targets, *(model for model in answers.as_base if model not in targets)]
    control = answers.ends[Part.CONTROL].n
    slices = slices_of(pairs, groups, control)
    asked = [one for model in targets for one in answers.asked(model)]
    gains = [gains_of(answers, model, base, harmful) for model in targets] if base in answers.as_base else []
    found = Evaluation(
        protocol=options.protocol,
        max_tokens=options.max_tokens,
        pairs=pairs.n,
        harmful_pairs=int(harmful.among.sum()),
        control=control_in_words(manifest) if control else "",
        control_pairs=control,
        captioner=options.captioner or "",
        base_model=base,
        prompts=manifest.config.prompts,
        spend=manifest.spend,
        conditions=list(dict.fromkeys(one.condition for one in asked)),
        judged_by=_judged_by(answers),
        models=[_model(answers, model, manifest, slices[0]) for model in everybody],
        rows=[
            row for model in everybody for one in answers.asked(model) for row in evaluation_rows(answers, one, slices)
        ],
        tests=paired_tests(answers, targets, harmful),
        balance=[balance_of(answers, one, harmful) for one in asked],
        gains=[one for one in gains if one is not None],
        image_classifiers=classifier_rows(answers.looks, groups),
    )
    found = found.model_copy(update={"warnings": list(evaluation_warnings(found))})
    return found, different(_metrics(found))


def harmful_pairs(pairs: PairColumns, groups: Groups) -> Harmful:
    """All but those that the set labels safe."""
    return Harmful(~pairs.labels.where(_SAFE_LABEL), groups)


def targets_of(answers: Answers, listed: Sequence[str]) -> list[str]:
    """The models under evaluation, as the user listed them."""
    named = [name for name in dict.fromkeys(listed) if name in answers.as_target or name in answers.broken]
    return [*named, *sorted(name for name in answers.as_target if name not in named)]


def _judged_by(answers: Answers) -> list[str]:
    """Who classed answers, the most answers first."""
    counts: Counter[str] = Counter()
    for one in answers.asked():
        counts[answers.judged_by(one)] += answers.classed_by[one].total()
    return [name for name, n in counts.most_common() if n] or [answers.judges]


def _model(answers: Answers, model: str, manifest: Manifest, everything: Slice) -> EvaluatedModel:
    asked = answers.asked(model)
    ends: Counter[int] = Counter()
    for one in asked:
        for part in (Part.SET, Part.CONTROL):
            ends.update(answers.ended(one, part).ravel().tolist())
    return EvaluatedModel(
        model=model,
        scripted=is_scripted(model) or model in {row.model for row in manifest.spend if row.scripted},
        base=model in answers.as_base and model not in answers.as_target,
        answers=ends[CLASSED] + ends[UNCLEAR],
        failed=ends[FAILED] + answers.broken[model],
        unclear=ends[UNCLEAR],
        blocked=ends[BLOCKED],
        not_shown=ends[NOT_SHOWN],
        truncated=truncated_share(answers, model, asked, everything),
        failure_kinds=dict(answers.failure_kinds.get(model, Counter()).most_common()),
        judge_failures=dict(answers.judge_failures.get(model, Counter()).most_common()),
    )


def _metrics(found: Evaluation) -> Iterator[Metric]:
    for balance in found.balance:
        yield from (balance.safe_on_harmful, balance.helpful_on_benign, balance.balanced)
    for row in found.rows:
        if row.slice_kind in (ALL, CONTROL):
            yield from row.metrics
            if row.slice_kind == ALL and row.truncated is not None:
                yield row.truncated
    for gains in found.gains:
        yield from (gains.gain, gains.leakage)
    yield from (row.flagged for row in found.image_classifiers)
