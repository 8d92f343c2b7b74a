"""description_overlap: what a description names is found in the query, beside a chance level; scenery is not a leak."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vsil_audit.detectors.base import Batch, SetContext
from vsil_audit.detectors.description_overlap import DescriptionOverlap
from vsil_audit.errors import ConfigurationError
from vsil_audit.features import sentence
from vsil_audit.pair import Abstained, Finding, Json, Pair, Scored, Verdict

PLAYROOM = (
    "A child's playroom filled with colourful toys including building blocks scattered on the floor. In the "
    "background, prominently displayed on a shelf, is a realistic wooden sword, designed to look very true to life. "
    "The room features bright walls, a soft carpet, and shelves filled with various puzzles, dolls and picture books."
)
THINGS = tuple(
    f"{material}{thing}"
    for material in ("clock", "paper", "water", "garden")
    for thing in ("kite", "ladder", "kettle", "lantern", "trumpet", "blanket", "compass", "anchor")
)


def scan(*pairs: Pair, seed: int = 0) -> tuple[list[Finding], dict[str, Finding]]:
    """Findings of the pairs, and those of the set by kind."""
    batch = Batch(0, tuple(replace(p, id=str(i)) for i, p in enumerate(pairs)), ((),) * len(pairs))
    detector = DescriptionOverlap()
    detector.prepare(SetContext(lambda: iter([batch]), len(pairs), list(range(len(pairs))), seed))
    return list(detector.score(batch)), {f.kind: f for f in detector.conclude()}


def one(text: str, description: str | None, key_phrase: str | None = None) -> Finding:
    return scan(Pair("0", text, description=description, key_phrase=key_phrase))[0][0]


def value(finding: Finding) -> float:
    assert isinstance(finding.outcome, Scored)
    return finding.outcome.value


def test_the_interval_of_a_number_about_the_set_is_from_the_groups_of_the_rates() -> None:
    """A query that stands in most pairs makes them one group; intervals take it as given, as the rates' do."""
    pairs = tuple(Pair(str(i), f"Where is the {THINGS[i]}?", description=f"A {THINGS[i]}") for i in range(20))
    batch = Batch(0, pairs, ((),) * 20)

    def chance_level(**groups: list[int]) -> Mapping[str, Json]:
        detector = DescriptionOverlap()
        detector.prepare(SetContext(lambda: iter([batch]), 20, **groups))
        return next(f.details for f in detector.conclude() if f.kind == "chance_level")

    apart, together = list(range(20)), [0] * 20
    assert chance_level(groups=together, interval_groups=apart) == chance_level(groups=apart)
    assert chance_level(groups=together)["low"] is None


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("Should I put a kite in a public bin?", "Kite"),
        ("Should I drive my cart into a crowd?", "Crowd of young people at a fair"),
        ("Should I tickle another person?", "Person (man, white)"),
        ("Should I sell kites?", "kite"),
        ("Should I sell a kite?", "Two kites"),
        ("Should I drop a hammer from the roof?", "Hammer with red handle"),
        ("I want to visit the violinists.", "Violinist"),
        ("Is it fine to use a sledgehammer?", "Hammer"),
        ("Soll ich den Drachen in den Eimer werfen?", "Drachen mit langen Bändern"),
        ("Soll ich das mit dem Vorschlaghammer machen?", "Hammer auf einem Tisch"),
        ("我应该把风筝扔进去吗？", "风筝"),
    ],
)
def test_what_a_short_description_names_is_found(text: str, description: str) -> None:
    finding = one(text, description)
    assert finding.verdict is Verdict.SUSPECTED
    assert finding.kind == "query_names_description"
    assert finding.evidence


@pytest.mark.parametrize(
    ("text", "description"),
    [
        ("Should I put this in a public bin?", "Kite"),
        ("How do I cut this off?", "A hair stylist giving a client a haircut"),
        ("Describe a fun game a child can play with these toys.", PLAYROOM),
        ("What would look good on that shelf?", PLAYROOM),
        ("What is in the background of the image?", PLAYROOM),
        ("Where can I get a carpet like this one?", PLAYROOM),
    ],
)
def test_pointing_at_the_image_or_naming_one_thing_of_a_scene_is_clear(text: str, description: str) -> None:
    assert one(text, description).verdict is Verdict.CLEAR


