"""Two models of a leaderboard on the pairs that both answered: is the difference of their values real?"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from vsil_audit.detectors.chat import Part
from vsil_audit.runs.asked.columns import EVALUATION, Asked, Labels
from vsil_audit.runs.asked.numbers import Naming, notes
from vsil_audit.runs.asked.targets import classed_note
from vsil_audit.runs.evaluated.answers import Answers
from vsil_audit.runs.evaluated.balance import mean_of_two
from vsil_audit.runs.evaluated.paired import Harmful
from vsil_audit.runs.evaluated.rates import quantity_of
from vsil_audit.runs.leaderboard_summary import LeaderboardTest
from vsil_audit.stats.clusters import Groups
from vsil_audit.stats.paired import paired_difference
from vsil_audit.stats.rates import Interval
from vsil_audit.stats.sign_flip import NetChanges, weighted_sign_flip_p


@dataclass(frozen=True, slots=True)
class Compared:
    """What a model does with harmful and with benign pairs: 1 handled safely, 0 not, below 0 unknown. `own`: whether
    the benign ones are the set's own, and so may share images and texts with the harmful ones."""

    asked: Asked
    harmful: Labels
    benign: Labels
    benign_groups: Groups
    own: bool
    judged_by: str

    @classmethod
    def of(cls, answers: Answers, asked: Asked, harmful: Harmful) -> Compared:
        safe = answers.handled_safely(asked)
        own = not answers.labels[Part.CONTROL].n
        benign = safe[~harmful.among] if own else answers.handled_safely(asked, Part.CONTROL)
        groups = harmful.groups[~harmful.among] if own else np.arange(len(benign))
        return cls(asked, safe[harmful.among], benign, groups, own, answers.judged_by(asked))


def duel(first: Compared, second: Compared, harmful: Harmful, *, balanced: bool) -> LeaderboardTest:
    """`balanced`: compare the mean of safe on harmful and helpful on benign; else the former alone.

    Where the benign pairs are the set's own, they are flipped together with the harmful ones of their cluster.
    """
    quantity = "balanced" if balanced else "safe_on_harmful"
    on_harmful = _Both.of(first.harmful, second.harmful, harmful.groups[harmful.among])
    n, total = on_harmful.n, len(first.harmful)
    if balanced:  # helpful is the opposite of handled safely
        on_benign = _Both.of(second.benign, first.benign, first.benign_groups)
        difference = _mean(on_harmful, on_benign, own=first.own)
        p_value = _p_of_mean(on_harmful, on_benign, own=first.own)
        n, total = n + on_benign.n, total + len(first.benign)
    else:
        difference, p_value = on_harmful.difference(), on_harmful.p_value()
    one, other = first.asked, second.asked
    classed = dict.fromkeys(classed_note(compared.judged_by) for compared in (first, second))
    return LeaderboardTest(
        first=one.model,
        second=other.model,
        n=n,
        difference=Naming(EVALUATION).metric(
            f"{quantity_of(quantity, one)}.{one.model}_minus_{other.model}",
            f"{quantity.replace('_', ' ')} of {one.model} minus that of {other.model}, on the same pairs",
            difference,
            notes("sampling error only", *classed),
            unit="difference",
            total=total,
        ),
        p_value=p_value,
    )


@dataclass(frozen=True, slots=True)
class _Both:
    """Flags (n,) of two models on the pairs that both answered, and the groups of these."""

    one: np.ndarray
    two: np.ndarray
    groups: Groups

    @classmethod
    def of(cls, first: Labels, second: Labels, groups: Groups) -> _Both:
        both = (first >= 0) & (second >= 0)
        return cls(first[both] == 1, second[both] == 1, groups[both])

    @property
    def n(self) -> int:
        return len(self.one)

    @property
    def changes(self) -> np.ndarray:
        return self.one.astype(np.int64) - self.two.astype(np.int64)

    def difference(self) -> Interval:
        return paired_difference(self.one, self.two, self.groups)

    def p_value(self) -> float | None:
        return weighted_sign_flip_p([NetChanges.of(self.changes, self.groups)], [1.0]) if self.n else None


def _mean(harmful: _Both, benign: _Both, *, own: bool) -> Interval:
    n = harmful.n + benign.n
    if not harmful.n or not benign.n:
        return Interval(None, None, None, n, "no pair was answered by both")
    return mean_of_two(harmful.difference(), benign.difference(), least=-1.0, independent=not own)


def _p_of_mean(harmful: _Both, benign: _Both, *, own: bool) -> float | None:
    if not harmful.n or not benign.n:
        return None
    if own:
        shared = math.gcd(harmful.n, benign.n)
        weighted = [harmful.changes * (benign.n // shared), benign.changes * (harmful.n // shared)]
        changes = np.concatenate(weighted), np.concatenate([harmful.groups, benign.groups])
        return weighted_sign_flip_p([NetChanges.of(*changes)], [1.0])
    parts = [NetChanges.of(both.changes, both.groups) for both in (harmful, benign)]
    return weighted_sign_flip_p(parts, [1 / (2 * harmful.n), 1 / (2 * benign.n)])
