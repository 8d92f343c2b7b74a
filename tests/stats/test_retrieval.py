"""Ranks of an own image among distractors, against counting all draws."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsil_audit.stats.retrieval import expected_recall, rank_error, rank_p_values, rank_share


def counts(*values: int) -> np.ndarray:
    return np.array(values, dtype=np.int64)


@given(st.integers(0, 4), st.integers(0, 4), st.integers(1, 4), st.integers(1, 3), st.integers(2, 6))
@settings(max_examples=60)
def test_recall_is_the_mean_over_all_draws_and_all_orders_of_ties(
    above: int, tied: int, below: int, k: int, candidates: int
) -> None:
    of = above + tied + below
    if of < candidates - 1:
        return
    distractors = [2] * above + [1] * tied + [0] * below
    found = []
    for drawn in combinations(distractors, candidates - 1):
        nearer, level = drawn.count(2), drawn.count(1)
        found.append(np.mean([nearer + place < k for place in range(level + 1)]))
    recall = expected_recall(counts(above), counts(tied), counts(of), k, candidates)
    assert recall[0] == pytest.approx(np.mean(found))


def test_recall_of_an_image_like_the_others_is_k_of_the_candidates() -> None:
    above = np.arange(51)
    recall = expected_recall(above, np.zeros(51, dtype=int), np.full(51, 50), 5, 20)
    assert recall.mean() == pytest.approx(5 / 20)


def test_too_few_distractors_are_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        expected_recall(counts(0), counts(0), counts(8), 1, 10)


@pytest.mark.parametrize(
    ("above", "tied", "of", "share"), [(0, 0, 9, 1.0), (9, 0, 9, 0.0), (0, 9, 9, 0.5), (3, 2, 9, 5 / 9)]
)
def test_the_rank_of_one_image_is_the_share_of_farther_distractors(
    above: int, tied: int, of: int, share: float
) -> None:
    assert rank_share(counts(above), counts(tied), counts(of), counts(1))[0] == pytest.approx(share)


def test_the_rank_of_several_images_is_the_chance_to_beat_as_many_distractors() -> None:
    distractors = [0.1, 0.2, 0.3, 0.4, 0.5]
    own = 0.35
    beaten = np.mean([all(d < own for d in drawn) for drawn in product(distractors, repeat=3)])
    assert rank_share(counts(2), counts(0), counts(5), counts(3))[0] == pytest.approx(beaten)


def test_several_images_are_no_advantage_by_chance() -> None:
    generator = np.random.default_rng(0)
    own, of = 4, 200
    best = generator.random((4000, own)).max(axis=1)
    above = (generator.random((4000, of)) > best[:, None]).sum(axis=1)
    many, all_of = np.full(4000, own), np.full(4000, of)
    assert rank_share(above, 0 * above, all_of, many).mean() == pytest.approx(0.5, abs=0.02)
    p = rank_p_values(above, 0 * above, all_of, many)
    assert np.mean(p <= 0.05) == pytest.approx(0.05, abs=0.012)


def test_p_values_count_ties_and_the_image_itself() -> None:
    p = rank_p_values(counts(0, 2, 0), counts(0, 1, 99), counts(99, 99, 99), counts(1, 1, 1))
    assert p == pytest.approx([0.01, 0.04, 1.0])


def test_without_distractors_there_is_no_rank() -> None:
    assert np.isnan(rank_share(counts(0), counts(0), counts(0), counts(1)))[0]
    assert rank_p_values(counts(0), counts(0), counts(0), counts(1))[0] == 1.0


def test_the_error_of_a_sampled_rank_is_what_drawing_again_shows() -> None:
    generator = np.random.default_rng(1)
    everything = generator.random(20_000) < 0.8  # which distractors are farther
    drawn = [generator.choice(everything, 500, replace=False).mean() for _ in range(600)]
    assert rank_error(np.array([0.8]), counts(500))[0] == pytest.approx(np.std(drawn), rel=0.1)
