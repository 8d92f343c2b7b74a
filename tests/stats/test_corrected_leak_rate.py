"""V corrected for a judge's errors: the promise of the benchmark in small, and judges that tell nothing."""

from __future__ import annotations

from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest
from benchmark_scripts import load_script

from vsil_audit.stats.corrected_leak_rate import KINDS, LabelledElsewhere, LabelledSample, corrected_leak_rate
from vsil_audit.stats.mixture_share import FEW_LABELS, NOT_TOLD_APART, OTHER_ERRORS, PROFILE, Mixture, mixture_share
from vsil_audit.stats.rates import Interval


@pytest.fixture(scope="module")
def benchmark() -> ModuleType:
    return load_script("judge_correction")


# coverage in simulations: 95 % less three standard errors


@pytest.mark.parametrize("judge", ["USUAL", "WEAK", "CORRELATED", "BLIND", "ALWAYS_UNSAFE"])
@pytest.mark.parametrize(("leaking", "cluster"), [(0.0, 1), (0.5, 1), (0.75, 3)])
def test_a_labelled_sample_covers_with_any_judge(
    benchmark: ModuleType, judge: str, leaking: float, cluster: int
) -> None:
    cell = benchmark.simulate(getattr(benchmark, judge), leaking, cluster, 200, 7, elsewhere=False)
    assert cell.given == 1.0
    assert cell.coverage >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 200)


@pytest.mark.parametrize(("judge", "cluster"), [("USUAL", 3), ("CORRELATED", 1)])
@pytest.mark.parametrize("leaking", [0.0, 0.5, 1.0])
def test_labels_from_elsewhere_cover_where_a_value_is_given(
    benchmark: ModuleType, judge: str, leaking: float, cluster: int
) -> None:
    cell = benchmark.simulate(getattr(benchmark, judge), leaking, cluster, 200, 7, elsewhere=True)
    assert cell.given >= 0.97
    assert cell.coverage >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / 200)


def test_what_the_judge_sees_does_not_cover_uncorrected(benchmark: ModuleType) -> None:
    cell = benchmark.simulate(benchmark.USUAL, 0.75, 1, 50, 7, elsewhere=False)
    assert cell.naive_coverage == 0.0


