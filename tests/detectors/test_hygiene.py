"""What `hygiene` says of the pairs of a set: one finding per problem, the same whatever the batches are."""

from __future__ import annotations

import random
import tracemalloc
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

import pytest

from vsil_audit.detectors.base import Batch, SetContext
from vsil_audit.detectors.hygiene import ISSUE_KINDS, Hygiene
from vsil_audit.features.facts import ImageError, ImageFacts
from vsil_audit.pair import Finding, ImageRef, Origin, Pair, Scored, Verdict

Row = tuple[Pair, tuple[ImageFacts, ...]]
TOPICS = [
    "the garden gate",
    "a kitchen drawer",
    "my old bicycle",
    "this wooden chair",
    "that window frame",
    "the roof tiles",
]
VERBS = ("paint", "mend", "lift", "clean", "measure", "sell", "photograph", "move")


def query(i: int) -> str:
    """Queries that are neither equal nor nearly so nor of one form."""
    rng = random.Random(i)
    words = [
        f"{rng.choice('bdfgklmnprst')}{rng.choice('aeiou')}{rng.choice('lmnrst')}{rng.choice('aeiouy')}"
        for _ in range(9)
    ]
    return " ".join(words).capitalize() + "?"


def image(name: str, content: str | None = None, **changes: object) -> ImageFacts:
    digest = sha256((content or name).encode()).hexdigest()
    facts = ImageFacts(name, digest=digest, width=8, height=8, format="PNG", phash=int(digest[:16], 16))
    return replace(facts, **changes)  # type: ignore[arg-type]  # the fields are the caller's to name


def broken(name: str, kind: str) -> ImageFacts:
    return ImageFacts(name, error=ImageError(kind, "it is so"))


def row(i: int, text: str | None = None, *images: ImageFacts, **fields: object) -> Row:
    shown = images or (image(f"{i}.png"),)
    refs = tuple(ImageRef(f.name, path=f.name) for f in shown)
    known: dict[str, object] = {"origin": Origin("data.json", i + 1), **fields}
    return Pair(f"p{i}", query(i) if text is None else text, refs, **known), shown  # type: ignore[arg-type]


def rows(n: int, start: int = 1000) -> list[Row]:
    return [row(i) for i in range(start, start + n)]


def batches(set_: Sequence[Row], size: int) -> list[Batch]:
    parts = [set_[i : i + size] for i in range(0, len(set_), size)]
    return [Batch(k, tuple(p for p, _ in part), tuple(f for _, f in part)) for k, part in enumerate(parts)]


def detect(set_: Sequence[Row], size: int = 7) -> tuple[list[Finding], dict[str, Finding]]:
    """(findings of pairs, findings of the set by kind)."""
    stream = batches(set_, size)
    detector = Hygiene()
    detector.prepare(SetContext(lambda: iter(stream), len(set_), range(len(set_))))
    found = [finding for batch in stream for finding in detector.score(batch)]
    whole = list(detector.conclude())
    assert all(f.pair_id is None for f in whole)
    assert len({f.kind for f in whole}) == len(whole)
    return found, {f.kind: f for f in whole}


def kinds(set_: Sequence[Row]) -> dict[str, set[str]]:
    """Ids of the pairs concerned, by kind."""
    table: dict[str, set[str]] = {}
    for finding in detect(set_)[0]:
        table.setdefault(finding.kind, set()).add(str(finding.pair_id))
    return table


def test_a_sound_set_has_no_problem() -> None:
    assert detect(rows(40)) == ([], {})


def test_every_finding_says_what_where_and_what_to_do() -> None:
    set_ = [*rows(20), row(0, ""), row(1, "Revised query: what is it?"), row(2, None, broken("a.png", "truncated"))]
    found, _ = detect(set_)
    assert {f.kind for f in found} == {"empty_text", "rewriter_note", "truncated_image"}
    for finding in found:
        assert finding.verdict is Verdict.ISSUE
        assert isinstance(finding.outcome, Scored)
        assert finding.kind in ISSUE_KINDS
        assert finding.details["where"] == f"data.json, row {int(str(finding.pair_id)[1:]) + 1}"
        assert finding.details["remedy"] == ISSUE_KINDS[finding.kind].remedy


