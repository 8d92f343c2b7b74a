"""How a number is written: with its counts, coverage, interval and nature, the same way in every report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vsil_audit.reporting.untrusted import one_line
from vsil_audit.runs.asked_summary import SpendRow
from vsil_audit.runs.metric import Metric


@dataclass(frozen=True, slots=True)
class Number:
    """The parts of a metric as text; a part that does not apply is empty.

    value: `13.3 %`, `0.42 bits`, `not measured`, or `not shown`, where the metric's note says why. counts: `214/1,612`
    or `n = 1,612`. coverage: `coverage 96.0 %`. interval: `[11.7 %, 15.0 %]`. chance: `chance 2.0 %`. nature:
    `measured`, `judged` or `predicted`;
    a number that is not there has none.
    """

    value: str
    counts: str
    coverage: str
    interval: str
    chance: str
    nature: str

    def line(self) -> str:
        """`13.3 % = 214/1,612 (coverage 96.0 %) [11.7 %, 15.0 %] measured, chance 2.0 %`."""
        parts = [f"{self.value} =" if "/" in self.counts else self.value, self.counts]
        parts += [f"({self.coverage})" if self.coverage else "", self.interval, self.nature]
        line = " ".join(part for part in parts if part)
        return f"{line}, {self.chance}" if self.chance else line


def number(metric: Metric) -> Number:
    measured = metric.value is not None
    covers = measured and metric.coverage is not None and (metric.n > 0 or metric.k is not None)
    counts = f"{metric.k:,}/{metric.n:,}" if metric.k is not None else f"n = {metric.n:,}" if metric.n else ""
    return Number(
        value=_absent(metric) if metric.value is None else quantity(metric.value, metric.unit),
        counts=counts
        if measured
        else f"(0 of {metric.total:,} scored)"
        if metric.k is not None and metric.total
        else "",
        coverage=f"coverage {share(metric.coverage or 0.0)}" if covers else "",
        interval=_interval(metric),
        chance="" if metric.chance is None else f"chance {quantity(metric.chance, metric.unit)}",
        nature=metric.nature.value if measured else "",
    )


def _absent(metric: Metric) -> str:
    """A number that was withheld for a reason is not one that nobody measured."""
    return "not shown" if metric.note.startswith(("not shown", "not given", "no value")) else "not measured"


def _interval(metric: Metric) -> str:
    if metric.low is None or metric.high is None:
        return ""
    if metric.unit == "share":
        return f"[{share(metric.low)}, {share(metric.high)}]"
    return f"[{_plain(metric.low)}, {_plain(metric.high)}]"


def quantity(value: float, unit: str) -> str:
    """A value with its unit: shares as per cent, whole pairs without decimals, anything else with two or more."""
    if unit == "share":
        return share(value)
    if unit == "score":
        return _plain(value)
    return f"{value:,.0f} {unit}" if unit == "pairs" else f"{_plain(value)} {one_line(unit)}".rstrip()


def _plain(value: float) -> str:
    return f"{value:.4f}" if 0 < abs(value) < 0.01 else f"{value:,.2f}" if abs(value) < 100 else f"{value:,.0f}"


def share(value: float) -> str:
    """A share as per cent. Only 0 and 1 themselves are written `0 %` and `100 %`; near them it says `<0.1 %`."""
    percent = 100 * value
    if percent in (0, 100):
        return f"{percent:.0f} %"
    if 0 < percent < 0.05:
        return "<0.1 %"
    if 99.95 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %"


def p_value(p: float) -> str:
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}" if p < 0.1 else f"p = {p:.2f}"


def signed_share(value: float) -> str:
    """A difference of shares in percentage points: `+12.0 pp`, `−3.1 pp`, `0 pp`."""
    points = 100 * value
    if abs(points) < 0.05:
        return "0 pp" if points == 0 else "<0.1 pp" if points > 0 else ">−0.1 pp"
    return f"{'+' if points > 0 else '−'}{abs(points):.1f} pp"


def dollars(amount: float | None) -> str:
    """US dollars: `$12.30`, `$0.0042`, `not known`."""
    if amount is None:
        return "not known"
    return f"${amount:,.4f}" if 0 < amount < 0.1 else f"${amount:,.2f}"


@dataclass(frozen=True, slots=True)
class Spent:
    """What all models of a run cost together, as text: `$0.87`, or `at least $0.87`."""

    cost: str
    uncertain: str


def spent(rows: Sequence[SpendRow]) -> Spent:
    return Spent(_sum([row.cost for row in rows]), _sum([row.cost_uncertain for row in rows]))


def _sum(amounts: Sequence[float | None]) -> str:
    known = [amount for amount in amounts if amount is not None]
    if not known:
        return "not known"
    return ("" if len(known) == len(amounts) else "at least ") + dollars(sum(known))
