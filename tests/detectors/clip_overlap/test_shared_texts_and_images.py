"""Repeated texts and images: an image is no distractor of a text that it stands beside, and of no other is it left
out. Sets in which a few texts or images connect everything are measured all the same."""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np
import pytest
from clip_worlds import World, crossed, look, planted, unit

from vsil_audit.detectors.base import SetContext
from vsil_audit.detectors.clip_overlap import learning, sharing
from vsil_audit.detectors.clip_overlap.learning import Learned, learn
from vsil_audit.detectors.clip_overlap.smallest import hashed
from vsil_audit.detectors.clip_overlap.uses import Uses
from vsil_audit.pair import Abstained

TEMPLATES, IMAGES, EACH = 40, 400, 3


def world(share: float, seed: int) -> World:
    """1,200 pairs, all connected: each text beside some 30 images, each image beside 3 texts."""
    return crossed(TEMPLATES, IMAGES, EACH, share, seed)


def learnt(world: World) -> Learned:
    return learn(SetContext(lambda: iter(world.batches()), len(world), range(len(world))))


def test_all_images_but_those_beside_the_text_are_compared() -> None:
    made = world(0.5, 0)
    beside = defaultdict(set)
    for query, names in zip(made.queries, made.names, strict=True):
        beside[query] |= set(names)
    for query, finding in zip(made.queries, look(made).pairs, strict=True):
        assert finding.details["distractors"] == IMAGES - len(beside[query])


def test_few_texts_beside_many_images_show_no_overlap_where_there_is_none() -> None:
    for seed in range(4):
        found = look(world(0.0, seed), seed=seed)
        assert found.suspected.sum() == 0
        assert found.of_set["matched_share"].details["low"] == 0.0
        assert found.of_set["matched_share"].outcome.value < 0.1
        low, high = (found.of_set["bits"].details[limit] for limit in ("low", "high"))
        assert low <= 0 <= high
        assert found.of_set["recall_at_1"].outcome.value == pytest.approx(0.01, abs=0.02)


def test_few_texts_beside_many_images_show_the_overlap_that_is_planted() -> None:
    held = []
    for seed in range(6):
        made = world(0.5, seed)
        found = look(made, seed=seed)
        held.append(found.within("matched_share", float(made.tied.mean())))
        assert found.of_set["matched_share"].outcome.value == pytest.approx(made.tied.mean(), abs=0.08)
        assert found.suspected[made.tied].mean() > 0.9
        assert (found.suspected & ~made.tied).sum() <= 0.2 * found.suspected.sum()
        assert "repeated texts are taken as given" in found.of_set["matched_share"].details["note"]
    assert sum(held) >= 5


def test_bits_are_no_more_than_texts_can_tell_that_stand_beside_many_images() -> None:
    """Each of 10 themes has 4 texts and 40 images, each text beside each image of its theme: a text tells the theme,
    log2 10 bits, and not which of its images is meant."""
    generator = np.random.default_rng(0)
    themes = unit(generator.standard_normal((10, 64)))
    images = [unit(themes[j % 10] + 0.05 * unit(generator.standard_normal(64)))[None] for j in range(400)]
    pairs = [(k, j) for j in range(400) for k in range(40) if k % 10 == j % 10]
    made = World(
        [themes[k % 10][None] for k, _ in pairs], [images[j] for _, j in pairs], [f"text {k}" for k, _ in pairs],
        [[f"image-{j}"] for _, j in pairs], [None] * len(pairs), np.ones(len(pairs), dtype=bool),
    )  # fmt: skip
    bits = look(made).of_set["bits"]
    assert bits.details["ceiling"] > np.log2(10) + 0.9
    assert 1.5 < bits.outcome.value <= np.log2(10)