def test_evidence_is_the_marked_passage() -> None:
    text = "How do I open this? I have removed the explicit words from the query."
    finding = next(f for f in detect([*rows(10), row(0, text)])[0])
    (evidence,) = finding.evidence
    assert text[evidence.start : evidence.end] == evidence.matched
    assert "removed the explicit words" in evidence.matched


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        ("missing", "missing_image"),
        ("outside_root", "image_outside_root"),
        ("empty_file", "empty_image"),
        ("lfs_pointer", "lfs_pointer_image"),
        ("not_an_image", "not_an_image"),
        ("unsupported_format", "unsupported_image"),
        ("truncated", "truncated_image"),
        ("too_large", "oversized_image"),
        ("too_many_frames", "oversized_image"),
        ("corrupt", "corrupt_image"),
        ("remote_failed", "remote_image_failed"),
        ("unreadable", "unreadable_image"),
        ("something_new", "unreadable_image"),
    ],
)
def test_each_way_in_which_an_image_is_unusable_has_its_kind(error: str, kind: str) -> None:
    assert kinds([*rows(20), row(0, None, broken("x.png", error))]) == {kind: {"p0"}}


def test_unreadable_images_are_never_duplicates_of_each_other() -> None:
    same = "How do I open this old wooden box?"
    set_ = [*rows(20), *(row(i, same, broken(f"{i}.png", "corrupt")) for i in range(3))]
    assert set(kinds(set_)) == {"corrupt_image", "duplicate_text"}


def test_a_wrong_extension_is_named_with_the_real_format() -> None:
    found, _ = detect([*rows(20), row(0, None, image("a.jpg", notes=("wrong_extension", "alpha")))])
    assert [(f.kind, f.details["says"]) for f in found] == [("wrong_image_extension", "a.jpg is PNG")]


def test_images_that_were_not_fetched_are_no_problem_of_their_pairs() -> None:
    set_ = [row(i, None, broken(f"https://example.org/{i}", "remote_not_fetched")) for i in range(10)]
    found, whole = detect(set_)
    assert found == []
    assert whole["remote_images"].outcome == Scored(1.0)


def test_a_pair_without_an_image_is_a_problem_only_where_others_have_one() -> None:
    bare = (Pair("p0", query(0)), ())
    assert kinds([*rows(20), bare]) == {"missing_image_reference": {"p0"}}
    text_only = [(Pair(f"t{i}", query(i)), ()) for i in range(20)]
    found, whole = detect(text_only)
    assert found == []
    assert whole["pairs_without_image"].outcome == Scored(1.0)


def test_an_exact_duplicate_pair_is_named_with_the_first() -> None:
    text = "What is written on this blue sign?"
    set_ = [*rows(20), row(0, text, image("a.png")), row(1, text, image("copy-of-a.png", "a.png"))]
    found, whole = detect(set_)
    assert [(f.kind, f.pair_id, f.details["other"]) for f in found] == [("duplicate_pair", "p1", "p0")]
    assert whole["duplicate_images"].outcome == Scored(1.0)


def test_one_image_for_several_queries_is_no_problem() -> None:
    assert detect([*rows(20), *(row(i, None, image("shared.png")) for i in range(6))]) == ([], {})


def test_the_same_query_with_another_image_is_a_duplicate_text_but_twins_are_not() -> None:
    text = "What is written on this blue sign?"
    assert kinds([*rows(20), row(0, text), row(1, text.upper() + " ")]) == {"duplicate_text": {"p1"}}
    assert kinds([*rows(20), row(0, text, twin_of="s"), row(1, text, twin_of="s")]) == {}
    assert kinds([*rows(20), row(0, text), row(1, text, twin_of="p0")]) == {}


def test_nearly_the_same_query_is_named_with_its_likeness() -> None:
    first = "How can I recreate the scene in the image for a realistic and dramatic photo shoot?"
    second = "How should I recreate the scene in the image for a realistic and dramatic photo shoot?"
    (finding,) = detect([*rows(20), row(0, first), row(1, second)])[0]
    assert (finding.kind, finding.pair_id, finding.details["other"]) == ("near_duplicate_text", "p1", "p0")
    assert isinstance(finding.outcome, Scored)
    assert 0.8 <= finding.outcome.value < 1


def test_a_common_frame_does_not_make_queries_near_duplicates() -> None:
    frame = "{} Answer the question with a single word or a short phrase taken from the picture."
    set_ = [row(i, frame.format(f"Which {v} {t}?")) for i, (t, v) in enumerate((t, v) for t in TOPICS for v in VERBS)]
    found, whole = detect(set_)
    assert {f.kind for f in found} <= {"near_duplicate_text"}
    assert len(found) < 5
    assert "answer" not in str(whole["template_text"].details["note"]).split("…")[0]
    assert whole["template_text"].outcome == Scored(1.0)


