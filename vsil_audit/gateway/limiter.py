"""How many calls may be in flight, and how many may start in a minute.

Concurrency is adaptive, additive increase and multiplicative decrease (Chiu and Jain 1989): halved when the endpoint
says that it is saturated, at most once for each round of calls; one more for each round that went well while calls were
waiting. Nothing else moves it: not errors, not slowness, not how long a server asks one request to wait.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limits:
    """`max_concurrency`: calls in flight, the start and the ceiling. `max_rpm`, `max_tpm`: calls and tokens (in and
    out, as estimated before the call) that start within any 60 s; None for no limit of ours."""

    max_concurrency: int = 32
    max_rpm: int | None = None
    max_tpm: int | None = None

    def __post_init__(self) -> None:
        for name in ("max_concurrency", "max_rpm", "max_tpm"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"{name} is at least 1")


class _Bucket:
    """A token bucket: at most `per_minute` in any 60 s, bursts included."""

    def __init__(self, per_minute: int, burst: float) -> None:
        self.capacity = max(1.0, burst)
        self._rate = max(per_minute - self.capacity + 1, per_minute * 0.5) / 60
        self._level = self.capacity
        self._at: float | None = None

    def wait(self, amount: float, now: float) -> float:
        """Seconds until `amount` may be taken; one larger than the bucket waits for a full one."""
        if self._at is not None:
            self._level = min(self.capacity, self._level + (now - self._at) * self._rate)
        self._at = now
        missing = min(amount, self.capacity) - self._level
        return missing / self._rate if missing > 1e-9 else 0.0

    def take(self, amount: float) -> None:
        self._level -= amount


class Limiter:
    """Lets calls through in the order in which they ask. Used from one event loop."""

    def __init__(self, limits: Limits | None = None) -> None:
        self.limits = limits or Limits()
        self._limit = float(self.limits.max_concurrency)
        self._places = self.limits.max_concurrency  # the limit as a whole number, of at least 1
        self._in_flight = 0
        self._started = 0
        self._shrunk_at = 0
        rpm, tpm = self.limits.max_rpm, self.limits.max_tpm
        self._calls = _Bucket(rpm, rpm / 600) if rpm else None
        self._tokens = _Bucket(tpm, tpm / 10) if tpm else None
        self._waiting: deque[tuple[Callable[[int], None], Callable[[], bool], float]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    @property
    def concurrency(self) -> int:
        """Calls that may be in flight now."""
        return self._places

    @property
    def in_flight(self) -> int:
        return self._in_flight

    def when_free(
        self, tokens: float, start: Callable[[int], None], wanted: Callable[[], bool], *, first: bool = False
    ) -> None:
        """Call `start` with a place's number once there is one, perhaps at once; it is given back with `release`.

        `first`: before those who wait already, for a call that has waited before. Whoever is not `wanted` any more when
        its turn comes is passed over.
        """
        if not self._waiting and self._in_flight < self._places and self._blocked_for(tokens) == 0:
            start(self._start(tokens))
            return
        entry = (start, wanted, tokens)
        if first:
            self._waiting.appendleft(entry)
        else:
            self._waiting.append(entry)
        self._let_through()

    @property
    def started(self) -> int:
        """The number of the last place that was given."""
        return self._started

    async def acquire(self, tokens: float = 0.0, *, first: bool = False) -> int:
        """Wait for a place; give it back with `release`. Returns the place's number, for `saturated`."""
        waiter: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.when_free(tokens, waiter.set_result, lambda: not waiter.cancelled(), first=first)
        try:
            return await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self.release()
            raise

    def release(self) -> None:
        """A call is over, well or not."""
        self._in_flight -= 1
        if self._waiting:
            self._let_through()

    def succeeded(self) -> None:
        """A call went well: where calls are waiting for a place, a round of these makes room for one more."""
        if self._waiting and self._limit < self.limits.max_concurrency:
            self._limit = min(self._limit + 1.0 / self._limit, float(self.limits.max_concurrency))
            self._places = int(self._limit)

    def saturated(self, place: int) -> None:
        """The call with that place was turned away: halve, unless that was done after the call had started."""
        if place > self._shrunk_at:
            self._limit = max(1.0, self._limit / 2)
            self._places = int(self._limit)
            self._shrunk_at = self._started

    def settle(self, estimated: float, used: float) -> None:
        """Tokens turned out to be `used`, where `estimated` were taken."""
        if self._tokens is not None:
            self._tokens.take(used - estimated)

    def _blocked_for(self, tokens: float) -> float:
        """Seconds until the rates allow a call of so many tokens."""
        if self._calls is None and self._tokens is None:
            return 0.0
        now = asyncio.get_running_loop().time()
        waits = [self._calls.wait(1, now) if self._calls else 0.0]
        if self._tokens:
            waits.append(self._tokens.wait(tokens, now))
        return max(waits)

    def _start(self, tokens: float) -> int:
        self._in_flight += 1
        self._started += 1
        if self._calls:
            self._calls.take(1)
        if self._tokens:
            self._tokens.take(tokens)
        return self._started

    def _let_through(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._waiting and self._in_flight < self._places:
            start, wanted, tokens = self._waiting[0]
            if wanted():
                seconds = self._blocked_for(tokens)
                if seconds > 0:
                    self._timer = asyncio.get_running_loop().call_later(seconds, self._let_through)
                    return
                self._waiting.popleft()
                start(self._start(tokens))
            else:
                self._waiting.popleft()
