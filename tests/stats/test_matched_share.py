"""The share of tied pairs: recovered from ranks, nothing where ranks are random, wider where pairs hang together."""

from __future__ import annotations

import numpy as np
import pytest

from vsil_audit.stats.matched_share import matched_share


def ranked(n: int, share: float, of: int, seed: int, own: int = 1) -> np.ndarray:
    """How many distractors are nearer: none for the tied, any number for the others."""
    generator = np.random.default_rng(seed)
    beaten = generator.integers(0, of + 1, size=(n, own)).min(axis=1)
    return np.where(generator.random(n) < share, 0, beaten)


def shares(above: np.ndarray, of: int, own: int = 1, groups: np.ndarray | None = None):
    n = len(above)
    return matched_share(
        above, np.zeros(n, dtype=int), np.full(n, of), np.full(n, own), np.arange(n) if groups is None else groups, 0
    )


@pytest.mark.parametrize("of", [19, 20, 100])
@pytest.mark.parametrize("own", [1, 3])
@pytest.mark.parametrize("share", [0.25, 0.5])
def test_a_planted_share_is_recovered_without_bias(share: float, of: int, own: int) -> None:
    values = [shares(ranked(500, share, of, seed, own), of, own).value for seed in range(60)]
    assert np.mean(values) == pytest.approx(share, abs=0.025)


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
def test_intervals_hold_the_planted_share(share: float) -> None:
    held = 0
    for seed in range(100):
        found = shares(ranked(300, share, 50, seed), 50)
        held += found.low <= share <= found.high
    assert held >= 90


def test_the_interval_is_wider_where_pairs_hang_together() -> None:
    above = np.repeat(ranked(100, 0.4, 50, 0), 4)
    apart = shares(above, 50)
    together = shares(above, 50, groups=np.repeat(np.arange(100), 4))
    assert together.high - together.low > 1.5 * (apart.high - apart.low)


def test_ties_everywhere_are_no_ties_between_text_and_image() -> None:
    zeros = np.zeros(40, dtype=int)
    found = matched_share(zeros, np.full(40, 39), np.full(40, 39), np.ones(40, dtype=int), np.arange(40), 0)
    assert (found.value, found.low) == (0.0, 0.0)


def test_no_pairs_have_no_share() -> None:
    none = np.zeros(0, dtype=int)
    assert matched_share(none, none, none, none, none, 0).value is None
