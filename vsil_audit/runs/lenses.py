"""The lenses of the report, kept apart, and what a reader must know before quoting a number."""

from __future__ import annotations

from vsil_audit.detectors.base import Lens
from vsil_audit.runs.asked.warnings import asked_warnings, lens_sentence
from vsil_audit.runs.asked_summary import AskedSummary
from vsil_audit.runs.detecting import Clusters
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import DatasetSummary, DetectorRun, LensSummary
from vsil_audit.runs.tables import MOST_CATEGORIES
from vsil_audit.wording import plural

_SAYS = {
    Lens.JUDGED: "A safety judge reads the text alone and the pair. Only judges and target models can show leakage.",
    Lens.BEHAVIOURAL: "A target model answers without the image. Refusing from the text alone is leakage at work.",
    Lens.CONTENT: "What the text repeats of the image. Evidence, not proof: a text may name harmless content.",
    Lens.PREDICTED: "A small model's guess at how the text alone would be judged. Never leakage by itself.",
}
_ABSENT = {
    Lens.JUDGED: "No judge took part, so leakage itself was not measured.",
    Lens.BEHAVIOURAL: "No target model took part, so behaviour without the image was not measured.",
    Lens.CONTENT: "No content detector took part.",
    Lens.PREDICTED: "No prediction was made.",
}
_HEADLINE = {
    "leak_rate",
    "leak_rate_corrected_for_chance",
    "text_only_refusal_rate",
    "suspected_rate",
    "predicted_rate",
}
_ASKED = {Lens.JUDGED.value, Lens.BEHAVIOURAL.value}
_BESIDE_A_PREDICTION = ("_rate_control", "_rate_adjusted")
_FEW_PAIRS = 30
_LEAST_SHARE = "clip_overlap.least_share"
_BY_SET = "clip_overlap.decided_by_set"
_FINE = 0.1
"""The largest `least_share`, and share of pairs that the set alone decides, of which nothing need be said."""
_LABELS = ("safe", "unsafe")


def lens_summaries(
    metrics: list[Metric], detectors: list[DetectorRun], asked: AskedSummary | None = None
) -> list[LensSummary]:
    """The lenses in their fixed order, those without a detector too: an absence is told, not hidden."""
    ran = {d.lens for d in detectors if d.state == "done"}
    return [
        LensSummary(
            lens=lens.value,
            available=lens.value in ran,
            says=_says(lens, asked) if lens.value in ran else _ABSENT[lens],
            metrics=[m.name for m in metrics if m.lens == lens.value and _stands_under_its_lens(m)],
        )
        for lens in _SAYS
    ]


def _says(lens: Lens, asked: AskedSummary | None) -> str:
    who = lens_sentence(lens, asked) if asked is not None else ""
    return f"{_SAYS[lens]} {who}" if who else _SAYS[lens]


def _stands_under_its_lens(metric: Metric) -> bool:
    """Headline rates, and of a prediction its rate on benign controls too: never one without the other."""
    return metric.name.split(".")[0] in _HEADLINE or metric.name.endswith(_BESIDE_A_PREDICTION)


def warnings_for(
    dataset: DatasetSummary,
    metrics: list[Metric],
    detectors: list[DetectorRun],
    clusters: Clusters,
    asked: AskedSummary | None = None,
) -> list[str]:
    """In the order of their weight."""
    return [
        text
        for text in (
            _empty(dataset),
            _identification(dataset, asked),
            _labels(dataset),
            *(asked_warnings(asked) if asked is not None else ()),
            _limited(dataset),
            _few(dataset),
            _unread(dataset),
            _image_failures(dataset),
            _imageless(dataset),
            _many_categories(dataset),
            *_low_coverage(metrics),
            _coarse(metrics),
            _topical(metrics),
            clusters.note,
            *_failures(detectors, asked),
            *_unavailable(detectors),
        )
        if text
    ]


def warnings_of_reading(dataset: DatasetSummary, clusters: Clusters) -> list[str]:
    """Those that hold whatever was done with the pairs, in the order of their weight."""
    told = (
        _empty(dataset),
        _limited(dataset),
        _few(dataset),
        _unread(dataset),
        _image_failures(dataset),
        clusters.note,
    )
    return [text for text in told if text]


def _empty(dataset: DatasetSummary) -> str:
    return "No pair could be read; there is nothing to report." if not dataset.pairs else ""


