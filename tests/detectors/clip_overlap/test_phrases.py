"""Which phrase of a query brings it near its image."""

from __future__ import annotations

import re
from itertools import pairwise

import numpy as np
import pytest
from clip_worlds import World, look

from vsil_audit.detectors.clip_conformance import WIDTH, encode_texts
from vsil_audit.detectors.clip_overlap.phrases import MOST_PHRASES, phrases
from vsil_audit.errors import MissingDependencyError
from vsil_audit.pair import Finding

THINGS = ("kite", "ladder", "kettle", "bicycle", "lantern", "umbrella", "trumpet", "blanket", "compass", "anchor")
PLACES = ("garden", "attic", "kitchen", "harbour", "cellar")


def shown(thing: str, place: str) -> str:
    return f"broken {thing} {place}"


def world(query: str = "How would you mend the broken {thing} before my birthday?") -> World:
    """Fifty pairs whose images show a broken thing in a place; the texts name the thing, and what is not to be seen."""
    rows = [(thing, place) for thing in THINGS for place in PLACES]
    queries = [f"{query.format(thing=f'{thing} {place}')}" for thing, place in rows]
    texts = encode_texts(queries)
    images = encode_texts([shown(thing, place) for thing, place in rows])
    return World(
        [texts.of(i) for i in range(50)], [images.of(i) for i in range(50)], queries,
        [[f"image-{i}"] for i in range(50)], [None] * 50, np.ones(50, dtype=bool), width=WIDTH,
    )  # fmt: skip


def said(finding: Finding, text: str) -> list[str]:
    return [text[e.start : e.end] for e in finding.evidence]


def test_the_phrase_that_the_image_shows_is_pointed_at() -> None:
    made = world()
    found = look(made, encoder=encode_texts)
    assert found.suspected.mean() > 0.8
    for finding, text in zip(found.pairs, made.queries, strict=True):
        if finding.verdict.flags:
            pointed = said(finding, text)
            assert len(pointed) == 1
            assert pointed[0].startswith("broken ")
            evidence = finding.evidence[0]
            assert evidence.where == "image"
            assert re.fullmatch(r"cosine 0\.\d{3} lower without it", evidence.matched)


def test_what_leaving_each_phrase_out_changes_is_kept() -> None:
    made = world()
    found = look(made, encoder=encode_texts)
    i = int(np.flatnonzero(found.suspected)[0])
    changes = {made.queries[i][a:b]: change for a, b, change in found.pairs[i].details["without_phrase"]}
    assert min(changes, key=changes.get).startswith("broken ")
    assert changes["birthday"] > 0, "a phrase that the image does not show keeps the text away from it"


def test_all_texts_of_a_batch_are_encoded_in_one_call() -> None:
    calls: list[int] = []

    def encoder(texts):  # type: ignore[no-untyped-def]
        calls.append(len(texts))
        return encode_texts(texts)

    found = look(world(), encoder=encoder, size=25)
    assert len(calls) == 2
    assert sum(calls) <= MOST_PHRASES * found.suspected.sum()


def test_of_a_long_text_the_best_window_is_looked_at() -> None:
    filler = " ".join(f"paragraph{i} about weather" for i in range(51))
    made = world(f"{filler} mend the broken {{thing}} now")
    assert len(made.texts[0]) > 2
    found = look(made, encoder=encode_texts)
    i = int(np.flatnonzero(found.suspected)[0])
    spans = found.pairs[i].details["without_phrase"]
    assert len(spans) <= MOST_PHRASES
    assert all(start > len(filler) // 3 for start, _, _ in spans)
    assert any("broken" in phrase for phrase in said(found.pairs[i], made.queries[i]))


def test_without_an_encoder_that_is_said_once() -> None:
    found = look(world())
    assert found.suspected.any()
    assert not any(finding.evidence for finding in found.pairs)
    assert "no text encoder" in found.of_set["phrases"].outcome.reason
    assert "phrases" not in look(world(), encoder=encode_texts).of_set


def test_an_encoder_that_is_gone_costs_the_phrases_only() -> None:
    def gone(texts):  # type: ignore[no-untyped-def]
        raise MissingDependencyError("the weights are gone", "fetch them")

    found = look(world(), encoder=gone)
    assert found.suspected.mean() > 0.8
    i = int(np.flatnonzero(found.suspected)[0])
    assert found.pairs[i].details["phrases_not_tried"] == "the weights are gone"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How do I mend the red bicycle, or a kite?", ["mend", "red bicycle", "kite"]),
        ("the of and", []),
        ("", []),
        ("a snow-white trick", ["snow-white trick"]),
        ("Wie repariere ich das rote Fahrrad?", ["repariere", "rote Fahrrad"]),
    ],
)
def test_phrases_are_content_words_between_function_words(text: str, expected: list[str]) -> None:
    assert [text[start:end] for start, end in phrases(text, 0, len(text))] == expected


def test_unspaced_scripts_are_cut_without_overlap() -> None:
    text = "风筝在花园里，请问怎么修理这个红色的风筝呢"
    spans = phrases(text, 0, len(text))
    assert spans
    assert all(before[1] <= after[0] for before, after in pairwise(spans))


def test_more_phrases_than_are_tried_are_taken_together() -> None:
    text = ", ".join(f"word{chr(97 + i)}" for i in range(20))
    spans = phrases(text, 0, len(text))
    assert len(spans) == MOST_PHRASES
    assert spans[0][0] == 0
    assert spans[-1][1] == len(text)


def test_places_are_those_of_the_whole_text() -> None:
    text = "First the kite. Then the red lantern."
    assert [text[a:b] for a, b in phrases(text, 16, len(text))][-1] == "red lantern"
