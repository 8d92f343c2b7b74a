"""Small charts as inline SVG. They hold numbers only; every label of a chart is text of the page around it."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from vsil_audit.reporting.numbers import number, share, signed_share
from vsil_audit.runs.asked_summary import PairedFlow
from vsil_audit.runs.metric import Metric

_WIDTH = 1000
FLOW_CELLS = ("both", "only_first", "only_second", "neither")


def interval_strip(metric: Metric) -> Markup:
    """A share on a line from 0 to 100 %: its interval as a bar, itself as a tick, its chance level as a dashed tick."""
    if metric.value is None or metric.unit != "share":
        return Markup("")
    parts = [line("axis", 0, 12, _WIDTH, 12)]
    parts += [line("grid", x, 7, x, 17) for x in (0, 250, 500, 750, _WIDTH)]
    if metric.low is not None and metric.high is not None:
        left, right = place(metric.low), place(metric.high)
        parts.append(Markup('<rect class="interval" x="{}" y="7" width="{}" height="10"/>').format(left, right - left))
    if metric.chance is not None:
        parts.append(line("chance", place(metric.chance), 1, place(metric.chance), 23))
    parts.append(line("value", place(metric.value), 3, place(metric.value), 21))
    label = f"{metric.name}: {number(metric).line()}"
    return Markup(
        '<svg class="strip" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(label, Markup("").join(parts))


def difference_strip(value: float, low: float | None, high: float | None) -> Markup:
    """A difference of shares on a line from −100 to +100 percentage points, with its interval."""
    parts = [line("axis", 0, 12, _WIDTH, 12)]
    parts += [line("grid", x, 7, x, 17) for x in (0, 250, 750, _WIDTH)]
    parts.append(line("zero", 500, 1, 500, 23))
    if low is not None and high is not None:
        left, right = place((low + 1) / 2), place((high + 1) / 2)
        parts.append(Markup('<rect class="interval" x="{}" y="7" width="{}" height="10"/>').format(left, right - left))
    parts.append(line("value", place((value + 1) / 2), 3, place((value + 1) / 2), 21))
    return Markup(
        '<svg class="difference-strip" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" aria-label="{}">'
        "{}</svg>"
    ).format(f"difference {signed_share(value)}", Markup("").join(parts))


def histogram(bins: Sequence[int], label: str) -> Markup:
    """Counts over equal bins of [0, 1] as bars; a bin that is not empty is never too low to be seen."""
    top = max(bins, default=0)
    if not top:
        return Markup("")
    step = _WIDTH / len(bins)
    bars = [
        Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>').format(
            i * step + 3,
            100 - _bar_height(count, top),
            step - 6,
            _bar_height(count, top),
            f"{share(i / len(bins))} to {share((i + 1) / len(bins))}: {count:,}",
        )
        for i, count in enumerate(bins)
        if count
    ]
    described = f"{label}; counts in {len(bins)} bins from 0 to 1: " + ", ".join(str(n) for n in bins)
    return Markup(
        '<svg class="histogram" viewBox="0 0 1000 100" preserveAspectRatio="none" role="img" aria-label="{}">{}{}</svg>'
    ).format(described, line("axis", 0, 100, _WIDTH, 100), Markup("").join(bars))


def _bar_height(count: int, top: int) -> float:
    return max(100 * count / top, 1.5)


def outcome_bar(scored: int, abstained: int, failed: int) -> Markup:
    """How many pairs were scored, abstained on and failed, as one bar of three parts."""
    total = scored + abstained + failed
    if not total:
        return Markup("")
    parts, x = [], 0.0
    for name, count in (("scored", scored), ("abstained", abstained), ("failed", failed)):
        width = _WIDTH * count / total
        if count:
            part = Markup('<rect class="{}" x="{:.1f}" y="0" width="{:.1f}" height="8"/>')
            parts.append(part.format(name, x, width))
        x += width
    label = f"{scored:,} scored, {abstained:,} abstained, {failed:,} failed"
    return Markup(
        '<svg class="outcomes" viewBox="0 0 1000 8" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(label, Markup("").join(parts))


def rate_bar(metric: Metric, control: Metric | None = None) -> Markup:
    """A share as a bar from 0, its interval as a whisker, the benign control's share as a dashed tick."""
    if metric.value is None or metric.unit != "share":
        return Markup("")
    parts = [line("axis", 0, 18, _WIDTH, 18)]
    parts.append(Markup('<rect class="bar" x="0" y="4" width="{}" height="14"/>').format(place(metric.value)))
    if metric.low is not None and metric.high is not None:
        low, high = place(metric.low), place(metric.high)
        parts += [line("whisker", low, 11, high, 11)] + [line("whisker", x, 7, x, 15) for x in (low, high)]
    if control is not None and control.value is not None:
        parts.append(line("chance", place(control.value), 0, place(control.value), 22))
    beside = f"; benign control {number(control).line()}" if control is not None and control.value is not None else ""
    return Markup(
        '<svg class="rate-bar" viewBox="0 0 1000 22" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(number(metric).line() + beside, Markup("").join(parts))


def flow_bands(flow: PairedFlow) -> Markup:
    """The same pairs under two conditions: left those handled so under the first (above) or not (below), right under
    the second; a band's width is its cell's share of the pairs."""
    counts = {cell.name: cell.pairs for cell in flow.cells}
    total = sum(counts.values())
    if not total:
        return Markup("")
    room, gap = 150.0, 10.0
    high = {name: room * counts.get(name, 0) / total for name in FLOW_CELLS}
    left = _stacked(("both", "only_first", "only_second", "neither"), high, gap)
    right = _stacked(("both", "only_second", "only_first", "neither"), high, gap)
    parts = []
    for name in FLOW_CELLS:
        if high[name]:
            a, b = left[name], right[name]
            over = f"M0 {a:.1f}C500 {a:.1f} 500 {b:.1f} 1000 {b:.1f}"
            back = f"V{b + high[name]:.1f}C500 {b + high[name]:.1f} 500 {a + high[name]:.1f} 0 {a + high[name]:.1f}Z"
            parts.append(Markup('<path class="{}" d="{}"/>').format(name, over + back))
    label = ", ".join(f"{name.replace('_', ' ')} {counts.get(name, 0):,}" for name in FLOW_CELLS)
    return Markup(
        '<svg class="flow-bands" viewBox="0 0 1000 160" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(label, Markup("").join(parts))


def _stacked(names: Sequence[str], high: dict[str, float], gap: float) -> dict[str, float]:
    """Where each band begins on one side: two above, a gap, two below."""
    tops, y = {}, 0.0
    for i, name in enumerate(names):
        y += gap if i == 2 else 0.0
        tops[name] = y
        y += high[name]
    return tops


def place(value: float) -> float:
    """Where a share stands on a chart 1,000 wide."""
    return round(_WIDTH * min(max(value, 0.0), 1.0), 1)


def line(name: str, x1: float, y1: float, x2: float, y2: float) -> Markup:
    """A line of the class `name` that keeps its width however the chart is stretched."""
    return Markup('<line class="{}" x1="{}" y1="{}" x2="{}" y2="{}" vector-effect="non-scaling-stroke"/>').format(
        name, x1, y1, x2, y2
    )
