"""Numbers are written with their counts, coverage, interval and nature."""

from __future__ import annotations

import pytest

from vsil_audit.reporting.numbers import number, p_value, quantity, share, signed_share
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.wording import plural


def rate(**changed: object) -> Metric:
    fields: dict[str, object] = {
        "name": "suspected_rate", "tells": "suspected", "nature": Nature.MEASURED, "unit": "share", "value": 0.133,
        "low": 0.117, "high": 0.15, "k": 214, "n": 1612, "total": 1680,
    }  # fmt: skip
    return Metric.model_validate(fields | changed)


def test_a_rate_carries_everything_that_makes_it_honest() -> None:
    assert number(rate()).line() == "13.3 % = 214/1,612 (coverage 96.0 %) [11.7 %, 15.0 %] measured"


def test_chance_and_nature_follow() -> None:
    line = number(rate(chance=0.02, nature=Nature.PREDICTED)).line()
    assert line.endswith("predicted, chance 2.0 %")


def test_nothing_scored_is_no_number() -> None:
    line = number(rate(value=None, low=None, high=None, k=0, n=0)).line()
    assert line == "not measured (0 of 1,680 scored)"
    assert "%" not in line


def test_other_units_keep_theirs() -> None:
    bits = rate(unit="bits", value=0.42, low=0.3, high=0.51, k=None, n=100, total=100)
    assert number(bits).line() == "0.42 bits n = 100 (coverage 100 %) [0.30, 0.51] measured"


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0 %"), (1.0, "100 %"), (0.0004, "<0.1 %"), (0.9999, ">99.9 %"), (0.5, "50.0 %"), (0.9994, "99.9 %")],
)
def test_only_all_and_nothing_are_written_so(value: float, text: str) -> None:
    assert share(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.12, "+12.0 pp"), (-0.031, "−3.1 pp"), (0.0, "0 pp"), (0.0001, "<0.1 pp")]
)
def test_differences_are_in_percentage_points(value: float, text: str) -> None:
    assert signed_share(value) == text


def test_small_p_values_are_not_zero() -> None:
    assert p_value(1e-9) == "p < 0.001"
    assert p_value(0.04) == "p = 0.040"


def test_plural_and_quantity() -> None:
    assert plural(1, "pair") == "1 pair"
    assert plural(1680, "pair") == "1,680 pairs"
    assert quantity(12, "pairs") == "12 pairs"
    assert quantity(0.0034, "bits") == "0.0034 bits"