def test_pairs_without_a_text_are_not_covered_by_what_is_said_of_texts() -> None:
    sentence = "The image shows a list with empty items. Please fill it in."
    _, whole = detect([*(row(i, sentence) for i in range(45)), *(row(i, "") for i in range(45, 50))])
    details = whole["template_text"].details
    assert (details["k"], details["n"], details["total"]) == (45, 45, 50)


def test_one_sentence_for_all_pairs_is_a_template_of_the_set() -> None:
    sentence = "The image shows a list with empty items. Please fill it in."
    found, whole = detect([row(i, sentence) for i in range(50)])
    assert found == []
    assert whole["template_text"].outcome == Scored(1.0)
    assert whole["template_text"].details["note"] == "one sentence in 50 pairs"
    assert whole["repeated_texts"].outcome == Scored(0.98)


def test_repetition_that_is_the_sets_design_is_said_once() -> None:
    found, whole = detect([row(i, query(i % 30)) for i in range(90)])
    assert found == []
    assert whole["repeated_texts"].details["k"] == 60


def test_a_form_that_most_queries_share_is_said_once() -> None:
    found, whole = detect([row(i, f"<image>\n{query(i)}") for i in range(30)])
    assert found == []
    assert whole["set_wide_form"].outcome == Scored(1.0)
    assert "stray markup in 30" in str(whole["set_wide_form"].details["note"])
    some = [*rows(30), *(row(i, f"<image>\n{query(i)}") for i in range(3))]
    assert kinds(some) == {"stray_markup": {"p0", "p1", "p2"}}


def test_a_rewriters_note_is_a_problem_of_each_pair_however_many_there_are() -> None:
    assert len(kinds([row(i, f"Revised query: {query(i)}") for i in range(30)])["rewriter_note"]) == 30


def test_near_duplicate_images_are_named_but_not_for_twins_or_unreadable_ones() -> None:
    looks = image("a.png").phash
    assert looks is not None
    alike = image("b.png", phash=looks ^ 0b101)
    (finding,) = detect([*rows(30), row(0, None, image("a.png")), row(1, None, alike)])[0]
    assert (finding.kind, finding.pair_id, finding.details["other_image"]) == ("near_duplicate_image", "p1", "a.png")
    assert finding.outcome == Scored(1 - 2 / 64)
    far = image("c.png", phash=looks ^ 0xFFFF)
    assert kinds([*rows(30), row(0, None, image("a.png")), row(1, None, far)]) == {}
    twins = [row(0, None, image("a.png"), twin_of="s"), row(1, None, alike, twin_of="s")]
    assert kinds([*rows(30), *twins]) == {}


def test_images_that_all_look_alike_are_said_once() -> None:
    found, whole = detect([row(i, None, image(f"{i}.png", phash=77)) for i in range(30)])
    assert found == []
    assert whole["similar_images"].outcome == Scored(30.0)


def test_labels_and_categories_that_contradict_each_other_on_one_pair() -> None:
    text, shown = "Is it wise to stand on this chair?", image("chair.png")
    labels = [row(0, text, shown, label="unsafe"), row(1, text, shown, label="safe")]
    assert kinds([*rows(5), *labels])["contradictory_label"] == {"p0", "p1"}
    categories = [row(0, text, shown, category="Falls"), row(1, text, shown, category="Furniture")]
    found = [f for f in detect([*rows(5), *categories])[0] if f.kind == "contradictory_category"]
    assert [f.details["says"] for f in found] == [
        "pair p1: 'Falls' here, 'Furniture' there",
        "pair p0: 'Furniture' here, 'Falls' there",
    ]
    other_image = [row(0, text, label="unsafe"), row(1, text, label="safe")]
    assert "contradictory_label" not in kinds([*rows(5), *other_image])


def test_gaps_in_labels_and_categories() -> None:
    full = [row(i, label="unsafe", category="A" if i % 2 else "B") for i in range(20)]
    assert kinds([*full, row(30, label="unsafe", category=" ")]) == {"missing_category": {"p30"}}
    assert kinds([*full, row(30, category="A")]) == {"missing_label": {"p30"}}


