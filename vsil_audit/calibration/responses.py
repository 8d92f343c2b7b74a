"""Answers of target models: the class that each was given against the class that people give it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from vsil_audit.calibration.judges import Found
from vsil_audit.calibration.rates import FEW, Judged, corrected_metric
from vsil_audit.calibration.report import Confusion
from vsil_audit.calibration.truth import Flags, Truth
from vsil_audit.runs.asked.columns import TEXT_REFUSAL, Asked, Labels, Observed
from vsil_audit.runs.asked.numbers import Naming
from vsil_audit.runs.asked.targets import CLASSES
from vsil_audit.runs.asked.votes import merged
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.stats.agreement import cohen_kappa
from vsil_audit.stats.clusters import Groups, clustered_rate


def response_classes(
    seen: Observed, truth: Truth, places: dict[str, int], groups: Groups
) -> Iterator[tuple[Found, list[Confusion]]]:
    """Each model under each condition with labelled answers. `places`: of the pairs, by id."""
    for model in (m for m in seen.models if seen.conditions(m)):
        found, confusions = Found(TEXT_REFUSAL, model), []
        for condition in seen.conditions(model):
            answers = _Answers.of(seen, Asked(model, condition), truth, places, groups)
            if not answers.known.any():
                continue
            found.metrics += answers.metrics(Naming(TEXT_REFUSAL, model), condition, at_random=truth.chosen.at_random)
            found.warnings += answers.warnings(f"{model}, {condition}")
            confusions.append(answers.confusion(model, condition))
        if confusions:
            yield found, confusions


@dataclass(frozen=True, slots=True)
class _Answers:
    """One model's answers under one condition, all samples: `said` and `truth` are codes of the menu (below 0: no
    class, no label), `groups` of their pairs. All of shape (samples · n,)."""

    menu: tuple[str, ...]
    said: Labels
    truth: Labels
    groups: Groups

    @classmethod
    def of(cls, seen: Observed, asked: Asked, truth: Truth, places: dict[str, int], groups: Groups) -> _Answers:
        codes = seen.on_set.samples(asked)
        rows = {sample: row for row, sample in enumerate(seen.on_set.codes[asked])}
        labels = np.full(codes.shape, -1, dtype=np.int8)
        for item, label in truth.labels.items():
            if Asked(item.model, item.condition) == asked and item.sample in rows:
                labels[rows[item.sample], places[item.pair_id]] = seen.menu.index(label)
        return cls(seen.menu, codes.reshape(-1), labels.reshape(-1), np.tile(groups, len(codes)))

    @property
    def known(self) -> Flags:
        return self.truth >= 0

    @property
    def usable(self) -> Flags:
        return self.known & (self.said >= 0)

    def metrics(self, naming: Naming, condition: str, *, at_random: bool) -> Iterator[Metric]:
        at, labelled = self.usable, int(self.known.sum())
        same = clustered_rate((self.said == self.truth)[at], self.groups[at], labelled)
        kappa = cohen_kappa(self.said, self.truth, self.groups, at)
        for quantity, tells, value, unit, total in (
            (
                "same_class",
                "share of labelled answers that were classed as people class them",
                same,
                "share",
                same.total,
            ),
            ("kappa", "Cohen's kappa of the classes and people's labels", kappa, "kappa", labelled),
        ):
            yield naming.metric(
                f"{quantity}.{condition}",
                f"{tells}, under {condition}",
                value,
                nature=Nature.MEASURED,
                unit=unit,
                total=total,
            )
        for name, (tells, labels) in CLASSES.items():
            codes = [self.menu.index(label) for label in labels]
            of = Judged(merged(self.said, codes), self.known, np.isin(self.truth, codes), self.groups)
            yield corrected_metric(
                naming,
                f"{name}_corrected.{condition}",
                f"{tells} under {condition}",
                of.corrected(at_random=at_random),
                of.about(at_random=at_random),
                int(at.sum()),
                at_random=at_random,
            )

    def warnings(self, who: str) -> Iterator[str]:
        counts = np.bincount(self.truth[self.usable], minlength=len(self.menu))
        few = [f"{count:,} {label}" for label, count in zip(self.menu, counts, strict=True) if count < FEW]
        if few:
            yield f"{who}: few labels ({', '.join(few)}); the classifier's errors on them are uncertain"

    def confusion(self, model: str, condition: str) -> Confusion:
        size = len(self.menu)
        at, unscored = self.usable, self.known & (self.said < 0)
        counts = np.bincount(self.truth[at].astype(np.int64) * size + self.said[at], minlength=size * size)
        return Confusion(
            model=model,
            condition=condition,
            labels=list(self.menu),
            counts=counts.reshape(size, size).tolist(),
            unscored=np.bincount(self.truth[unscored], minlength=size).tolist(),
        )
