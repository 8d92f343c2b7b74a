"""Second stage of a run on Ray: each detector is prepared once, workers score batches with all of them, and at the end
each concludes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

from vsil_audit.detectors.base import Batch, Detector, Need, SetContext
from vsil_audit.errors import DetectorError
from vsil_audit.features.clip.in_use import ClipTexts
from vsil_audit.runs.detecting import set_context
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.on_ray.attempts import ATTEMPTS, Attempts
from vsil_audit.runs.on_ray.cluster import Cluster, Pool
from vsil_audit.runs.on_ray.places import check_held, everywhere
from vsil_audit.runs.on_ray.sending import SharedContext, packed, unpacked
from vsil_audit.runs.on_ray.spread import CarriedError, Spread
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.scoring import conclude, is_done, prepared, score_batch

_BATCHES_A_PIECE = 8
_PIECES_A_WORKER = 8  # at least, where there are so many, so that all end at about the same time
_DetectorType: TypeAlias = type[Detector]
_Prepared: TypeAlias = tuple[_DetectorType, Any]
"""A detector, and Ray's reference to what it is like once prepared."""


def detect(plan: ScanPlan, folder: RunFolder, n_pairs: int, progress: Progress, cluster: Cluster) -> None:
    """Run the plan's detectors over a folder whose batches are all there; what is committed is not done again.

    When a detector breaks (DetectorError), or ends its worker several times, the others are finished first.
    """
    todo = [d for d in plan.detectors if not is_done(d.spec.name, folder)]
    if not todo:
        return
    texts = None if plan.clip is None else ClipTexts(plan.clip, plan.options.cache)
    here = set_context(plan, folder, n_pairs, texts)
    shared = _shared(here, texts, folder)
    encode = any(Need.CLIP in d.spec.needs for d in todo)
    pool = cluster.scorers(encode=encode)
    broken: dict[str, BaseException] = {}
    sound = _prepare_each(todo, shared, pool, progress, broken)
    progress.stage(f"Detectors {', '.join(d.spec.name for d, _ in sound)}", n_pairs * len(sound), "looks at a pair")
    _score(sound, shared, folder, cluster, pool, progress, broken)
    _conclude([(d, state) for d, state in sound if d.spec.name not in broken], folder, here, broken)
    for error in broken.values():
        raise error


def _shared(here: SetContext, texts: ClipTexts | None, folder: RunFolder) -> SharedContext:
    import ray

    groups = ray.put(here.groups)
    return SharedContext(
        place=everywhere(folder.path),
        n_pairs=here.n_pairs,
        groups=groups,
        interval_groups=groups if here.for_intervals is here.groups else ray.put(here.for_intervals),
        seed=here.seed,
        options=dict(here.options),
        clip=None if texts is None else texts.to_json(),
    )


def _prepare_each(
    detectors: Sequence[_DetectorType],
    shared: SharedContext,
    pool: Pool,
    progress: Progress,
    broken: dict[str, BaseException],
) -> list[_Prepared]:
    """Each in a task of its own, side by side in the cluster; those that did not break, with references to what
    `_prepare` made of them."""
    import ray

    progress.stage(f"Preparing {', '.join(d.spec.name for d in detectors)}", len(detectors), "detectors")
    prepare = ray.remote(num_cpus=1, num_gpus=pool.gpus, max_retries=ATTEMPTS - 1)(_prepare)
    begun = {prepare.remote(detector, shared): detector for detector in detectors}
    waiting = list(begun)
    while waiting:
        (done,), waiting = ray.wait(waiting, num_returns=1)
        name = begun[done].spec.name
        try:
            found = ray.get(done)
        except ray.exceptions.RayError:
            broken[name] = _deadly(name, " as it prepared")
        else:
            if isinstance(found, CarriedError):
                broken[name] = found.error()
        progress.advance(1)
    return [(detector, state) for state, detector in begun.items() if detector.spec.name not in broken]


def _prepare(detector_type: _DetectorType, shared: SharedContext) -> bytes | CarriedError | None:
    """The prepared detector as bytes; None for one that cannot be sent, and is prepared wherever it is needed."""
    try:
        opened = _Opened(shared.opened(), RunFolder(shared.place))
        try:
            return packed(prepared(detector_type, opened.folder, opened.context), opened.context)
        finally:
            opened.close()
    except Exception as error:  # noqa: BLE001 - it is raised by the driver
        return CarriedError.of(error)


def _conclude(
    detectors: Sequence[_Prepared], folder: RunFolder, here: SetContext, broken: dict[str, BaseException]
) -> None:
    import ray

    opened = _Opened(here, folder)
    for detector_type, state in detectors:
        with _noted(broken, detector_type.spec.name):
            conclude(opened.detector(detector_type, ray.get(state)), folder)
    opened.close()


