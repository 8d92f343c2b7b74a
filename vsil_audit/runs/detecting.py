"""Second stage of a run: every detector over every batch, several detectors at once where that pays."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np

from vsil_audit.detectors.base import CACHE, Batch, Detector, SetContext, Unit
from vsil_audit.errors import DetectorError
from vsil_audit.features.clip.in_use import ClipTexts
from vsil_audit.features.worker_pool import available_cpus
from vsil_audit.pair import ABSENT_IMAGE
from vsil_audit.runs.detector_processes import detect_in_processes
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.freed_memory import release_freed_memory
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.scoring import is_done, run_detector
from vsil_audit.stats.clusters import PairGroups, interval_groups

_PAIRS_FOR_PROCESSES = 500  # fewer are done before a process has started


def detect(plan: ScanPlan, folder: RunFolder, n_pairs: int, progress: Progress) -> None:
    """Run the plan's detectors over a folder whose batches are all there; what is committed is not done again.

    Findings are the same however many processes take part. When a detector breaks (DetectorError) the others are
    finished first.
    """
    todo = [d for d in plan.detectors if not is_done(d.spec.name, folder)]
    if not todo:
        return
    with ExitStack() as opened:
        clip_texts = opened.enter_context(ClipTexts(plan.clip, plan.options.cache)) if plan.clip else None
        context = set_context(plan, folder, n_pairs, clip_texts)
        _detect(todo, plan, folder, context, progress)


def set_context(plan: ScanPlan, folder: RunFolder, n_pairs: int, clip_texts: ClipTexts | None) -> SetContext:
    """What the plan's detectors may know of the set in that folder."""
    cache = {CACHE: str(plan.options.cache.resolve())} if plan.options.cache else {}
    found = clusters(folder, n_pairs)
    return SetContext(
        read=folder.batches,
        n_pairs=n_pairs,
        groups=found.connected,
        seed=plan.options.seed,
        options=plan.config.detector_options | cache,
        clip_texts=clip_texts,
        interval_groups=found.for_intervals,
    )


def _detect(
    todo: list[type[Detector]], plan: ScanPlan, folder: RunFolder, context: SetContext, progress: Progress
) -> None:
    n_pairs = context.n_pairs
    processes = min(len(todo), plan.options.workers or available_cpus())
    if processes > 1 and n_pairs >= _PAIRS_FOR_PROCESSES:
        # those about the set first: their work does not shrink with the number of pairs, and cannot be shared out
        names = [d.spec.name for d in sorted(todo, key=lambda d: d.spec.unit is not Unit.SET)]
        progress.stage(f"Detectors {', '.join(names)}", n_pairs * len(names), "looks at a pair")
        texts = ClipTexts(plan.clip, plan.options.cache) if plan.clip else None
        unknown = detect_in_processes(names, folder, context, processes, progress.advance, texts)
        todo = [d for d in todo if d.spec.name in unknown]
    _detect_here(todo, folder, context, progress)


def _detect_here(detectors: list[type[Detector]], folder: RunFolder, context: SetContext, progress: Progress) -> None:
    broken: list[DetectorError] = []
    for detector in detectors:
        progress.stage(f"Detector {detector.spec.name}", context.n_pairs, "pairs")
        try:
            run_detector(detector, folder, context, _Advance(progress))
        except DetectorError as error:
            broken.append(error)
    if broken:
        raise broken[0]


class _Advance:
    """Tells of pairs done, in all, as steps."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._done = 0

    def __call__(self, done: int) -> None:
        self._progress.advance(done - self._done)
        self._done = done


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which pairs are not independent of each other; arrays of shape (n_pairs,) of group numbers.

    `connected`: pairs that share a text, an image or a scenario (`twin_of`), transitively. `for_intervals`: the same,
    unless one group would hold more than half of the set (a query repeated over many images): then repeated texts
    count as a fixed part of the benchmark's design and do not connect; `note` says so.
    """

    connected: np.ndarray
    for_intervals: np.ndarray
    note: str = ""


def clusters(folder: RunFolder, n_pairs: int) -> Clusters:
    """Two streaming passes at most; memory of a few numbers per pair."""
    connected = _grouped(folder, texts=True)
    found = interval_groups(connected, lambda: _grouped(folder, texts=False))
    if found.few:
        note = (
            f"Shared images or scenarios connect {found.without_texts} of {n_pairs} pairs: "
            "the intervals rest on few independent groups."
        )
    else:
        note = (
            f"Repeated texts connect {found.connected} of {n_pairs} pairs. Intervals take those texts as given "
            "and group pairs by shared image only."
        ) * found.texts_given
    return Clusters(connected, found.groups, note)


def _grouped(folder: RunFolder, *, texts: bool) -> np.ndarray:
    groups = PairGroups()
    for batch in folder.batches():
        for keys in _keys(batch, texts=texts):
            groups.add(keys)
    found = groups.groups()
    del groups
    release_freed_memory()
    return found


def _keys(batch: Batch, *, texts: bool) -> Iterator[list[str]]:
    """What each pair may share with others: an image (by name if it could not be read), a text, a scenario."""
    for pair, images in batch:
        named = [pair.meta[ABSENT_IMAGE]] if ABSENT_IMAGE in pair.meta else []
        keys = [f"image:{name}" for name in (*named, *(facts.digest or facts.name for facts in images))]
        keys.append(f"twin:{pair.id if pair.twin_of is None else pair.twin_of}")
        if texts and (text := pair.text.strip().casefold()):
            keys.append(f"text:{text}")
        yield keys
