"""Third stage of a run: the detectors that ask models, many subjects at a time, committed batch by batch.

A batch is committed when every call of its subjects has come to an end of its own: an answer, a refusal, a failure of
that request. Where the endpoint died or the budget was used up, subjects are left open: the answers that were paid for
are in the answer cache, and the next session of the run finds them there.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial

from vsil_audit.detectors.chat import AskContext, ChatDetector, Observation, Part, Question, Subject
from vsil_audit.gateway import Answer, CallFailure, Gateway, GatewayThread
from vsil_audit.gateway.opening import open_gateway, open_provider
from vsil_audit.pair import Failed, Finding
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.scoring import checked, is_done, named_error
from vsil_audit.runs.spending import SpendingAccount, spent
from vsil_audit.runs.subjects import Subjects, mixed
from vsil_audit.runs.watching import GRACE_WHEN_INTERRUPTED, Watch

_SUBJECTS_A_CALL = 4  # under way for each call that may be in flight, so that the endpoint never waits for us


def ask_models(plan: ScanPlan, folder: RunFolder, manifest: Manifest, progress: Progress) -> Manifest:
    """Run the plan's chat detectors over the folder's batches, or what is left of them; returns the manifest with what
    was spent.

    Raises NoProviderError (exit code 4) when an endpoint is dead, BudgetReachedError (exit code 3) when the budget,
    that of all sessions together, is used up, DetectorError; these, and KeyboardInterrupt, leave a folder that the same
    command continues. After `kill -9` the spend lacks what was paid since it was last kept, at most a second before.
    """
    todo = [d for d in plan.chat_detectors if not is_done(d.spec.name, folder)]
    if not todo:
        return manifest
    settings, subjects = plan.options.gateway, Subjects(plan, folder)
    with closing(settings.open_cache(plan.options.cache)) as cache, GatewayThread() as thread:
        meter = settings.meter(spent(manifest.spend))
        account = SpendingAccount(folder, manifest, meter)
        names = dict.fromkeys(name for d in todo for name in d.models(plan.options.ask))

        def made(name: str) -> Gateway:
            return open_gateway(name, **settings.for_model(name), cache=cache, meter=meter)

        gateways = {name: thread.open(partial(made, name)).gateway for name in names}
        asking = _Asking(plan, folder, subjects, gateways, account)
        watch = Watch(thread, account, cache.warnings, progress)
        grace = settings.retry.total_timeout
        try:
            for detector in todo:
                _ask(asking, detector, watch)
        except KeyboardInterrupt:
            grace = GRACE_WHEN_INTERRUPTED
            progress.remark(f"Waiting up to {grace:g} s for answers on their way; again to leave them.")
            raise
        finally:
            try:
                thread.close(grace)  # waits for the calls that were sent, so that their answers and cost are kept
            finally:
                account.keep()
    return account.manifest


def check_models(plan: ScanPlan) -> None:
    """Raises ConfigurationError or MissingDependencyError where a model could not be asked as it is named: an address
    that is none, no key, a budget in dollars and no price. Nothing is sent. For before a run begins, since its models
    are asked last."""
    settings = plan.options.gateway
    meter = settings.meter()
    for model in dict.fromkeys(name for d in plan.chat_detectors for name in d.models(plan.options.ask)):
        meter.account(open_provider(model, settings.for_model(model)["base_url"]))


def _ask(asking: _Asking, detector: type[ChatDetector], watch: Watch) -> None:
    """Run one detector on the gateways' thread."""
    try:
        made = detector()
        made.prepare(AskContext(asking.plan.options.ask, asking.n_pairs))
        work = _Work(made, asking)
    except Exception as error:
        raise named_error(error, detector.spec.name, "as it prepared") from error
    watch.progress.stage(f"Detector {detector.spec.name}", work.total, "subjects")
    watch.carry_out(work.run(), lambda: work.done)


@dataclass(slots=True)
class _Asking:
    """What all chat detectors of a run share."""

    plan: ScanPlan
    folder: RunFolder
    subjects: Subjects
    gateways: Mapping[str, Gateway]
    account: SpendingAccount[Manifest]
    n_pairs: int = 0

    def __post_init__(self) -> None:
        self.n_pairs = sum(map(self.folder.n_pairs, range(self.folder.n_batches())))


class _LeftOpenError(Exception):
    """A call was never really tried; its subject waits for the next session."""


@dataclass(slots=True)
class _OpenBatch:
    """A batch under way: its subjects in order, and what was observed of each so far. `index` None: the control."""

    index: int | None
    subjects: list[Subject]
    observed: dict[int, Sequence[Observation]] = field(default_factory=dict)
    broken: dict[int, Failed] = field(default_factory=dict)

    @property
    def complete(self) -> bool:
        return len(self.observed) == len(self.subjects)


