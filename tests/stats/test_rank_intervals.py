"""Ranks: simultaneous intervals from pairwise tests, and what they promise on simulated leaderboards."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from vsil_audit.stats.rank_intervals import Duel, RankInterval, adjusted, rank_intervals
from vsil_audit.stats.sign_flip import sign_flip_p


def test_without_a_real_difference_every_rank_is_open() -> None:
    duels = [Duel(a, b, 0.1, 0.2) for a, b in combinations(range(3), 2)]
    assert rank_intervals([0.3, 0.2, 0.1], duels) == [
        RankInterval(1, 1, 3),
        RankInterval(2, 1, 3),
        RankInterval(3, 1, 3),
    ]


def test_a_model_that_beats_all_others_is_first_and_they_share_the_rest() -> None:
    duels = [Duel(0, 1, -0.5, 1e-6), Duel(0, 2, 0.01, 0.9), Duel(1, 2, 0.5, 1e-6)]
    assert rank_intervals([0.1, 0.6, 0.09], duels) == [
        RankInterval(2, 2, 3),
        RankInterval(1, 1, 1),
        RankInterval(3, 2, 3),
    ]


def test_the_tests_are_adjusted_before_they_rank() -> None:
    """0.02 is no difference among three, where Holm makes 0.06 of it."""
    duels = [Duel(0, 1, 0.2, 0.02), Duel(0, 2, 0.2, 0.02), Duel(1, 2, 0.0, 1.0)]
    assert adjusted(duels) == pytest.approx([0.06, 0.06, 1.0])
    assert {(r.best, r.worst) for r in rank_intervals([0.4, 0.2, 0.2], duels)} == {(1, 3)}


def test_models_that_could_not_be_compared_stay_open_towards_each_other() -> None:
    duels = [Duel(0, 1, 0.9, None), Duel(0, 2, 0.9, 0.001), Duel(1, 2, 0.5, None)]
    found = rank_intervals([0.95, 0.55, 0.05], duels)
    assert [(r.best, r.worst) for r in found] == [(1, 2), (1, 3), (2, 3)]


def test_an_interval_holds_its_own_rank_even_where_duels_rest_on_other_pairs() -> None:
    [first, second] = rank_intervals([0.5, 0.6], [Duel(0, 1, 0.2, 0.001)])
    assert (first.rank, first.best, first.worst) == (2, 1, 2)
    assert (second.rank, second.best, second.worst) == (1, 1, 2)


def test_equal_values_share_the_better_rank() -> None:
    assert [r.rank for r in rank_intervals([0.5, 0.7, 0.5], [])] == [2, 1, 2]


def test_a_value_that_is_no_number_is_refused() -> None:
    with pytest.raises(ValueError, match="not finite"):
        rank_intervals([0.5, float("nan")], [])


@pytest.mark.parametrize("truth", [[0.2] * 6, [0.1, 0.1, 0.15, 0.3, 0.32, 0.6]])
def test_all_true_ranks_lie_inside_together(truth: list[float]) -> None:
    """200 simulated leaderboards over pairs in clusters of 3; models of one rate may hold any of their ranks."""
    generator = np.random.default_rng(0)
    n, groups, share = 300, np.arange(300) // 3, np.array(truth)
    highest = 1 + (share[:, None] < share[None, :]).sum(axis=1)
    lowest = (share[:, None] <= share[None, :]).sum(axis=1)
    covered = 0
    for _ in range(200):
        luck = np.where(generator.random(n) < 0.7, generator.random(n)[groups], generator.random(n))
        own = np.where(generator.random((6, n)) < 0.5, luck, generator.random((6, n)))
        safe = (own < share[:, None]).astype(np.int8)
        duels = [
            Duel(a, b, float((safe[a] - safe[b]).mean()), sign_flip_p(safe[a] - safe[b], groups))
            for a, b in combinations(range(6), 2)
        ]
        found = rank_intervals(safe.mean(axis=1).tolist(), duels)
        covered += all(r.best <= low and high <= r.worst for r, low, high in zip(found, highest, lowest, strict=True))
    assert covered / 200 >= 0.93
