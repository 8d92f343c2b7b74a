"""Whether the text alone tells which pairs of a finished set are unsafe; and that text and image together do.

Bits as the topic probe measures them (`stats.information`), by several models, cross-fitted over whole scenarios: equal
texts, and twins, are never learned from and predicted at once. At chance: the interval of no model lies above 0.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from vsil_audit.builders.record import Record
from vsil_audit.detectors import probe_model
from vsil_audit.detectors.probe_labels import Labels, label_classes
from vsil_audit.detectors.probe_sample import draw_groups
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.metrics import share_metric
from vsil_audit.stats.clusters import clustered_mean, clustered_rate, connected_groups
from vsil_audit.stats.information import entropy_bits, pointwise_v_information
from vsil_audit.stats.rates import Interval

Floats: TypeAlias = npt.NDArray[np.float64]
Indices: TypeAlias = npt.NDArray[np.int64]
_Predict: TypeAlias = Callable[[npt.NDArray[np.bool_], npt.NDArray[np.bool_]], Floats]

MOST_PAIRS = 2500
BY_CONSTRUCTION = "exact: each text stands with both labels equally often"
_POINTING = re.compile(r"\b(?:this|that|these|those|here|there|shown|image|picture|photo)\b", re.IGNORECASE)
_TOKEN = re.compile(r"\w+")


@dataclass(frozen=True, slots=True)
class Probed:
    """A pair as the probe needs it. `image`: digest, empty without one. `twin_of`: empty where it has no twin."""

    id: str
    text: str
    image: str
    label: str
    twin_of: str


@dataclass(frozen=True, slots=True)
class Proof:
    """`metrics`: bits and accuracy of each model, and bits of text and image together. `note`: in words what they show,
    or why nothing can be shown; `at_chance` is then None."""

    metrics: tuple[Metric, ...]
    note: str
    at_chance: bool | None = None


def probed(records: Iterable[Record]) -> list[Probed]:
    found = (record.draft for record in records)
    return [
        Probed(d.id, d.text, d.image.digest if d.image else "", (d.label or "").casefold(), d.twin_of or "")
        for d in found
    ]


def prove(pairs: Sequence[Probed], seed: int = 0) -> Proof:
    """Measure the set. Single-threaded, so that the same set gives the same numbers."""
    groups = _scenarios(pairs)
    labels = label_classes([pair.label for pair in pairs], groups)
    why = labels.refusal("label")
    if labels.values_seen < 2:
        return Proof(
            (), f"That the text alone does not tell the label cannot be shown: {why}. Benign twins can (--twins)."
        )
    if why:
        return Proof((), f"That the text alone does not tell the label cannot be shown: {why}.")
    drawn = draw_groups(groups[labels.rows], MOST_PAIRS, seed)
    codes, rows = labels.codes[drawn], labels.rows[drawn]
    chosen, within = [pairs[row] for row in rows.tolist()], groups[rows]
    if len(np.unique(codes)) < 2:
        return Proof((), "That the text alone does not tell the label cannot be shown: a sample holds one label only.")
    with probe_model.single_thread():
        found = list(_by_text(chosen, codes, within, seed))
    exact = _each_text_balanced(chosen)
    metrics = [m for name, held in found for m in _told(name, held, codes, within, seed, len(pairs), exact=exact)]
    above = [m.name for m in metrics if m.unit == "bits" and _is_above_chance(m)]
    together = _together(chosen, labels, codes, within, seed, len(pairs))
    own = [] if exact else _of_harmful_texts(chosen, len(pairs))
    note = _in_words(above, metrics, own, exact=exact)
    return Proof((*metrics, *own, together), note, not above)


def _scenarios(pairs: Sequence[Probed]) -> Indices:
    """Equal texts and twins are one group."""
    first: dict[tuple[str, str], int] = {}
    links = []
    for place, pair in enumerate(pairs):
        keys = [("text", plain(pair.text)), ("scenario", pair.id)]
        keys += [("scenario", pair.twin_of)] if pair.twin_of else []
        links += [(first.setdefault(key, place), place) for key in keys]
    return connected_groups(len(pairs), links)


def plain(text: str) -> str:
    """Texts that are equal but for case and white space are one text."""
    return " ".join(text.casefold().split())


def _each_text_balanced(pairs: Sequence[Probed]) -> bool:
    """Whether every text has both labels equally often: no function of the text can tell them apart."""
    counts: Counter[tuple[str, str]] = Counter((plain(pair.text), pair.label) for pair in pairs)
    labels = sorted({pair.label for pair in pairs})
    return all(len({counts[text, label] for label in labels}) == 1 for text in {plain(p.text) for p in pairs})


def _of_harmful_texts(pairs: Sequence[Probed], total: int) -> list[Metric]:
    """Among the pairs whose text is that of an unsafe one: where each has both labels alike, its text tells nothing."""
    harmful = {plain(pair.text) for pair in pairs if pair.label != "safe"}
    own = [pair for pair in pairs if plain(pair.text) in harmful]
    if len({pair.label for pair in own}) < 2 or not _each_text_balanced(own):
        return []
    note = f"{len(harmful):,} of {len(harmful):,} texts of unsafe pairs stand with both labels equally often"
    return [
        _metric(
            "text_probe.harmful_texts_bits",
            "bits about the label that the text alone gives among pairs with the texts of unsafe pairs",
            Interval(0.0, 0.0, 0.0, len(own), BY_CONSTRUCTION),
            total,
            note,
        )
    ]


def _by_text(
    pairs: Sequence[Probed], codes: Indices, groups: Indices, seed: int
) -> Iterator[tuple[str, probe_model.HeldOut]]:
    folds = probe_model.deal_folds(codes, groups, seed)
    texts = [pair.text for pair in pairs]
    where = probe_model.coordinates([texts])
    if where is not None:
        yield "logistic_regression", probe_model.cross_fit(where.points, codes, folds)
        yield "naive_bayes", _cross_fit(_naive_bayes(where, codes), codes, folds)
    yield "style_forest", _cross_fit(_forest(style_of(texts), codes, seed), codes, folds)


def style_of(texts: Sequence[str]) -> Floats:
    """Length, question form and pointing words of each text. Shape (n, 5)."""
    rows = [
        (
            len(text),
            len(_TOKEN.findall(text)),
            text.rstrip().endswith("?"),
            len(_POINTING.findall(text)),
            text[:1].isupper(),
        )
        for text in texts
    ]
    return np.asarray(rows, dtype=np.float64).reshape(len(texts), 5)


def _naive_bayes(where: probe_model.Coordinates, codes: Indices) -> _Predict:
    from sklearn.naive_bayes import MultinomialNB

    def predict(train: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_]) -> Floats:
        if not where.words:
            return np.full((int(test.sum()), int(codes.max()) + 1), 1 / (int(codes.max()) + 1))
        return _all_classes(MultinomialNB().fit(where.matrix[train], codes[train]), where.matrix[test], codes)

    return predict


def _forest(features: Floats, codes: Indices, seed: int) -> _Predict:
    from sklearn.ensemble import RandomForestClassifier

    def predict(train: npt.NDArray[np.bool_], test: npt.NDArray[np.bool_]) -> Floats:
        forest = RandomForestClassifier(n_estimators=40, max_depth=8, min_samples_leaf=2, random_state=seed)
        return _all_classes(forest.fit(features[train], codes[train]), features[test], codes)

    return predict


def _all_classes(model: Any, points: Any, codes: Indices) -> Floats:
    """Probabilities with a column for each class, also one that the training part lacks."""
    result = np.zeros((points.shape[0], int(codes.max()) + 1))
    result[:, model.classes_] = model.predict_proba(points)
    return result


def _cross_fit(predict: _Predict, codes: Indices, folds: Indices) -> probe_model.HeldOut:
    """As `probe_model.cross_fit`, for any model; its weight against the label shares is chosen in inner folds."""
    classes = int(codes.max()) + 1
    model, shares = np.empty((len(codes), classes)), np.empty((len(codes), classes))
    mixes = []
    for fold in range(probe_model.FOLDS):
        test = folds == fold
        if not test.any():
            continue
        prior = _shares(codes[~test], classes)
        mix = _best_mix(predict, codes, folds, fold)
        text = predict(~test, test) if mix else np.zeros((int(test.sum()), classes))
        model[test], shares[test] = np.log(mix * text + (1 - mix) * prior), np.log(prior)
        mixes.append(mix)
    return probe_model.HeldOut(model, shares, (), tuple(mixes))


def _best_mix(predict: _Predict, codes: Indices, folds: Indices, outer: int) -> float:
    classes = int(codes.max()) + 1
    given, prior = [], []
    for inner in range(probe_model.FOLDS):
        test, train = folds == inner, (folds != inner) & (folds != outer)
        if inner == outer or not test.any() or not train.any():
            continue
        given.append(predict(train, test)[np.arange(int(test.sum())), codes[test]])
        prior.append(_shares(codes[train], classes)[codes[test]])
    if not given:
        return 0.0
    told, known = np.concatenate(given), np.concatenate(prior)
    return min(probe_model.MIXES, key=lambda mix: -float(np.log(mix * told + (1 - mix) * known).sum()))


def _shares(codes: Indices, classes: int) -> Floats:
    counts = np.bincount(codes, minlength=classes) + 0.5
    return np.asarray(counts / counts.sum(), dtype=np.float64)


def _told(
    name: str,
    held: probe_model.HeldOut,
    codes: Indices,
    groups: Indices,
    seed: int,
    total: int,
    *,
    exact: bool,
) -> Iterator[Metric]:
    true = np.arange(len(codes)), codes
    pvi = np.round(pointwise_v_information(held.model[true], held.shares[true]), 9) + 0.0
    interval = clustered_mean(pvi, groups, seed)
    if interval.low is None and exact:
        interval = Interval(interval.value, interval.value, interval.value, len(pvi), BY_CONSTRUCTION)
    words = name.replace("_", " ")
    yield _metric(
        f"text_probe.{name}_bits", f"bits about the label that the text alone gives: {words}", interval, total
    )
    correct = held.model.argmax(axis=1) == codes
    yield share_metric(
        f"text_probe.{name}_accuracy",
        f"share of pairs whose label is told, held out, from the text alone: {words}",
        clustered_rate(correct, groups, total=total, seed=seed),
        nature=Nature.MEASURED,
        chance=float(np.bincount(codes).max() / len(codes)),
    )


def _is_above_chance(bits: Metric) -> bool:
    """A model that found nothing to learn gives 0 bits of every pair, and no interval."""
    return (bits.value or 0.0) > 0 if bits.low is None else bits.low > 0


def _together(
    pairs: Sequence[Probed], labels: Labels, codes: Indices, groups: Indices, seed: int, total: int
) -> Metric:
    """What knowing which text and which image it is tells of the label: no model, no held-out pairs."""
    counts: Counter[tuple[str, str, int]] = Counter()
    both: Counter[tuple[str, str]] = Counter()
    shares = np.bincount(codes, minlength=len(labels.names)) / len(codes)
    for pair, code in zip(pairs, codes.tolist(), strict=True):
        counts[plain(pair.text), pair.image, code] += 1
        both[plain(pair.text), pair.image] += 1
    given = np.array(
        [
            counts[plain(pair.text), pair.image, code] / both[plain(pair.text), pair.image]
            for pair, code in zip(pairs, codes.tolist(), strict=True)
        ]
    )
    interval = clustered_mean(pointwise_v_information(np.log(given), np.log(shares[codes])), groups, seed)
    if interval.low is None:
        interval = Interval(interval.value, interval.value, interval.value, interval.n, "exact: no pair differs")
    entropy = entropy_bits(np.bincount(codes)) or 0.0
    settled = int((given == 1).sum())
    return _metric(
        "text_probe.text_and_image_bits",
        "bits about the label in knowing which text and which image it is",
        interval,
        total,
        note=f"settles {settled:,} of {len(pairs):,} labels; there are {entropy:.2f} bits to know",
    )


def _metric(name: str, tells: str, interval: Interval, total: int, note: str = "") -> Metric:
    return Metric(
        name=name,
        tells=tells,
        nature=Nature.MEASURED,
        unit="bits",
        value=interval.value,
        low=interval.low,
        high=interval.high,
        interval=interval.method,
        n=interval.n,
        total=total,
        note=note,
    )


def _in_words(above: Sequence[str], metrics: Sequence[Metric], own: Sequence[Metric], *, exact: bool) -> str:
    models = sum(metric.unit == "bits" for metric in metrics)
    if above and own:
        return (
            "The text alone tells which texts are the benign ones, and nothing more: each text of an unsafe pair "
            "stands with both labels equally often."
        )
    if above:
        return f"The text alone tells of the label, above chance: {', '.join(above)}."
    how = "each text stands with both labels equally often" if exact else "no interval lies above 0"
    return f"The text alone does not tell the label, by any of {models} models: {how}."