class _Work:
    """One detector over what is left of a run. `done`: subjects that came to an end, those of earlier sessions too."""

    def __init__(self, detector: ChatDetector, asking: _Asking) -> None:
        self._detector, self._asking = detector, asking
        self._folder, self._name = asking.folder, detector.spec.name
        self._canaries = asking.subjects.canaries(detector, asking.n_pairs)
        self._control = asking.subjects.control() if Part.CONTROL in detector.examines and asking.n_pairs else []
        self.total = asking.n_pairs + sum(map(len, self._canaries.values())) + len(self._control)
        self.done = 0
        self._left_open = False
        self._unwritten: Exception | None = None
        self._one_at_a_time = asyncio.Lock()

    async def run(self) -> None:
        """Raises what `Gateway.check` raises once subjects had to be left open."""
        slots = asyncio.Semaphore(self._subjects_under_way())
        tasks: set[asyncio.Task[None]] = set()
        try:
            async for batch, place in self._open_places():
                await slots.acquire()
                if self._left_open or self._unwritten is not None:
                    break
                task = asyncio.create_task(self._one(batch, place, slots))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            while tasks:
                await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        if self._unwritten is not None:
            raise self._unwritten
        if self._left_open:
            for gateway in self._asking.gateways.values():
                gateway.check()
            raise asyncio.CancelledError
        self._folder.write_findings(self._name, None, [])

    async def _open_places(self) -> AsyncIterator[tuple[_OpenBatch, int]]:
        """Every subject that is not committed: its batch, loaded when its turn comes, and its place there."""
        for index in (*range(self._folder.n_batches()), None):
            if self._committed(index):
                self.done += self._size(index)
                continue
            batch = _OpenBatch(index, await asyncio.to_thread(self._load, index))
            if not batch.subjects:
                await self._commit(batch)
            for place in range(len(batch.subjects)):
                yield batch, place

    def _subjects_under_way(self) -> int:
        calls = (g.limiter.limits.max_concurrency for g in self._asking.gateways.values())
        return _SUBJECTS_A_CALL * max(calls, default=1)

    def _committed(self, index: int | None) -> bool:
        if index is None:
            return not self._control or self._folder.has_observations(self._name, None)
        return self._folder.has_findings(self._name, index)

    def _size(self, index: int | None) -> int:
        if index is None:
            return len(self._control)
        return self._folder.n_pairs(index) + len(self._canaries.get(index, ()))

    def _load(self, index: int | None) -> list[Subject]:
        if index is None:
            return self._control
        seed = self._asking.plan.options.seed
        return mixed(self._asking.subjects.of_batch(index), self._canaries.get(index, ()), seed, index)

    async def _one(self, batch: _OpenBatch, place: int, slots: asyncio.Semaphore) -> None:
        subject = batch.subjects[place]
        try:
            batch.observed[place] = await self._detector.examine(subject, self._ask)
        except _LeftOpenError:
            self._left_open = True
            return
        except Exception as error:  # noqa: BLE001 - whatever a detector raises must not cost the other subjects
            batch.broken[place] = Failed("detector_error", f"{type(error).__name__}: {error}")
            batch.observed[place] = self._failures(subject, batch.broken[place])
        finally:
            slots.release()
        self.done += 1
        if batch.complete:
            await self._commit(batch)

    async def _ask(self, model: str, question: Question) -> Answer | CallFailure:
        outcome = await self._asking.gateways[model].ask(question.request)
        if isinstance(outcome, CallFailure) and outcome.resumable:
            raise _LeftOpenError
        return outcome

    def _failures(self, subject: Subject, failure: Failed) -> list[Observation]:
        models = self._detector.models(self._asking.plan.options.ask)
        return [Observation(subject.pair.id, model, "", failure, part=subject.part) for model in models]

    async def _commit(self, batch: _OpenBatch) -> None:
        """Observations first, and the findings that are made of them last: they mark the batch as done."""
        async with self._one_at_a_time:
            if self._unwritten is not None:
                return
            try:
                await asyncio.to_thread(self._write, batch)
            except Exception as error:  # noqa: BLE001 - a full disk, say: it ends the run, and is raised there
                self._unwritten = error

    def _write(self, batch: _OpenBatch) -> None:
        observations = [o for place in range(len(batch.subjects)) for o in batch.observed[place]]
        self._folder.write_observations(self._name, batch.index, observations)
        if batch.index is not None:
            places = (p for p, subject in enumerate(batch.subjects) if subject.part is Part.SET)
            self._folder.write_findings(self._name, batch.index, [self._finding(batch, place) for place in places])
        self._asking.account.keep()

    def _finding(self, batch: _OpenBatch, place: int) -> Finding:
        pair = batch.subjects[place].pair
        if place in batch.broken:
            return Finding(self._name, pair.id, batch.broken[place])
        try:
            finding = self._detector.finding(pair, batch.observed[place])
        except Exception as error:  # noqa: BLE001 - recorded as a failure of this pair, with its reason
            return Finding(self._name, pair.id, Failed("detector_error", f"{type(error).__name__}: {error}"))
        if finding.pair_id != pair.id:
            return Finding(self._name, pair.id, Failed("detector_error", "the finding is about another pair"))
        return checked(finding, self._name)
