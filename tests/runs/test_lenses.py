"""What a reader must know before quoting a number."""

from __future__ import annotations

import numpy as np
import pytest

from vsil_audit.runs.asked_summary import AskedSummary
from vsil_audit.runs.detecting import Clusters
from vsil_audit.runs.lenses import lens_summaries, warnings_for
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.runs.summary import DatasetSummary, DetectorRun

NO_CLUSTERS = Clusters(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64))


def dataset(**given: object) -> DatasetSummary:
    usual: dict[str, object] = {"name": "d", "layout": "l", "view": "v", "pairs": 100, "rows_unreadable": 0}
    return DatasetSummary.model_validate({**usual, "labels": {"safe": 50, "unsafe": 50}, **given})


def warnings(given: DatasetSummary, *metrics: Metric, clusters: Clusters = NO_CLUSTERS) -> str:
    return "\n".join(warnings_for(given, list(metrics), [], clusters))


def test_a_labelled_whole_set_has_no_warning() -> None:
    assert warnings(dataset()) == ""


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"labels": {}}, "cannot be told from false alarms"),
        ({"labels": {"unsafe": 100}}, "cannot be told from false alarms"),
        (
            {"labels": {"safe": 9, "unsafe": 9, "0": 3, "ja": 4}},
            "labels of 7 pairs are read neither as safe nor as unsafe (0 3, ja 4)",
        ),
        ({"limited_to": "the first 5 pairs (--limit)"}, "Only the first 5 pairs (--limit) were scanned"),
        ({"pairs": 1, "labels": {"safe": 1}}, "Only 1 pair: the intervals are wide"),
        ({"rows_unreadable": 450}, "450 rows of the dataset made no pair"),
        ({"image_refs": 9, "image_errors": {"truncated": 2}}, "2 of 9 images could not be used (truncated 2)"),
        ({"pairs_without_image": 3}, "3 of 100 pairs have no image here"),
        ({"categories": 900}, "900 categories; the table shows the 60 largest"),
        ({"pairs": 0}, "there is nothing to report"),
    ],
)
def test_what_limits_a_number_is_said(given: dict[str, object], says: str) -> None:
    assert says in warnings(dataset(**given))


def test_on_a_set_without_safe_pairs_the_benign_control_is_pointed_to() -> None:
    asked = AskedSummary(control_pairs=20)
    [warning] = warnings_for(dataset(labels={"unsafe": 100}), [], [], NO_CLUSTERS, asked)
    assert "read V* and the rates on the benign control (20 pairs)" in warning


def test_low_coverage_of_a_headline_is_said() -> None:
    few = Metric(
        name="suspected_rate", tells="t", nature=Nature.MEASURED, unit="share", value=0.5, k=5, n=10, total=100
    )
    assert "suspected_rate covers 10 of 100 pairs only" in warnings(dataset(), few)


@pytest.mark.parametrize(("least", "warned"), [(0.02, False), (0.1, False), (0.333, True)])
def test_that_a_low_suspected_rate_says_little_of_a_small_set_is_said(least: float, *, warned: bool) -> None:
    metric = Metric(
        name="clip_overlap.least_share", tells="t", nature=Nature.MEASURED, unit="share", value=least, n=90, total=90
    )
    said = warnings(dataset(), metric)
    assert ("clip_overlap flags nothing where fewer than 33 % of the pairs overlap" in said) == warned
    assert bool(said) == warned


def test_a_lens_without_a_detector_is_shown_as_absent() -> None:
    ran = DetectorRun(name="ocr_overlap", asks="?", lens="content", unit="pair", value="v", version=1, state="done")
    leak = Metric(name="leak_rate", tells="t", lens="judged", nature=Nature.JUDGED, unit="share")
    lenses = {lens.lens: lens for lens in lens_summaries([leak], [ran])}
    assert list(lenses) == ["judged", "behavioural", "content", "predicted"]
    assert [name for name, lens in lenses.items() if lens.available] == ["content"]
    assert "leakage itself was not measured" in lenses["judged"].says
    assert lenses["judged"].metrics == ["leak_rate"]
