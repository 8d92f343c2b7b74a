"""What every report shows of an evaluation: the summary's numbers, grouped by model, by test and by slice."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from vsil_audit.detectors.chat import Condition
from vsil_audit.reporting.asked_page import WITH
from vsil_audit.reporting.heat import Duel, DuelMatrix, duel_matrix
from vsil_audit.runs.evaluated.rates import ALL, CATEGORY, CONTROL, LABEL, SUBCATEGORY
from vsil_audit.runs.evaluation_summary import Balance, EvaluatedModel, Evaluation, EvaluationRow, PairedTest
from vsil_audit.runs.metric import Metric
from vsil_audit.stats.rank_intervals import LEVEL
from vsil_audit.wording import plural

CLASSES = ("safe", "refusal", "warning", "unsafe")
CLASS_WORDS = {
    "safe": "safe",
    "refusal": "refused",
    "warning": "answered with a warning",
    "unsafe": "answered without seeing the risk",
}
FEW_MODELS = 5
"""Up to so many models stand beside each other in rows; more in a matrix."""
TEST_TITLES = {
    "conditions": "Between conditions, for each model",
    "variants": "With and without a safety prompt, for each model",
    "models": "Between models, under each condition",
}


@dataclass(frozen=True, slots=True)
class AskedSo:
    """One model under one condition and variant: its rates over the set, on the benign control, by the set's own
    labels, and its balance."""

    row: EvaluationRow
    control: EvaluationRow | None
    labels: list[EvaluationRow]
    balance: Balance | None

    @property
    def rates(self) -> list[Metric]:
        """In the order of CLASSES."""
        return [metric for name in CLASSES if (metric := self.row.metric(name)) is not None]

    def control_of(self, metric: Metric) -> Metric | None:
        """The same rate on the benign control."""
        return self.control.metric(class_of(metric)) if self.control else None

    @property
    def lost(self) -> list[str]:
        """Questions that are in no rate, by what became of them, in words."""
        row = self.row
        return [
            *(
                [f"{plural(row.blocked, 'answer')} stopped by the provider, no refusal of the model"]
                if row.blocked
                else []
            ),
            *([f"{row.failed:,} failed"] if row.failed else []),
            *([f"{row.unclear:,} of no class"] if row.unclear else []),
            *([f"{row.not_shown:,} could not be shown"] if row.not_shown else []),
        ]


@dataclass(frozen=True, slots=True)
class EvaluatedPart:
    """One model with everything that it was asked, the plain query first."""

    model: EvaluatedModel
    asked: list[AskedSo]

    def under(self, condition: str, variant: str = "") -> AskedSo | None:
        return next((a for a in self.asked if (a.row.condition, a.row.variant) == (condition, variant)), None)


@dataclass(frozen=True, slots=True)
class HeatMap:
    """Safe rates by slice: `rows` of a name, a model where it is one, and a cell for each of `slices`."""

    title: str
    kind: str
    of: str
    slices: list[str]
    within: list[str]
    rows: list[tuple[str, list[EvaluationRow | None]]]


def main_condition(found: Evaluation) -> str:
    """The condition that models are set beside each other by: the pair, or the first that was asked."""
    return Condition.PAIR.value if Condition.PAIR.value in found.conditions else next(iter(found.conditions), "")


def condition_words(condition: str, variant: str = "") -> str:
    """`with the image, safety prompt vlsbench`."""
    return ", ".join(part for part in (WITH.get(condition, condition), variant) if part)


def evaluated_parts(found: Evaluation) -> list[EvaluatedPart]:
    """The models, best balanced under the main condition first, or safest where no benign query was asked; the
    text-only base model last, as it is not ranked."""
    main = main_condition(found)
    parts = [EvaluatedPart(model, list(_asked(found, model.model))) for model in found.models]

    def key(part: EvaluatedPart) -> tuple[bool, float]:
        under = part.under(main)
        balance = under.balance if under else None
        value = balance.balanced.value if balance and has_benign(found) else None
        if under and not has_benign(found) and (safe := under.row.metric("safe")) is not None:
            value = safe.value
        return part.model.base, 1.0 if value is None else -value

    return sorted(parts, key=key)


def asked_so(parts: Sequence[EvaluatedPart]) -> list[tuple[str, str]]:
    """Everything that any model was asked: condition and variant, the plain query first."""
    found = dict.fromkeys((a.row.condition, a.row.variant) for part in parts for a in part.asked)
    return sorted(found, key=lambda key: (bool(key[1]), key[1]))


def _asked(found: Evaluation, model: str) -> Iterator[AskedSo]:
    rows = [row for row in found.rows if row.model == model]
    order = {condition: i for i, condition in enumerate(found.conditions)}
    whole = [row for row in rows if row.slice_kind == ALL]
    for row in sorted(whole, key=lambda r: (bool(r.variant), r.variant, order.get(r.condition, len(order)))):
        same = [r for r in rows if (r.condition, r.variant) == (row.condition, row.variant)]
        yield AskedSo(
            row,
            control=next((r for r in same if r.slice_kind == CONTROL), None),
            labels=[r for r in same if r.slice_kind == LABEL],
            balance=balance_of(found, model, row.condition, row.variant),
        )


def balance_of(found: Evaluation, model: str, condition: str, variant: str = "") -> Balance | None:
    key = (model, condition, variant)
    return next((b for b in found.balance if (b.model, b.condition, b.variant) == key), None)


def has_benign(found: Evaluation) -> bool:
    return any(balance.helpful_on_benign.total for balance in found.balance)


def class_of(metric: Metric) -> str:
    """`refusal`, `warning`, `unsafe`, `safe`."""
    return metric.name.split(".")[1]


def is_real(test: PairedTest) -> bool:
    """Whether a difference is shown, once all tests of its kind are counted."""
    return test.p_adjusted is not None and test.p_adjusted <= LEVEL


def tests_of(found: Evaluation, kind: str) -> list[PairedTest]:
    return [test for test in found.tests if test.kind == kind]


def test_words(test: PairedTest) -> str:
    """What a test compares: `without the image − with the image`."""
    if test.kind == "conditions":
        return f"{condition_words(test.first)} − {condition_words(test.second)}"
    if test.kind == "variants":
        return f"{test.first} − {test.second} query" if test.second == "plain" else f"{test.first} − {test.second}"
    return f"{test.first} − {test.second}"


def heat_maps(found: Evaluation, parts: Sequence[EvaluatedPart]) -> list[HeatMap]:
    """By category and sub-category: of several models one map for each condition, of a single one all its conditions
    in one map."""
    several = len([part for part in parts if not part.model.base]) > 1
    maps = []
    for kind in (CATEGORY, SUBCATEGORY):
        rows = [row for row in found.rows if row.slice_kind == kind]
        if not rows:
            continue
        within = {row.slice: row.within for row in rows}
        slices = sorted(within, key=lambda name: (within[name], name)) if kind == SUBCATEGORY else list(within)
        for title, lines in _by_condition(found, parts) if several else _by_model(parts):
            cells = {(row.model, row.condition, row.variant, row.slice): row for row in rows}
            filled = [(name, [cells.get((*asked, s)) for s in slices]) for name, asked in lines]
            if any(cell for _, line in filled for cell in line):
                of = "model" if several else "condition"
                maps.append(HeatMap(title, kind, of, slices, [within[s] for s in slices], filled))
    return maps


_Line = tuple[str, tuple[str, str, str]]


def _by_condition(found: Evaluation, parts: Sequence[EvaluatedPart]) -> Iterator[tuple[str, list[_Line]]]:
    asked = dict.fromkeys((row.condition, row.variant) for row in found.rows)
    first = main_condition(found)
    for condition, variant in sorted(asked, key=lambda a: (bool(a[1]), a[1], a[0] != first)):
        lines = [(part.model.model, (part.model.model, condition, variant)) for part in parts if not part.model.base]
        yield condition_words(condition, variant), lines


def _by_model(parts: Iterable[EvaluatedPart]) -> Iterator[tuple[str, list[_Line]]]:
    for part in (part for part in parts if not part.model.base):
        yield (
            part.model.model,
            [
                (condition_words(a.row.condition, a.row.variant), (part.model.model, a.row.condition, a.row.variant))
                for a in part.asked
            ],
        )


def duels(found: Evaluation, parts: Sequence[EvaluatedPart]) -> list[DuelMatrix]:
    """All models against each other, for each condition and variant."""
    tests, models = tests_of(found, "models"), [part.model.model for part in parts]
    asked = dict.fromkeys((test.condition, test.variant) for test in tests)
    return [
        duel_matrix(
            condition_words(condition, variant).capitalize(),
            models,
            [
                Duel(t.first, t.second, t.difference, t.n, t.p_adjusted, is_real(t))
                for t in tests
                if (t.condition, t.variant) == (condition, variant)
            ],
        )
        for condition, variant in asked
    ]