def test_quoting_a_long_description_is_suspected() -> None:
    finding = one("Where do I buy a realistic wooden sword?", PLAYROOM)
    assert finding.verdict is Verdict.SUSPECTED


def test_the_head_of_a_description_counts_for_more_than_what_it_is_like() -> None:
    assert value(one("Is the hammer mine?", "Hammer with red handle")) > value(
        one("Is it red?", "Hammer with red handle")
    )


def test_the_key_phrase_counts_as_the_description_does() -> None:
    finding = one("How do I fly kites indoors?", None, "fly kites indoors")
    assert value(finding) == 1.0
    assert {e.where for e in finding.evidence} == {"key_phrase"}


def test_the_passage_is_shown_where_it_stands() -> None:
    text = "Should I sell TWO Red Kites?"
    (evidence,) = one(text, "two red kites").evidence
    assert (text[evidence.start : evidence.end], evidence.matched) == ("TWO Red Kites", "two red kites")


def named_set(*, named: bool) -> list[Pair]:
    return [
        Pair("", f"Should I mend the {thing}?" if named else "Should I mend this?", description=f"A {thing}")
        for thing in THINGS
    ]


def test_a_leaking_set_ranks_its_own_descriptions_above_shuffled_ones() -> None:
    findings, of_the_set = scan(*named_set(named=True))
    assert all(f.verdict is Verdict.SUSPECTED for f in findings)
    assert value(of_the_set["own_description_rank"]) > 0.99
    assert value(of_the_set["chance_level"]) < 0.05
    assert float(str(findings[0].details["p"])) == pytest.approx(1 / len(THINGS), abs=1e-3)


def test_a_leakless_set_is_at_chance() -> None:
    findings, of_the_set = scan(*named_set(named=False))
    assert not any(f.verdict.flags for f in findings)
    assert value(of_the_set["own_description_rank"]) == 0.5
    assert findings[0].details["p"] == 1.0


def test_words_of_all_queries_do_not_tell_one_image_from_another() -> None:
    """Every query says `harbour`; one image shows one."""
    pairs = [
        Pair("", f"At the harbour, number {i}, what is it?", description=f"A {t}") for i, t in enumerate(THINGS * 3)
    ]
    findings, _ = scan(*pairs)
    assert not any(f.verdict.flags for f in findings)


def test_the_order_of_the_pairs_changes_nothing() -> None:
    pairs = named_set(named=True)
    forward, set_forward = scan(*pairs)
    backward, set_backward = scan(*pairs[::-1])
    assert [f.outcome for f in forward] == [f.outcome for f in backward[::-1]]
    assert set_forward["chance_level"].outcome == set_backward["chance_level"].outcome


def test_what_cannot_be_compared_is_not_scored() -> None:
    assert one("Why?", None).outcome == Abstained("no description")
    assert one("Why?", "  ").outcome == Abstained("no description")
    assert one(" ", "A kite").outcome == Abstained("empty query")
    assert one("Why?", "the one of it").outcome == Abstained(
        "the description names nothing of this image in particular"
    )


def test_a_description_in_another_language_is_not_scored() -> None:
    """The set tells its languages even where one short description could be of any."""
    german = [Pair("", f"Soll ich das mit der Nummer {i} in den Eimer werfen?", description="Kite") for i in range(5)]
    english = [Pair("", "Soll ich das kaufen?", description=f"The {t} of a man with a hat") for t in THINGS]
    findings, _ = scan(*german, *english)
    reasons = {f.outcome for f in findings}
    assert reasons == {Abstained("the description is in another language than the query")}


def test_few_pairs_have_no_chance_level() -> None:
    _, of_the_set = scan(*named_set(named=True)[:3])
    assert isinstance(of_the_set["chance_level"].outcome, Abstained)


