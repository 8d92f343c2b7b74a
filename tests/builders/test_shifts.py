"""Before and after: benign twins do not thin out the rate of what leaks."""

from __future__ import annotations

from vsil_audit.builders.summarise import summarise
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