@contextmanager
def _noted(broken: dict[str, BaseException], name: str) -> Iterator[None]:
    try:
        yield
    except DetectorError as error:
        broken[name] = error


@dataclass(frozen=True, slots=True)
class _Opened:
    """A run folder and the context of its detectors, in this process."""

    context: SetContext
    folder: RunFolder

    def detector(self, detector_type: _DetectorType, state: bytes | None) -> Detector:
        if state is None:
            return prepared(detector_type, self.folder, self.context)
        return unpacked(state, self.context)

    def close(self) -> None:
        if isinstance(self.context.clip_texts, ClipTexts):
            self.context.clip_texts.close()


# batches, to a pool of workers


@dataclass(frozen=True, slots=True)
class _Piece:
    """Work for a scorer: these batches, or that many looks at pairs that need no work."""

    batches: tuple[int, ...]
    passed: int = 0


@dataclass(frozen=True, slots=True)
class _Scored:
    """How many looks at a pair are done, and which detectors ended their worker, over which batch."""

    looks: int
    deadly: tuple[tuple[str, int], ...] = ()


def _score(
    detectors: Sequence[_Prepared],
    shared: SharedContext,
    folder: RunFolder,
    cluster: Cluster,
    pool: Pool,
    progress: Progress,
    broken: dict[str, BaseException],
) -> None:
    if not detectors:
        return
    names = tuple(d.spec.name for d, _ in detectors)
    spread: Spread[_Piece, _Scored] = Spread(
        partial(iter, _pieces(folder, names, pool.size)),
        _Scorer,
        (shared, tuple(detectors), Attempts(cluster)),
        cluster,
        pool,
    )
    for scored in spread.answers():
        check_held(shared.place)
        progress.advance(scored.looks)
        for name, index in scored.deadly:
            broken.setdefault(name, _deadly(name, f", over batch {index}"))
    for name in names:
        if not all(folder.has_findings(name, i) for i in range(folder.n_batches())):
            broken.setdefault(name, DetectorError(name, "was given batches whose findings were never committed"))


def _deadly(name: str, where: str) -> DetectorError:
    return DetectorError(name, f"ended its process {ATTEMPTS} times{where}")


def _pieces(folder: RunFolder, names: Sequence[str], workers: int) -> list[_Piece]:
    n_batches = folder.n_batches()
    size = max(1, min(_BATCHES_A_PIECE, n_batches // (workers * _PIECES_A_WORKER)))
    left = [i for i in range(n_batches) if not all(folder.has_findings(name, i) for name in names)]
    done = set(range(n_batches)).difference(left)
    pieces = [_Piece((), sum(map(folder.n_pairs, done)) * len(names))] if done else []
    return pieces + [_Piece(tuple(left[i : i + size])) for i in range(0, len(left), size)]


class _Scorer:
    """All detectors in one process of the cluster."""

    def __init__(self, shared: SharedContext, detectors: Sequence[_Prepared], attempts: Attempts) -> None:
        import ray

        self._opened = _Opened(shared.opened(), RunFolder(shared.place))
        self._attempts = attempts
        self._detectors = [self._opened.detector(d, ray.get(state)) for d, state in detectors]

    def __call__(self, piece: _Piece) -> _Scored:
        scored = [self._score(index) for index in piece.batches]
        looks = piece.passed + sum(one.looks for one in scored)
        return _Scored(looks, tuple(deadly for one in scored for deadly in one.deadly))

    def _score(self, index: int) -> _Scored:
        folder = self._opened.folder
        pairs = folder.n_pairs(index)
        deadly: list[tuple[str, int]] = []
        read = _Batches(folder, index)
        for detector in self._detectors:
            name = detector.spec.name
            if folder.has_findings(name, index):
                continue
            if self._attempts.are_used_up(f"{name} {index}"):
                deadly.append((name, index))
                continue
            batch = read.with_clip() if Need.CLIP in detector.spec.needs else read.without()
            folder.write_findings(name, index, score_batch(detector, batch))
        return _Scored(pairs * len(self._detectors), tuple(deadly))

    def close(self) -> None:
        self._opened.close()


class _Batches:
    """One batch, read when it is first needed, with or without its vectors."""

    def __init__(self, folder: RunFolder, index: int) -> None:
        self._folder, self._index = folder, index
        self._read: dict[bool, Batch] = {}

    def with_clip(self) -> Batch:
        return self._once(clip=True)

    def without(self) -> Batch:
        return self._once(clip=False)

    def _once(self, *, clip: bool) -> Batch:
        if clip not in self._read:
            self._read[clip] = self._folder.read_batch(self._index, clip=clip)
        return self._read[clip]
