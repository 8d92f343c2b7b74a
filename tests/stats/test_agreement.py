"""Agreement beyond chance of two or more raters, and their majority."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import cohen_kappa_score

from vsil_audit.stats.agreement import (
    NOTHING_TWICE,
    ONE_CATEGORY,
    cohen_kappa,
    krippendorff_alpha,
    majority,
    pairwise_agreement,
)
from vsil_audit.stats.clusters import BOOTSTRAP

# Krippendorff (2011), Computing Krippendorff's alpha-reliability, sections A to C; 0 stands for a missing rating
TWO_BINARY = np.array([[1, 2, 1, 1, 1, 1, 1, 1, 2, 1], [2, 2, 2, 1, 1, 2, 1, 1, 1, 1]])
TWO_NOMINAL = np.array([list("aabbdcccedda"), list("babbbcccbddd")])
FOUR_WITH_GAPS = np.array(
    [
        [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
        [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
        [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
        [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
    ]
)

_PAIRED = st.integers(2, 40).flatmap(lambda n: st.tuples(*[st.lists(st.integers(0, 3), min_size=n, max_size=n)] * 2))


# Cohen's kappa


@given(_PAIRED)
@settings(deadline=None)
def test_kappa_equals_sklearn(case: tuple[list[int], list[int]]) -> None:
    first, second = (np.array(side) for side in case)
    found = cohen_kappa(first, second, np.arange(len(first)))
    if len(set(case[0]) | set(case[1])) == 1:
        assert (found.value, found.method) == (None, ONE_CATEGORY)
    else:
        assert found.value == pytest.approx(cohen_kappa_score(first, second))
        assert -1 <= (found.low or 0) <= found.value + 1e-12 <= (found.high or 0) + 2e-12 <= 1 + 3e-12


def test_kappa_of_words_is_that_of_their_codes() -> None:
    codes = np.array([[0, 1, 1, 2, 0], [0, 1, 2, 2, 1]])
    names = np.array(["safe", "unsafe", "unclear"])[codes]
    assert cohen_kappa(*names, np.arange(5)) == cohen_kappa(*codes, np.arange(5))


def test_what_was_not_scored_says_nothing() -> None:
    first, second = np.array([1, 0, 1, 0, 1]), np.array([1, 0, 0, 0, 0])
    known = np.array([True, True, True, True, False])
    assert cohen_kappa(first, second, np.arange(5), known) == cohen_kappa(first[:4], second[:4], np.arange(4))


def test_full_agreement_keeps_an_interval() -> None:
    votes = np.arange(30) % 2 == 0
    found = cohen_kappa(votes, votes, np.arange(30))
    assert found.value == found.high == 1.0
    assert 0.6 < (found.low or 0) < 0.9


def test_a_rater_who_says_one_thing_only_agrees_by_chance_alone() -> None:
    assert cohen_kappa(np.arange(40) % 2 == 0, np.ones(40, dtype=bool), np.arange(40)).value == pytest.approx(0.0)


def test_nothing_rated_is_no_kappa() -> None:
    empty = np.array([], dtype=bool)
    assert cohen_kappa(empty, empty, np.array([])).value is None


def raters(n: int, wrong: float, generator: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Two raters of a balanced yes/no truth, each wrong with the same probability: kappa = (1 − 2 wrong)²."""
    truth = generator.random(n) < 0.5
    return truth ^ (generator.random(n) < wrong), truth ^ (generator.random(n) < wrong)


@pytest.mark.parametrize(("n", "wrong"), [(30, 0.05), (60, 0.02), (60, 0.2), (300, 0.1)])
def test_kappa_covers(n: int, wrong: float) -> None:
    generator = np.random.default_rng(0)
    covered = 0
    for _ in range(250):
        found = cohen_kappa(*raters(n, wrong, generator), np.arange(n))
        covered += found.low <= (1 - 2 * wrong) ** 2 <= found.high
    assert covered / 250 >= 0.91


@pytest.mark.parametrize(("clusters", "wrong"), [(40, 0.1), (250, 0.2)])
def test_kappa_covers_when_pairs_of_a_cluster_are_copies(clusters: int, wrong: float) -> None:
    generator = np.random.default_rng(1)
    groups = np.repeat(np.arange(clusters), 3)
    covered = 0
    for _ in range(250):
        first, second = raters(clusters, wrong, generator)
        found = cohen_kappa(first[groups], second[groups], groups)
        covered += found.low <= (1 - 2 * wrong) ** 2 <= found.high
    assert covered / 250 >= 0.91


def test_many_clusters_are_bootstrapped() -> None:
    assert cohen_kappa(*raters(600, 0.2, np.random.default_rng(2)), np.arange(600)).method == BOOTSTRAP


