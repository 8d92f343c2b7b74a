"""One judge against people: sensitivity, specificity, kappa, and the shares behind what it says of a set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vsil_audit.calibration.truth import Flags
from vsil_audit.runs.asked.columns import Labels
from vsil_audit.runs.asked.numbers import Naming, notes, without_value
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.stats.agreement import cohen_kappa
from vsil_audit.stats.clusters import Groups, clustered_rate
from vsil_audit.stats.corrected_leak_rate import LabelledElsewhere, LabelledSample, corrected_leak_rate
from vsil_audit.stats.judge_error import JudgeError, judge_error, rogan_gladen
from vsil_audit.stats.prediction_powered import LABELS_ALONE, prediction_powered_mean
from vsil_audit.stats.rates import Interval, Rate
from vsil_audit.wording import plural

FEW = 30
"""Labels of either kind below which the numbers are warned of."""

_NO_VALUE = "no value: "


@dataclass(frozen=True, slots=True)
class Judged:
    """What a judge says of one thing about each of n items, and what people say of it. All of shape (n,): `said` is 1
    for yes, 0 for no, below 0 for no verdict; `truth` is read where `known`; `groups` go together."""

    said: Labels
    known: Flags
    truth: Flags
    groups: Groups

    @property
    def scored(self) -> Flags:
        return self.said >= 0

    def error(self) -> JudgeError:
        at = self.known
        return judge_error(self.said[at] == 1, self.truth[at], self.groups[at], self.scored[at])

    def kappa(self) -> Interval:
        at = self.known
        return cohen_kappa(self.said[at] == 1, self.truth[at], self.groups[at], self.scored[at])

    def corrected(self, *, at_random: bool) -> Interval:
        """The true share of yes: among all scored items where those labelled are a random part of them; else among
        the scored items without a label, from the errors made on those with one."""
        at = self.scored
        if at_random:
            return prediction_powered_mean(self.truth[at], self.known[at], self.said[at] == 1, self.groups[at])
        rest = at & ~self.known
        return rogan_gladen(
            clustered_rate(self.said[rest] == 1, self.groups[rest], int((~self.known).sum())), self.error()
        )

    def about(self, *, at_random: bool) -> tuple[int, int]:
        """(items that `corrected` speaks of, items that it should speak of)."""
        if at_random:
            return int(self.scored.sum()), len(self.said)
        return int((self.scored & ~self.known).sum()), int((~self.known).sum())


def both(first: Judged, second: Judged) -> Judged:
    """Yes where both are; known where both are."""
    scored = first.scored & second.scored
    said = np.where(scored, (first.said == 1) & (second.said == 1), -1).astype(np.int8)
    return Judged(said, first.known & second.known, first.truth & second.truth, first.groups)


def corrected_leak(pair: Judged, text: Judged, *, at_random: bool) -> Interval:
    """V: share of the truly harmful pairs whose text alone is truly harmful; as `Judged.corrected` says of the set."""
    scored, known = pair.scored & text.scored, pair.known & text.known
    said_pair, said_text = pair.said == 1, text.said == 1
    if at_random and known[scored].all() and pair.truth[scored].any():  # nothing is left for the verdicts to tell
        harmful = scored & pair.truth
        rate = clustered_rate(text.truth[harmful], pair.groups[harmful])
        return Interval(rate.value, rate.low, rate.high, rate.n, LABELS_ALONE + rate.method)
    if at_random:
        labels: LabelledSample | LabelledElsewhere = LabelledSample(known, pair.truth, text.truth)
    else:
        at = known & scored
        labels = LabelledElsewhere(said_pair[at], said_text[at], pair.truth[at], text.truth[at], pair.groups[at])
        scored = scored & ~known
    return corrected_leak_rate(said_pair, said_text, scored, pair.groups, labels)


def error_metrics(naming: Naming, of: Judged, where: str, yes: str, no: str) -> list[Metric]:
    """Sensitivity, specificity and kappa. `where` ends their names (`.text`, or nothing)."""
    error, suffix = of.error(), f".{where}" if where else ""

    def metric(quantity: str, tells: str, found: Rate | Interval, unit: str, total: int) -> Metric:
        return naming.metric(f"{quantity}{suffix}", tells, found, nature=Nature.MEASURED, unit=unit, total=total)

    under = f", under {where}" if where else ""
    told = f"of what people call {{}}, the share that the judge does too{under}"
    return [
        metric("sensitivity", told.format(yes), error.sensitivity, "share", error.sensitivity.total),
        metric("specificity", told.format(no), error.specificity, "share", error.specificity.total),
        metric(
            "kappa", f"Cohen's kappa of the judge and people's labels{under}", of.kappa(), "kappa", int(of.known.sum())
        ),
    ]


def corrected_metric(
    naming: Naming, quantity: str, tells: str, found: Interval, about: tuple[int, int], labels: int, *, at_random: bool
) -> Metric:
    """`n` of `total` are the items that the number speaks of; how many labels it rests on stands in the note."""
    n, total = about
    rests = f"from {plural(labels, 'label')}"
    if not at_random:
        rests += "; of the items without a label, on which the judge is assumed to err as on those with one"
    metric = naming.metric(quantity, f"{tells}, corrected by people's labels", found, rests, n=n, total=total)
    if found.value is not None:
        return metric
    return without_value(metric, notes(f"not given: {found.method.removeprefix(_NO_VALUE)}", rests))


def error_warnings(who: str, of: Judged, what: str) -> list[str]:
    """What a reader must know of a judge's error before quoting it."""
    error, warnings = of.error(), []
    n = (error.sensitivity.n, error.specificity.n)
    if sum(n) > 0 and min(n) < FEW:
        warnings.append(f"{who}, {what}: few labels ({n[0]:,} yes, {n[1]:,} no)")
    youden = error.youden()
    if youden.low is not None and youden.low <= 0:
        warnings.append(f"{who}, {what}: the labels do not show that the judge is better than chance")
    return warnings
