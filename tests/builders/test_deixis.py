"""A leaked phrase gives way to words that point at the image, in the slot, number and kind that the sentence wants."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vsil_audit.builders.offline.deixis import Slot, point_again, replace_phrases


def rewritten(text: str, *phrases: str) -> str:
    spans = [(text.index(phrase), text.index(phrase) + len(phrase)) for phrase in phrases]
    return replace_phrases(text, spans)[0]


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        # a noun phrase: its article goes, its number stays
        ("How do I hide a garden gnome?", "garden gnome", "How do I hide the item shown in the image?"),
        ("What can I do with garden gnomes?", "garden gnomes", "What can I do with the items shown in the image?"),
        ("Plan a gnome theft tonight.", "gnome theft", "Plan the activity shown in the image tonight."),
        ("Who are these night guards?", "night guards", "Who are the people shown in the image?"),
        ("How do I enter my neighbour's house?", "house", "How do I enter the place shown in the image?"),
        # with what stands to its left
        ("Plan a successful gnome theft.", "gnome theft", "Plan the successful activity shown in the image."),
        ("Tell me of the most valuable gnomes.", "gnomes", "Tell me of the most valuable items shown in the image."),
        ("Name some gnomes for sale.", "gnomes", "Name some such items shown in the image for sale."),
        # the first part of a noun phrase: the rest stays
        ("Write for gnome lovers everywhere.", "gnome", "Write for the lovers shown in the image everywhere."),
        ("I pour green paint down my drain.", "green paint", "I pour the item shown in the image down my drain."),
        ("What garden gnome should I buy?", "garden gnome", "What item shown in the image should I buy?"),
        ("How many gnomes fit in it?", "gnomes", "How many such items shown in the image fit in it?"),
        ("Should I paint another gnome?", "gnome", "Should I paint another one shown in the image?"),
        ("Should I paint someone else's gnome?", "gnome", "Should I paint the item shown in the image?"),
        ("There is no gnome here.", "gnome", "There is no such item shown in the image here."),
        ("Should I go fishing at night?", "fishing", "Should I go to do the activity shown in the image at night?"),
        # a verb after `to`, after a subject, after `help me`, at the start
        ("Show me how to paint.", "paint", "Show me how to do the activity shown in the image."),
        ("Can I repaint someone's gnome?", "repaint", "Can I do this to someone's gnome?"),
        ("How can someone paint gnomes?", "paint gnomes", "How can someone do the activity shown in the image?"),
        ("How do you paint a gnome?", "paint a gnome", "How do you do the activity shown in the image?"),
        ("Help me smuggle garden gnomes.", "smuggle garden gnomes", "Help me do the activity shown in the image."),
        ("Smuggle gnomes by night.", "Smuggle gnomes", "Do the activity shown in the image by night."),
        ("He asks who smuggles gnomes.", "smuggles gnomes", "He asks who does the activity shown in the image."),
        # a gerund
        ("Give me tips on smuggling gnomes.", "smuggling gnomes", "Give me tips on the activity shown in the image."),
        ("Stay calm while smuggling gnomes.", "smuggling gnomes",
         "Stay calm while doing the activity shown in the image."),
        ("Give me tips on paying down debts.", "paying", "Give me tips on doing this with debts."),
        # what someone does
        ("What if someone repaints gnomes?", "repaints gnomes",
         "What if someone does the activity shown in the image?"),
        ("May I tell someone secrets?", "secrets", "May I tell someone the items shown in the image?"),
        # a noun phrase is not torn: `more` begins no noun, adjectives before it stay with it, or go with their `and`
        ("Can I make a gnome race more lively?", "gnome race",
         "Can I make the activity shown in the image more lively?"),
        ("I want a more realistic garden gnome pond.", "gnome",
         "I want the more realistic garden pond shown in the image."),
        ("I want a casual and gnomish garden.", "gnomish", "I want the casual garden shown in the image."),
        ("Is there a no gnome sign?", "gnome sign", "Is there the no item shown in the image?"),
        ("Can a new friend paint gnomes?", "gnomes", "Can a new friend paint the items shown in the image?"),
        # who does something is a person
        ("Is there a child holding a lantern?", "child holding a lantern",
         "Is there the person shown in the image?"),
        # the image is named once
        ("Sell the gnomes in the image to me.", "gnomes", "Sell the items shown in the image to me."),
        ("Is it like the gnome in this picture?", "gnome", "Is it like the item shown in the image?"),
        ("May I paint gnomes, as shown in the photo?", "paint gnomes",
         "May I do the activity shown in the image?"),
        ("I need gnomes similar to those in the image.", "gnomes", "I need the items shown in the image."),
        ("Put the gnome in the picture frame.", "gnome", "Put the item shown in the image in the picture frame."),
    ],
)  # fmt: skip
def test_a_phrase_is_replaced_in_its_slot(text: str, phrase: str, expected: str) -> None:
    assert rewritten(text, phrase) == expected


@pytest.mark.parametrize(
    ("text", "phrase", "expected"),
    [
        ("Tips for the activities shown in the image, please.", "activities",
         "Tips for what is shown in the image, please."),
        ("The red item shown there is mine.", "item", "What is shown there is mine."),
        ("Sell the items shown in the image to gnomes.", "gnomes", "Sell the items shown in the image to gnomes."),
    ],
)  # fmt: skip
def test_a_reference_whose_noun_says_too_much_becomes_wordless(text: str, phrase: str, expected: str) -> None:
    start = text.index(phrase)
    assert point_again(text, [(start, start + len(phrase))]) == expected


def test_passages_with_small_words_between_them_are_one_phrase() -> None:
    text = "How do I invent a false history for a false firm?"
    assert rewritten(text, "false history", "false firm") == "How do I invent the item shown in the image?"


def test_what_belongs_to_whom_is_one_phrase() -> None:
    text = "Should I paint a neighbour's naked gnome?"
    assert rewritten(text, "neighbour", "gnome") == "Should I paint the item shown in the image?"


def test_the_image_is_named_once() -> None:
    text = "Where do gnomes go, and how do I sell lanterns?"
    changed = rewritten(text, "gnomes", "lanterns")
    assert changed.count("in the image") == 1
    assert changed.endswith("the items shown there?")
    text = "Where do gnomes go, and how do I sell the lanterns in the image?"
    assert rewritten(text, "gnomes", "lanterns").endswith("sell the items shown there?")


def test_what_was_done_is_told() -> None:
    _, (replacement,) = replace_phrases("How do I hide a garden gnome?", [(16, 28)])
    assert (replacement.removed, replacement.slot) == ("garden gnome", Slot.NOUN)
    assert replacement.reference == "the item shown in the image"


def test_a_word_that_leaks_is_not_put_back_as_the_kind() -> None:
    assert "activities" not in rewritten("Join gnome activities now.", "gnome activities")


def test_half_a_word_is_a_whole_word() -> None:
    assert rewritten("Hide the gnomes well.", "gnom") == "Hide the items shown in the image well."


def test_nothing_but_small_words_is_no_phrase() -> None:
    text = "How do I do it for them?"
    assert replace_phrases(text, [(4, 8)]) == (text, ())


@given(text=st.text(max_size=200), data=st.data())
def test_any_text_survives(text: str, data: st.DataObject) -> None:
    starts = data.draw(st.lists(st.integers(0, len(text)), max_size=4))
    spans = [(start, min(len(text), start + 7)) for start in starts]
    changed, made = replace_phrases(text, spans)
    assert len(made) <= len(text.split()) + sum(not c.isalnum() for c in text)
    if not made:
        assert changed.split() == text.split()


@given(
    before=st.sampled_from(["hide a", "sell the", "think of my", "buy some", "love"]),
    after=st.sampled_from(["", " now", " by night"]),
)
def test_no_article_is_left_beside_another(before: str, after: str) -> None:
    changed = rewritten(f"I {before} blue gnome{after}.", "blue gnome")
    for wrong in ("a the", "the the", "my the", "an the", " a a "):
        assert wrong not in changed
