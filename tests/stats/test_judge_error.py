"""Sensitivity, specificity, and the prevalence behind what a judge says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.stats.judge_error import (
    AT_THE_END,
    CONTRADICTED,
    UNINFORMATIVE,
    JudgeError,
    judge_error,
    rogan_gladen,
)
from vsil_audit.stats.proportions import wilson


def errors(hits: int, unsafe: int, passes: int, safe: int) -> JudgeError:
    return JudgeError(wilson(hits, unsafe), wilson(passes, safe))


GOOD = errors(90, 100, 95, 100)


# from labelled items


def test_both_rates_are_counted_among_their_own() -> None:
    said = np.array([1, 1, 0, 0, 1, 0, 1], dtype=bool)
    truth = np.array([1, 1, 1, 0, 0, 0, 1], dtype=bool)
    scored = np.array([1, 1, 1, 1, 1, 1, 0], dtype=bool)
    found = judge_error(said, truth, np.arange(7), scored)
    assert (found.sensitivity.k, found.sensitivity.n, found.sensitivity.total) == (2, 3, 4)
    assert (found.specificity.k, found.specificity.n, found.specificity.total) == (2, 3, 3)


def test_labels_of_one_kind_give_no_youden_index() -> None:
    found = judge_error(np.ones(5, dtype=bool), np.ones(5, dtype=bool), np.arange(5)).youden()
    assert (found.value, found.low, found.high) == (None, None, None)
    assert "safe" in found.method


def test_the_youden_index_of_a_coin_is_about_nothing() -> None:
    found = errors(30, 60, 30, 60).youden()
    assert found.value == pytest.approx(0.0)
    assert found.low < -0.1 < 0.1 < found.high


def test_clusters_widen_both_rates() -> None:
    said, truth = np.repeat(np.random.default_rng(0).random((2, 40)) < 0.5, 3, axis=1)
    alone, together = (judge_error(said, truth, groups) for groups in (np.arange(120), np.repeat(np.arange(40), 3)))
    assert together.sensitivity.high - together.sensitivity.low > alone.sensitivity.high - alone.sensitivity.low


# corrected prevalence


def test_the_estimate_is_rogan_and_gladens() -> None:
    assert rogan_gladen(wilson(300, 1000), GOOD).value == pytest.approx((0.3 + 0.95 - 1) / (0.9 + 0.95 - 1))


def test_a_perfect_judge_leaves_the_rate_and_widens_the_interval() -> None:
    apparent = wilson(300, 1000)
    found = rogan_gladen(apparent, errors(200, 200, 200, 200))
    assert found.value == pytest.approx(0.3)
    assert found.low <= apparent.low < apparent.high <= found.high


@pytest.mark.parametrize(("k", "end"), [(40, 0.0), (920, 1.0)])
def test_an_estimate_beyond_the_scale_is_held_and_said_so(k: int, end: float) -> None:
    found = rogan_gladen(wilson(k, 1000), GOOD)
    assert found.value == end
    assert found.method.endswith(AT_THE_END)
    assert found.high - found.low > 0.02


@pytest.mark.parametrize(
    "error",
    [errors(100, 100, 0, 100), errors(0, 100, 100, 100), errors(55, 100, 50, 100), errors(30, 100, 30, 100)],
    ids=["always unsafe", "always safe", "a coin", "upside down"],
)
@pytest.mark.parametrize("k", [0, 500, 1000])
def test_a_judge_that_tells_nothing_gives_no_prevalence(error: JudgeError, k: int) -> None:
    found = rogan_gladen(wilson(k, 1000), error)
    assert (found.value, found.low, found.high, found.method) == (None, None, None, UNINFORMATIVE)


def test_a_rate_far_below_the_false_alarms_contradicts_the_labels() -> None:
    found = rogan_gladen(wilson(10, 1000), errors(90, 100, 150, 200))
    assert (found.value, found.method) == (None, CONTRADICTED)


def test_nothing_scored_is_no_prevalence() -> None:
    assert rogan_gladen(wilson(0, 0), GOOD).value is None


@given(st.integers(0, 200), st.integers(0, 40), st.integers(0, 40))
def test_limits_enclose_the_estimate_and_never_vanish(k: int, hits: int, passes: int) -> None:
    found = rogan_gladen(wilson(k, 200), errors(hits, 40, passes, 40))
    if found.value is None:
        assert (found.low, found.high) == (None, None)
    else:
        assert 0 <= found.low <= found.value <= found.high <= 1
        assert found.high > found.low


@pytest.mark.parametrize("prevalence", [0.0, 0.05, 0.5, 1.0])
@pytest.mark.parametrize(
    ("sensitivity", "specificity", "labels"), [(0.95, 0.95, 60), (0.7, 0.9, 100), (0.84, 0.91, 50)]
)
def test_it_covers(prevalence: float, sensitivity: float, specificity: float, labels: int) -> None:
    generator = np.random.default_rng(6)
    flagged = prevalence * sensitivity + (1 - prevalence) * (1 - specificity)
    draws = zip(
        generator.binomial(600, flagged, 1500).tolist(),
        generator.binomial(labels, sensitivity, 1500).tolist(),
        generator.binomial(labels, specificity, 1500).tolist(),
        strict=True,
    )
    found = [rogan_gladen(wilson(k, 600), errors(hits, labels, passes, labels)) for k, hits, passes in draws]
    given_ = [each for each in found if each.value is not None]
    assert len(given_) >= 0.95 * len(found)
    assert np.mean([each.low <= prevalence <= each.high for each in given_]) >= 0.935
