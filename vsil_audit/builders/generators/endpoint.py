"""Images of an OpenAI-compatible endpoint: limited, retried, budgeted and given up as the gateway does with chat."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from urllib.parse import urljoin

from yarl import URL

from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageRequest
from vsil_audit.builders.generators.dialects import fixed, parameters
from vsil_audit.builders.generators.images_answer import Drawn, Refused, checked, read_images_answer
from vsil_audit.gateway.answers import Answer, CallFailure, FailureKind, Finish, Usage
from vsil_audit.gateway.breaker import Breaker, Patience
from vsil_audit.gateway.endpoints import Endpoint, is_loopback
from vsil_audit.gateway.limiter import Limiter, Limits
from vsil_audit.gateway.meter import TOKENS_PER_MESSAGE, Meter, Reservation, Spend
from vsil_audit.gateway.provider import AttemptError, Blame
from vsil_audit.gateway.retry import Attempts, RetryPolicy
from vsil_audit.gateway.transport import Transport

PATIENT = RetryPolicy(attempt_timeout=300.0)
"""For images: some take minutes."""

_MOST_AT_ONCE = 8
_CHARACTERS_PER_TOKEN = 4


@dataclass(frozen=True, slots=True)
class _Billed:
    """The account's name is `images/PROVIDER/MODEL`."""

    model: str
    billed: bool
    name: str = "images"


