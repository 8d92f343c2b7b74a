"""What a run has spent, over all of its sessions: kept in run.json as the run goes on."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Generic, Protocol, TypeVar

from vsil_audit.gateway.meter import Meter, Spend, Spent
from vsil_audit.runs.asked_summary import SpendRow

_Kept = TypeVar("_Kept", contravariant=True)

_SUMS = ("calls", "cached", "attempts", "input_tokens", "output_tokens")
_COSTS = ("cost", "cost_uncertain")
_COUNTS = ("failures", "retries")
_KEEP_SECONDS = 1.0


class Spender(Protocol):
    """What a manifest must have to keep a spend."""

    @property
    def spend(self) -> list[SpendRow]: ...

    def model_copy(self: M, *, update: Mapping[str, Any] | None = None) -> M: ...


M = TypeVar("M", bound=Spender)


class Keeper(Protocol[_Kept]):
    """A folder that writes manifests of that kind."""

    def write_manifest(self, manifest: _Kept, /) -> None: ...


class SpendingAccount(Generic[M]):
    """The spend of earlier sessions, and of this one as its meter counts it. Used from several threads."""

    def __init__(self, folder: Keeper[M], manifest: M, meter: Meter) -> None:
        self.manifest = manifest
        self._folder, self._meter = folder, meter
        self._before = {row.model: row for row in manifest.spend}
        self._lock = threading.Lock()
        self._kept_at = time.monotonic()

    def keep(self) -> None:
        """Write run.json with the spend so far, if that has changed."""
        with self._lock:
            self._kept_at = time.monotonic()
            rows = dict(self._before)
            for spend in self._meter.spends():
                row = _row(spend)
                rows[row.model] = _added(self._before[row.model], row) if row.model in self._before else row
            manifest = self.manifest.model_copy(update={"spend": list(rows.values())})
            if manifest != self.manifest:
                self._folder.write_manifest(manifest)
                self.manifest = manifest

    def keep_now_and_then(self) -> None:
        """Once a second."""
        if time.monotonic() - self._kept_at >= _KEEP_SECONDS:
            self.keep()


def spent(rows: Iterable[SpendRow]) -> Spent:
    """What earlier sessions spent, as a budget counts it: for certain or possibly, where the price is known."""
    listed = list(rows)
    return Spent(sum(r.calls for r in listed), sum((r.cost or 0.0) + (r.cost_uncertain or 0.0) for r in listed))


def together(*parts: Iterable[SpendRow]) -> list[SpendRow]:
    """One row for each model."""
    rows: dict[str, SpendRow] = {}
    for row in (row for part in parts for row in part):
        rows[row.model] = _added(rows[row.model], row) if row.model in rows else row
    return list(rows.values())


def _row(spend: Spend) -> SpendRow:
    said = spend.to_json()
    fields = {name: said[name] for name in SpendRow.model_fields if name != "model"}
    return SpendRow(model=f"{spend.provider}/{spend.model}", **fields)


def _added(before: SpendRow, now: SpendRow) -> SpendRow:
    sums: Mapping[str, object] = {name: getattr(before, name) + getattr(now, name) for name in _SUMS}
    costs = {name: _sum(getattr(before, name), getattr(now, name)) for name in _COSTS}
    counts = {name: dict(Counter(getattr(before, name)) + Counter(getattr(now, name))) for name in _COUNTS}
    return now.model_copy(update={**sums, **costs, **counts})


def _sum(first: float | None, second: float | None) -> float | None:
    """A cost that is not known makes the sum unknown."""
    return None if first is None or second is None else first + second