def test_the_benchmark_prints_its_table_and_passes(
    benchmark: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = [("a labelled sample", benchmark.STRONG, 1, False), ("elsewhere", benchmark.BLIND, 1, True)]
    monkeypatch.setattr(benchmark, "settings", lambda: iter(rows))
    assert benchmark.main(["--simulations", "20"]) in (0, 1)
    told = capsys.readouterr().out
    assert "10 cells of 20 simulations" in told
    assert "5 refused" in told


def test_a_cell_below_the_promise_fails(benchmark: ModuleType) -> None:
    cell = benchmark.Cell(given=1.0, coverage=0.92, width=0.1, naive_coverage=0.0, naive_width=0.1)
    assert cell.failed
    assert not replace(cell, coverage=0.93).failed
    assert not replace(cell, given=0.01).failed


# labels from elsewhere


def found_elsewhere(benchmark: ModuleType, judge: str, leaking: float, labels: int = 250) -> Interval:
    generator = np.random.default_rng(8)
    one = getattr(benchmark, judge)
    pairs = benchmark.judged(one, 700, 0.8, leaking, 1, generator)
    other = benchmark.judged(one, labels, 0.7, 0.5, 1, generator)
    return corrected_leak_rate(
        pairs.pair_unsafe,
        pairs.text_unsafe,
        np.ones(700, dtype=bool),
        pairs.groups,
        LabelledElsewhere(other.pair_unsafe, other.text_unsafe, other.pair_harmful, other.text_harmful, other.groups),
    )


@pytest.mark.parametrize("judge", ["WEAK", "BLIND", "ALWAYS_UNSAFE", "ALWAYS_SAFE"])
@pytest.mark.parametrize("leaking", [0.0, 0.5, 1.0])
def test_a_judge_that_the_labels_show_to_tell_nothing_gives_no_value(
    benchmark: ModuleType, judge: str, leaking: float
) -> None:
    found = found_elsewhere(benchmark, judge, leaking)
    assert (found.value, found.low, found.high) == (None, None, None)
    reasons = [NOT_TOLD_APART.format(KINDS[0], KINDS[1]), NOT_TOLD_APART.format(KINDS[1], KINDS[2])]
    assert found.method in reasons


def test_too_few_labels_of_a_kind_give_no_value(benchmark: ModuleType) -> None:
    found = found_elsewhere(benchmark, "STRONG", 0.5, labels=20)
    assert found.method in [FEW_LABELS.format(kind) for kind in KINDS]


# rows: harmless pairs, harmful ones with a harmless text, with a harmful text; columns, J(pair) and J(text): safe,
# safe; safe, unsafe; unsafe, safe; unsafe, unsafe
CONFUSIONS = np.array([[0.86, 0.04, 0.06, 0.04], [0.10, 0.02, 0.80, 0.08], [0.03, 0.02, 0.10, 0.85]])


@pytest.mark.parametrize("kinds", [(0.3, 0.35, 0.35), (0.1, 0.72, 0.18), (0.5, 0.5, 0.0), (0.2, 0.0, 0.8)])
def test_with_many_labels_the_share_is_recovered_exactly(kinds: tuple[float, float, float]) -> None:
    found = mixture_share(Mixture(1e6 * np.array(kinds) @ CONFUSIONS, 1e6 * CONFUSIONS), KINDS)
    assert found.value == pytest.approx(kinds[2] / (kinds[1] + kinds[2]), abs=0.002)
    assert found.high - found.low < 0.02
    assert found.method == PROFILE


def test_a_set_on_which_the_judge_errs_otherwise_gives_no_value() -> None:
    found = mixture_share(Mixture(np.array([100.0, 400.0, 50.0, 150.0]), 80 * CONFUSIONS), KINDS)
    assert (found.value, found.method) == (None, OTHER_ERRORS)


def test_a_judge_between_kinds_that_cannot_be_placed_gives_no_value() -> None:
    """The middle kind's verdicts are a mixture of the other two's: told apart from each, and still not identified."""
    lined_up = CONFUSIONS.copy()
    lined_up[1] = (CONFUSIONS[0] + CONFUSIONS[2]) / 2
    found = mixture_share(Mixture(500 * lined_up[1], 500 * lined_up), KINDS)
    assert found.value is None
    assert "fits these verdicts" in found.method


def test_clusters_widen_the_interval_of_labels_from_elsewhere(benchmark: ModuleType) -> None:
    pairs = benchmark.judged(benchmark.STRONG, 300, 0.8, 0.5, 1, np.random.default_rng(9))
    thrice = [np.repeat(part, 3) for part in (pairs.pair_unsafe, pairs.text_unsafe)]
    truth = [np.repeat(part, 3) for part in (pairs.pair_harmful, pairs.text_harmful)]
    alone, together = (
        corrected_leak_rate(*thrice, np.ones(900, dtype=bool), groups, LabelledElsewhere(*thrice, *truth, groups))
        for groups in (np.arange(900), np.repeat(np.arange(300), 3))
    )
    assert together.high - together.low == pytest.approx(np.sqrt(3) * (alone.high - alone.low), rel=0.1)


# both


def test_only_scored_pairs_take_part(benchmark: ModuleType) -> None:
    pairs = benchmark.judged(benchmark.USUAL, 400, 0.8, 0.5, 1, np.random.default_rng(10))
    scored = np.arange(400) % 4 > 0
    labels = LabelledSample(np.arange(400) < 200, pairs.pair_harmful, pairs.text_harmful)
    other = LabelledSample(labels.labelled, pairs.pair_harmful ^ ~scored, pairs.text_harmful)
    one, two = (
        corrected_leak_rate(pairs.pair_unsafe, pairs.text_unsafe, scored, pairs.groups, each)
        for each in (labels, other)
    )
    assert one == two
    assert one.n == 150


def test_a_dead_judge_gives_no_value(benchmark: ModuleType) -> None:
    pairs = benchmark.judged(benchmark.USUAL, 40, 0.8, 0.5, 1, np.random.default_rng(11))
    labels = LabelledSample(np.ones(40, dtype=bool), pairs.pair_harmful, pairs.text_harmful)
    none = np.zeros(40, dtype=bool)
    assert corrected_leak_rate(pairs.pair_unsafe, pairs.text_unsafe, none, pairs.groups, labels).value is None


def test_arrays_of_different_length_are_refused() -> None:
    flags = np.ones(3, dtype=bool)
    with pytest.raises(ValueError, match="shapes differ"):
        corrected_leak_rate(flags, flags, flags[1:], np.arange(3), LabelledSample(flags, flags, flags))