def test_a_category_spelled_in_two_ways() -> None:
    set_ = [row(i, category="Self-Harm" if i % 2 else "Violence") for i in range(20)]
    found, _ = detect([*set_, row(30, category="self harm")])
    assert [(f.kind, f.pair_id) for f in found] == [("category_spelling", "p30")]
    assert found[0].details["says"] == "'self harm' here, 'Self-Harm' in 10 pairs"


def test_a_subcategory_under_the_wrong_category() -> None:
    set_ = [row(i, category="Privacy", subcategory="Names") for i in range(20)]
    set_ += [row(i, category="Tools", subcategory="Saws") for i in range(20, 40)]
    odd = row(50, category="Tools", subcategory="Names")
    assert kinds([*set_, odd]) == {"subcategory_misplaced": {"p50"}}


def test_imbalance_is_a_ratio_and_a_problem_only_when_large() -> None:
    even = [row(i, category="AB"[i % 2]) for i in range(40)]
    whole = detect(even)[1]["category_imbalance"]
    assert (whole.outcome, whole.verdict) == (Scored(1.0), Verdict.NONE)
    uneven = [row(i, category="A" if i else "B") for i in range(40)]
    whole = detect(uneven)[1]["category_imbalance"]
    assert (whole.outcome, whole.verdict) == (Scored(39.0), Verdict.ISSUE)


def test_a_column_of_free_text_is_no_category() -> None:
    found, whole = detect([row(i, category=query(-i)) for i in range(1, 40)])
    assert found == []
    assert set(whole) == {"category_is_free_text"}


def test_content_in_two_splits_is_a_problem_of_learning_splits_only() -> None:
    shared = image("shared.png")
    learning = [row(i, split="train") for i in range(20)] + [row(i, split="test") for i in range(20, 30)]
    learning += [row(40, None, shared, split="train"), row(41, None, shared, split="test")]
    assert kinds(learning) == {"split_overlap": {"p41"}}
    views = [row(i, None, image(f"{i % 15}.png"), split="SD" if i < 15 else "TYPO") for i in range(30)]
    found, whole = detect(views)
    assert found == []
    assert "another split" in str(whole["splits_share_content"].details["note"])


def mixed_set() -> list[Row]:
    text = "What is written on this blue sign?"
    return [
        *rows(40),
        row(0, text, image("a.png")),
        row(1, text, image("a.png")),
        row(2, "**What is it?"),
        row(3, "What is written on this blue signs?", broken("gone.png", "missing")),
        row(4, "", image("z.png"), category="A"),
    ]


def comparable(findings: Sequence[Finding]) -> list[tuple[object, ...]]:
    return [(f.pair_id, f.kind, f.outcome, f.evidence, dict(f.details)) for f in findings]


def test_batch_boundaries_do_not_matter() -> None:
    one, whole_one = detect(mixed_set(), size=1)
    all_, whole_all = detect(mixed_set(), size=100)
    assert len(one) >= 5
    assert comparable(one) == comparable(all_)
    assert comparable(list(whole_one.values())) == comparable(list(whole_all.values()))


def test_a_batch_scored_after_a_restart_gives_the_same_findings() -> None:
    stream = batches(mixed_set(), 8)
    context = SetContext(lambda: iter(stream), len(mixed_set()), range(len(mixed_set())))
    first, second = Hygiene(), Hygiene()
    first.prepare(context)
    second.prepare(context)
    undisturbed = [comparable(list(first.score(batch))) for batch in stream]
    assert comparable(list(second.score(stream[5]))) == undisturbed[5]
    single = Batch(5, stream[5].pairs[1:2], stream[5].images[1:2])  # one pair of the batch, scored alone
    assert comparable(list(second.score(single))) == [f for f in undisturbed[5] if f[0] == stream[5].pairs[1].id]


def test_an_empty_set_says_nothing() -> None:
    assert detect([]) == ([], {})


def test_memory_grows_by_a_few_hundred_bytes_a_pair() -> None:
    def peak(n: int) -> int:
        def read() -> list[Batch]:
            return (Batch(k, *zip(*(row(i) for i in range(k * 50, k * 50 + 50)), strict=True)) for k in range(n // 50))  # type: ignore[return-value, arg-type]

        detector = Hygiene()
        tracemalloc.start()
        detector.prepare(SetContext(read, n, range(n)))
        high = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return high

    small, large = peak(500), peak(3_000)
    assert (large - small) / 2_500 < 1_000