def test_an_image_that_stands_beside_the_text_elsewhere_is_no_distractor_in_its_category(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Even where it was met there before anything of it was kept."""
    monkeypatch.setattr(learning, "IN_SET", 30)
    monkeypatch.setattr(learning, "IN_CATEGORY", 30)
    made = planted(200, 0.0, 1)
    made.categories = ["first"] * 170 + ["second"] * 30
    made.queries[140:170] = made.queries[170:]
    for i in range(30):
        made.names[140 + i], made.images[140 + i] = made.names[170 + (i + 1) % 30], made.images[170 + (i + 1) % 30]
    for finding in look(made).pairs[170:]:
        assert finding.details["category_distractors"] == 28


def test_texts_are_the_same_whatever_their_case_and_spaces_around() -> None:
    made = planted(40, 0.0, 2, queries=lambda i: ("A QUERY ", "a query")[i % 2] if i < 20 else f"query {i}")
    found = look(made)
    assert {finding.details["distractors"] for finding in found.pairs[:20]} == {20}
    assert {finding.details["distractors"] for finding in found.pairs[20:]} == {39}


def test_images_of_one_scenario_are_no_distractors_of_each_other() -> None:
    made = planted(40, 0.0, 3)
    made.twins = {0: "a", 1: "a", 3: "pair-2"}
    distractors = [finding.details["distractors"] for finding in look(made).pairs]
    assert distractors == [38] * 4 + [39] * 36


def test_intervals_are_wide_where_one_image_connects_all_pairs() -> None:
    made = planted(200, 0.5, 4)
    logo = made.images[0]
    for i in range(200):
        made.images[i], made.names[i] = np.concatenate([made.images[i], logo]), [f"image-{i}", "logo"]
    of_set = look(made).of_set
    share = of_set["matched_share"].details
    assert share["high"] - share["low"] > 0.8
    assert "shared images connect most pairs" in share["note"]
    assert of_set["bits"].outcome == Abstained("too few independent pairs to halve and compare")


@pytest.mark.parametrize(("share", "blanks"), [(0.3, 1), (0.3, 3), (0.3, 20), (0.6, 3)])
def test_an_image_near_to_every_text_makes_none_of_its_many_pairs_stand_out(share: float, blanks: int) -> None:
    for seed in range(2):
        made = with_blanks(planted(600, 0.0, seed), share, blanks)
        found = look(made, seed=seed)
        assert np.mean([finding.details["place"] for finding in found.pairs if used(made, finding.pair_id)]) < 30
        assert found.suspected.sum() == 0
        assert found.within("matched_share", 0.0)


def test_beside_such_images_the_planted_overlap_is_found() -> None:
    made = with_blanks(planted(600, 0.5, 3), 0.3, 3)
    suspected = look(made).suspected
    assert suspected[made.tied].mean() > 0.5
    assert (suspected & ~made.tied).sum() <= 0.2 * suspected.sum()


def test_an_image_counts_as_often_as_pairs_use_it() -> None:
    made = planted(60, 0.0, 7)
    for i in range(20):
        made.names[i], made.images[i] = ["logo"], made.images[0]
    made.texts[30], made.texts[0] = made.images[30], made.images[0]
    found = look(made).pairs
    assert (found[0].details["place"], found[30].details["place"]) == (1, 1)
    assert found[0].details["p"] == pytest.approx(20 / 60, abs=1e-6)
    assert found[30].details["p"] == pytest.approx(1 / 60, abs=1e-6)


def test_in_a_sample_what_many_pairs_use_is_known_of_other_images_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, size in (("IN_SET", 10), ("SAMPLED", 300)):
        monkeypatch.setattr(learning, name, size)
    made = with_blanks(planted(600, 0.0, 8), 0.5, 3)
    learned = learnt(made)
    counts = Counter(names[0] for names in made.names)
    names = [hashed(0, name) for name in counts]
    assert learned.pool.uses.of(names).tolist() == list(counts.values())


def test_versions_of_one_image_beside_a_text_are_not_lucky_together() -> None:
    """Each text beside 20 images that are nearly one: by chance alone some text's are the nearest of all."""
    for seed in range(6):
        generator = np.random.default_rng(seed)
        made = planted(600, 0.0, seed)
        for i in range(600):
            made.queries[i], made.texts[i] = f"text {i // 20}", made.texts[i - i % 20]
            made.images[i] = unit(made.images[i - i % 20] + 0.1 * unit(generator.standard_normal((1, 64))))
        assert not look(made).suspected.any()


def test_an_image_that_many_pairs_share_does_not_hide_a_pairs_own() -> None:
    made = planted(600, 0.5, 3, noise=0.3)
    logo = unit(np.random.default_rng(1).standard_normal((1, 64)))
    for i in range(600):
        made.names[i], made.images[i] = ["logo", *made.names[i]], np.concatenate([logo, made.images[i]])
    found = look(made)
    assert found.suspected[made.tied].mean() > 0.9
    assert (found.suspected & ~made.tied).sum() <= 0.15 * found.suspected.sum()
    assert found.within("matched_share", made.tied.mean())


@pytest.mark.parametrize("things", [100, 10_000, 100_000])
def test_uses_are_counted_in_flat_memory_and_never_too_low(things: int) -> None:
    generator = np.random.default_rng(things)
    keys = generator.integers(1 << 64, size=things, dtype=np.uint64)
    times = generator.integers(1, 5, size=things)
    uses = Uses(things)
    for part in np.array_split(generator.permutation(np.repeat(keys, times)), 7):
        uses.add(part)
    found = uses.of(keys)
    assert (found >= times).all()
    assert (found > times).mean() < 0.01
    assert uses.of(generator.integers(1 << 64, size=100, dtype=np.uint64)).mean() < 1.1


def with_blanks(made: World, share: float, blanks: int) -> World:
    """About `share` of the pairs get one of a few images that are nearer to all texts than most are, and untied."""
    generator = np.random.default_rng(0)
    middle = unit(np.concatenate(made.texts).mean(axis=0))
    images = unit(middle + 0.3 * unit(generator.standard_normal((blanks, 64))))
    for i in np.flatnonzero(generator.random(len(made)) < share).tolist():
        k = int(generator.integers(blanks))
        made.names[i], made.images[i], made.tied[i] = [f"blank-{k}"], images[k : k + 1], False
    return made


def used(made: World, pair_id: str | None) -> bool:
    return made.names[int(str(pair_id).removeprefix("pair-"))][0].startswith("blank")


# memory


def test_a_key_is_kept_once_whatever_the_number_of_its_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sharing, "MOST_LINKS", 100)
    made = planted(2000, 0.0, 5, queries=lambda i: f"query {i % 3}")
    made.names = [[f"image-{i % 20}"] for i in range(2000)]
    made.twins = {i: f"scenario {i % 2}" for i in range(2000)}
    assert len(learnt(made).pool) == 20


def test_beyond_what_is_kept_images_beside_the_most_texts_are_nobodys_distractors(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sharing, "MOST_LINKS", 150)
    made = planted(300, 0.5, 6)
    for i in range(240):
        made.names[i], made.images[i] = ["logo"], made.images[0]
    learned = learnt(made)
    assert len(learned.pool) == 60
    assert not learned.pool.whole
    found = look(made)
    assert {finding.details["distractors"] for finding in found.pairs[:240]} == {60}
    assert {finding.details["distractors"] for finding in found.pairs[240:]} == {59}
