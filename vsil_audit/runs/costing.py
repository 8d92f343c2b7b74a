"""What a scan would ask, before anything is spent: the run's own detectors over the run's own subjects, rehearsed.

Every question is made as the scan will make it, so that calls are counted, not guessed; kept answers, and where there
is none others of their kind or typical ones, stand in for the models', so that follow-ups (a judge of the response, a
repair turn) are counted too. What cannot be foreseen are retries, what an endpoint will not take, and repair turns of
a model that was never asked. Tokens are expected from kept answers of the same kind where there are any
(`gateway.token_scale`).
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from types import MappingProxyType

from vsil_audit.detectors.chat import AskContext, ChatDetector, Part, Question, Subject
from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.gateway import Answer, CallFailure, Finish, Gateway, GatewayThread, Reply, Request
from vsil_audit.gateway.cache import AnswerCache
from vsil_audit.gateway.cache_key import KeyWriter, digest
from vsil_audit.gateway.completion import read_answer
from vsil_audit.gateway.meter import Meter
from vsil_audit.gateway.opening import open_gateway, open_provider
from vsil_audit.gateway.prices import FREE
from vsil_audit.gateway.provider import AttemptError
from vsil_audit.gateway.token_scale import TokenScale
from vsil_audit.pair import Json
from vsil_audit.runs.cost_plan import CostPlan, ModelCost
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.subjects import Subjects


def cost_of(
    plan: ScanPlan,
    folder: RunFolder,
    progress: Progress,
    pilot: int = 0,
    seen: dict[str, set[bytes]] | None = None,
) -> CostPlan:
    """Rehearse the plan's chat detectors over a folder whose pairs have been read.

    `pilot`: so many pairs are really asked about first (their answers are kept for the scan), so that tokens are
    learnt, not guessed. `seen`: by model, the keys of questions that are counted already; filled. Raises what
    `ask_models` raises for a pilot.
    """
    seen = {} if seen is None else seen
    settings, subjects = plan.options.gateway, Subjects(plan, folder)
    costs = CostPlan(concurrency=settings.limits.max_concurrency)
    rehearsals = [_Rehearsal(plan, folder, subjects, detector) for detector in plan.chat_detectors]
    with closing(settings.open_cache(plan.options.cache)) as cache, GatewayThread() as thread:
        if pilot:
            meter = settings.meter()
            for rehearsal in rehearsals:
                progress.stage(f"Asking for {rehearsal.name} about a few pairs", None, "pairs")
                rehearsal.pilot(pilot, thread, cache, meter)
        counters = {model: _Counter(model, plan, cache, seen.setdefault(model, set())) for model in _models(plan)}
        costs.notes += [counter.note for counter in counters.values() if counter.note]
        for rehearsal in rehearsals:
            progress.stage(f"Rehearsing {rehearsal.name}", rehearsal.total, "subjects")
            rows = {m: ModelCost(rehearsal.name, m, counters[m].price) for m in rehearsal.models}
            asked = {m: _Asked(counters[m], row) for m, row in rows.items()}
            for subjects_at_once in rehearsal.subjects():
                thread.carry_out(rehearsal.count(subjects_at_once, asked))
                progress.advance(len(subjects_at_once))
            costs.rows += rows.values()
            for part, count in rehearsal.parts.items():
                costs.subjects[part] = max(costs.subjects.get(part, 0), count)
    return costs


def _models(plan: ScanPlan) -> list[str]:
    return list(dict.fromkeys(model for d in plan.chat_detectors for model in d.models(plan.options.ask)))


class _Rehearsal:
    """One detector and all that it would be shown."""

    def __init__(self, plan: ScanPlan, folder: RunFolder, subjects: Subjects, detector: type[ChatDetector]) -> None:
        n_pairs = sum(map(folder.n_pairs, range(folder.n_batches())))
        self.name, self.models = detector.spec.name, detector.models(plan.options.ask)
        self._plan, self._folder, self._subjects = plan, folder, subjects
        self._detector = detector()
        self._detector.prepare(AskContext(plan.options.ask, n_pairs))
        canaries = subjects.canaries(self._detector, n_pairs)
        self._planted = list(itertools.chain.from_iterable(canaries.values()))
        self._control = subjects.control() if Part.CONTROL in detector.examines and n_pairs else []
        self.parts = {"set": n_pairs, "canary": len(self._planted), "control": len(self._control)}
        self.total = sum(self.parts.values())

    def pilot(self, pairs: int, thread: GatewayThread, cache: AnswerCache, meter: Meter) -> None:
        """Ask for real about a few pairs, spread over the set, and about the same share of the control: harmless texts
        get other answers. Raises NoProviderError, BudgetReachedError."""
        settings = self._plan.options.gateway

        def made(model: str) -> Gateway:
            return open_gateway(model, **settings.for_model(model), cache=cache, meter=meter)

        gateways = {model: thread.open(partial(made, model)).gateway for model in self.models}

        async def ask(model: str, question: Question) -> Answer | CallFailure:
            return await gateways[model].ask(question.request)

        async def all_of(chosen: Sequence[Subject]) -> None:
            await asyncio.gather(*(self._detector.examine(subject, ask) for subject in chosen))

        step = max(1, self.parts["set"] // pairs)
        of_set = itertools.islice(itertools.chain.from_iterable(self._of_set()), 0, pairs * step, step)
        thread.carry_out(all_of([*of_set, *self._control[::step]]))
        for gateway in gateways.values():
            gateway.check()

    def subjects(self) -> Iterator[Sequence[Subject]]:
        """All that it would be shown, batch by batch."""
        yield from self._of_set()
        yield [*self._planted, *self._control]

    async def count(self, subjects: Sequence[Subject], asked: Mapping[str, _Asked]) -> None:
        """Count every question about them."""

        async def ask(model: str, question: Question) -> Answer:
            return asked[model].take(question)

        for subject in subjects:
            await self._detector.examine(subject, ask)

    def _of_set(self) -> Iterator[list[Subject]]:
        return map(self._subjects.of_batch, range(self._folder.n_batches()))


_LEAST_PROSE = 40


class _Nobody:
    """Stands in for a provider that cannot be opened here, so that equal questions are still told."""

    name, model, billed = "", "", False
    identity: Mapping[str, Json] = MappingProxyType({})

    async def complete(self, request: Request, timeout: float) -> Reply:
        raise NotImplementedError

    async def close(self) -> None: ...


_ANYBODY = KeyWriter(_Nobody())


class _Counter:
    """What is known of a model before it is asked: its price, its kept answers, how long they were."""

    def __init__(self, model: str, plan: ScanPlan, cache: AnswerCache, seen: set[bytes]) -> None:
        self.note = ""
        self.seen = seen
        self.keys = _ANYBODY
        self.scale, self.price = TokenScale(), None
        self._cache, self._provider = cache, ""
        settings = plan.options.gateway
        try:
            provider = open_provider(model, settings.for_model(model)["base_url"])
        except (ConfigurationError, MissingDependencyError) as error:
            self.note = f"{error.message} Kept answers of {model} could not be looked for. {error.remedy}"
            provider_name, _, name = model.partition("/")
            self.price = settings.price_table().price(provider_name, name)
            return
        self.keys, self._provider = KeyWriter(provider), provider.name
        self.scale = TokenScale.of(cache, provider.name, provider.model)
        self.price = settings.price_table().price(provider.name, provider.model) or (None if provider.billed else FREE)

    def kept(self, key: bytes) -> Answer | None:
        """The answer that is kept under the key and can still be read."""
        found = self._cache.get([key]) if self._provider else {}
        try:
            return read_answer(found[key][0], self._provider, cached=True) if key in found else None
        except AttemptError:
            return None


class _Asked:
    """Counts the questions to one model in one detector."""

    def __init__(self, counter: _Counter, row: ModelCost) -> None:
        self._counter, self._row = counter, row

    def take(self, question: Question) -> Answer:
        """Count it, and give its kept answer, else another of the model's to such a question, else a typical one: what
        is asked next depends on it."""
        canonical = self._counter.keys.canonical(question.request)
        key = digest(canonical)
        kept = self._counter.kept(key)
        if kept is not None or key in self._counter.seen:
            self._row.cached += 1
        else:
            self._expect(canonical, question)
        self._counter.seen.add(key)
        if kept is not None:
            return kept
        expected = self._counter.scale.an_answer(canonical, key) or Answer(question.typical_answer, Finish.STOP)
        return replace(expected, text=_told_apart(expected.text, key))

    def _expect(self, canonical: str, question: Question) -> None:
        row, most = self._row, question.request.parameters.max_tokens
        tokens = self._counter.scale.expect(canonical, question.typical_answer, most)
        row.calls += 1
        row.learnt += tokens.answers > 0
        row.input_tokens += tokens.input
        row.output_tokens += tokens.output
        row.most_output_tokens += most
        if tokens.seconds is not None:
            row.call_seconds += tokens.seconds
            row.timed += 1


def _told_apart(answer: str, key: bytes) -> str:
    """No two samples of a model's prose are equal, so that a judge is asked about each; a verdict stays as it is."""
    is_prose = len(answer) > _LEAST_PROSE and "{" not in answer
    return f"{answer} {key.hex()[:8]}" if is_prose else answer