def _identification(dataset: DatasetSummary, asked: AskedSummary | None) -> str:
    """Without harmless pairs in the set a rate cannot be told from the detectors' own false alarms."""
    if "safe" in dataset.labels or not dataset.pairs:
        return ""
    if asked is not None and asked.control_pairs:
        return (
            "No pair of this set is labelled safe. Leakage cannot be told from false alarms on such a set alone: read "
            f"V* and the rates on the benign control ({plural(asked.control_pairs, 'pair')}) beside every rate."
        )
    return (
        "No pair of this set is labelled safe. Leakage cannot be told from false alarms on such a set alone: "
        "scan a benign set beside it (vsil-audit compare) before quoting a rate."
    )


def _labels(dataset: DatasetSummary) -> str:
    """Labels in other words, beside some that say safe or unsafe: perhaps they mean the same."""
    others = {label: n for label, n in dataset.labels.items() if label not in _LABELS}
    if not others or len(others) == len(dataset.labels):
        return ""
    told = plural(sum(others.values()), "pair")
    return (
        f"The labels of {told} are read neither as safe nor as unsafe ({_tally(others)}): each counts as a label of "
        "its own. Write them as safe or unsafe."
    )


def _limited(dataset: DatasetSummary) -> str:
    return f"Only {dataset.limited_to} were scanned." if dataset.limited_to else ""


def _few(dataset: DatasetSummary) -> str:
    if not 0 < dataset.pairs < _FEW_PAIRS:
        return ""
    return f"Only {plural(dataset.pairs, 'pair')}: the intervals are wide, and category tables mean little."


def _unread(dataset: DatasetSummary) -> str:
    if not dataset.rows_unreadable:
        return ""
    rows = plural(dataset.rows_unreadable, "row")
    return f"{rows} of the dataset made no pair and count in no rate; see the problems."


def _image_failures(dataset: DatasetSummary) -> str:
    failed = sum(dataset.image_errors.values())
    if not failed:
        return ""
    return f"{failed:,} of {dataset.image_refs:,} images could not be used ({_tally(dataset.image_errors)})."


def _imageless(dataset: DatasetSummary) -> str:
    if not dataset.pairs_without_image:
        return ""
    return (
        f"{dataset.pairs_without_image} of {dataset.pairs} pairs have no image here: "
        "detectors that look at images abstain on them."
    )


def _many_categories(dataset: DatasetSummary) -> str:
    if dataset.categories <= MOST_CATEGORIES:
        return ""
    return f"{dataset.categories:,} categories; the table shows the {MOST_CATEGORIES} largest. Is it the right column?"


def _low_coverage(metrics: list[Metric]) -> list[str]:
    headline = (m for m in metrics if m.name in _HEADLINE and (m.value is not None or m.lens not in _ASKED))
    return [
        f"{m.name} covers {m.n} of {m.total} pairs only; it says nothing of the others."
        for m in headline
        if m.total and m.n < m.total / 2
    ]


def _coarse(metrics: list[Metric]) -> str:
    """In small sets, and small categories, ranks are too coarse for single overlapping pairs to stand out."""
    least = _too_large(metrics, _LEAST_SHARE)
    if least is None:
        return ""
    return (
        f"clip_overlap flags nothing where fewer than {100 * least:.0f} % of the pairs overlap: on a set of this size "
        "a suspected_rate of 0, or a low one, says little of what it looks for; read clip_overlap.matched_share."
    )


def _topical(metrics: list[Metric]) -> str:
    """Where a category has too few images to compare within, a text that only fits its topic is suspected too."""
    share = _too_large(metrics, _BY_SET)
    if share is None:
        return ""
    return (
        f"For {100 * share:.0f} % of the pairs clip_overlap has too few images of their category: they are compared "
        "with the whole set only, where the topic alone may make them suspected."
    )


def _too_large(metrics: list[Metric], name: str) -> float | None:
    """The value of that metric where something need be said of it."""
    return next((m.value for m in metrics if m.name == name and m.value is not None and m.value > _FINE), None)


def _unavailable(detectors: list[DetectorRun]) -> list[str]:
    took_part = ", ".join(d.name for d in detectors if d.lens == Lens.CONTENT.value and d.state == "done")
    return [
        f"{d.name} could not run here ({d.reason}): suspected_rate rests on {took_part} alone."
        for d in detectors
        if d.state == "unavailable" and d.lens == Lens.CONTENT.value and took_part
    ]


def _failures(detectors: list[DetectorRun], asked: AskedSummary | None) -> list[str]:
    """Of the detectors that ask models the calls that failed are told of, by model."""
    asking = {name for model in asked.models for name in model.detectors} if asked is not None else set()
    return [
        f"{d.name} failed on {plural(d.failed, 'pair')} ({_tally(d.failure_kinds)})."
        for d in detectors
        if d.failed and d.name not in asking
    ]


def _tally(counts: dict[str, int]) -> str:
    return ", ".join(f"{kind} {n:,}" for kind, n in counts.items())
