"""How many items a precision needs: the fewest, for the set itself and for sets like it."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.calibration.precision import labels_for
from vsil_audit.stats.sample_size import fewest, half_width, same_cluster, size_in_clusters, size_in_finite_set


def test_without_clusters_or_an_end_it_is_the_formula_for_wilsons_interval() -> None:
    assert fewest(0.05, 0.5, 10**6, float) == labels_for(0.05)


@given(
    precision=st.floats(0.01, 0.4), share=st.floats(0.01, 0.99), everything=st.integers(1, 5_000), rho=st.floats(0, 1)
)
def test_it_is_the_fewest(precision: float, share: float, everything: int, rho: float) -> None:
    for size_of in (
        partial(size_in_finite_set, everything=everything),
        partial(size_in_clusters, together=0.01, correlation=rho),
    ):
        found = fewest(precision, share, everything, size_of)
        if found is None:
            assert half_width(share, size_of(everything)) > precision
        else:
            assert half_width(share, size_of(found)) <= precision
            assert half_width(share, size_of(found - 1)) > precision


def test_a_small_set_needs_fewer_labels_than_a_large_one_and_all_of_them_tell_all() -> None:
    def needed(everything: int) -> int:
        return fewest(0.05, 0.3, everything, partial(size_in_finite_set, everything=everything)) or 0

    assert needed(100) < needed(1_000) < needed(100_000)
    assert needed(100) == 77  # n0 = 321 without an end; 321 · 100 / (99 + 321), rounded up
    assert math.isinf(size_in_finite_set(100, 100))
    assert half_width(0.3, math.inf) == 0


def test_the_finite_set_correction_has_the_sampling_variance() -> None:
    chance = np.random.default_rng(3)
    values = np.arange(300) < 90
    means = [chance.choice(values, 200, replace=False).mean() for _ in range(4_000)]
    assert 0.3 * 0.7 / size_in_finite_set(200, 300) == pytest.approx(float(np.var(means)), rel=0.1)


def test_the_design_effect_is_that_of_a_sample_from_clusters() -> None:
    """300 clusters of 4 pairs, correlation 1: what a sample of 200 of them tells of the world they came from."""
    chance = np.random.default_rng(4)
    groups = np.repeat(np.arange(300), 4)
    means = []
    for _ in range(3_000):
        world = np.repeat(chance.random(300) < 0.4, 4)
        means.append(chance.choice(world, 200, replace=False).mean())
    size = size_in_clusters(200, same_cluster(groups), 1.0)
    assert 0.4 * 0.6 / size == pytest.approx(float(np.var(means)), rel=0.1)
    assert size_in_clusters(200, same_cluster(np.arange(1_200)), 1.0) == 200


def test_pairs_all_connected_can_never_tell_of_sets_like_theirs() -> None:
    size_of = partial(size_in_clusters, together=same_cluster(np.zeros(500)), correlation=1.0)
    assert fewest(0.05, 0.5, 500, size_of) is None


@pytest.mark.parametrize("precision", [0.0, 0.5, -1.0])
def test_what_is_no_precision_is_refused(precision: float) -> None:
    with pytest.raises(ValueError, match="half of an interval"):
        fewest(precision, 0.5, 10, float)
