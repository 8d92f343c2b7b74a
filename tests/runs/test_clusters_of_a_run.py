"""Which pairs count as not independent: shared images, shared texts, shared scenarios."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from PIL import Image

import vsil_audit
from vsil_audit import ScanOptions
from vsil_audit.detectors.base import Batch
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import ABSENT_IMAGE, ImageRef, Pair
from vsil_audit.runs import detecting
from vsil_audit.runs.detecting import Clusters, clusters
from vsil_audit.runs.folder import RunFolder

TEXT = "Recommend a recipe for pancakes with fresh fruit"


def clusters_of(tmp_path: Path, *pairs: Pair, digests: list[str] | None = None) -> Clusters:
    folder = RunFolder(tmp_path)
    images = tuple((ImageFacts(d, digest=d),) if d else () for d in digests or [""] * len(pairs))
    folder.write_batch(Batch(0, pairs, images), [], [])
    return clusters(folder, len(pairs))


def pair(number: int, text: str, **given: object) -> Pair:
    return Pair(str(number), text, **given)  # type: ignore[arg-type]  # names and types are the tests' own


def test_pairs_that_share_nothing_are_independent(tmp_path: Path) -> None:
    found = clusters_of(tmp_path, *(pair(i, f"text {i}") for i in range(12)))
    assert len(set(found.connected.tolist())) == 12
    assert found.note == ""


def test_an_image_a_text_and_a_scenario_connect(tmp_path: Path) -> None:
    pairs = [
        pair(0, "one"),
        pair(1, "two"),
        pair(2, " ONE "),
        pair(3, "three", twin_of="s"),
        pair(4, "four", twin_of="s"),
        pair(5, "five", meta={ABSENT_IMAGE: "x.png"}),
        pair(6, "six", meta={ABSENT_IMAGE: "x.png"}),
    ]
    found = clusters_of(tmp_path, *pairs, digests=["aa" * 32, "aa" * 32, "", "", "", "", ""])
    a, b, c, d, e, f, g = found.connected.tolist()
    assert a == b == c
    assert d == e
    assert f == g
    assert len({a, d, f}) == 3


def test_a_twin_may_name_the_other_pair(tmp_path: Path) -> None:
    found = clusters_of(tmp_path, pair(0, "one"), pair(1, "two", twin_of="0"), pair(2, "three"))
    a, b, c = found.connected.tolist()
    assert a == b != c


def test_one_sentence_for_all_does_not_make_one_cluster_for_intervals(tmp_path: Path) -> None:
    pairs = [pair(i, "the same sentence", images=(ImageRef(f"{i}", path=f"{i}"),)) for i in range(12)]
    found = clusters_of(tmp_path, *pairs, digests=[f"{i:02x}" * 32 for i in range(12)])
    assert len(set(found.connected.tolist())) == 1
    assert len(set(found.for_intervals.tolist())) == 12
    assert "Repeated texts connect 12 of 12 pairs" in found.note


def test_one_image_for_all_stays_one_cluster_and_is_said(tmp_path: Path) -> None:
    pairs = [pair(i, f"text {i}") for i in range(12)]
    found = clusters_of(tmp_path, *pairs, digests=["ab" * 32] * 12)
    assert len(set(found.for_intervals.tolist())) == 1
    assert "Shared images or scenarios connect 12 of 12 pairs" in found.note


@pytest.mark.parametrize("pairs_for_processes", [1, 500], ids=["in processes", "here"])
def test_numbers_of_one_set_rest_on_the_same_groups(
    pairs_for_processes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a detector says of the set has its interval from the groups of the rate that it belongs to."""
    monkeypatch.setattr(detecting, "_PAIRS_FOR_PROCESSES", pairs_for_processes)
    root = tmp_path / "one sentence"
    root.mkdir()
    for i in range(30):
        Image.new("RGB", (8, 8), (8 * i, 90, 40)).save(root / f"{i}.png")
    rows = [{"image": f"{i}.png", "prompt": TEXT} for i in range(30)]
    (root / "data.json").write_text(json.dumps(rows))
    options = ScanOptions(workers=2, detectors=("harm_prior", "hygiene"))
    audit = vsil_audit.scan(root, output=tmp_path / "run", options=options)
    rate = audit.summary.metric("predicted_rate")
    adjusted = audit.summary.metric("harm_prior.predicted_rate_adjusted")
    assert (rate.k, rate.n) == (0, 30)
    assert rate.high == pytest.approx(0.116, abs=0.01)
    assert rate.high > adjusted.high
