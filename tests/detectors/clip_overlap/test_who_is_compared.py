"""clip_overlap compares an image with images of other pairs only; odd vectors, few pairs and large sets."""

from __future__ import annotations

import numpy as np
import pytest
from clip_worlds import World, look, planted, unit

from vsil_audit.detectors.base import SetContext
from vsil_audit.detectors.clip_overlap import ClipOverlap, learning
from vsil_audit.detectors.clip_overlap.learning import learn
from vsil_audit.features.facts import ImageError, ImageFacts
from vsil_audit.pair import Abstained, Failed, Scored
from vsil_audit.runs.scoring import score_batch


def outcomes(world: World) -> list[object]:
    return [finding.outcome for finding in look(world).pairs]


def test_one_text_for_all_pairs_leaves_nothing_to_compare() -> None:
    world = planted(40, 1.0, 0, queries=lambda _: "How is this made?")
    found = look(world)
    why = "its text, or scenario, stands beside all other images"
    assert {finding.outcome for finding in found.pairs} == {Abstained(why)}
    assert {finding.outcome for kind, finding in found.of_set.items() if kind != "phrases"} == {Abstained(why)}


def test_pairs_of_one_text_are_no_distractors_of_each_other() -> None:
    world = planted(60, 1.0, 1, queries=lambda i: f"query {i // 2}")
    for i in range(0, 60, 2):
        world.texts[i + 1] = world.texts[i]
    found = look(world)
    assert {finding.details["distractors"] for finding in found.pairs} == {58}


def test_an_image_that_many_pairs_use_is_one_distractor() -> None:
    world = planted(60, 0.0, 2)
    for i in range(20):
        world.names[i], world.images[i] = ["logo"], world.images[0]
    found = look(world)
    assert found.pairs[0].details["distractors"] == 40
    assert found.pairs[59].details["distractors"] == 40


def test_the_same_image_under_another_name_ties() -> None:
    world = planted(30, 1.0, 3)
    world.images[1] = world.images[0]
    first = look(world).pairs[0]
    assert first.outcome == Scored(pytest.approx(1 - 0.5 / 29, abs=1e-5))
    assert first.details["margin"] == 0.0
    assert first.details["p"] == pytest.approx(2 / 30, abs=1e-5)


def test_vectors_that_are_all_alike_tell_nothing() -> None:
    world = planted(50, 1.0, 4)
    for i in range(50):
        world.texts[i] = world.images[i] = world.images[0]
    found = look(world)
    assert {finding.outcome for finding in found.pairs} == {Scored(0.5)}
    assert not found.suspected.any()
    assert found.of_set["matched_share"].outcome == Scored(0.0)
    assert found.of_set["bits"].outcome.value == pytest.approx(0.0, abs=1e-6)
    assert found.of_set["recall_at_1"].outcome.value == pytest.approx(1 / 50)
    assert "z" not in found.pairs[0].details


@pytest.mark.parametrize("n", [0, 1, 2, 6, 9])
def test_few_pairs_are_not_ranked(n: int) -> None:
    found = look(planted(n, 1.0, 5))
    assert [finding.outcome for finding in found.pairs] == [
        Abstained("fewer than 9 images of other pairs to compare with")
    ] * n
    assert all(isinstance(finding.outcome, Abstained) for finding in found.of_set.values())


def test_ten_pairs_are_the_fewest_of_which_any_could_be_suspected() -> None:
    world = planted(10, 1.0, 5, noise=0.01)
    assert look(world).suspected.all()
    world.texts[0] = -world.images[0]
    found = look(world)
    assert all(isinstance(finding.outcome, Scored) for finding in found.pairs)
    assert not found.suspected.any()


@pytest.mark.parametrize(("topics", "least"), [(1, 0.1), (2, 0.2)])
def test_the_smallest_share_that_can_be_found_is_told_and_true(topics: int, least: float) -> None:
    """Of 100 images, p-values fall to 1/100: ten pairs must overlap before any is flagged. Of 50 in a category, 20."""

    def suspected(tied: int) -> tuple[int, float]:
        world = planted(100, 0.0, 3)
        for i in range(100):
            world.categories[i] = f"category {i % topics}"
            world.texts[i] = world.images[i] if i < tied else -world.images[i]
        found = look(world)
        return int(found.suspected.sum()), found.of_set["least_share"].outcome.value

    fewest = round(100 * least)
    assert suspected(fewest) == (fewest, pytest.approx(least))
    assert suspected(fewest - 1) == (0, pytest.approx(least))


