"""A share from items of unequal weight: right in the middle, and its interval covers."""

from __future__ import annotations

import numpy as np
import pytest

from vsil_audit.stats.clusters import clustered_rate
from vsil_audit.stats.weighted_rate import weighted_rate


def test_each_item_counts_by_its_weight() -> None:
    flags, weights = np.array([True, True, False, False]), np.array([1.0, 1.0, 4.0, 2.0])
    found = weighted_rate(flags, weights, np.arange(4))
    assert found.value == pytest.approx(2 / 8)
    assert found.low is not None
    assert found.high is not None
    assert 0 <= found.low < 0.25 < found.high <= 1


def test_equal_weights_give_the_plain_rate() -> None:
    flags, groups = np.arange(60) % 3 == 0, np.arange(60) // 2
    found, plain = weighted_rate(flags, np.full(60, 7.0), groups), clustered_rate(flags, groups)
    assert (found.value, found.low, found.high, found.method) == (plain.value, plain.low, plain.high, plain.method)


@pytest.mark.parametrize("flag", [True, False])
def test_a_share_of_none_or_all_keeps_an_interval(flag: bool) -> None:
    found = weighted_rate(np.full(20, flag), np.arange(1.0, 21.0), np.arange(20))
    assert found.value == float(flag)
    assert found.low is not None
    assert found.high is not None
    assert found.high - found.low > 0.1


def test_nothing_labelled_is_no_number() -> None:
    assert weighted_rate(np.zeros(0, bool), np.zeros(0), np.zeros(0)).value is None


@pytest.mark.parametrize("weights", [[1.0, 0.0], [1.0, -1.0], [1.0, np.nan], [1.0]])
def test_what_is_no_weight_is_refused(weights: list[float]) -> None:
    with pytest.raises(ValueError, match=r"weight|shapes"):
        weighted_rate(np.array([True, False]), np.array(weights), np.arange(2))


@pytest.mark.parametrize(("rates", "pairs_of_a_cluster"), [((0.9, 0.1), 1), ((0.6, 0.02), 1), ((0.7, 0.2), 3)])
def test_the_interval_covers_the_share_of_a_stratified_draw(
    rates: tuple[float, float], pairs_of_a_cluster: int
) -> None:
    """Two strata of 200 and 1,800 pairs, 60 drawn of each; in clusters whose pairs agree."""
    chance = np.random.default_rng(5)
    sizes, drawn, repeats = (200, 1_800), 60, 400
    truth = (sizes[0] * rates[0] + sizes[1] * rates[1]) / sum(sizes)
    covered = 0
    for _ in range(repeats):
        clusters = drawn // pairs_of_a_cluster
        flags = np.concatenate([np.repeat(chance.random(clusters) < rate, pairs_of_a_cluster) for rate in rates])
        weights = np.repeat([size / drawn for size in sizes], drawn)
        found = weighted_rate(flags, weights, np.arange(2 * drawn) // pairs_of_a_cluster)
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= truth <= found.high
    assert covered / repeats >= 0.93
