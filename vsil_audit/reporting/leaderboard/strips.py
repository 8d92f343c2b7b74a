"""The small charts of a leaderboard as inline SVG. They hold numbers only."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from vsil_audit.evaluation.alignment import AlignmentRow, RoleRate
from vsil_audit.reporting.charts import line, place
from vsil_audit.reporting.numbers import share, signed_share
from vsil_audit.runs.leaderboard_summary import LeaderboardEntry


def rank_strip(entry: LeaderboardEntry, ranked: int) -> Markup:
    """Ranks 1 to `ranked` from left to right: those left open as a bar, the rank itself as a tick."""
    if entry.rank is None or entry.best is None or entry.worst is None or not ranked:
        return Markup("")
    step = 1 / ranked
    left, right, at = place((entry.best - 1) * step), place(entry.worst * step), place((entry.rank - 0.5) * step)
    parts = [
        line("axis", 0, 12, 1000, 12),
        Markup('<rect class="interval" x="{}" y="7" width="{}" height="10"/>').format(left, round(right - left, 1)),
        line("value", at, 3, at, 21),
    ]
    label = f"rank {entry.rank}, may be {entry.best} to {entry.worst} of {ranked}"
    return _svg("strip ranks", label, parts)


def reach(rows: Sequence[AlignmentRow]) -> int:
    """How far a line for the gaps of `rows` must reach on both sides of zero, in whole tens of percentage points."""
    ends = [abs(v) for row in rows for v in (row.gap.value, row.gap.low, row.gap.high) if v is not None]
    return min(100, 10 * math.ceil(10 * max([*ends, 0.2]) - 1e-9))


def gap_strip(row: AlignmentRow, margin: float, reach: float) -> Markup:
    """Δ on a line from −`reach` to +`reach`, a share, with its interval; the band is what lies within the margin."""
    gap = row.gap
    if gap.value is None:
        return Markup("")

    def on(value: float) -> float:
        return place((value / reach + 1) / 2)

    low, high = on(-margin), on(margin)
    parts = [
        Markup('<rect class="margin" x="{}" y="0" width="{}" height="24"/>').format(low, round(high - low, 1)),
        line("axis", 0, 12, 1000, 12),
        *(line("grid", x, 7, x, 17) for x in (0, 250, 750, 1000)),
        line("zero", 500, 0, 500, 24),
    ]
    if gap.low is not None and gap.high is not None:
        left, right = on(gap.low), on(gap.high)
        box = Markup('<rect class="interval" x="{}" y="7" width="{}" height="10"/>')
        parts.append(box.format(left, round(right - left, 1)))
    at = on(gap.value)
    parts.append(line("value", at, 3, at, 21))
    return _svg("difference-strip", f"Δ {signed_share(gap.value)}", parts)


def checkpoint_strip(row: AlignmentRow) -> Markup:
    """Safe rates from 0 to 100 %: base (low tick), text-aligned (upper half), multimodal-aligned (lower half); a line
    joins the means of the two."""
    text, multimodal = row.text_aligned.mean.value, row.multimodal_aligned.mean.value
    if text is None or multimodal is None:
        return Markup("")
    parts = [line("axis", 0, 12, 1000, 12), *(line("grid", x, 9, x, 15) for x in (0, 250, 500, 750, 1000))]
    left, right = sorted((place(text), place(multimodal)))
    joined = Markup('<rect class="gap" x="{}" y="9" width="{}" height="6"/>')
    parts.append(joined.format(left, round(right - left, 1)))
    parts += _ticks("base", row.base, 6, 18)
    parts += _ticks("text", row.text_aligned, 0, 12)
    parts += _ticks("multimodal", row.multimodal_aligned, 12, 24)
    label = f"text-aligned {share(text)}, multimodal-aligned {share(multimodal)}"
    return _svg("checkpoints", label, parts)


def _ticks(name: str, role: RoleRate | None, top: int, bottom: int) -> list[Markup]:
    values = [c.safe.value for c in role.checkpoints if c.safe.value is not None] if role else []
    return [line(name, place(v), top, place(v), bottom) for v in values]


def _svg(name: str, label: str, parts: Sequence[Markup]) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 1000 24" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(name, label, Markup("").join(parts))
