"""What a run has spent, over all of its sessions: kept in run.json as the run goes on."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from vsil_audit.gateway.meter import Meter, Spend
from vsil_audit.runs.asked_summary import SpendRow
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest

_SUMS = ("calls", "cached", "attempts", "input_tokens", "output_tokens")
_COSTS = ("cost", "cost_uncertain")
_COUNTS = ("failures", "retries")


class SpendingAccount:
    """The spend of earlier sessions, and of this one as its meter counts it."""

    def __init__(self, folder: RunFolder, manifest: Manifest, meter: Meter) -> None:
        self._folder, self._manifest, self._meter = folder, manifest, meter
        self._before = {row.model: row for row in manifest.spend}

    def keep(self) -> Manifest:
        """Write run.json with the spend so far, and return it."""
        rows = dict(self._before)
        for spend in self._meter.spends():
            row = _row(spend)
            rows[row.model] = _added(self._before[row.model], row) if row.model in self._before else row
        self._manifest = self._manifest.model_copy(update={"spend": list(rows.values())})
        self._folder.write_manifest(self._manifest)
        return self._manifest


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