# Krippendorff's alpha


@pytest.mark.parametrize(
    ("ratings", "alpha"), [(TWO_BINARY, 0.095), (FOUR_WITH_GAPS, 0.743)], ids=["two raters", "four raters with gaps"]
)
def test_alpha_equals_the_published_examples(ratings: np.ndarray, alpha: float) -> None:
    found = krippendorff_alpha(ratings, ratings != 0, np.arange(ratings.shape[1]))
    assert found.value == pytest.approx(alpha, abs=5e-4)


def test_pairs_rated_once_are_left_out_and_not_counted() -> None:
    found = krippendorff_alpha(FOUR_WITH_GAPS, FOUR_WITH_GAPS != 0, np.arange(12))
    assert found.n == 11


@given(_PAIRED)
@settings(deadline=None)
def test_alpha_of_two_equals_scotts_pi_for_small_samples(case: tuple[list[int], list[int]]) -> None:
    """alpha = 1 − (1 − pi)(1 − 1 / (2 n)), pi being kappa with the raters' pooled shares."""
    ratings = np.array(case)
    n = ratings.shape[1]
    found = krippendorff_alpha(ratings, np.ones(ratings.shape, dtype=bool), np.arange(n))
    shares = np.unique(ratings, return_counts=True)[1] / (2 * n)
    if len(shares) == 1:
        assert found.value is None
    else:
        pi = ((ratings[0] == ratings[1]).mean() - (shares**2).sum()) / (1 - (shares**2).sum())
        assert found.value == pytest.approx(1 - (1 - pi) * (1 - 1 / (2 * n)))


def test_ratings_that_are_all_alike_have_no_alpha() -> None:
    found = krippendorff_alpha(np.ones((3, 5)), np.ones((3, 5), dtype=bool), np.arange(5))
    assert (found.value, found.low, found.high, found.method) == (None, None, None, ONE_CATEGORY)


def test_raters_without_a_common_pair_have_no_alpha() -> None:
    found = krippendorff_alpha(np.eye(3), np.eye(3, dtype=bool), np.arange(3))
    assert (found.value, found.method) == (None, NOTHING_TWICE)


@pytest.mark.parametrize("clusters", [40, 300])
def test_alpha_covers_with_clusters_and_gaps(clusters: int) -> None:
    generator = np.random.default_rng(3)
    groups = np.repeat(np.arange(clusters), 2)
    covered = 0
    for _ in range(200):
        truth = generator.random(clusters) < 0.5
        ratings = truth ^ (generator.random((3, clusters)) < 0.15)
        known = generator.random((3, 2 * clusters)) < 0.8
        found = krippendorff_alpha(ratings[:, groups], known, groups)
        covered += found.low <= 0.49 <= found.high
    assert covered / 200 >= 0.91


# every two raters


def test_every_two_raters_are_compared_on_what_both_rated() -> None:
    found = pairwise_agreement(FOUR_WITH_GAPS, FOUR_WITH_GAPS != 0, np.arange(12))
    assert [(pair.first, pair.second) for pair in found] == [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    assert [(pair.same.k, pair.same.n) for pair in found] == [(8, 9), (5, 8), (8, 9), (6, 9), (9, 10), (7, 10)]
    assert all(pair.kappa.n == pair.same.n for pair in found)


# majority


def test_ties_and_missing_votes_are_no_verdict() -> None:
    votes = np.array([[1, 1, 0, 1, 0], [1, 0, 0, 0, 0], [0, 0, 0, 1, 1]], dtype=bool)
    known = np.array([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0], [1, 0, 1, 1, 1]], dtype=bool)
    found = majority(votes, known)
    assert found.decided.tolist() == [True, False, True, True, False]
    assert found.flags.tolist() == [True, False, False, True, False]
    assert found.tied.tolist() == [False, True, False, False, False]
    assert found.missing.tolist() == [False, False, False, False, True]


def test_every_pair_is_decided_or_tied_or_missing() -> None:
    votes, known = np.random.default_rng(4).random((2, 4, 200)) < 0.5
    found = majority(votes, known)
    assert (found.decided.astype(int) + found.tied + found.missing == 1).all()
    assert not (found.flags & ~found.decided).any()


def test_one_vote_can_be_called_enough() -> None:
    assert majority(np.array([[True], [False], [False]]), np.array([[True], [False], [False]]), least=1).flags.all()


def test_no_vote_is_never_a_verdict() -> None:
    with pytest.raises(ValueError, match="at least one vote"):
        majority(np.ones((2, 3), dtype=bool), np.zeros((2, 3), dtype=bool), least=0)
