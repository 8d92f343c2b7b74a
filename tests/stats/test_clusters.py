"""Groups of pairs that hang together, and intervals that keep their promise when pairs do."""

from __future__ import annotations

import time
import tracemalloc

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from vsil_audit.stats.clusters import (
    BOOTSTRAP,
    ON_CLUSTERS,
    ROBUST,
    ClusterSums,
    PairGroups,
    clustered_mean,
    clustered_rate,
    connected_groups,
    interval_groups,
)
from vsil_audit.stats.proportions import EXACT, wilson

# groups


@given(st.integers(1, 40).flatmap(lambda n: st.tuples(st.just(n), st.lists(st.tuples(*[st.integers(0, n - 1)] * 2)))))
def test_groups_are_the_connected_components(case: tuple[int, list[tuple[int, int]]]) -> None:
    n, links = case
    groups = connected_groups(n, links)
    ends = np.array(links, dtype=int).reshape(-1, 2)
    expected = connected_components(coo_matrix((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (n, n)), directed=False)[
        1
    ]
    assert np.array_equal(groups[:, None] == groups, expected[:, None] == expected)


def test_groups_are_numbered_in_order_of_appearance() -> None:
    assert connected_groups(6, [(5, 1), (4, 0)]).tolist() == [0, 1, 2, 3, 0, 1]


def test_a_long_chain_given_backwards_is_one_group() -> None:
    n = 20_000
    assert connected_groups(n, np.stack([np.arange(n - 1, 0, -1), np.arange(n - 2, -1, -1)], axis=1)).max() == 0


@pytest.mark.parametrize("link", [(0, 3), (-1, 0)])
def test_a_link_to_nowhere_is_refused(link: tuple[int, int]) -> None:
    with pytest.raises(ValueError, match="outside 0 … 2"):
        connected_groups(3, [link])


def test_no_items_make_no_groups() -> None:
    assert connected_groups(0, []).tolist() == []
    assert PairGroups().groups().tolist() == []


def test_pairs_that_share_an_image_or_a_text_form_one_group() -> None:
    groups = PairGroups()
    for keys in (["text:a", "image:1"], ["text:b", "image:2"], ["text:c", "image:1"], ["text:b"], [], []):
        groups.add(keys)
    assert groups.groups().tolist() == [0, 1, 0, 1, 2, 3]


def test_pairs_can_be_added_after_a_look() -> None:
    groups = PairGroups()
    groups.add([b"x"])
    assert groups.groups().tolist() == [0]
    groups.add([b"x", "\ud800"])
    assert groups.groups().tolist() == [0, 0]


def test_a_hundred_thousand_pairs_need_few_megabytes() -> None:
    tracemalloc.start()
    groups = PairGroups()
    for i in range(100_000):
        groups.add((f"text:{i // 3}", f"image:{i}"))
    assert groups.groups().max() == 33_333
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 25e6


# rates


def test_single_pairs_get_exactly_wilson() -> None:
    flags = np.arange(50) < 7
    assert clustered_rate(flags, np.arange(50), 60) == wilson(7, 50, 60)


def test_nothing_scored_gives_no_number() -> None:
    rate = clustered_rate(np.zeros(0, dtype=bool), [], total=9)
    assert (rate.value, rate.n, rate.total) == (None, 0, 9)


@pytest.mark.parametrize("flag", [False, True])
@pytest.mark.parametrize("clusters", [1, 3, 500])
def test_the_interval_never_vanishes(clusters: int, *, flag: bool) -> None:
    rate = clustered_rate(np.full(clusters * 4, flag), np.repeat(np.arange(clusters), 4))
    assert rate.high - rate.low == pytest.approx(1 - 0.025 ** (1 / clusters))
    assert rate.method == EXACT + ON_CLUSTERS


def test_copies_of_pairs_tell_nothing_new() -> None:
    flags = np.arange(30) % 3 == 0
    once = clustered_rate(flags, np.arange(30))
    copied = clustered_rate(np.repeat(flags, 8), np.repeat(np.arange(30), 8))
    assert copied.low < once.low + 0.01
    assert copied.high > once.high - 0.01


def test_pairs_independent_within_clusters_tell_as_much_as_single_ones() -> None:
    generator = np.random.default_rng(0)
    flags = generator.random(4000) < 0.3
    rate = clustered_rate(flags, np.repeat(np.arange(2000), 2))
    assert rate.method == BOOTSTRAP
    assert rate.high - rate.low == pytest.approx(wilson(rate.k, rate.n).high - wilson(rate.k, rate.n).low, rel=0.15)


def test_the_same_seed_gives_the_same_interval_whatever_the_group_numbers_are() -> None:
    generator = np.random.default_rng(1)
    flags, groups = generator.random(1000) < 0.4, generator.integers(0, 300, 1000)
    assert clustered_rate(flags, groups, seed=5) == clustered_rate(flags, groups * 7 + 3, seed=5)


def _sizes(kind: str, clusters: int, generator: np.random.Generator) -> np.ndarray:
    if kind == "fives":
        return np.full(clusters, 5)
    if kind == "uneven":
        return generator.geometric(0.3, clusters)
    return np.clip(np.ceil(generator.pareto(1.2, clusters)), 1, 200).astype(int)  # "heavy": a few hold most pairs


@pytest.mark.parametrize("kind", ["fives", "uneven", "heavy"])
@pytest.mark.parametrize(("clusters", "share"), [(12, 0.3), (60, 0.05), (60, 0.5), (300, 0.01), (300, 0.3)])
@pytest.mark.parametrize("agreement", [0.0, 0.3, 0.9])
def test_95_percent_intervals_cover_when_clusters_agree(
    kind: str, clusters: int, share: float, agreement: float
) -> None:
    generator = np.random.default_rng(7)
    covered, rounds = 0, 200
    for seed in range(rounds):
        sizes = _sizes(kind, clusters, generator)
        shares = np.full(clusters, share)
        if agreement:
            shares = generator.beta(share * (1 / agreement - 1), (1 - share) * (1 / agreement - 1), clusters)
        groups = np.repeat(np.arange(clusters), sizes)
        rate = clustered_rate(generator.random(len(groups)) < shares[groups], groups, seed=seed)
        covered += rate.low <= share <= rate.high
    # 93 % in truth shows as at least 89 % of 200 rounds in 99 of 100 such tests
    assert covered / rounds >= 0.89


def test_plain_wilson_would_not_have_covered() -> None:
    """The simulation above bites: the interval for independent pairs fails it."""
    generator = np.random.default_rng(7)
    covered = 0
    for _ in range(200):
        shares = generator.beta(0.3 / 9, 0.7 / 9, 60)
        flags = generator.random(300) < np.repeat(shares, 5)
        rate = wilson(int(flags.sum()), 300)
        covered += rate.low <= 0.3 <= rate.high
    assert covered / 200 < 0.75


def test_a_million_pairs_take_seconds() -> None:
    generator = np.random.default_rng(0)
    groups, flags = generator.integers(0, 600_000, 1_000_000), generator.random(1_000_000) < 0.1
    started = time.process_time()
    assert clustered_rate(flags, groups).method == BOOTSTRAP
    assert time.process_time() - started < 5


# means


def test_means_of_single_pairs_are_covered() -> None:
    generator = np.random.default_rng(3)
    covered = 0
    for seed in range(200):
        interval = clustered_mean(generator.exponential(1.0, 60) - 1, np.arange(60), seed)
        covered += interval.low <= 0 <= interval.high
    assert covered / 200 >= 0.89


def test_means_of_few_clusters_are_covered() -> None:
    generator = np.random.default_rng(4)
    covered = 0
    for seed in range(200):
        groups = np.repeat(np.arange(8), 10)
        interval = clustered_mean(generator.normal(0, 1, 8)[groups] + generator.normal(0, 1, 80), groups, seed)
        covered += interval.low <= 0 <= interval.high
    assert covered / 200 >= 0.89


def test_many_clusters_agree_with_the_textbook() -> None:
    values = np.random.default_rng(5).normal(2, 3, 20_000)
    interval = clustered_mean(values, np.arange(20_000))
    assert interval.method == ROBUST
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * values.std() / np.sqrt(20_000), rel=0.01)


