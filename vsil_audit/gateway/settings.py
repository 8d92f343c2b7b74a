"""How a run asks models: where, how fast, for how much. What it asks is not settled here."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from vsil_audit.gateway.breaker import Patience
from vsil_audit.gateway.cache import AnswerCache
from vsil_audit.gateway.limiter import Limits
from vsil_audit.gateway.meter import Budget, Meter, Spent
from vsil_audit.gateway.prices import PriceTable, shipped_prices
from vsil_audit.gateway.retry import RetryPolicy

_WITHOUT_ADDRESS = frozenset({"scripted", "hf"})


@dataclass(frozen=True, slots=True)
class GatewaySettings:
    """`base_url` stands in for the address of every model that names none. `limits` hold for each model by itself;
    `budget` for all of them together, what was `spent` elsewhere included. `prices`: a YAML file whose prices go before
    the shipped ones. `cache`: the folder of the answer cache; None for the usual one."""

    base_url: str | None = None
    limits: Limits = field(default_factory=Limits)
    budget: Budget = field(default_factory=Budget)
    spent: Spent = field(default_factory=Spent)
    prices: Path | None = None
    cache: Path | None = None
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    patience: Patience = field(default_factory=Patience)

    def for_model(self, model: str) -> dict[str, Any]:
        """What `open_gateway` is told of that model, cache and meter left out."""
        kind, _, name = model.partition("/")
        elsewhere = kind in _WITHOUT_ADDRESS or (kind == "vllm" and "@" in name)
        return {
            "base_url": None if elsewhere else self.base_url,
            "limits": self.limits,
            "retry": self.retry,
            "patience": self.patience,
        }

    def price_table(self) -> PriceTable:
        """Raises ConfigurationError for a file that is none."""
        return shipped_prices().with_file(self.prices) if self.prices else shipped_prices()

    def meter(self, before: Spent | None = None) -> Meter:
        """`before`: what earlier sessions spent, which counts against the budget too."""
        return Meter(self.budget, self.price_table(), self.spent + (before or Spent()))

    def open_cache(self, folder: Path | None = None) -> AnswerCache:
        """The answer cache in its own folder, else in `folder`, else in the usual one."""
        chosen = self.cache or folder
        return AnswerCache(chosen / "answers.sqlite" if chosen else None)