def test_where_no_rank_could_be_enough_that_is_said() -> None:
    """Six images each, among few: even the nearest of all is likely to be so by chance."""
    world = planted(10, 0.0, 3)
    for i in range(10):
        world.images[i] = np.repeat(world.images[i], 6, axis=0)
        world.names[i] = [f"image-{i}-{k}" for k in range(6)]
    found = look(world)
    assert isinstance(found.of_set["least_share"].outcome, Abstained)
    assert not found.suspected.any()


@pytest.mark.parametrize("tied", [0.0, 0.5])
def test_several_images_that_are_alike_do_not_hide_how_many_pairs_are_tied(tied: float) -> None:
    world = planted(200, tied, 11)
    generator = np.random.default_rng(0)
    for i in range(200):
        noise = 0.01 * generator.standard_normal((6, world.width))
        world.images[i] = unit(world.images[i] + noise)
        world.names[i] = [f"image-{i}-{k}" for k in range(6)]
    found = look(world)
    assert found.within("matched_share", float(world.tied.mean()))
    assert found.of_set["matched_share"].details["high"] > 0.02


def test_any_window_of_a_long_text_may_match() -> None:
    world = planted(80, 0.0, 6)
    generator = np.random.default_rng(0)
    others = unit(generator.standard_normal((4, world.width)))
    world.texts[7] = np.concatenate([others[:2], world.images[7], others[2:]])
    long = look(world).pairs[7]
    assert long.outcome == Scored(1.0)
    assert long.details["cosine"] == pytest.approx(1.0, abs=1e-3)


def test_several_images_are_held_against_as_many_distractors() -> None:
    world = planted(200, 0.0, 7)
    generator = np.random.default_rng(0)
    for i in range(200):
        extra = unit(generator.standard_normal((5, world.width)) * 0.7 / 8 + world.images[i].mean(axis=0) * 0)
        world.images[i] = np.concatenate([world.images[i], extra])
        world.names[i] = [f"image-{i}-{k}" for k in range(6)]
    values = [finding.outcome.value for finding in look(world).pairs]
    assert np.mean(values) == pytest.approx(0.5, abs=0.08)


def test_the_best_of_several_images_counts() -> None:
    world = planted(60, 0.0, 8)
    world.images[3] = np.concatenate([world.images[3], world.texts[3]])
    world.names[3] = ["image-3", "image-3-again"]
    assert look(world).pairs[3].outcome == Scored(1.0)


def test_a_vector_that_is_not_finite_is_a_failure_and_no_distractor() -> None:
    world = planted(40, 0.0, 9)
    world.images[2] = np.full((1, world.width), np.nan)
    world.texts[3] = np.full((1, world.width), np.inf)
    found = look(world)
    assert found.pairs[2].outcome == Failed("not_finite", "image-2: the image's vector is not finite")
    assert found.pairs[3].outcome == Failed("not_finite", "the query's vector is not finite")
    assert found.pairs[0].details["distractors"] == 37
    assert found.of_set["matched_share"].details["n"] == 38


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (ImageError("missing", "no such file"), Abstained("the image is not here")),
        (ImageError("remote_not_fetched", "a URL"), Abstained("the image was not fetched")),
        (ImageError("truncated", "ends early"), Failed("truncated_image", "a.png: ends early")),
        (ImageError("outside_root", "elsewhere"), Failed("outside_root", "a.png: elsewhere")),
    ],
)
def test_an_image_that_could_not_be_opened_is_named(error: ImageError, outcome: object) -> None:
    world = planted(20, 0.0, 10)
    world.errors[4] = ImageFacts("a.png", error=error)
    assert outcomes(world)[4] == outcome


def test_a_pair_is_not_cleared_by_the_one_of_its_images_that_could_be_opened() -> None:
    world = planted(400, 0.5, 11)
    broken = ImageFacts("a.png", error=ImageError("corrupt", "broken"))
    tied, other = (int(np.flatnonzero(which)[0]) for which in (world.tied, ~world.tied))
    for i in (tied, other):
        world.images[i] = np.concatenate([world.images[i], world.images[i]])
        world.names[i] = [f"gone-{i}", *world.names[i]]
        world.errors[i] = broken
    found = look(world)
    assert found.suspected[tied]
    assert found.pairs[other].outcome == Failed("corrupt_image", "a.png: broken")