class EndpointImages:
    """One model of one endpoint's `images/generations`. Belongs to the event loop in which it is first used."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        meter: Meter | None = None,
        limits: Limits | None = None,
        retry: RetryPolicy | None = None,
        patience: Patience | None = None,
    ) -> None:
        """Raises ConfigurationError where the meter's budget is in dollars and an image's price is not known."""
        own = endpoint.provider == "vllm"  # any server that is named by its address
        self._billed = _Billed(endpoint.model if own else f"{endpoint.provider}/{endpoint.model}", endpoint.billed)
        self.paid = endpoint.billed and not is_loopback(endpoint.base_url)
        how = fixed(endpoint.provider, endpoint.model)
        self.identity = f"images/{self._billed.model}; {endpoint.base_url}; {how}"
        self._endpoint = endpoint
        self._url = URL(f"{endpoint.base_url}/images/generations")
        self._transport = Transport(endpoint)
        self._retry = retry or PATIENT
        asked = limits or Limits()
        self._limiter = Limiter(Limits(min(asked.max_concurrency, _MOST_AT_ONCE), asked.max_rpm))
        self._breaker = Breaker(patience)
        self._stopping: asyncio.Event | None = None
        self._sent: set[asyncio.Task[GeneratedImage | GenerationFailure]] = set()
        self._meter = meter or Meter()
        self._spend = self._meter.account(self._billed)

    def __repr__(self) -> str:
        return f"EndpointImages({self.identity})"

    @property
    def spend(self) -> Spend:
        return self._spend

    async def generate(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        """An image; `blocked` where the provider's policy forbids it; a resumable failure where the budget is used up,
        or the endpoint dead."""
        if self._stopping is None:
            self._stopping = asyncio.Event()
        if not request.prompt.strip():
            return GenerationFailure("empty_prompt", "there is nothing to draw")
        made = await self._attempts(request)
        if isinstance(made, GenerationFailure) and made.kind != "blocked":
            self._spend.failures[made.kind] += 1
        return made

    async def close(self) -> None:
        if self._stopping is not None:
            self._stopping.set()
        if self._sent:
            await asyncio.wait(self._sent)
        await self._transport.close()

    async def _attempts(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        loop = asyncio.get_running_loop()
        attempts = Attempts(self._retry)
        tokens = len(request.prompt) // _CHARACTERS_PER_TOKEN + TOKENS_PER_MESSAGE
        ends: float | None = None
        place = await self._limiter.acquire()
        while True:
            try:
                reserved = await self._meter.reserve(self._spend, tokens, 0, images=1)
                if isinstance(reserved, CallFailure):
                    return GenerationFailure(reserved.kind.value, reserved.detail, resumable=reserved.resumable)
                if (over := self._over()) is not None:
                    self._meter.failed(reserved, sent=False, charged=False)
                    return over
                begun = loop.time()
                ends = begun + self._retry.total_timeout if ends is None else ends
                try:
                    return await self._send(request, reserved, min(self._retry.attempt_timeout, ends - begun))
                except AttemptError as error:
                    failed = error
                    self._learn_from(failed, place, begun)
            finally:
                self._limiter.release()
            wait = attempts.wait_after(failed, ends - loop.time())
            if (over := self._over()) is not None:
                return over
            if wait is None:
                return GenerationFailure(failed.kind.value, failed.detail)
            self._spend.retries[failed.kind.value] += 1
            await self._sleep(wait)
            place = await self._limiter.acquire(first=True)

    def _over(self) -> GenerationFailure | None:
        """Why nothing more is sent."""
        if self._breaker.reason is not None:
            return GenerationFailure(FailureKind.NO_PROVIDER.value, self._breaker.reason, resumable=True)
        if self._stopping is not None and self._stopping.is_set():
            return GenerationFailure(FailureKind.CANCELLED.value, "the generator was closed", resumable=True)
        return None

    async def _sleep(self, seconds: float) -> None:
        assert self._stopping is not None
        try:
            await asyncio.wait_for(self._stopping.wait(), seconds)
        except asyncio.TimeoutError:
            return

    async def _send(
        self, request: ImageRequest, reserved: Reservation, timeout: float
    ) -> GeneratedImage | GenerationFailure:
        """One attempt, in a task of its own: what was sent is waited for by `close`. Raises AttemptError."""
        task = asyncio.create_task(self._attempt(request, reserved, timeout))
        self._sent.add(task)
        task.add_done_callback(self._sent.discard)
        return await task

    async def _attempt(
        self, request: ImageRequest, reserved: Reservation, timeout: float
    ) -> GeneratedImage | GenerationFailure:
        open_account = True
        try:
            body = json.dumps(parameters(self._endpoint.provider, self._endpoint.model, request)).encode()
            begun = asyncio.get_running_loop().time()
            answer = read_images_answer(await self._transport.post(self._url, body, timeout))
            if isinstance(answer, Refused):
                open_account = False
                self._answered(reserved, Answer("", Finish.BLOCKED), images=0)
                return GenerationFailure("blocked", answer.says)
            left = timeout - (asyncio.get_running_loop().time() - begun)
            data = answer.data if answer.data is not None else await self._fetched(answer.url, left)
            header = await asyncio.to_thread(checked, data)
            open_account = False
            self._answered(reserved, Answer("", Finish.STOP, usage=self._usage(answer)), images=1)
            return GeneratedImage(data, header.format, answer.revised_prompt)
        except AttemptError as error:
            open_account = False
            self._meter.failed(reserved, sent=error.sent, charged=error.charged)
            raise
        finally:
            if open_account:  # cancelled, or a defect
                self._meter.failed(reserved, sent=True, charged=True)

    def _answered(self, reserved: Reservation, answer: Answer, images: int) -> None:
        self._meter.paid(reserved, answer, images)
        self._breaker.answered()
        self._limiter.succeeded()

    def _usage(self, answer: Drawn) -> Usage:
        """Where images are paid for by the piece alone, nobody need count tokens."""
        price = self._spend.price
        by_the_piece = price is not None and price.input == price.output == 0
        return Usage(0, 0) if by_the_piece and answer.usage.input_tokens is None else answer.usage

    async def _fetched(self, address: str, timeout: float) -> bytes:
        """The image behind an address, if that is the endpoint's own: no server may send us elsewhere."""
        try:
            url = URL(urljoin(f"{self._endpoint.base_url}/", address))
            own = url.origin() == self._url.origin()
        except ValueError:
            raise _elsewhere("an address that cannot be read") from None
        if not own:
            raise _elsewhere(f"an address at {url.host}, which is another host")
        if url.scheme != "https" and not is_loopback(str(url)):
            raise _elsewhere("an address that is not https")
        try:
            return await self._transport.get(url, max(timeout, 1.0))
        except AttemptError as error:
            error.charged = True  # the image was made
            error.blame = Blame.SUSPECT if error.blame is Blame.FATAL else error.blame
            raise

    def _learn_from(self, error: AttemptError, place: int, begun: float) -> None:
        if error.blame is Blame.SATURATED:
            self._limiter.saturated(place)
        now = asyncio.get_running_loop().time()
        self._breaker.failed(error, begun, now, place, self._limiter.started, self._limiter.in_flight)


def _elsewhere(what: str) -> AttemptError:
    detail = f"the server answered with {what}; it is not fetched. Let it answer with b64_json"
    return AttemptError(FailureKind.PERMANENT, detail, retry=False, blame=Blame.SUSPECT, charged=True)
