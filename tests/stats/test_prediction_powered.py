"""Labels on a random part, verdicts on all: right with any judge, narrower with a good one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsil_audit.stats.clusters import clustered_rate
from vsil_audit.stats.prediction_powered import (
    LABELS_ALONE,
    NO_LABELS,
    NONE_AMONG,
    prediction_powered_mean,
    prediction_powered_share,
)
from vsil_audit.stats.rates import Interval

N, LABELS = 600, 120


def drawn(generator: np.random.Generator, labels: int = LABELS) -> np.ndarray:
    found = np.zeros(N, dtype=bool)
    found[generator.choice(N, labels, replace=False)] = True
    return found


def noisy(truth: np.ndarray, wrong: float, generator: np.random.Generator) -> np.ndarray:
    return truth ^ (generator.random(len(truth)) < wrong)


def width(interval: Interval) -> float:
    return interval.high - interval.low


# a mean


def test_the_estimate_is_labels_corrected_by_the_tuned_predictions() -> None:
    generator = np.random.default_rng(0)
    truth, labelled = generator.random(N) < 0.4, drawn(generator)
    guesses = np.clip(0.5 * truth + 0.5 * generator.random(N), 0, 1)
    found = prediction_powered_mean(truth, labelled, guesses, np.arange(N))
    tuned = np.cov(truth[labelled], guesses[labelled])[0, 1] / np.var(guesses[labelled], ddof=1)
    assert found.value == pytest.approx(
        truth[labelled].mean() - min(tuned, 1.0) * (guesses[labelled].mean() - guesses.mean())
    )
    assert found.n == LABELS


def test_a_good_judge_narrows_and_a_useless_one_does_no_harm() -> None:
    generator = np.random.default_rng(1)
    truth, labelled = generator.random(N) < 0.4, drawn(generator)
    alone = clustered_rate(truth[labelled], np.arange(LABELS))
    good = prediction_powered_mean(truth, labelled, noisy(truth, 0.05, generator), np.arange(N))
    useless = prediction_powered_mean(truth, labelled, np.ones(N), np.arange(N))
    assert width(good) < 0.7 * width(alone)
    assert useless.value == pytest.approx(alone.value)
    assert width(useless) == pytest.approx(width(alone), rel=0.05)


@pytest.mark.parametrize("rate", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("wrong", [0.05, 0.4])
def test_the_mean_covers(rate: float, wrong: float) -> None:
    generator = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        truth = generator.random(N) < rate
        found = prediction_powered_mean(truth, drawn(generator), noisy(truth, wrong, generator), np.arange(N))
        covered += found.low <= rate <= found.high
    assert covered / 400 >= 0.925


def test_predictions_must_be_numbers() -> None:
    with pytest.raises(ValueError, match="not finite"):
        prediction_powered_mean(np.ones(3), np.ones(3, dtype=bool), [0.1, np.nan, 0.2], np.arange(3))


# a share among some

_CASE = st.integers(1, 60).flatmap(
    lambda n: st.lists(st.tuples(*[st.booleans()] * 3, st.integers(0, 3)), min_size=n, max_size=n)
)


@given(_CASE)
@settings(deadline=None)
def test_any_table_gives_an_interval_on_the_scale_or_a_reason(case: list[tuple[bool, bool, bool, int]]) -> None:
    hits, among, labelled, verdicts = (np.array(column) for column in zip(*case, strict=True))
    found = prediction_powered_share(hits, among, labelled, verdicts, np.arange(len(case)))
    if not (labelled & among).any():
        assert (found.value, found.low, found.high) == (None, None, None)
        assert found.method in (NO_LABELS, NONE_AMONG)
    else:
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert width(found) > 0


def test_shares_within_verdicts_are_weighted_by_the_whole_set() -> None:
    """Two verdicts, labelled 50 : 50 and occurring 10 : 90; one always means a hit, the other every second time."""
    verdicts = np.repeat([0, 1], [1000, 9000])
    labelled, hits = np.zeros(10_000, dtype=bool), np.zeros(10_000, dtype=bool)
    labelled[:200] = labelled[1000:1200] = True
    hits[:1000] = hits[1000::2] = True
    found = prediction_powered_share(hits, np.ones(10_000, dtype=bool), labelled, verdicts, np.arange(10_000))
    assert found.value == pytest.approx(0.1 + 0.45, abs=0.005)


@pytest.mark.parametrize("leaks", [False, True])
def test_no_disagreement_seen_leaves_the_interval_of_so_few_labels(*, leaks: bool) -> None:
    generator = np.random.default_rng(3)
    harmful, labelled = generator.random(N) < 0.5, drawn(generator, 12)
    hits = np.full(N, leaks)
    found = prediction_powered_share(hits, harmful, labelled, 2 * harmful + hits, np.arange(N))
    assert found.value == float(leaks)
    assert width(found) > 0.2
    assert found.n == (labelled & harmful).sum()
    assert found.method.startswith(LABELS_ALONE)


def test_a_good_judge_narrows_the_share() -> None:
    generator = np.random.default_rng(4)
    harmful = generator.random(N) < 0.8
    hits, labelled = generator.random(N) < 0.5, drawn(generator)
    verdicts = 2 * noisy(harmful, 0.03, generator) + noisy(hits, 0.03, generator)
    alone = clustered_rate(hits[labelled & harmful], np.arange((labelled & harmful).sum()))
    assert width(prediction_powered_share(hits, harmful, labelled, verdicts, np.arange(N))) < 0.7 * width(alone)
    constant = prediction_powered_share(hits, harmful, labelled, np.zeros(N), np.arange(N))
    assert constant.value == pytest.approx(alone.value)
    assert width(constant) == pytest.approx(width(alone), rel=0.05)


def test_clusters_widen_the_share() -> None:
    generator = np.random.default_rng(5)
    groups = np.repeat(np.arange(N // 3), 3)
    hits = (generator.random(N // 3) < 0.5)[groups]
    labelled = np.isin(groups, generator.choice(N // 3, LABELS // 3, replace=False))
    everything, verdicts = np.ones(N, dtype=bool), noisy(hits, 0.2, generator)
    alone, together = (
        prediction_powered_share(hits, everything, labelled, verdicts, numbers) for numbers in (np.arange(N), groups)
    )
    assert width(together) > 1.2 * width(alone)


def test_arrays_of_different_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shapes differ"):
        prediction_powered_share(np.ones(3), np.ones(3), np.ones(3), np.ones(2), np.arange(3))
