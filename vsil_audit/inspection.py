"""What is in a dataset and how it would be read: nothing is scored, nothing is spent."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from vsil_audit.audit import count_views, here, load
from vsil_audit.detectors.hygiene.kinds import IMAGE_ERRORS, ISSUE_KINDS
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.images import ImageLimits
from vsil_audit.pair import Pair, Problem
from vsil_audit.places.addresses import Place, place
from vsil_audit.reporting.inspect_view import Inspection
from vsil_audit.runs.plan import ScanOptions, mapping_as_text
from vsil_audit.runs.progress import Progress, Silent
from vsil_audit.runs.reading import raw_batches
from vsil_audit.sources.base import Source, SourceOptions, reading_of
from vsil_audit.sources.registry import detect

_SAMPLES = 3
_PROBLEM_OF = {**IMAGE_ERRORS, "remote_not_fetched": "remote_images"}
_SHOWN_ALIKE = 5  # problems of one kind, file and column: the cause of more is the same


def inspect(
    path: str | Place,
    *,
    source_options: SourceOptions | None = None,
    samples: int = _SAMPLES,
    max_problems: int | None = None,
    progress: Progress | None = None,
) -> Inspection:
    """Read all of the dataset at `path`, open each image's header, and tell what is there.

    `samples` pairs are kept to show, and at most `max_problems` problems (all for None); all are counted.
    Raises DatasetError, with a remedy, when it is not clear how to read the dataset.
    """
    given, listener = str(place(path)), progress or Silent()
    reading = source_options or SourceOptions()
    local = here(path, listener)
    source = load(local, options=reading)
    found = _Found(samples, max_problems)
    listener.stage("Looking at pairs and images", None, "pairs")
    limits = ImageLimits(allow_remote=reading.allow_remote)
    with ImagePipeline(source.root, frozenset(), None, limits) as pipeline:
        for pair, facts in _pairs_with_facts(source, pipeline, found):
            found.take(pair, facts)
            listener.advance(1)
    return Inspection(
        path=given,
        layout=source.layout,
        why=_why(local, source, reading),
        view=reading_of(source),
        views=source.views,
        view_counts={reading_of(source): found.pairs} | count_views(local, source, replace(reading, view=None)),
        mapping=mapping_as_text(source),
        reasons=source.mapping.reasons,
        counts=found.counts(),
        categories=found.categories,
        labels=found.labels,
        splits=found.splits,
        samples=found.samples,
        problems=found.listed_problems(),
        problems_total=found.n_problems,
    )


def _pairs_with_facts(
    source: Source, pipeline: ImagePipeline, found: _Found
) -> Iterator[tuple[Pair, tuple[ImageFacts, ...]]]:
    for raw in raw_batches(source, ScanOptions()):
        for problem in raw.problems:
            found.add_problem(problem)
        futures = [[pipeline.submit(ref) for ref in pair.images] for pair in raw.pairs]
        for pair, of_pair in zip(raw.pairs, futures, strict=True):
            yield pair, tuple(future.result() for future in of_pair)


def _why(path: Path, source: Source, reading: SourceOptions) -> str:
    if reading.layout is not None:
        return "named with --layout"
    return next((m.why for m in detect(path) if m.layout == source.layout), "")


class _Found:
    """Counts and the first few of everything."""

    def __init__(self, samples: int, max_problems: int | None) -> None:
        self.categories: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.splits: Counter[str] = Counter()
        self.samples: list[Pair] = []
        self.problems: list[Problem] = []
        self.n_problems = 0
        self._wanted = samples
        self._max_problems = max_problems
        self.pairs = self._imageless = self._empty_texts = 0
        self._references = self._unusable = 0
        self._digests: set[str] = set()
        self._unreadable_rows = 0
        self._alike: Counter[tuple[str, str, str | None]] = Counter()

    def add_problem(self, problem: Problem) -> None:
        self.n_problems += 1
        self._unreadable_rows += problem.rows if problem.fatal_for_pair else 0
        alike = (problem.kind, problem.origin.file, problem.column)
        self._alike[alike] += 1
        if self._alike[alike] > _SHOWN_ALIKE:
            return
        if self._max_problems is None or len(self.problems) < self._max_problems:
            self.problems.append(problem)

    def listed_problems(self) -> list[Problem]:
        """Those kept; the last of a kind, file and column says how many more like it there are."""
        listed: list[Problem] = []
        for problem in reversed(self.problems):
            alike = (problem.kind, problem.origin.file, problem.column)
            more = self._alike.pop(alike, 0) - _SHOWN_ALIKE
            detail = f"{problem.detail} (and {more:,} more like this one)" if more > 0 else problem.detail
            listed.append(replace(problem, detail=detail))
        return listed[::-1]

    def take(self, pair: Pair, facts: tuple[ImageFacts, ...]) -> None:
        self.pairs += 1
        self._imageless += not facts
        self._empty_texts += not pair.text.strip()
        self.categories.update([pair.category] if pair.category is not None else ())
        self.labels.update([pair.label] if pair.label is not None else ())
        self.splits.update([pair.split] if pair.split is not None else ())
        if len(self.samples) < self._wanted:
            self.samples.append(replace(pair, images=tuple(replace(r, data=b"") if r.data else r for r in pair.images)))
        for image in facts:
            self._take_image(pair, image)

    def _take_image(self, pair: Pair, image: ImageFacts) -> None:
        self._references += 1
        if image.error is None:
            self._digests.add(image.digest)
            return
        self._unusable += 1
        detail = f"{image.name}: {image.error.detail}"
        problem = ISSUE_KINDS[_PROBLEM_OF[image.error.kind]]
        remedy = f"{problem.remedy} Otherwise the pair is scanned without it, and the coverage says so."
        self.add_problem(
            Problem(f"image_{image.error.kind}", detail, pair.origin, "image", remedy, fatal_for_pair=False)
        )

    def counts(self) -> list[tuple[str, int]]:
        always = [("pairs", self.pairs), ("images", len(self._digests))]
        sometimes = [
            ("image references", self._references if self._references != len(self._digests) else 0),
            ("unusable images", self._unusable),
            ("pairs without image", self._imageless),
            ("pairs without text", self._empty_texts),
            ("rows that made no pair", self._unreadable_rows),
        ]
        return [*always, *((name, n) for name, n in sometimes if n)]
