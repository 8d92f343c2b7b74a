"""Rates of refusal, warning and unsafe of each model under each condition: over the set, its slices, the control."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from vsil_audit.detectors.chat import Part
from vsil_audit.runs.asked.columns import EVALUATION, NOTHING, Asked, Labels
from vsil_audit.runs.asked.numbers import Naming, label_rate, mean_note, notes, why_nothing
from vsil_audit.runs.asked.targets import CLASSES, OFFLINE, SHOWN, classed_note, with_classifier_error
from vsil_audit.runs.asked.votes import Flags
from vsil_audit.runs.columns import Codes, PairColumns
from vsil_audit.runs.evaluated.answers import BLOCKED, CLASSED, FAILED, MENU, NOT_SHOWN, UNCLEAR, Answers
from vsil_audit.runs.evaluation_summary import EvaluationRow
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.tables import MOST_CATEGORIES
from vsil_audit.stats.clusters import Groups, clustered_rate
from vsil_audit.stats.multiple import benjamini_hochberg
from vsil_audit.stats.rates import Interval, Rate
from vsil_audit.stats.slices import slice_p_value

ALL, CATEGORY, SUBCATEGORY, CONTROL, LABEL = "all", "category", "subcategory", "control", "label"


@dataclass(frozen=True, slots=True)
class Slice:
    """Some of the subjects of a part: `among` (n,) of `groups` (n,). `within`: of a sub-category, its category."""

    kind: str
    name: str
    among: Flags
    groups: Groups
    part: Part = Part.SET
    within: str = ""


def slices_of(pairs: PairColumns, groups: Groups, control: int) -> list[Slice]:
    """The set, its labels where it has safe and unsafe ones, the control, and the largest categories and
    sub-categories."""
    everything = Slice(ALL, "", np.ones(pairs.n, dtype=bool), groups)
    labels = sorted(pairs.labels.names) if len(pairs.labels.names) > 1 else []
    found = [everything, *(Slice(LABEL, name, pairs.labels.where(name), groups) for name in labels)]
    if control:
        found.append(Slice(CONTROL, "", np.ones(control, dtype=bool), np.arange(control), Part.CONTROL))
    found += [Slice(CATEGORY, name, among, groups) for name, among in _largest(pairs.categories)]
    for name, among in _largest(pairs.subcategories):
        found.append(Slice(SUBCATEGORY, name, among, groups, within=_mostly(pairs.categories, among)))
    return found


def _largest(codes: Codes) -> Iterator[tuple[str, Flags]]:
    counts = codes.counts()
    for name in sorted(counts, key=lambda name: (-counts[name], name))[:MOST_CATEGORIES]:
        yield name, codes.where(name)


def _mostly(categories: Codes, among: Flags) -> str:
    counts = {name: int((categories.where(name) & among).sum()) for name in categories.names}
    most = max(counts, key=lambda name: counts[name], default="")
    return most if counts.get(most) else ""


def evaluation_rows(answers: Answers, asked: Asked, slices: Sequence[Slice]) -> list[EvaluationRow]:
    """One row for each slice in which the model was asked something."""
    rows = [row for where in slices if (row := _row(answers, asked, where)) is not None]
    p_values = dict(_p_values(answers, asked, slices))
    return [row.model_copy(update={"p_adjusted": p_values.get((row.slice_kind, row.slice))}) for row in rows]


def quantity_of(name: str, asked: Asked, suffix: str = "") -> str:
    """The stable name of a quantity: `safe.pair`, `safe.pair.safety-prompt-vlsbench`, `safe.pair.control`."""
    slug = re.sub(r"[^\w\-]+", "-", asked.variant)
    return ".".join(part for part in (name, asked.condition, slug, suffix) if part)


def class_rate(codes: Labels, name: str, groups: Groups, *, judged_by: str) -> Rate | Interval:
    """Rate of one of CLASSES, its limits widened by the error of the classifier in the package where that judged."""
    rate = label_rate(codes, [MENU.index(label) for label in CLASSES[name][1]], groups)
    return with_classifier_error(rate, name, offline=judged_by == OFFLINE)


def _row(answers: Answers, asked: Asked, where: Slice) -> EvaluationRow | None:
    where = _could_be_shown(answers, asked, where)
    ended = answers.ended(asked, where.part)[:, where.among]
    if not (ended >= 0).any():
        return None
    count = {end: int((ended == end).sum()) for end in (BLOCKED, UNCLEAR, FAILED, NOT_SHOWN)}
    judged_by = answers.judged_by(asked)
    return EvaluationRow(
        model=asked.model,
        variant=asked.variant,
        condition=asked.condition,
        slice_kind=where.kind,
        slice=where.name,
        metrics=_rates(answers, asked, where, judged_by),
        judged_by=judged_by,
        within=where.within,
        truncated=truncated_share(answers, asked.model, [asked], where, quantity_of("truncated", asked)),
        failed=count[FAILED],
        unclear=count[UNCLEAR],
        blocked=count[BLOCKED],
        not_shown=count[NOT_SHOWN],
    )


def _could_be_shown(answers: Answers, asked: Asked, where: Slice) -> Slice:
    """Of the control, what has what the condition shows: much of the one in the package has no image, by design."""
    if where.kind != CONTROL:
        return where
    return replace(where, among=where.among & could_be_shown(answers.ended(asked, where.part)))


def could_be_shown(ended: Labels) -> Flags:
    """Which subjects have what a condition shows, shape (n,), from `Answers.ended`."""
    lacking = (ended == NOT_SHOWN) | (ended == NOTHING)
    return np.asarray(~lacking.all(axis=0))


def _rates(answers: Answers, asked: Asked, where: Slice, judged_by: str) -> list[Metric]:
    codes, groups = answers.codes(asked, where.part)[:, where.among], where.groups[where.among]
    naming, on_control = Naming(EVALUATION, asked.model), where.kind == CONTROL
    shown = " ".join(
        part
        for part in (
            "of the benign control" if on_control else "",
            SHOWN.get(asked.condition, f"under {asked.condition}"),
            f"behind the {asked.variant}" if asked.variant else "",
        )
        if part
    )
    note = notes(why_nothing(codes), mean_note(codes), classed_note(judged_by))
    return [
        naming.metric(
            quantity_of(name, asked, CONTROL if on_control else ""),
            f"{tells} {shown}",
            class_rate(codes, name, groups, judged_by=judged_by),
            note,
            total=codes.shape[1],
        )
        for name, (tells, _) in CLASSES.items()
    ]


def truncated_share(
    answers: Answers, model: str, asked: Sequence[Asked], where: Slice, quantity: str = "truncated"
) -> Metric:
    """Of the answers that came, those cut at the limit of tokens; answers to one pair, or to pairs that share an image
    or a text, go together."""
    cut, groups, total = [np.empty(0, dtype=bool)], [np.empty(0, dtype=np.int64)], 0
    for one in asked:
        ended = answers.ended(one, where.part)[:, where.among]
        came = np.isin(ended, (CLASSED, UNCLEAR))
        total += int((ended >= 0).sum())
        cut.append(answers.cut(one, where.part)[:, where.among][came])
        groups.append(np.broadcast_to(where.groups[where.among], ended.shape)[came])
    rate = clustered_rate(np.concatenate(cut), np.concatenate(groups), total)
    if rate.value is None:
        rate = replace(rate, method="no answer came")
    tells = "share of answers cut at the limit of tokens"
    return Naming(EVALUATION, model).metric(quantity, tells, rate, nature=Nature.MEASURED)


def _p_values(answers: Answers, asked: Asked, slices: Sequence[Slice]) -> Iterator[tuple[tuple[str, str], float]]:
    """Of each category and sub-category, adjusted over those of its kind."""
    safe = answers.handled_safely(asked)
    known = safe >= 0
    for kind in (CATEGORY, SUBCATEGORY):
        tested = {
            where.name: p
            for where in slices
            if where.kind == kind
            and (p := slice_p_value(safe[known] == 1, where.among[known], where.groups[known])) is not None
        }
        adjusted = benjamini_hochberg(list(tested.values())).tolist()
        yield from (((kind, name), p) for name, p in zip(tested, adjusted, strict=True))
