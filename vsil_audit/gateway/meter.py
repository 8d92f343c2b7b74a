"""What was asked and what it cost; and the budget, which is checked before a call is made."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Protocol

from vsil_audit.errors import ConfigurationError, ExitCode, VsilAuditError
from vsil_audit.gateway.answers import Answer, CallFailure, FailureKind
from vsil_audit.gateway.messages import Request
from vsil_audit.gateway.prices import FREE, Price, PriceTable, shipped_prices

CHARACTERS_PER_TOKEN = 4.0
TOKENS_PER_MESSAGE = 4
TOKENS_PER_IMAGE = 1000


class BudgetReachedError(VsilAuditError):
    """The budget is used up; what was answered is kept, and the same command with a larger budget continues."""

    exit_code = ExitCode.INCONCLUSIVE


@dataclass(frozen=True, slots=True)
class Budget:
    """The most that may be spent: US dollars, and calls that are paid for. None: no limit. Cached answers are free."""

    max_cost: float | None = None
    max_calls: int | None = None

    def __post_init__(self) -> None:
        if self.max_cost is not None and not self.max_cost >= 0:
            raise ValueError("max_cost is at least 0")
        if self.max_calls is not None and self.max_calls < 0:
            raise ValueError("max_calls is at least 0")


@dataclass(frozen=True, slots=True)
class Spent:
    """What was spent before a meter began to count, and counts against its budget: calls, and US dollars."""

    calls: int = 0
    cost: float = 0.0

    def __add__(self, other: Spent) -> Spent:
        return Spent(self.calls + other.calls, self.cost + other.cost)


def estimate_input_tokens(request: Request) -> int:
    """Roughly how many tokens a request holds: 4 characters a token, 1,000 tokens an image."""
    characters = sum(len(part) for message in request.messages for part in message.parts if isinstance(part, str))
    rest = len(request.messages) * TOKENS_PER_MESSAGE + len(request.images) * TOKENS_PER_IMAGE
    return round(characters / CHARACTERS_PER_TOKEN) + rest


@dataclass(slots=True)
class Spend:
    """What one model, or maker of images, was asked. Plain numbers, ready for `run.json` by `to_json`.

    `calls`: answers that were paid for; `cached`: answers that came from the cache; `shared`: answers shared with an
    equal request in flight; `attempts`: requests sent. `input_tokens`, `output_tokens`: as the provider counted them,
    over the calls but `calls_without_usage`. `cost`: US dollars of those; `cost_uncertain`: at most so much more, for
    calls without usage and for attempts that failed but may have been charged. `images`, `uncertain_images`: as the
    tokens, of makers of images. `failures`, `retries`: by kind;
    `finishes`: answers paid for, by why they ended.
    """

    provider: str
    model: str
    price: Price | None
    calls: int = 0
    cached: int = 0
    shared: int = 0
    attempts: int = 0
    input_tokens: int = 0
    output_tokens: int = 0
    calls_without_usage: int = 0
    uncertain_input_tokens: int = 0
    uncertain_output_tokens: int = 0
    images: int = 0
    uncertain_images: int = 0
    failures: Counter[str] = field(default_factory=Counter)
    retries: Counter[str] = field(default_factory=Counter)
    finishes: Counter[str] = field(default_factory=Counter)

    @property
    def cost(self) -> float | None:
        """US dollars; None when the price is not known (and anything was asked at all)."""
        if self.price is None:
            return None if self.attempts else 0.0
        return self.price.cost(self.input_tokens, self.output_tokens, self.images)

    @property
    def cost_uncertain(self) -> float | None:
        if self.price is None:
            return None if self.attempts else 0.0
        return self.price.cost(self.uncertain_input_tokens, self.uncertain_output_tokens, self.uncertain_images)

    def to_json(self) -> dict[str, Any]:
        return {
            "provider": self.provider,
            "model": self.model,
            "scripted": self.provider == "scripted",
            "calls": self.calls,
            "cached": self.cached,
            "shared": self.shared,
            "attempts": self.attempts,
            "input_tokens": self.input_tokens,
            "output_tokens": self.output_tokens,
            "images": self.images,
            "calls_without_usage": self.calls_without_usage,
            "cost": self.cost,
            "cost_uncertain": self.cost_uncertain,
            "currency": "USD",
            "price_checked": self.price.checked if self.price else None,
            "price_source": self.price.source if self.price else None,
            "failures": dict(sorted(self.failures.items())),
            "retries": dict(sorted(self.retries.items())),
            "finishes": dict(sorted(self.finishes.items())),
        }


@dataclass(slots=True)
class Reservation:
    """What a call in flight may cost at most."""

    spend: Spend
    input_tokens: int
    output_tokens: int
    cost: float
    images: int = 0


class Billed(Protocol):
    """Something that an account is kept for: its name is `name/model`; `billed`: whether its calls may cost money."""

    @property
    def name(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def billed(self) -> bool: ...


class Meter:
    """Counts for several models, under one budget. Used from one event loop."""

    def __init__(
        self, budget: Budget | None = None, prices: PriceTable | None = None, before: Spent | None = None
    ) -> None:
        self.budget = budget or Budget()
        self._before = before or Spent()
        self.stopped: str | None = None
        self._unlimited = self.budget.max_cost is None and self.budget.max_calls is None
        self._prices = prices or shipped_prices()
        self._spends: dict[tuple[str, str], Spend] = {}
        self._reserved_calls = 0
        self._reserved_cost = 0.0
        self._uncertain_calls = 0
        self._waiting: list[asyncio.Future[None]] = []

    def account(self, provider: Billed) -> Spend:
        """The account of a model. Raises ConfigurationError for a budget in dollars and a model of unknown price."""
        key = (provider.name, provider.model)
        if key not in self._spends:
            price = self._prices.price(*key) or (None if provider.billed else FREE)
            if price is None and self.budget.max_cost is not None:
                raise ConfigurationError(
                    f"--max-cost needs a price, and that of {provider.name}/{provider.model} is not known.",
                    "Give its price with --prices FILE, or limit the number of calls with --max-calls.",
                )
            self._spends[key] = Spend(*key, price)
        return self._spends[key]

    def spends(self) -> list[Spend]:
        """Every model's account, in the order in which they were opened."""
        return list(self._spends.values())

    @property
    def calls(self) -> int:
        """Calls paid for, those that may have been included, and those of before."""
        return self._before.calls + sum(spend.calls for spend in self._spends.values()) + self._uncertain_calls

    @property
    def cost(self) -> float:
        """US dollars spent for certain or possibly, before and since, over the models whose price is known."""
        return self._before.cost + sum((s.cost or 0.0) + (s.cost_uncertain or 0.0) for s in self._spends.values())

    async def reserve(
        self, spend: Spend, input_tokens: int, output_tokens: int, images: int = 0
    ) -> Reservation | CallFailure:
        """Set aside what a call may cost at most, or say that the budget is used up. It waits while only what others in
        flight have set aside is in the way."""
        cost = spend.price.cost(input_tokens, output_tokens, images) if spend.price else 0.0
        while self.stopped is None:
            if self._fits(cost, others=True):
                self._reserved_calls += 1
                self._reserved_cost += cost
                spend.attempts += 1
                return Reservation(spend, input_tokens, output_tokens, cost, images)
            if not self._fits(cost, others=False):
                self._stop()
                break
            waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiter)
            await waiter
        return CallFailure(FailureKind.BUDGET, self.stopped or "")

    def paid(self, reservation: Reservation, answer: Answer, images: int = 0) -> None:
        """The call brought an answer, and so many images."""
        spend, usage = reservation.spend, answer.usage
        spend.calls += 1
        spend.finishes[answer.finish.value] += 1
        if usage.input_tokens is None or usage.output_tokens is None:
            spend.calls_without_usage += 1
            spend.uncertain_input_tokens += reservation.input_tokens
            spend.uncertain_output_tokens += reservation.output_tokens
        else:
            spend.input_tokens += usage.input_tokens
            spend.output_tokens += usage.output_tokens
        spend.images += images
        spend.uncertain_images += reservation.images - images
        self._release(reservation)

    def failed(self, reservation: Reservation, *, sent: bool, charged: bool) -> None:
        """The attempt brought nothing; `charged`: it may have cost something all the same."""
        reservation.spend.attempts -= not sent
        if charged:
            self._uncertain_calls += 1
            reservation.spend.uncertain_input_tokens += reservation.input_tokens
            reservation.spend.uncertain_output_tokens += reservation.output_tokens
            reservation.spend.uncertain_images += reservation.images
        self._release(reservation)

    def check(self) -> None:
        """Raises BudgetReachedError once a call could not be made."""
        if self.stopped is not None:
            raise BudgetReachedError(self.stopped, "Raise it and run the same command again; it continues.")

    def _fits(self, cost: float, *, others: bool) -> bool:
        if self._unlimited:
            return True
        calls = self.calls + (self._reserved_calls if others else 0) + 1
        if self.budget.max_calls is not None and calls > self.budget.max_calls:
            return False
        total = self.cost + (self._reserved_cost if others else 0.0) + cost
        return self.budget.max_cost is None or total <= self.budget.max_cost + 1e-12

    def _stop(self) -> None:
        limits = []
        if self.budget.max_calls is not None:
            limits.append(f"{self.calls:,} of at most {self.budget.max_calls:,} calls were made")
        if self.budget.max_cost is not None:
            limits.append(f"{self.cost:.4f} of at most {self.budget.max_cost:g} US dollars were spent")
        self.stopped = f"The budget is used up: {'; '.join(limits)}."
        self._wake()

    def _release(self, reservation: Reservation) -> None:
        self._reserved_calls -= 1
        self._reserved_cost -= reservation.cost
        if self._waiting:
            self._wake()

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, []
        for waiter in waiting:
            if not waiter.done():
                waiter.set_result(None)
