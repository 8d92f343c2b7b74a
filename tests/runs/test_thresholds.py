"""--fail-on: what is a condition, and what it says of a run."""

from __future__ import annotations

import pytest

from vsil_audit.errors import ConfigurationError
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.summary import DatasetSummary, Summary
from vsil_audit.runs.thresholds import Outcome, Threshold, check, parse_threshold


def summary_with(*metrics: Metric) -> Summary:
    dataset = DatasetSummary(name="d", layout="generic", view="default", pairs=10, rows_unreadable=0)
    return Summary(dataset=dataset, metrics=list(metrics), lenses=[], detectors=[])


def rate(name: str, k: int, n: int, total: int = 10) -> Metric:
    value = k / n if n else None
    return Metric(
        name=name, tells="t", nature=Nature.MEASURED, unit="share", value=value, k=k, n=n, total=total, note="why not"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("leak_rate>0.2", Threshold("leak_rate", ">", 0.2)),
        ("  suspected_rate >= 20% ", Threshold("suspected_rate", ">=", 0.2)),
        ("topic_probe.text_bits<.5", Threshold("topic_probe.text_bits", "<", 0.5)),
        ("hygiene.rate<=1e-2", Threshold("hygiene.rate", "<=", 0.01)),
    ],
)
def test_a_condition_is_metric_comparison_number(text: str, expected: Threshold) -> None:
    assert parse_threshold(text) == expected


@pytest.mark.parametrize("text", ["", "leak_rate", "leak_rate=0.2", ">0.2", "leak_rate>x", "a>1 b>2", "a>0.2; rm"])
def test_anything_else_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        parse_threshold(text)
    assert "suspected_rate>0.2" in caught.value.remedy


def outcome(metric: Metric, condition: str, min_coverage: float = 0.5) -> Outcome:
    return check(summary_with(metric), [parse_threshold(condition)], min_coverage)[0].outcome


def test_a_threshold_is_crossed_or_passed() -> None:
    assert outcome(rate("r", 3, 10), "r>0.2") is Outcome.CROSSED
    assert outcome(rate("r", 2, 10), "r>0.2") is Outcome.PASSED
    assert outcome(rate("r", 2, 10), "r>=0.2") is Outcome.CROSSED


def test_a_metric_without_a_value_is_inconclusive_never_zero() -> None:
    [verdict] = check(summary_with(rate("leak_rate", 0, 0)), [parse_threshold("leak_rate>0.2")], 0.5)
    assert verdict.outcome is Outcome.INCONCLUSIVE
    assert "why not" in verdict.reason


def test_too_little_coverage_is_inconclusive_whatever_the_value() -> None:
    assert outcome(rate("r", 4, 4), "r>0.2") is Outcome.INCONCLUSIVE
    assert outcome(rate("r", 4, 4), "r>0.2", min_coverage=0.4) is Outcome.CROSSED


def test_a_mean_over_samples_needs_its_coverage_too() -> None:
    mean = rate("text_only_refusal_rate", 4, 4).model_copy(update={"k": None, "lens": "behavioural"})
    assert outcome(mean, "text_only_refusal_rate>0.2") is Outcome.INCONCLUSIVE
    assert outcome(mean, "text_only_refusal_rate>0.2", min_coverage=0.4) is Outcome.CROSSED


def test_an_unknown_metric_is_an_error_that_names_the_known_ones() -> None:
    with pytest.raises(ConfigurationError, match="suspected_rat") as caught:
        check(summary_with(rate("suspected_rate", 1, 2)), [parse_threshold("suspected_rat>0.1")], 0.5)
    assert "Did you mean suspected_rate?" in caught.value.remedy


@pytest.mark.parametrize(
    "model",
    ["openai/gpt-4o-mini", "ollama/llava:7b", "vllm/org/guard-vision@http://127.0.0.1:8000/v1", "hf/a.b/c_d-e"],
)
def test_a_metric_of_one_model_is_named_with_its_model(model: str) -> None:
    name = f"safety_judge.vsil_rate@{model}"
    assert parse_threshold(f" {name} >= 20% ") == Threshold(name, ">=", 0.2)
    assert outcome(rate(name, 3, 10), f"{name}>.2") is Outcome.CROSSED