def test_empty_texts_and_pairs_without_image_abstain() -> None:
    world = planted(30, 0.0, 12)
    world.queries[0], world.texts[0] = "  ", np.zeros((0, world.width))
    world.names[1], world.images[1] = [], np.zeros((0, world.width))
    world.texts[2] = np.zeros((0, world.width))
    found = outcomes(world)
    assert found[:3] == [
        Abstained("empty query"), Abstained("no image"), Failed("clip_error", "the query was not encoded")
    ]  # fmt: skip


def test_a_batch_without_vectors_is_a_failure_not_a_number() -> None:
    batches = planted(20, 0.0, 13).batches()
    bare = type(batches[0])(0, batches[0].pairs, batches[0].images)
    detector = ClipOverlap()
    detector.prepare(SetContext(lambda: iter([bare]), 20, list(range(20))))
    assert {type(finding.outcome) for finding in detector.score(bare)} == {Failed}
    assert "no pair could be looked at: no clip vectors" in next(iter(detector.conclude())).outcome.reason


def test_pairs_scored_one_by_one_get_what_their_batch_would_give() -> None:
    world = planted(60, 0.5, 14)
    batches = world.batches(20)
    context = SetContext(lambda: iter(batches), 60, range(60))
    whole, breaking = ClipOverlap(), ClipOverlap()
    whole.prepare(context)
    breaking.prepare(context)
    score = breaking.score

    def breaks_on_many(batch):  # type: ignore[no-untyped-def]
        if len(batch.pairs) > 1:
            raise MemoryError
        return score(batch)

    breaking.score = breaks_on_many  # type: ignore[method-assign]
    assert score_batch(breaking, batches[1]) == list(whole.score(batches[1]))


# samples


def test_of_a_large_set_images_and_pairs_are_sampled_and_it_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("IN_SET", 150), ("IN_CATEGORY", 60), ("SAMPLED", 200)):
        monkeypatch.setattr(learning, name, size)
    world = planted(800, 0.5, 15, topics=2)
    found = look(world)
    assert {finding.details["distractors"] for finding in found.pairs} <= {149, 150}
    assert {finding.details["category_distractors"] for finding in found.pairs} <= {59, 60}
    assert all(0 <= finding.details["rank_error"] <= 0.05 for finding in found.pairs)
    share = found.of_set["matched_share"]
    assert (share.details["n"], share.details["total"]) == (200, 200)
    assert "a sample of 200 of 800 pairs" in share.details["note"]
    assert found.within("matched_share", world.tied.mean())
    assert found.suspected[world.tied].mean() > 0.8
    assert (found.suspected & ~world.tied).sum() <= 0.2 * found.suspected.sum()


def test_what_is_sampled_does_not_depend_on_the_order_or_the_batches() -> None:
    world = planted(300, 0.5, 16, topics=3)

    def learnt(batches):  # type: ignore[no-untyped-def]
        return learn(SetContext(lambda: iter(batches), 300, range(300), seed=3))

    one = learnt(world.batches(50))
    other = learnt(list(reversed(world.batches(60))))
    assert np.array_equal(one.pool.vectors, other.pool.vectors)
    asked = np.array([pair.keys for pair in one.sample], dtype=np.uint64)
    assert all(
        np.array_equal(*found)
        for found in zip(*(learned.pool.beside.cells(asked) for learned in (one, other)), strict=True)
    )
    assert [pair.keys for pair in one.sample] == [pair.keys for pair in other.sample]


def test_many_categories_share_one_bound(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "IN_CATEGORIES", 100)
    world = planted(400, 0.5, 17, topics=10)
    learned = learn(SetContext(lambda: iter(world.batches()), 400, np.arange(400)))
    assert sum(len(pool) for pool in learned.categories.values()) <= 100
    assert {len(pool) for pool in learned.categories.values()} == {8}
    monkeypatch.setattr(learning, "MOST_CATEGORIES", 5)
    learned = learn(SetContext(lambda: iter(world.batches()), 400, np.arange(400)))
    assert learned.categories == {}


def test_very_long_texts_are_sampled_in_bounded_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(learning, "_MOST_ROWS", 1000)
    world = planted(200, 0.0, 18)
    for i in range(200):
        world.texts[i] = np.repeat(world.texts[i], 20, axis=0)
    learned = learn(SetContext(lambda: iter(world.batches()), 200, np.arange(200)))
    assert 40 <= len(learned.sample) <= 1000 // 21