@pytest.mark.parametrize(("values", "groups"), [([1.0, 2.0], [0, 0]), ([3.0, 3.0, 3.0], [0, 1, 2])])
def test_no_interval_where_none_is_honest(values: list[float], groups: list[int]) -> None:
    interval = clustered_mean(np.array(values), groups)
    assert interval.value == np.mean(values)
    assert (interval.low, interval.high) == (None, None)


def test_no_values_give_no_mean() -> None:
    assert clustered_mean(np.zeros(0), []).value is None


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        clustered_mean(np.array([1.0, np.nan]), [0, 1])


def test_values_and_groups_must_match() -> None:
    with pytest.raises(ValueError, match="do not match"):
        ClusterSums.of(np.zeros(3), [0, 1])


@pytest.mark.parametrize(
    ("with_texts", "without", "groups", "given", "few"),
    [
        ([0] * 5 + [1] * 5, [9] * 10, "with", False, False),  # half together is not most
        ([0] * 9, [9] * 9, "with", False, False),  # too few pairs to say so
        ([0] * 6 + [1] * 4, list(range(10)), "without", True, False),
        ([0] * 10, [0] * 6 + [1] * 4, "with", False, True),
    ],
)
def test_intervals_take_repeated_texts_as_given_where_they_connect_most(
    with_texts: list[int], without: list[int], groups: str, given: bool, few: bool
) -> None:
    found = interval_groups(np.array(with_texts), lambda: np.array(without))
    assert found.groups.tolist() == (with_texts if groups == "with" else without)
    assert (found.texts_given, found.few) == (given, few)
