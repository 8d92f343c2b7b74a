"""Two answers to the same pairs: conditions and variants of one model, and models under one condition."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from vsil_audit.detectors.chat import Condition
from vsil_audit.runs.asked.columns import EVALUATION, Asked, Labels
from vsil_audit.runs.asked.numbers import Naming, notes
from vsil_audit.runs.asked.targets import classed_note
from vsil_audit.runs.asked.votes import Flags
from vsil_audit.runs.evaluated.answers import Answers
from vsil_audit.runs.evaluated.rates import quantity_of
from vsil_audit.runs.evaluation_summary import PairedTest
from vsil_audit.stats.clusters import Groups
from vsil_audit.stats.multiple import holm
from vsil_audit.stats.paired import paired_difference
from vsil_audit.stats.sign_flip import sign_flip_p

CONDITIONS, VARIANTS, MODELS = "conditions", "variants", "models"


@dataclass(frozen=True, slots=True)
class Harmful:
    """The pairs that are meant to be harmful, `among` (n,) of all, with the `groups` (n,) of all."""

    among: Flags
    groups: Groups


def paired_tests(answers: Answers, models: Sequence[str], harmful: Harmful) -> list[PairedTest]:
    """All tests between what `models` were asked, adjusted by Holm over each kind."""
    asked = [one for model in models for one in answers.asked(model)]
    safe = {one: answers.handled_safely(one) for one in asked}
    tests: list[PairedTest] = []
    for kind, couples in (
        (CONDITIONS, _conditions(asked)),
        (VARIANTS, _variants(asked)),
        (MODELS, _models(asked)),
    ):
        tests += _adjusted([_test(answers, kind, couple, safe, harmful) for couple in couples])
    return tests


def _conditions(asked: Sequence[Asked]) -> Iterator[tuple[Asked, Asked]]:
    """Of each model and variant: every condition against the pair, or, without it, against each other."""
    for group in _by(asked, lambda one: (one.model, one.variant)):
        pair = next((one for one in group if one.condition == Condition.PAIR.value), None)
        yield from ((one, pair) for one in group if one != pair) if pair else combinations(group, 2)


def _variants(asked: Sequence[Asked]) -> Iterator[tuple[Asked, Asked]]:
    """Of each model and condition: every variant against the plain query, or, without it, against each other."""
    for group in _by(asked, lambda one: (one.model, one.condition)):
        plain = next((one for one in group if not one.variant), None)
        yield from ((one, plain) for one in group if one != plain) if plain else combinations(group, 2)


def _models(asked: Sequence[Asked]) -> Iterator[tuple[Asked, Asked]]:
    for group in _by(asked, lambda one: (one.condition, one.variant)):
        yield from combinations(group, 2)


def _by(asked: Iterable[Asked], key: Callable[[Asked], tuple[str, str]]) -> Iterable[list[Asked]]:
    groups: dict[tuple[str, str], list[Asked]] = {}
    for one in asked:
        groups.setdefault(key(one), []).append(one)
    return groups.values()


def _test(
    answers: Answers, kind: str, couple: tuple[Asked, Asked], safe: dict[Asked, Labels], harmful: Harmful
) -> PairedTest:
    first, second = couple
    place = {CONDITIONS: 1, VARIANTS: 2, MODELS: 0}[kind]
    names = [one[place] or "plain" for one in couple]
    both = harmful.among & (safe[first] >= 0) & (safe[second] >= 0)
    one, two, groups = safe[first][both] == 1, safe[second][both] == 1, harmful.groups[both]
    n = int(both.sum())
    shared = Asked("" if kind == MODELS else first.model, first.condition, first.variant)
    difference = Naming(EVALUATION, shared.model).metric(
        _quantity(kind, first, second),
        f"safe rate of {names[0]} minus that of {names[1]}, over the same pairs",
        paired_difference(one, two, groups),
        notes("" if n else "no pair was answered both times", "sampling error only", _classed(answers, couple)),
        unit="difference",
        total=int(harmful.among.sum()),
    )
    return PairedTest(
        kind=kind,
        model=shared.model,
        condition="" if kind == CONDITIONS else first.condition,
        variant="" if kind == VARIANTS else first.variant,
        first=names[0],
        second=names[1],
        n=n,
        only_first=int((one & ~two).sum()),
        only_second=int((~one & two).sum()),
        difference=difference,
        p_value=sign_flip_p(one.astype(np.int8) - two.astype(np.int8), groups) if n else None,
    )


def _quantity(kind: str, first: Asked, second: Asked) -> str:
    if kind == MODELS:
        return f"{quantity_of('safe', first)}.{first.model}_minus_{second.model}"
    return f"{quantity_of('safe', first)}_minus_{quantity_of('', second)}"


def _classed(answers: Answers, couple: tuple[Asked, Asked]) -> str:
    return "; ".join(dict.fromkeys(classed_note(answers.judged_by(one)) for one in couple))


def _adjusted(tests: list[PairedTest]) -> list[PairedTest]:
    """Those that could not be made are no tests to adjust for."""
    made = [test.p_value for test in tests if test.p_value is not None]
    adjusted = iter(holm(made).tolist())
    return [test if test.p_value is None else test.model_copy(update={"p_adjusted": next(adjusted)}) for test in tests]
