"""How the model is fitted: labelled texts and plain text in, a HarmModel and the training texts' held-out logits out.

Deterministic: the same texts, settings and library versions give the same model. scikit-learn is needed here only.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.harm_model.calibrating import calibrate
from vsil_audit.detectors.harm_model.model import BLOCK_SCALES, BLOCKS, HarmModel, text_digest
from vsil_audit.detectors.harm_model.ngrams import neighbours, pieces, words
from vsil_audit.detectors.harm_model.word_vectors import learn
from vsil_audit.model_file import Floats


@dataclass(frozen=True, slots=True)
class LabelledText:
    """`harmful` is what the source says; `group`: texts of one group are never on both sides of a split."""

    text: str
    harmful: bool
    source: str
    group: str


@dataclass(frozen=True, slots=True)
class Settings:
    """`inverse_penalty`: C of the L2 penalty. `vector_scale`: weight of word vectors beside words. `members`:
    bootstrap models. `least_texts`: texts that must hold a piece or a pair of words. `largest_error_flagged`,
    `largest_error_cleared`: share of held-out texts on the wrong side above and below the unsure band, at equal class
    weights; a wrong flag accuses, so it is the smaller. `home`: the source
    that was written for the model, on which it is not calibrated."""

    inverse_penalty: float = 2.0
    vector_scale: float = 0.7
    vector_dimensions: int = 200
    vector_least_count: int = 4
    members: int = 12
    least_texts: int = 2
    folds: int = 5
    largest_error_flagged: float = 0.15
    largest_error_cleared: float = 0.2
    least_known: float = 0.6
    home: str = "project"
    seed: int = 0


@dataclass(frozen=True)
class Fitted:
    """The model; `other_sources` and `other_groups` are each training text's logit from a model that saw nothing of
    its source, or of its group."""

    model: HarmModel
    other_sources: Floats
    other_groups: Floats
    texts: tuple[LabelledText, ...] = field(default=())


def fit(
    texts: Sequence[LabelledText],
    plain: Sequence[str],
    settings: Settings = Settings(),
    about: Mapping[str, Any] | None = None,
) -> Fitted:
    """Fit the model. `plain`: unlabelled texts for word vectors; the labelled texts are added to them.

    Raises ValueError unless both classes occur in at least two groups.
    """
    harmful = np.array([t.harmful for t in texts])
    if min(len({t.group for t in texts if t.harmful is side}) for side in (True, False)) < 2:
        raise ValueError("both harmful and benign texts are needed, in at least two groups each")
    space = _Space.of([t.text for t in texts], plain, settings)
    groups = np.unique([t.group for t in texts], return_inverse=True)[1]
    sources = np.unique([t.source for t in texts], return_inverse=True)[1]
    columns = [space.fit(harmful, np.ones(len(texts)))]
    rng = np.random.default_rng(settings.seed)
    for _ in range(settings.members):
        drawn = np.bincount(rng.integers(groups.max() + 1, size=groups.max() + 1), minlength=groups.max() + 1)
        columns.append(space.fit(harmful, drawn[groups].astype(float)))
    by_group = _held_out(space, harmful, _fold_of(groups, settings))
    by_source = _held_out(space, harmful, sources) if sources.max() > 0 else by_group
    # Of a source that nothing like was seen of, as any benchmark is; texts written for this model are no such source.
    foreign = np.array([t.source != settings.home for t in texts])
    foreign = foreign if len(set(harmful[foreign])) == 2 and sources.max() > 0 else np.ones(len(texts), dtype=bool)
    largest = (settings.largest_error_cleared, settings.largest_error_flagged)
    model = HarmModel(
        features=space.features,
        weights=np.column_stack([weights for weights, _ in columns]),
        intercepts=np.array([intercept for _, intercept in columns]),
        calibration=calibrate(by_source[foreign], harmful[foreign], largest, settings.least_known),
        training_digests=frozenset(text_digest(t.text) for t in texts),
        about={**(about or {}), "settings": asdict(settings)},
    )
    return Fitted(model, by_source, by_group, tuple(texts))


@dataclass(frozen=True)
class _Space:
    """Training texts as rows of a sparse matrix: features first, then the dimensions of the word vectors."""

    features: tuple[str, ...]
    matrix: Any
    vectors: Floats
    settings: Settings

    @classmethod
    def of(cls, texts: Sequence[str], plain: Sequence[str], settings: Settings) -> _Space:
        from scipy.sparse import csr_matrix, hstack

        found = [_blocks(text) for text in texts]
        word_vectors = learn([*plain, *texts], settings.vector_least_count, settings.vector_dimensions, settings.seed)
        features = _kept(found, word_vectors.vocabulary, settings.least_texts)
        place = {feature: i for i, feature in enumerate(features)}
        rows, cols, values = [], [], []
        for row, blocks in enumerate(found):
            for block, members in blocks.items():
                for feature in members:
                    if feature in place:
                        rows.append(row)
                        cols.append(place[feature])
                        values.append(BLOCK_SCALES[block] / np.sqrt(len(members)))
        counts = csr_matrix((values, (rows, cols)), shape=(len(texts), len(features)))
        vectors = np.zeros((len(features), word_vectors.vectors.shape[1]))
        for i, word in enumerate(word_vectors.vocabulary):
            vectors[place[f"w:{word}"]] = word_vectors.vectors[i] * settings.vector_scale
        # A linear model on the mean of word vectors is a weight per word: it folds into the words' own weights.
        return cls(features, hstack([counts, csr_matrix(counts @ csr_matrix(vectors))]).tocsr(), vectors, settings)

    def fit(self, harmful: npt.NDArray[np.bool_], times: Floats) -> tuple[Floats, float]:
        """Weights of the features and the intercept; text i counts `times[i]` times, both classes the same in all."""
        model = self._logistic(harmful, times)
        coefficients = model.coef_[0]
        n = len(self.features)
        return coefficients[:n] + self.vectors @ coefficients[n:], float(model.intercept_[0])

    def logits(self, harmful: npt.NDArray[np.bool_], seen: npt.NDArray[np.bool_]) -> Floats:
        """Logits of the texts not in `seen`, from a model fitted to those in `seen`."""
        model = self._logistic(harmful, seen.astype(float))
        found: Floats = model.decision_function(self.matrix[~seen])
        return found

    def _logistic(self, harmful: npt.NDArray[np.bool_], times: Floats) -> Any:
        from sklearn.linear_model import LogisticRegression

        used = times > 0
        weight = times.copy()
        for side in (True, False):
            weight[harmful == side] *= used.sum() / 2 / max(times[harmful == side].sum(), 1e-12)
        model = LogisticRegression(C=self.settings.inverse_penalty, max_iter=2000, tol=1e-6)
        return model.fit(self.matrix[used], harmful[used], sample_weight=weight[used])


def _blocks(text: str) -> dict[str, list[str]]:
    content = [word.normal for word in words(text) if word.is_content]
    return {
        "w": sorted({f"w:{word}" for word in content}),
        "b": sorted(set(neighbours(content))),
        "c": sorted({piece for word in content for piece in pieces(word)}),
    }


def _kept(found: Sequence[Mapping[str, Sequence[str]]], vocabulary: Sequence[str], least: int) -> tuple[str, ...]:
    """All words; the pairs and pieces that enough texts hold."""
    kept = {f"w:{word}" for word in vocabulary}
    for block in BLOCKS:
        held, times = np.unique([f for blocks in found for f in blocks[block]], return_counts=True)
        kept.update(str(f) for f in held[times >= (1 if block == "w" else least)])
    return tuple(sorted(kept))


def _fold_of(groups: npt.NDArray[np.int64], settings: Settings) -> npt.NDArray[np.int64]:
    order = np.random.default_rng(settings.seed).permutation(groups.max() + 1)
    return order[groups] % settings.folds


def _held_out(space: _Space, harmful: npt.NDArray[np.bool_], part: npt.NDArray[np.int64]) -> Floats:
    """Each text's logit from a model that saw no text of its part."""
    logits = np.zeros(len(harmful))
    for number in np.unique(part):
        seen = part != number
        logits[~seen] = space.logits(harmful, seen) if len(set(harmful[seen])) == 2 else 0.0
    return logits
