"""The gateway for code that is not asynchronous: the same calls, on an event loop in a thread of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable, Iterator
from concurrent.futures import Future
from types import TracebackType
from typing import Any, TypeVar

from vsil_audit.gateway.answers import Answer, CallFailure
from vsil_audit.gateway.calls import Asked
from vsil_audit.gateway.gateway import Gateway
from vsil_audit.gateway.messages import Request
from vsil_audit.gateway.meter import Spend
from vsil_audit.gateway.stream import Stream

_Result = TypeVar("_Result")


class GatewayThread:
    """An event loop in a thread, on which any number of gateways live (a panel of judges that share cache and budget).

        with GatewayThread() as thread:
            cache, meter = AnswerCache(), Meter(Budget(max_cost=5))
            judge = thread.open(lambda: open_gateway("openai/gpt-4o-mini", cache=cache, meter=meter))
            for asked in judge.ask_many(requests):
                ...

    Works beside another event loop too, as in a notebook. Leaving it, by an interrupt too, waits a few seconds for the
    calls that were sent: their answers are kept.
    """

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._gateways: list[Gateway] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="vsil-audit-gateway", daemon=True)
        self._thread.start()

    def open(self, make: Callable[[], Gateway]) -> BlockingGateway:
        """A gateway on this thread. Raises what `make` raises."""

        async def made() -> Gateway:
            return make()

        gateway = self.carry_out(made())
        self._gateways.append(gateway)
        return BlockingGateway(self, gateway)

    def carry_out(self, coroutine: Coroutine[Any, Any, _Result]) -> _Result:
        """Run it on the loop and wait for its result."""
        future = self.begin(coroutine)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def begin(self, coroutine: Coroutine[Any, Any, _Result]) -> Future[_Result]:
        """Start it on the loop; whoever waits for the result may do other things meanwhile."""
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop)

    def close(self, grace: float = 10.0) -> None:
        """Close the gateways, each as `Gateway.close` does, and end the thread."""
        if self._closed:
            return
        self._closed = True
        try:
            self.carry_out(self._close_gateways(grace))
        except BaseException:  # a second interrupt: wait no longer
            self.carry_out(self._close_gateways(0.0))
            raise
        finally:
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join()
            self._loop.close()

    async def _close_gateways(self, grace: float) -> None:
        await asyncio.gather(*(gateway.close(grace) for gateway in self._gateways))

    def _run(self) -> None:
        asyncio.set_event_loop(self._loop)
        self._loop.run_forever()
        self._loop.run_until_complete(_end(asyncio.all_tasks(self._loop)))
        self._loop.run_until_complete(self._loop.shutdown_asyncgens())
        self._loop.run_until_complete(self._loop.shutdown_default_executor())

    def __enter__(self) -> GatewayThread:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BlockingGateway:
    """A gateway whose calls wait. Made by `GatewayThread.open`; to be used from one thread at a time."""

    def __init__(self, thread: GatewayThread, gateway: Gateway) -> None:
        self._thread = thread
        self.gateway = gateway

    @property
    def spend(self) -> Spend:
        return self.gateway.spend

    def ask(self, request: Request) -> Answer | CallFailure:
        """See `Gateway.ask`."""
        return self._thread.carry_out(self.gateway.ask(request))

    def ask_many(self, requests: Iterable[Request], *, window: int | None = None) -> Iterator[Asked]:
        """See `Gateway.ask_many`. `requests` is drawn from on the gateway's thread."""
        stream = self.gateway.stream(requests, window)
        try:
            while batch := self._thread.carry_out(stream.next_batch()):
                yield from batch
        finally:
            self._thread.carry_out(_abandon(stream))

    def ask_all(self, requests: Iterable[Request]) -> list[Answer | CallFailure]:
        """The outcomes in the order of the requests."""
        asked = sorted(self.ask_many(requests), key=lambda one: one.index)
        return [one.outcome for one in asked]

    def check(self) -> None:
        """See `Gateway.check`."""
        self.gateway.check()


async def _abandon(stream: Stream) -> None:
    stream.abandon()


def ask_all(model: str, requests: Iterable[Request], **options: Any) -> list[Answer | CallFailure]:
    """Ask a model a few things, and be done: the outcomes in the order of the requests.

    `options` are those of `open_gateway`. Raises ConfigurationError, NoProviderError and BudgetReachedError.
    """
    from vsil_audit.gateway.opening import open_gateway

    with GatewayThread() as thread:
        gateway = thread.open(lambda: open_gateway(model, **options))
        outcomes = gateway.ask_all(requests)
        gateway.check()
    return outcomes


async def _end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """What still waits for an answer that is no longer asked for: it ends here, and nobody hears how."""
    waiting = list(tasks)
    for task in waiting:
        task.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
