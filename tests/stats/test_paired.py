"""McNemar's test and the difference of two conditions on the same pairs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from statsmodels.stats.contingency_tables import mcnemar

from vsil_audit.stats.clusters import BOOTSTRAP
from vsil_audit.stats.paired import TANGO, mcnemar_exact, paired_difference, tango_interval


@given(st.integers(0, 400), st.integers(0, 400))
def test_equals_statsmodels_exact_mcnemar(b: int, c: int) -> None:
    assert mcnemar_exact(b, c) == pytest.approx(mcnemar([[3, b], [c, 5]], exact=True).pvalue if b + c else 1.0)


def test_negative_counts_are_refused() -> None:
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 2)


def test_tango_at_no_change_is_the_known_closed_form() -> None:
    """With nothing changed the score limits are ± z² / (n + z²)."""
    z2 = 1.959963984540054**2
    assert tango_interval(0, 0, 50) == pytest.approx((-z2 / (50 + z2), z2 / (50 + z2)), abs=1e-9)


@pytest.mark.parametrize(("gained", "lost", "n"), [(1, 3, 44), (9, 2, 60), (30, 5, 50)])
def test_tango_limits_are_where_the_score_reaches_its_quantile(gained: int, lost: int, n: int) -> None:
    """The nuisance share is found here by maximising the multinomial likelihood, not by the closed form."""
    for limit in tango_interval(gained / n, lost / n, n):

        def negative_log_likelihood(share: float, limit: float = limit) -> float:
            up, down = share + limit, share
            same = 1 - up - down
            return -(gained * np.log(up) + lost * np.log(down) + (n - gained - lost) * np.log(same))

        bounds = (max(0.0, -limit) + 1e-12, (1 - limit) / 2 - 1e-12)
        down = minimize_scalar(negative_log_likelihood, bounds=bounds, method="bounded", options={"xatol": 1e-12}).x
        score = ((gained - lost) / n - limit) / np.sqrt((2 * down + limit - limit**2) / n)
        assert abs(score) == pytest.approx(1.959964, abs=1e-3)


def test_tango_covers_when_changes_are_rare() -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(1000):
        gained, lost, _same = generator.multinomial(80, [0.04, 0.01, 0.95])
        low, high = tango_interval(gained / 80, lost / 80, 80)
        covered += low <= 0.03 <= high
    assert covered / 1000 >= 0.935


@pytest.mark.parametrize("extreme", [-1.0, 1.0])
def test_total_change_keeps_a_width_and_the_scale(extreme: float) -> None:
    low, high = tango_interval(max(extreme, 0), max(-extreme, 0), 20)
    assert -1 <= low < high <= 1
    assert extreme in (low, high)


def test_the_difference_covers_when_clusters_agree() -> None:
    generator = np.random.default_rng(1)
    covered, rounds = 0, 200
    for seed in range(rounds):
        groups = np.repeat(np.arange(80), 4)
        first = (generator.random(80) < 0.5)[groups]
        second = (generator.random(80) < 0.3)[groups]
        interval = paired_difference(first, second, groups, seed)
        covered += interval.low <= 0.2 <= interval.high
    assert covered / rounds >= 0.89


def test_many_changing_clusters_are_bootstrapped_and_single_pairs_scored() -> None:
    generator = np.random.default_rng(2)
    first, second = generator.random((2, 600)) < 0.5
    assert paired_difference(first, second, np.repeat(np.arange(300), 2)).method == BOOTSTRAP
    assert paired_difference(first, second, np.arange(600)).method == TANGO


def test_equal_conditions_still_have_an_interval() -> None:
    flags = np.array([True, False] * 20)
    interval = paired_difference(flags, flags, np.repeat(np.arange(20), 2))
    assert interval.value == 0
    assert interval.low < 0 < interval.high


@pytest.mark.parametrize("unchanged", [0, 1])
def test_a_difference_as_large_as_can_be_still_has_an_interval(unchanged: int) -> None:
    first = np.ones(200, dtype=bool)
    first[: 2 * unchanged] = False
    for one, two in ((first, ~np.ones(200, dtype=bool)), (~np.ones(200, dtype=bool), first)):
        interval = paired_difference(one, two, np.repeat(np.arange(100), 2))
        assert interval.low is not None
        assert interval.high is not None
        assert 0.02 < interval.high - interval.low < 0.15
        assert abs(interval.value or 0) == pytest.approx(1 - unchanged / 100)


def test_no_pairs_give_no_difference() -> None:
    assert paired_difference(np.zeros(0, dtype=bool), np.zeros(0, dtype=bool), []).value is None


def test_conditions_must_be_of_the_same_pairs() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        paired_difference(np.zeros(3, dtype=bool), np.zeros(2, dtype=bool), [0, 1, 2])
