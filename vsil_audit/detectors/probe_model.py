"""The topic probe's predictor: texts become coordinates, and a label is predicted from them out of fold.

Everything here is label-blind (the coordinates) or cross-fitted (the predictions). Single-threaded, so that the same
input gives the same numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Points: TypeAlias = npt.NDArray[np.float32]
Indices: TypeAlias = npt.NDArray[np.int64]

FOLDS = 5
PENALTIES = (0.25, 1.0, 4.0, 16.0, 64.0)
"""Inverse penalties C of the logistic regression, weakest predictor first."""
MIXES = (0.0, 0.25, 0.5, 0.75, 0.9, 0.97, 0.99)
"""Weights of the model against the label shares; 1 is left out, so that no label ever has probability 0."""
RANK = 500
WORDS, CHARACTERS = 20_000, 40_000
"""Most n-grams kept of each sort, the most frequent ones."""


@dataclass(frozen=True, slots=True)
class Coordinates:
    """Texts as points: the leading principal directions of their TF-IDF n-grams.

    `points`: (n, at most RANK). `duals`: (n, same), `duals.T @ matrix` turns a weight on a direction into weights on
    n-grams. `words`: the word n-grams, `matrix`: sparse (n, words), their TF-IDF.
    """

    points: Points
    duals: Points
    words: tuple[str, ...]
    matrix: Any


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Predictions for pairs by models that never saw their group. n pairs, K classes.

    `model`, `shares`: (n, K) log-probabilities given the text, and from the label shares alone (natural logarithm).
    `penalties`, `mixes`: what the inner folds chose, one per fold.
    """

    model: Floats
    shares: Floats
    penalties: tuple[float, ...]
    mixes: tuple[float, ...]


@contextmanager
def single_thread() -> Iterator[None]:
    """No thread pools below: sums come out the same each time, and busy neighbours don't slow small matrices down."""
    import sklearn.linear_model  # noqa: F401  (only libraries already loaded can be limited, and scipy brings its own)
    from threadpoolctl import threadpool_limits

    with threadpool_limits(limits=1):
        yield


def coordinates(views: Sequence[Sequence[str]]) -> Coordinates | None:
    """Coordinates of n pairs from one or more texts of each (`views`: each of length n). None when no n-gram recurs.

    Word 1-2-grams and character 3-5-grams, sublinear TF-IDF. Uses the texts only, never a label, so that held-out
    predictions stay honest though all texts are looked at.
    """
    from scipy.sparse import csr_matrix, hstack

    blocks: list[Any] = []
    words: list[str] = []
    word_blocks: list[Any] = []
    for texts in views:
        for characters in (False, True):
            matrix, names = _tfidf(texts, characters=characters)
            if matrix is None:
                continue
            blocks.append(matrix)
            if not characters:
                words.extend(names)
                word_blocks.append(matrix)
    if not blocks:
        return None
    points, duals = _principal(hstack(blocks, format="csr"))
    empty = csr_matrix((len(views[0]), 0), dtype=np.float32)
    return Coordinates(points, duals, tuple(words), hstack(word_blocks, format="csr") if word_blocks else empty)


