"""clip_overlap in worlds of known truth: planted overlap is recovered, its absence too, and topic is no overlap."""

from __future__ import annotations

import numpy as np
import pytest
from clip_worlds import look, planted

from vsil_audit.pair import Scored, Verdict


@pytest.mark.parametrize("share", [0.0, 0.25, 0.5, 1.0])
@pytest.mark.parametrize("seed", [0, 1])
def test_a_planted_share_is_recovered(share: float, seed: int) -> None:
    world = planted(400, share, seed, topics=4)
    found = look(world, seed=seed)
    assert found.within("matched_share", world.tied.mean())
    assert found.within("matched_share_within_category", world.tied.mean())


@pytest.mark.parametrize("share", [0.25, 0.5, 1.0])
def test_those_that_are_tied_are_suspected_and_few_others(share: float) -> None:
    world = planted(400, share, 5, topics=4)
    suspected = look(world).suspected
    assert suspected[world.tied].mean() > 0.9
    assert (suspected & ~world.tied).sum() <= 0.2 * suspected.sum()


@pytest.mark.parametrize("seed", range(4))
def test_without_overlap_nothing_is_found(seed: int) -> None:
    found = look(planted(400, 0.0, seed, topics=4), seed=seed)
    assert found.suspected.sum() <= 2
    for kind in ("bits", "bits_within_category"):
        details = found.of_set[kind].details
        low, high = details["floor"]["low"], details["floor"]["high"]
        assert low - 0.02 <= found.of_set[kind].outcome.value <= high + 0.02
        assert abs(found.of_set[kind].outcome.value) < 0.05
        assert found.within(kind, 0.0)


def test_without_overlap_images_are_found_as_often_as_by_chance() -> None:
    for kind, chance in (("recall_at_1", 0.01), ("recall_at_5", 0.05), ("recall_at_1_within_category", 0.05)):
        values = []
        for seed in range(5):
            finding = look(planted(300, 0.0, seed, topics=4), seed=seed).of_set[kind]
            assert finding.details["chance"] == chance
            values.append(finding.outcome.value)
        assert np.mean(values) == pytest.approx(chance, abs=3 * np.sqrt(chance / 1500))


def test_a_topic_that_texts_and_images_share_is_no_overlap() -> None:
    """In the set a text finds its image's topic, and so ranks its own image high; within the category it does not."""
    world = planted(500, 0.0, 3, topics=5, topic=2.0)
    found = look(world)
    values = np.array([finding.outcome.value for finding in found.pairs])
    assert values.mean() > 0.8
    assert found.of_set["bits"].details["low"] > 0.5
    assert found.suspected.sum() <= 2
    assert found.within("rank_within_category", 0.5)
    assert found.within("matched_share_within_category", 0.0)
    assert found.within("bits_within_category", 0.0)


def test_overlap_beyond_the_topic_is_found_all_the_same() -> None:
    world = planted(600, 0.4, 4, topics=3, topic=1.0)
    found = look(world)
    assert found.within("matched_share_within_category", world.tied.mean())
    assert found.suspected[world.tied].mean() > 0.6
    assert (found.suspected & ~world.tied).sum() <= 0.2 * found.suspected.sum()


def test_in_categories_too_small_to_compare_the_set_decides() -> None:
    world = planted(60, 1.0, 6, topics=20)
    found = look(world)
    assert found.of_set["decided_by_set"].outcome == Scored(1.0)
    assert {finding.details["decided_by"] for finding in found.pairs} == {"set"}
    assert found.suspected.mean() > 0.9
    assert "no category has 10 images" in found.of_set["matched_share_within_category"].outcome.reason


def test_topics_of_small_categories_are_not_taken_for_overlap() -> None:
    for seed in range(5):
        found = look(planted(600, 0.0, seed, topics=40, topic=1.0))
        assert not found.suspected.any()
        assert found.of_set["decided_by_set"].outcome.value < 0.2


def test_each_category_is_told_by_itself() -> None:
    world = planted(300, 0.0, 7, topics=3)
    in_first = np.array([category == "category 0" for category in world.categories])
    for i in np.flatnonzero(in_first):
        world.texts[i] = world.images[i]
    table = {row["category"]: row for row in look(world).of_set["rank_within_category"].details["categories"]}
    assert set(table) == {"category 0", "category 1", "category 2"}
    assert table["category 0"]["pairs"] == in_first.sum()
    assert table["category 0"]["matched_share"]["value"] == 1.0
    assert table["category 0"]["bits"] > 2
    assert table["category 1"]["matched_share"]["low"] == 0.0
    assert table["category 1"]["rank"]["low"] < 0.5 < table["category 1"]["rank"]["high"]


def test_every_number_carries_its_counts() -> None:
    found = look(planted(120, 0.5, 8, topics=2))
    for kind, finding in found.of_set.items():
        if kind not in ("phrases", "least_share", "decided_by_set"):  # nothing is estimated there
            details = finding.details
            assert details["low"] <= finding.outcome.value <= details["high"], kind
            assert (details["n"], details["total"]) == (120, 120)
            assert details["tells"]
            assert details["interval"]
            assert "chance" in details


def test_what_a_pair_is_told_of_itself() -> None:
    world = planted(300, 0.5, 9, topics=2)
    found = look(world)
    tied, other = (found.pairs[int(np.flatnonzero(which)[0])] for which in (world.tied, ~world.tied))
    assert tied.verdict is Verdict.SUSPECTED
    assert tied.outcome.value > 0.99
    assert tied.details["place"] == tied.details["category_place"] == 1
    assert tied.details["margin"] > 0 > other.details["margin"]
    assert tied.details["z"] > 3 > abs(other.details["z"])
    assert tied.details["percentile"] > 99
    assert tied.details["p"] == pytest.approx(1 / 300, abs=1e-6)
    assert other.verdict is Verdict.CLEAR
    assert tied.details["distractors"] == 299
    assert "rank_error" not in tied.details, "all images were compared"