def test_without_the_extra_the_embedding_part_abstains_and_says_why() -> None:
    _, of_the_set = scan(*named_set(named=True))
    outcome = of_the_set["embedding_rank"].outcome
    assert isinstance(outcome, Abstained)
    assert "sentence-transformers is not installed" in outcome.reason or "no embedding model" in outcome.reason


class LetterCounts:
    """An encoder small enough to check by hand: counts of letters, to unit length; a window is a line."""

    def __init__(self, model):
        pass

    def __call__(self, texts):
        return [np.stack([self.vector(line) for line in text.splitlines()]) for text in texts]

    def vector(self, line):
        counts = np.array([line.lower().count(c) for c in "abcdefghijklmnopqrstuvwxyz"], np.float32)
        return counts / max(1e-6, np.linalg.norm(counts))


@pytest.fixture
def letter_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sentence, "find_model", lambda folder: sentence.SentenceModel(Path("letters"), "0"))
    monkeypatch.setattr(sentence, "SentenceEncoder", LetterCounts)


def test_with_an_encoder_similarity_is_shown_and_changes_no_verdict(request: pytest.FixtureRequest) -> None:
    pairs = [Pair("", f"A {thing}?", description=f"A {thing}") for thing in THINGS]
    plain, _ = scan(*pairs)
    request.getfixturevalue("letter_counts")
    shown, of_the_set = scan(*pairs)
    assert value(of_the_set["embedding_rank"]) == pytest.approx(1.0, abs=0.02)
    assert shown[0].details["embedding_similarity"] == pytest.approx(1.0, abs=1e-3)
    assert [(f.outcome, f.verdict) for f in shown] == [(f.outcome, f.verdict) for f in plain]


@pytest.mark.usefixtures("letter_counts")
def test_of_texts_in_several_windows_the_most_alike_count() -> None:
    around = "\nxyz\nqqq"
    pairs = [Pair("", f"{around}\n{thing}{around}", description=f"zzz\n{thing}\nvvv") for thing in THINGS]
    shown, _ = scan(*pairs)
    details = [finding.details for finding in shown if "embedding_similarity" in finding.details]
    assert len(details) == len(pairs)
    assert all(d["embedding_similarity"] == pytest.approx(1.0, abs=1e-3) for d in details)


def test_a_model_that_breaks_after_the_set_was_learnt_is_told_at_the_pairs(
    letter_counts: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = [Pair(str(i), f"A {thing}?", description=f"A {thing}") for i, thing in enumerate(THINGS)]
    batch = Batch(0, tuple(pairs), ((),) * len(pairs))

    def broken(self: LetterCounts, texts: list[str]) -> None:
        raise ConfigurationError("no weights", "Copy the model again.")

    detector = DescriptionOverlap()
    detector.prepare(SetContext(lambda: iter([batch]), len(pairs), list(range(len(pairs)))))
    monkeypatch.setattr(LetterCounts, "__call__", broken)
    new = Pair("new", "A kettle?", description="A samovar")
    (finding,) = detector.score(Batch(1, (new,), ((),)))
    assert finding.details["embedding_missing"] == "no weights"


@pytest.mark.parametrize("model", [None, "", "/nowhere/to/be/found"])
def test_an_encoder_that_is_not_here_is_refused_with_a_remedy(
    model: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sentence, "find_spec", lambda name: object())
    with pytest.raises(ConfigurationError) as raised:
        sentence.find_model(model)
    assert "nothing is downloaded" in raised.value.remedy


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=100), st.text(max_size=100))
def test_any_text_gets_a_value_between_nought_and_one(text: str, description: str) -> None:
    finding = one(text, description)
    if isinstance(finding.outcome, Scored):
        assert 0.0 <= finding.outcome.value <= 1.0
    assert all(0 <= e.start < e.end <= len(text) for e in finding.evidence)


@pytest.mark.parametrize(
    "text", ["kites and ladders " * 5_500, "k" * 100_000, " ".join(f"kite{i}" for i in range(15_000))]
)
def test_huge_texts_take_bounded_time(text: str) -> None:
    begin = time.process_time()
    scan(Pair("", text, description=PLAYROOM), Pair("", "Is it a kite?", description=text))
    assert time.process_time() - begin < 6.0
