"""Audits side by side: paired where they are of the same pairs, unpaired otherwise."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest
from rich.console import Console

from vsil_audit.detectors.base import Batch
from vsil_audit.errors import ConfigurationError
from vsil_audit.pair import Scored
from vsil_audit.reporting.compare import (
    Comparison,
    compare,
    comparison_view,
    render_comparison_html,
    render_comparison_json,
)
from vsil_audit.reporting.pair_reports import read_pairs
from vsil_audit.runs.folder import RunFolder
from vsil_audit.stats.paired import mcnemar_exact


@pytest.fixture(scope="module")
def views(run_folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> list[RunFolder]:
    root = tmp_path_factory.mktemp("views")
    return [
        run_folders.write_run(root / "question", 60, view="question", leaking=0.6),
        run_folders.write_run(root / "plain", 50, view="plain", leaking=0.1),
    ]


def flags(run: RunFolder, detector: str) -> dict[str, bool]:
    return {
        report.pair.id: finding.verdict.flags
        for report in read_pairs(run)
        for finding in report.findings.get(detector, ())
        if isinstance(finding.outcome, Scored)
    }


def test_views_of_one_set_are_paired_by_id(views: list[RunFolder]) -> None:
    found = compare(views).matches[0]
    assert (found.paired, found.matched, found.only_first, found.only_other) == (True, 50, 10, 0)


def test_the_paired_difference_counts_each_pair_that_both_scored(views: list[RunFolder]) -> None:
    metric = next(m for m in compare(views).metrics if m.name == "ocr_overlap.rate")
    difference = metric.differences[0]
    first, other = (flags(run, "ocr_overlap") for run in views)
    both = first.keys() & other.keys()
    assert difference.matched == len(both)
    assert difference.only_first == sum(first[i] and not other[i] for i in both)
    assert difference.only_other == sum(other[i] and not first[i] for i in both)
    assert difference.both + difference.neither + difference.only_first + difference.only_other == len(both)
    assert difference.value == pytest.approx((difference.only_other - difference.only_first) / len(both))
    assert difference.low is not None
    assert difference.high is not None
    assert difference.low < difference.value < difference.high < 0
    assert difference.p == mcnemar_exact(difference.only_first, difference.only_other)
    assert difference.p_adjusted is not None
    assert difference.p <= difference.p_adjusted <= 1


def test_the_content_lens_is_compared_as_any_of_its_detectors(views: list[RunFolder]) -> None:
    comparison = compare(views)
    lens = next(m for m in comparison.metrics if m.name == "suspected_rate").differences[0]
    single = [
        next(m for m in comparison.metrics if m.name == f"{d}.rate").differences[0]
        for d in ("ocr_overlap", "description_overlap")
    ]
    assert lens.matched >= max(d.matched for d in single)
    assert lens.only_first + lens.both >= max(d.only_first + d.both for d in single)


def test_a_run_compared_with_itself_differs_in_nothing(views: list[RunFolder]) -> None:
    for metric in compare([views[0], views[0]]).metrics:
        for difference in metric.differences:
            assert (difference.value, difference.only_first, difference.only_other) == (0.0, 0, 0)
            assert difference.p == 1.0
            assert difference.low is not None
            assert difference.low < 0, "an interval does not vanish when nothing changed"


def test_equal_ids_of_other_data_are_not_paired(run_folders: ModuleType, tmp_path: Path) -> None:
    one = run_folders.write_run(tmp_path / "one", 40, name="one", leaking=1.0)
    two = run_folders.write_run(tmp_path / "two", 40, name="two", leaking=0.0, thumbnails=False)
    comparison = compare([one, two])
    assert not comparison.matches[0].paired
    assert comparison.matches[0].matched == 0
    difference = next(m for m in comparison.metrics if m.name == "ocr_overlap.rate").differences[0]
    assert not difference.paired
    assert difference.p is None
    assert difference.value == pytest.approx(-1.0)
    assert any("not paired" in warning for warning in comparison.warnings)
    assert any("different datasets" in warning for warning in comparison.warnings)


def test_other_versions_and_limits_are_warned_of(run_folders: ModuleType, tmp_path: Path) -> None:
    one = run_folders.write_run(tmp_path / "one", 10)
    two = run_folders.write_run(tmp_path / "two", 10, version=2, limit=10)
    warnings = " ".join(compare([one, two]).warnings)
    assert "ocr_overlap has different versions in these runs (1, 2)" in warnings
    assert "different limits" in warnings


@pytest.mark.parametrize("scored", [0, 10])
def test_a_content_lens_of_other_detectors_is_warned_of(run_folders: ModuleType, tmp_path: Path, scored: int) -> None:
    """One that ran and scored nothing is not what the rate rests on."""
    one = run_folders.write_run(tmp_path / "one", 10)
    two = run_folders.write_run(tmp_path / "two", 10)
    summary = two.summary()
    detectors = [
        d.model_copy(update={"state": "done", "scored": scored}) if d.name == "clip_overlap" else d
        for d in summary.detectors
    ]
    two.write_summary(summary.model_copy(update={"detectors": detectors}))
    warnings = " ".join(compare([one, two]).warnings)
    assert ("suspected_rate rests on different detectors in these runs (" in warnings) == bool(scored)
    assert ("; clip_overlap, description_overlap, ocr_overlap)" in warnings) == bool(scored)


def test_three_runs_are_each_compared_with_the_first(views: list[RunFolder]) -> None:
    comparison = compare([*views, views[0]])
    metric = next(m for m in comparison.metrics if m.name == "ocr_overlap.rate")
    assert [d.run for d in metric.differences] == [1, 2]
    assert len({run.label for run in comparison.runs}) == 3


def test_one_sentence_for_every_pair_does_not_make_them_one_group(run_folders: ModuleType, tmp_path: Path) -> None:
    question = run_folders.write_run(tmp_path / "question", 40, leaking=1.0)
    constant = run_folders.write_run(tmp_path / "constant", 40, view="constant", leaking=0.0)
    batch = constant.read_batch(0)
    pairs = tuple(replace(pair, text="List the steps.") for pair in batch.pairs)
    constant.write_batch(Batch(0, pairs, batch.images), [], [])
    comparison = compare([question, constant])
    difference = next(m for m in comparison.metrics if m.name == "ocr_overlap.rate").differences[0]
    assert difference.value == pytest.approx(-1.0)
    assert difference.high is not None
    assert difference.high < -0.5
    assert any("Repeated texts connect 40 of 40 matched pairs" in warning for warning in comparison.warnings)


def test_one_run_is_no_comparison(views: list[RunFolder]) -> None:
    with pytest.raises(ConfigurationError, match="at least two"):
        compare(views[:1])


def test_the_comparison_survives_json(views: list[RunFolder]) -> None:
    comparison = compare(views)
    assert Comparison.model_validate_json(render_comparison_json(comparison)) == comparison
    assert json.loads(render_comparison_json(comparison))["schema_version"] == 1


@pytest.mark.parametrize("width", [60, 80, 160])
def test_the_terminal_shows_rates_difference_and_test(views: list[RunFolder], width: int) -> None:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(comparison_view(compare(views)))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, given above
    assert max(len(line.rstrip()) for line in text.splitlines()) <= width
    words = " ".join(text.split())
    assert "McNemar p" in words
    assert "50 pairs matched" in words


def test_the_page_shows_the_same_and_refers_to_nothing_outside(views: list[RunFolder]) -> None:
    comparison = compare(views)
    html = unescape(render_comparison_html(comparison))
    assert "default-src 'none'" in html
    assert "http" not in html.replace("http-equiv", "")
    assert "McNemar" in html
    for metric in comparison.metrics:
        assert metric.name in html
