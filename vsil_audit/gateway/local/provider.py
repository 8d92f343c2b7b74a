"""A model in this process as the gateway sees it."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from types import MappingProxyType

from PIL import Image

from vsil_audit.errors import ConfigurationError
from vsil_audit.features.facts import ImageError
from vsil_audit.gateway.answers import FailureKind
from vsil_audit.gateway.cache_key import KeyWriter, digest
from vsil_audit.gateway.image_url import prepare
from vsil_audit.gateway.local.batching import Batches, closed
from vsil_audit.gateway.local.fitting import Fitting, free_memory
from vsil_audit.gateway.local.folder import find_model
from vsil_audit.gateway.local.generation import Generator, Job
from vsil_audit.gateway.local.loading import LoadingError, best_device, load
from vsil_audit.gateway.messages import Request
from vsil_audit.gateway.provider import AttemptError, Blame, Reply
from vsil_audit.pair import Json

BATCH_SIZE = "VSIL_AUDIT_BATCH_SIZE"
"""The environment variable that says how many requests a batch may have."""

_DEFAULT_BATCH_SIZE = 32


class LocalProvider:
    """One model through transformers. It is loaded when it is first asked, and freed by `close`.

    Requests in flight are answered in batches; each answer depends on its request alone, as far as floating-point
    arithmetic allows. Belongs to the event loop in which it is first asked.
    """

    name = "hf"
    billed = False

    def __init__(self, model: str, batch_size: int | None = None) -> None:
        """`model`: `ORG/NAME`, `ORG/NAME@REVISION` or the path of a folder. `batch_size`: requests at once, at most
        (default: `$VSIL_AUDIT_BATCH_SIZE`, else 32).

        Raises ConfigurationError or MissingDependencyError; see `folder.find_model`.
        """
        self._most = batch_size or _batch_size()
        self._folder = find_model(model)
        self._device = best_device()
        self.model = self._folder.label
        self.identity: Mapping[str, Json] = MappingProxyType(
            {
                "version": self._folder.version,
                "device": self._device.kind,
                "dtype": self._device.dtype,
                "transformers": version("transformers"),
                "images": "torchvision" if find_spec("torchvision") else "pillow",  # they resize differently
            }
        )
        self._seeds = KeyWriter(self)
        self._executor: ThreadPoolExecutor | None = None
        self._loading: asyncio.Future[Generator] | None = None
        self._batches: Batches | None = None

    def __repr__(self) -> str:
        return f"LocalProvider({self.name}/{self.model} at {self._folder.path})"

    async def complete(self, request: Request, timeout: float) -> Reply:
        """One attempt. Raises AttemptError: FATAL where the model cannot be loaded, SATURATED where the time was over
        before the request's turn came."""
        call = _Call(request, time.monotonic() + timeout)
        try:
            return await asyncio.wait_for(self._answer(call), timeout)
        except asyncio.TimeoutError:
            raise call.too_late(timeout) from None

    async def _answer(self, call: _Call) -> Reply:
        generator, batches = await self._loaded()
        call.loaded = True
        batches.preparing += 1
        try:
            call.job = job = await self._job(call, generator)
        finally:
            batches.preparing -= 1
        return await batches.answer(job)

    async def _loaded(self) -> tuple[Generator, Batches]:
        if self._loading is None:
            self._executor = ThreadPoolExecutor(1, "vsil-audit-model")
            self._loading = asyncio.get_running_loop().run_in_executor(self._executor, self._load)
            self._loading.add_done_callback(lambda ended: ended.cancelled() or ended.exception())  # it has been seen
        try:
            generator = await asyncio.shield(self._loading)
        except LoadingError as error:
            raise AttemptError(FailureKind.PERMANENT, str(error), retry=False, blame=Blame.FATAL, sent=False) from None
        if self._executor is None:
            raise closed()
        if self._batches is None:
            self._batches = Batches(Fitting(generator.answer, self._most), self._executor)
        return generator, self._batches

    def _load(self) -> Generator:
        return Generator(load(self._folder.path, self._device), self.model)

    async def _job(self, call: _Call, generator: Generator) -> Job:
        """The request with its images decoded. Raises AttemptError."""
        request = call.request
        if request.images and not generator.sees:
            detail = f"{self.model} is a model of text alone; it takes no images"
            raise AttemptError(FailureKind.PERMANENT, detail, retry=False, sent=False)
        as_text = generator.must_be_text(request)
        images: list[Image.Image] = []
        for part in request.images:
            image = await asyncio.to_thread(prepare, part)
            if isinstance(image, ImageError):
                detail = f"{part.name}: {image.kind}: {image.detail}"
                raise AttemptError(FailureKind.IMAGE, detail, retry=False, sent=False)
            images.append(image.pixels)
        seed = int.from_bytes(digest(self._seeds.canonical(request)), "big")
        return Job(request, tuple(images), seed, call.deadline, as_text)

    async def close(self) -> None:
        """Ends what runs, and frees the model's memory. A model that is just being loaded is waited for."""
        if self._batches is not None:
            self._batches.stop()
        executor, self._executor = self._executor, None
        self._batches = self._loading = None
        if executor is not None:
            await asyncio.to_thread(executor.shutdown, cancel_futures=True)
            await asyncio.to_thread(free_memory)


@dataclass(slots=True)
class _Call:
    """One request on its way, to tell what it was that took too long."""

    request: Request
    deadline: float
    loaded: bool = False
    job: Job | None = None

    def too_late(self, timeout: float) -> AttemptError:
        if not self.loaded:
            return AttemptError(
                FailureKind.TIMEOUT, f"still loading the model after {timeout:g} s", retry=True, sent=False
            )
        if self.job is None or not self.job.begun:
            detail = f"not its turn within {timeout:g} s: fewer at once would do"
            return AttemptError(FailureKind.TIMEOUT, detail, retry=True, blame=Blame.SATURATED, sent=False)
        return AttemptError(FailureKind.TIMEOUT, f"no complete answer within {timeout:g} s", retry=True)


def _batch_size() -> int:
    given = os.environ.get(BATCH_SIZE, "").strip()
    if not given:
        return _DEFAULT_BATCH_SIZE
    if not given.isdecimal() or int(given) < 1:
        raise ConfigurationError(f"{BATCH_SIZE} is {given!r}.", "Set it to a whole number of at least 1, or unset it.")
    return int(given)
