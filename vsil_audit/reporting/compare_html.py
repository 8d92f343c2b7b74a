"""A comparison of runs as one HTML page."""

from __future__ import annotations

from vsil_audit.reporting.compare import Comparison
from vsil_audit.reporting.numbers import signed_share
from vsil_audit.reporting.page import render_page

_LENSES = ("judged", "behavioural", "content", "predicted")


def render(comparison: Comparison) -> str:
    rates = [m for m in comparison.metrics if not m.name.endswith(".mean")]
    scripted = any(caveat for m in rates for caveat in m.caveats)
    return render_page(
        "compare.html.j2",
        styles=("page.css", "report.css", "compare.css", *(("asked.css",) if scripted else ())),
        scripts=("page.js",),
        comparison=comparison,
        lens_metrics=[m for m in rates if m.lens in _LENSES],
        other_metrics=[m for m in rates if m.lens not in _LENSES],
        signed_share=signed_share,
    )
