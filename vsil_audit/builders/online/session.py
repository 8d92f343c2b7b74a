"""A stretch of asking: gateways, cache, budget and spend of one build; its work is watched from the main thread."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from vsil_audit.builders.asked import note
from vsil_audit.builders.folder import BuildFolder, BuildManifest
from vsil_audit.builders.generators.base import GenerationFailure
from vsil_audit.builders.generators.kept import KeptImages
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.detectors.chat import Ask, Question
from vsil_audit.detectors.concessions import Concessions
from vsil_audit.detectors.sight import Sight
from vsil_audit.gateway import Answer, CallFailure, Gateway, GatewayThread, NoProviderError
from vsil_audit.gateway.cache_key import KeyWriter, digest
from vsil_audit.gateway.meter import BudgetReachedError, Spent
from vsil_audit.gateway.opening import open_gateway, open_provider
from vsil_audit.runs.progress import Progress
from vsil_audit.runs.spending import SpendingAccount, spent
from vsil_audit.runs.watching import GRACE_WHEN_INTERRUPTED, Watch


class LeftOpenError(Exception):
    """Something was never really tried; what it is for waits for the next session."""


@dataclass(slots=True)
class Session:
    """What all drafts share. `ask` raises LeftOpenError for a call that was never tried, and answers with anything else
    that an endpoint does."""

    gateways: Mapping[str, Gateway]
    images: KeptImages | None
    watch: Watch
    ask: Ask = field(init=False)
    _keys: dict[str, KeyWriter] = field(init=False)
    _no_image: GenerationFailure | None = None

    def __post_init__(self) -> None:
        self._keys = {name: KeyWriter(gateway.provider) for name, gateway in self.gateways.items()}
        self.ask = Concessions().around(Sight().guard(self._ask))

    @property
    def concurrency(self) -> int:
        return max(gateway.limiter.limits.max_concurrency for gateway in self.gateways.values())

    async def _ask(self, model: str, question: Question) -> Answer | CallFailure:
        note(digest(self._keys[model].canonical(question.request)).hex())
        outcome = await self.gateways[model].ask(question.request)
        if isinstance(outcome, CallFailure) and outcome.resumable:
            raise LeftOpenError
        return outcome

    def no_image(self, failure: GenerationFailure) -> None:
        """The generator was never really tried. Raises LeftOpenError, always."""
        self._no_image = failure
        raise LeftOpenError

    def check(self) -> None:
        """Raises what left things open: NoProviderError, BudgetReachedError, or CancelledError for an interrupt."""
        for gateway in self.gateways.values():
            gateway.check()
        if self._no_image is not None:
            kind = BudgetReachedError if self._no_image.kind == "budget" else NoProviderError
            raise kind(
                f"no image can be made: {self._no_image.detail}",
                "See to it, then run the same command again; it continues.",
            )
        raise asyncio.CancelledError

    def keep_spend(self) -> None:
        """Write the spend so far; from any thread."""
        self.watch.account.keep()

    def carry_out(self, work: Coroutine[Any, Any, None], done: Callable[[], int]) -> None:
        """Run it on the gateways' loop, and tell of its progress from this thread."""
        self.watch.carry_out(work, done)


@contextmanager
def session(
    folder: BuildFolder,
    manifest: BuildManifest,
    options: OnlineOptions,
    progress: Progress,
    elsewhere: Spent,
) -> Iterator[Session]:
    """`elsewhere`: what the build's scans spent, which counts against the budget. Leaving it waits for the calls that
    were sent, and the images that are being made, so that what is paid for is kept."""
    scan, settings = options.scan, options.scan.gateway
    with closing(settings.open_cache(scan.cache)) as cache, GatewayThread() as thread:
        meter = settings.meter(elsewhere + spent(manifest.spend))
        account = SpendingAccount(folder, manifest, meter)

        def made(name: str) -> Gateway:
            return open_gateway(name, **settings.for_model(name), cache=cache, meter=meter)

        gateways = {name: thread.open(partial(made, name)).gateway for name in options.models}
        generator = options.open_generator(meter)
        images = None if generator is None else KeptImages(generator, scan.cache)
        grace = settings.retry.total_timeout
        try:
            yield Session(gateways, images, Watch(thread, account, cache.warnings, progress))
        except KeyboardInterrupt:
            grace = GRACE_WHEN_INTERRUPTED
            progress.remark(f"Waiting up to {grace:g} s for answers on their way; again to leave them.")
            raise
        finally:
            try:
                if images is not None:
                    thread.carry_out(_closed(images, grace))
            finally:
                try:
                    thread.close(grace)
                finally:
                    account.keep()


def check_models(options: OnlineOptions) -> None:
    """Raises ConfigurationError or MissingDependencyError where a model could not be asked as it is named. Nothing is
    sent."""
    settings = options.scan.gateway
    meter = settings.meter()
    for model in options.models:
        meter.account(open_provider(model, settings.for_model(model)["base_url"]))
    options.open_generator(meter)


async def _closed(images: KeptImages, grace: float) -> None:
    try:
        await asyncio.wait_for(images.close(), grace)
    except asyncio.TimeoutError:
        return
