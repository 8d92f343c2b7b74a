"""Several samples of one judge as a probability."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import beta

from vsil_audit.stats.repeated import beta_probability

_COUNTS = st.integers(1, 60).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(_COUNTS)
def test_it_is_the_jeffreys_posterior(case: tuple[int, int]) -> None:
    yes, n = case
    found, posterior = beta_probability(yes, n), beta(yes + 0.5, n - yes + 0.5)
    assert found.value == pytest.approx(posterior.mean())
    assert found.low == pytest.approx(posterior.ppf(0.025) if yes else 0.0)
    assert found.high == pytest.approx(posterior.ppf(0.975) if yes < n else 1.0)


def test_three_equal_answers_are_no_certainty() -> None:
    found = beta_probability(3, 3)
    assert found.value == 0.875
    assert (found.low or 0) < 0.5
    assert found.high == 1.0


def test_no_sample_is_no_number() -> None:
    assert beta_probability(0, 0).value is None


@pytest.mark.parametrize(("yes", "n"), [(-1, 3), (4, 3)])
def test_impossible_counts_are_refused(yes: int, n: int) -> None:
    with pytest.raises(ValueError, match="need 0 ≤ yes ≤ n"):
        beta_probability(yes, n)
