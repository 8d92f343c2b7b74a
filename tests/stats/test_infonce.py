"""The InfoNCE bound: the formula, held-out temperatures, shuffled pairings, and intervals."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vsil_audit.stats.infonce import Block, infonce


def gaussian(n: int, correlation: float, seed: int, width: int = 8) -> list[Block]:
    """Two blocks of `n` texts and images whose coordinates correlate: both unit length."""
    generator = np.random.default_rng(seed)
    blocks = []
    for fold in (0, 1):
        shown = generator.standard_normal((n, width))
        said = correlation * shown + math.sqrt(1 - correlation**2) * generator.standard_normal((n, width))
        shown, said = (v / np.linalg.norm(v, axis=1, keepdims=True) for v in (shown, said))
        blocks.append(Block(said @ shown.T, fold))
    return blocks


def bound(block: Block, inverse: float) -> float:
    """The formula, term by term."""
    similarities = block.similarities
    n = len(similarities)
    told = 0.0
    for i in range(n):
        others = sum(math.exp(inverse * similarities[i, j]) for j in range(n)) / n
        told += math.log2(math.exp(inverse * similarities[i, i]) / others)
    return told / n


def test_the_value_is_the_formula_at_the_temperatures_used() -> None:
    blocks = gaussian(60, 0.7, 0)
    bits = infonce(blocks, seed=0)
    expected = np.mean([bound(block, inverse) for block, inverse in zip(blocks, bits.inverses, strict=True)])
    assert bits.value == pytest.approx(expected)
    assert bits.value > 0.5


def test_each_half_gets_the_temperature_that_suits_the_other() -> None:
    sharp, blunt = gaussian(80, 0.95, 1)[0], gaussian(80, 0.3, 2)[1]
    bits = infonce([sharp, blunt], seed=0)
    assert bits.inverses[0] < bits.inverses[1]
    tried = [bound(sharp, bits.inverses[1] * scale) for scale in (0.8, 1.0, 1.25)]
    assert max(tried) == tried[1], "the second half's temperature is the best one for the first"


def test_the_influences_have_the_bits_as_their_mean() -> None:
    blocks = [*gaussian(40, 0.6, 3), *gaussian(50, 0.6, 4)]
    bits = infonce(blocks, seed=0)
    assert len(bits.influence) == 180
    assert bits.influence.mean() == pytest.approx(bits.value)


def test_an_influence_is_what_leaving_the_pair_out_changes() -> None:
    blocks = gaussian(60, 0.7, 5)
    mixed = blocks[0].similarities.copy()
    mixed[:30] = np.roll(mixed[:30], 7, axis=1)  # half of the texts belong elsewhere
    blocks[0] = Block(mixed, 0)
    bits = infonce(blocks, seed=0)
    first = blocks[0].similarities
    full, left_out = bound(blocks[0], bits.inverses[0]), []
    for i in range(60):
        kept = np.delete(np.arange(60), i)
        left_out.append(bound(Block(first[np.ix_(kept, kept)], 0), bits.inverses[0]))
    jackknife = 60 * full - 59 * np.array(left_out)
    assert np.corrcoef(jackknife, bits.influence[:60])[0, 1] > 0.998
    assert jackknife.std() == pytest.approx(bits.influence[:60].std(), rel=0.03)


def test_shuffled_pairings_tell_about_nothing() -> None:
    bits = infonce(gaussian(100, 0.8, 6), seed=0)
    assert abs(bits.shuffled.mean()) < 0.02
    assert bits.shuffled.max() < 0.1 < bits.value


def test_without_a_tie_the_bits_lie_among_those_of_shuffled_pairings() -> None:
    inside = 0
    for seed in range(40):
        bits = infonce(gaussian(60, 0.0, seed), seed)
        low, high = np.quantile(bits.shuffled, [0.025, 0.975])
        inside += low - 1e-12 <= bits.value <= high + 1e-12
    assert inside >= 35


def test_no_more_than_the_logarithm_of_the_candidates_can_be_seen() -> None:
    perfect = [Block(np.eye(32), 0), Block(np.eye(32), 1)]
    bits = infonce(perfect, seed=0)
    assert bits.ceiling == 5.0
    assert bits.value == pytest.approx(5.0, abs=1e-6)


def test_images_that_are_all_alike_tell_nothing() -> None:
    bits = infonce([Block(np.full((20, 20), 0.3), 0), Block(np.full((20, 20), 0.3), 1)], seed=0)
    assert bits.value == pytest.approx(0.0, abs=1e-9)


def test_a_known_information_is_not_exceeded() -> None:
    """Signs of eight coordinates, six of them told: exactly 6 bits, seen through 256 candidates."""
    generator = np.random.default_rng(0)
    values = []
    for seed in range(6):
        blocks = []
        for fold in (0, 1):
            shown = generator.choice([-1.0, 1.0], (256, 8))
            said = np.where(np.arange(8) < 6, shown, 0.0)
            blocks.append(Block(said @ shown.T / 6, fold))
        values.append(infonce(blocks, seed).value)
    assert 5.4 < np.mean(values) <= 6.0


def test_one_half_is_not_enough() -> None:
    with pytest.raises(ValueError, match="both halves"):
        infonce([Block(np.eye(8), 0)], seed=0)
