"""Before and after: benign twins do not thin out the rate of what leaks."""

from __future__ import annotations

import io
from pathlib import Path

from rich.console import Console

from vsil_audit.builders.summarise import summarise
from vsil_audit.builders.summary import BuildSummary
from vsil_audit.reporting.build_console import build_view
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.summary import DatasetSummary, Summary


def scanned(**rates: tuple[int, int]) -> Summary:
    metrics = [
        Metric(
            name=name.replace("__", "."), tells="suspected", nature=Nature.MEASURED, unit="share", value=k / n, k=k, n=n
        )
        for name, (k, n) in rates.items()
    ]
    dataset = DatasetSummary(name="gnomes", layout="vlsbench", view="", pairs=8, rows_unreadable=0)
    return Summary(dataset=dataset, metrics=metrics, lenses=[], detectors=[])


def test_the_rate_after_is_that_of_the_unsafe_pairs() -> None:
    before = scanned(suspected_rate=(4, 4))
    after = scanned(suspected_rate=(2, 8), suspected_rate__unsafe=(2, 4), suspected_rate__safe=(0, 4))
    (shift,) = summarise([], command="convert", name="gnomes", before=before, after=after).shifts
    assert shift.before is not None
    assert shift.after is not None
    assert (shift.before.k, shift.before.n) == (4, 4)
    assert (shift.after.k, shift.after.n) == (2, 4)
    assert (shift.before_over, shift.after_over) == ("all pairs", "unsafe pairs")
    assert shift.tells == "suspected", "the quantity in its own words, not in those of a part"


def test_a_rate_that_no_scan_tells_apart_is_said_to_be_over_all_pairs() -> None:
    summary = scanned(predicted_rate=(2, 8))
    (shift,) = summarise([], command="convert", name="gnomes", before=None, after=summary).shifts
    assert (shift.before, shift.before_over, shift.after_over) == (None, "", "all pairs")
    told = Console(width=160, record=True, file=io.StringIO())
    built = BuildSummary(command="convert", name="gnomes", pairs=4, emitted=8, fates={}, twins=4, shifts=[shift])
    told.print(build_view(built, Path("new")))
    text = told.export_text()
    assert "2/8, all pairs" in text
    assert "all pairs, after, hold 4 benign twins" in text