def _tfidf(texts: Sequence[str], *, characters: bool) -> tuple[Any, Sequence[str]]:
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(
        analyzer="char_wb" if characters else "word",
        ngram_range=(3, 5) if characters else (1, 2),
        token_pattern=r"\b\w+\b",  # noqa: S106  (a regular expression, not a secret)
        min_df=2,
        max_features=CHARACTERS if characters else WORDS,
        sublinear_tf=True,
        dtype=np.float32,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # token_pattern goes unused when the analyzer is char_wb
        try:
            return vectorizer.fit_transform(texts), vectorizer.get_feature_names_out()
        except ValueError:  # sklearn's way to say that no n-gram is in two texts
            return None, ()


def _principal(matrix: Any) -> tuple[Points, Points]:
    """Leading directions from the n × n Gram matrix: n × vocabulary is never made dense."""
    gram = np.empty((matrix.shape[0],) * 2, dtype=np.float32)
    other = matrix.T.tocsr()
    for start in range(0, len(gram), 256):
        gram[start : start + 256] = (matrix[start : start + 256] @ other).toarray()
    basis = np.random.default_rng(0).standard_normal((len(gram), min(RANK + 20, len(gram)))).astype(np.float32)
    for _ in range(4):  # subspace iteration (Halko, Martinsson and Tropp 2011, algorithm 4.4)
        basis = np.linalg.qr(gram @ basis)[0]
    values, vectors = np.linalg.eigh((basis.T @ (gram @ basis)).astype(np.float64))
    keep = np.flatnonzero(values > 1e-5 * values[-1])[::-1][:RANK]
    directions = basis @ vectors[:, keep]
    scale = np.sqrt(values[keep])
    return (directions * scale).astype(np.float32), (directions / scale).astype(np.float32)


def deal_folds(labels: Indices, groups: Indices, seed: int) -> Indices:
    """Fold 0 … FOLDS − 1 of each pair: whole groups, each class spread as evenly as its groups allow. Shape (n,)."""
    generator = np.random.default_rng(seed)
    index = np.unique(groups, return_inverse=True)[1].reshape(-1)
    counts = np.zeros((int(index.max()) + 1, int(labels.max()) + 1), dtype=np.int64)
    np.add.at(counts, (index, labels), 1)
    sizes = counts.sum(axis=1)
    fold_of = np.zeros(len(sizes), dtype=np.int64)
    filled = np.zeros((FOLDS, counts.shape[1]), dtype=np.int64)
    shuffled = generator.permutation(len(sizes))
    for group in shuffled[np.argsort(-sizes[shuffled], kind="stable")]:
        common = counts[group].argmax()
        fold = np.lexsort((filled.sum(axis=1), filled[:, common]))[0]
        fold_of[group] = fold
        filled[fold] += counts[group]
    return fold_of[index]


def cross_fit(points: Points, labels: Indices, folds: Indices, penalties: Sequence[float] = PENALTIES) -> HeldOut:
    """Held-out predictions of `labels` (n,), 0 … K − 1, from `points` (n, d) by multinomial logistic regression.

    For each fold, the penalty and the weight of the model against the label shares have the least log-loss in inner
    folds, which are the other four, each predicted from the remaining three.
    """
    classes = int(labels.max()) + 1
    inner = _inner_probabilities(points, labels, folds, penalties)
    model, shares = np.empty((len(labels), classes)), np.empty((len(labels), classes))
    chosen: list[tuple[float, float]] = []
    for fold in range(FOLDS):
        given, prior = inner[fold]
        losses = [[-np.log(m * row + (1 - m) * prior).sum() for m in MIXES] for row in given]
        row, column = np.unravel_index(int(np.argmin(losses)), (len(penalties), len(MIXES)))
        penalty, mix = penalties[int(row)], MIXES[int(column)]
        inside = folds == fold
        prior_shares = _shares(labels[~inside], classes)
        shares[inside] = np.log(prior_shares)
        predicted = prior_shares[None, :]
        if mix:
            text = next(_probabilities(points, labels, ~inside, inside, (penalty,), classes))
            predicted = mix * text + (1 - mix) * prior_shares
        model[inside] = np.log(predicted)
        chosen.append((penalty, mix))
    return HeldOut(model, shares, tuple(p for p, _ in chosen), tuple(m for _, m in chosen))


def _inner_probabilities(
    points: Points, labels: Indices, folds: Indices, penalties: Sequence[float]
) -> list[tuple[Floats, Floats]]:
    """Per outer fold: the true labels' probabilities in its inner folds, per penalty (P, n'), and their shares (n',).

    A model without folds a and b serves as a's inner model for b and as b's for a.
    """
    classes = int(labels.max()) + 1
    given: list[list[Floats]] = [[] for _ in range(FOLDS)]
    prior: list[list[Floats]] = [[] for _ in range(FOLDS)]
    for a in range(FOLDS):
        for b in range(a + 1, FOLDS):
            test = (folds == a) | (folds == b)
            true = np.arange(int(test.sum())), labels[test]
            rows = np.stack([p[true] for p in _probabilities(points, labels, ~test, test, penalties, classes)])
            shares = _shares(labels[~test], classes)[labels[test]]
            for outer, held in ((a, folds[test] == b), (b, folds[test] == a)):
                given[outer].append(rows[:, held])
                prior[outer].append(shares[held])
    return [(np.concatenate(g, axis=1), np.concatenate(p)) for g, p in zip(given, prior, strict=True)]


def _shares(labels: Indices, classes: int) -> Floats:
    """Label shares with half a pair added to each class, so that none is impossible (Krichevsky and Trofimov 1981)."""
    counts = np.bincount(labels, minlength=classes) + 0.5
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _probabilities(
    points: Points,
    labels: Indices,
    train: npt.NDArray[np.bool_],
    test: npt.NDArray[np.bool_],
    penalties: Sequence[float],
    classes: int,
) -> Iterator[Floats]:
    """Class probabilities of the test pairs, (n', K), for each penalty in turn."""
    seen = np.unique(labels[train])
    model = _logistic_regression()
    for penalty in penalties:
        result = np.zeros((int(test.sum()), classes))
        if len(seen) == 1:
            result[:, seen[0]] = 1.0
        else:
            result[:, seen] = _fitted(model.set_params(C=penalty), points[train], labels[train]).predict_proba(
                points[test]
            )
        yield result


def _logistic_regression() -> Any:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=200, tol=1e-3, warm_start=True)


def _fitted(model: Any, points: Points, labels: Indices) -> Any:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # a fit cut short is a slightly stronger penalty; its held-out loss is what counts
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(points, labels)


def shuffle_labels(labels: Indices, groups: Indices, generator: np.random.Generator) -> Indices:
    """The labels dealt out anew, group after group in shuffled order and each group's own in any order: equal labels of
    a group stay together, and of twins either may be either. (n,)."""
    index = np.unique(groups, return_inverse=True)[1].reshape(-1)
    shuffled = np.empty_like(labels)
    order, within = generator.random(int(index.max()) + 1), generator.random(len(labels))
    shuffled[np.argsort(index, kind="stable")] = labels[np.lexsort((within, order[index]))]
    return shuffled


def telling_ngrams(
    where: Coordinates, labels: Indices, rows: Indices, penalty: float, top: int = 8
) -> list[list[tuple[str, float]]]:
    """Per class, the word n-grams that most speak for it (weight > 0, log-odds per unit of TF-IDF), best first.

    From one fit on all labelled pairs (`rows` of the coordinates): a description of the label, not a held-out result.
    N-grams in fewer than 3 of the pairs are passed over.
    """
    model = _fitted(_logistic_regression().set_params(C=penalty), where.points[rows], labels)
    weights = np.concatenate([-model.coef_, model.coef_]) if len(model.coef_) == 1 else model.coef_
    on_words = np.asarray(where.matrix.T @ (where.duals @ weights.T))
    on_words[np.asarray((where.matrix[rows] > 0).sum(axis=0)).reshape(-1) < 3] = 0.0
    best = np.argsort(-on_words, axis=0, kind="stable")[:top]
    return [
        [(where.words[w], float(on_words[w, c])) for w in best[:, c] if on_words[w, c] > 0]
        for c in range(on_words.shape[1])
    ]
