"""The probe's predictor: faithful coordinates, honest folds, predictions out of fold."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import hstack
from sklearn.linear_model import LogisticRegression

from vsil_audit.detectors import probe_model
from vsil_audit.detectors.probe_model import FOLDS, coordinates, cross_fit, deal_folds, shuffle_labels

MARKS = ("copper", "violet", "lantern")


def marked(n: int, classes: int, told: float) -> tuple[list[str], np.ndarray]:
    """Texts that hold, with probability `told`, a word of their class, else a random one; and the classes."""
    generator = np.random.default_rng(0)
    labels = np.arange(n) % classes
    marks = np.where(generator.random(n) < told, labels, generator.integers(0, classes, n))
    words = generator.choice(["what", "place", "people", "show", "more", "street", "walk"], size=(n, 5))
    return [" ".join([*row, MARKS[mark]]) for row, mark in zip(words, marks, strict=True)], labels


def test_coordinates_keep_the_similarities_of_the_texts() -> None:
    texts, _ = marked(120, 3, 1.0)
    where = coordinates([texts])
    assert where is not None
    whole = hstack([probe_model._tfidf(texts, characters=c)[0] for c in (False, True)]).toarray()
    assert where.points @ where.points.T == pytest.approx(whole @ whole.T, abs=1e-3)


def test_weights_on_words_are_those_of_the_coordinates() -> None:
    """A weight on directions, moved to the n-grams, scores each text as before."""
    texts, _ = marked(120, 3, 1.0)
    where = coordinates([texts])
    assert where is not None
    whole = hstack([probe_model._tfidf(texts, characters=c)[0] for c in (False, True)])
    weights = np.random.default_rng(0).normal(size=where.points.shape[1])
    on_ngrams = whole.T @ (where.duals @ weights)
    assert whole @ on_ngrams == pytest.approx(where.points @ weights, abs=1e-2)
    assert where.matrix.shape[1] == len(where.words)


def test_texts_with_nothing_in_common_have_no_coordinates() -> None:
    assert coordinates([["", "", ""]]) is None


@given(st.integers(0, 50), st.integers(1, 4), st.integers(2, 5))
def test_folds_keep_groups_whole_and_spread_classes(seed: int, size: int, classes: int) -> None:
    groups = np.repeat(np.arange(60), size)
    labels = np.repeat(np.arange(60) % classes, size)
    folds = deal_folds(labels, groups, seed)
    assert all(len(np.unique(folds[groups == g])) == 1 for g in range(60))
    counts = np.array([np.bincount(labels[folds == f], minlength=classes) for f in range(FOLDS)])
    assert (counts.max(axis=0) - counts.min(axis=0)).max() <= size


def test_predictions_do_not_depend_on_the_own_folds_labels() -> None:
    texts, labels = marked(150, 2, 0.8)
    where = coordinates([texts])
    assert where is not None
    folds = deal_folds(labels, np.arange(150), 0)
    changed = np.where(folds == 2, 1 - labels, labels)
    before, after = cross_fit(where.points, labels, folds), cross_fit(where.points, changed, folds)
    assert np.array_equal(before.model[folds == 2], after.model[folds == 2])
    assert np.array_equal(before.shares[folds == 2], after.shares[folds == 2])
    assert not np.array_equal(before.model[folds == 1], after.model[folds == 1])


def test_predictions_are_those_of_a_logistic_regression_mixed_with_the_label_shares() -> None:
    texts, labels = marked(150, 3, 0.8)
    where = coordinates([texts])
    assert where is not None
    folds = deal_folds(labels, np.arange(150), 0)
    held = cross_fit(where.points, labels, folds)
    inside = folds == 0
    model = LogisticRegression(C=held.penalties[0], tol=1e-6, max_iter=1000)
    expected = model.fit(where.points[~inside], labels[~inside]).predict_proba(where.points[inside])
    shares = np.exp(held.shares[inside])
    mixed = held.mixes[0] * expected + (1 - held.mixes[0]) * shares
    assert np.exp(held.model[inside]) == pytest.approx(mixed, abs=0.02)


def test_no_label_is_ever_impossible() -> None:
    """A class that one fold's training never saw still has a probability."""
    points = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    labels = np.zeros(50, dtype=np.int64)
    labels[:3] = 1
    folds = np.repeat(np.arange(FOLDS), 10)
    held = cross_fit(points, labels, folds)
    assert np.isfinite(held.model).all()
    assert np.exp(held.model).sum(axis=1) == pytest.approx(1.0)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40), st.integers(0, 1000))
def test_shuffled_labels_are_the_same_labels(groups: list[int], seed: int) -> None:
    labels = np.arange(len(groups))
    shuffled = shuffle_labels(labels, np.array(groups), np.random.default_rng(seed))
    assert sorted(shuffled.tolist()) == labels.tolist()


def test_shuffling_twins_gives_each_the_label_of_the_other_as_often_as_not() -> None:
    """Else a set of twins, the harmless one always first, would be its own chance level."""
    groups, labels = np.repeat(np.arange(100), 2), np.tile([0, 1], 100)
    shuffled = shuffle_labels(labels, groups, np.random.default_rng(0))
    assert all(sorted(shuffled[groups == g].tolist()) == [0, 1] for g in range(100))
    assert 0.3 < (shuffled == labels).mean() < 0.7


def test_shuffling_equal_groups_moves_them_as_blocks() -> None:
    groups, labels = np.repeat(np.arange(30), 4), np.repeat(np.arange(30) % 7, 4)
    shuffled = shuffle_labels(labels, groups, np.random.default_rng(0))
    assert not np.array_equal(shuffled, labels)
    assert all(len(np.unique(shuffled[groups == g])) == 1 for g in range(30))
