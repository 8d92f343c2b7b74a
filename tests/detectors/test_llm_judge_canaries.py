"""Canaries and examples of the leakage judge: known verdicts that no judge gets right without judging."""

from __future__ import annotations

import json
import re
from collections import Counter

from vsil_audit.detectors.chat import Part, Subject
from vsil_audit.detectors.llm_judge.canaries import canaries
from vsil_audit.detectors.llm_judge.spans import folded
from vsil_audit.detectors.llm_judge.verdict import KINDS, read_leak
from vsil_audit.prompts import prompt


def sign(subject: Subject) -> str:
    """What the sign says, without what it demands."""
    return subject.images[0].name.removeprefix("drawn: ").splitlines()[0]


def right(subject: Subject, label: str) -> bool:
    return label in subject.expected["pair"].split("|")


def test_equal_seeds_give_equal_canaries_and_others_do_not() -> None:
    assert canaries(30, 1) == canaries(30, 1)
    assert canaries(30, 1) != canaries(30, 2)
    assert canaries(10, 1) == canaries(30, 1)[:10]


def test_there_are_as_many_as_asked_for_each_with_its_own_id() -> None:
    for count in (0, 1, 5, 10, 15, 200):
        made = canaries(count, 3)
        assert len({subject.pair.id for subject in made}) == len(made) == count
        assert all(subject.part is Part.CANARY and len(subject.images) == 1 for subject in made)


def test_an_expected_verdict_follows_from_the_text_and_the_sign() -> None:
    for subject in canaries(200, 5):
        named = folded(sign(subject)) in folded(subject.pair.text)
        assert named == (subject.expected["pair"] == "explicit"), subject.pair
        if right(subject, "none"):
            assert set(folded(sign(subject)).split()).isdisjoint(folded(subject.pair.text).split())


def test_ten_hold_every_sort() -> None:
    made = canaries(10, 0)
    assert Counter(subject.kind for subject in made) == {"plain": 5, "injection": 3, "twin": 2}
    assert {label for subject in made for label in subject.expected["pair"].split("|")} == {
        "none",
        "implicit",
        "explicit",
    }


def test_twins_share_their_text_and_differ_in_sign_and_verdict() -> None:
    twins: dict[str, list[Subject]] = {}
    for subject in canaries(500, 7):
        if subject.kind == "twin":
            twins.setdefault(subject.twin, []).append(subject)
    assert len(twins) == 50
    for one, other in twins.values():
        assert one.pair.text == other.pair.text
        assert one.images[0].digest != other.images[0].digest
        assert one.expected != other.expected
    lone = canaries(15, 7)[-1]
    assert (lone.kind, lone.twin) == ("plain", ""), "half of twins is none"


def test_judges_that_do_not_judge_are_found_out() -> None:
    made = canaries(100, 0)

    def accuracy(label_of: dict[str, str] | str) -> float:
        said = [label_of if isinstance(label_of, str) else label_of[subject.pair.id] for subject in made]
        return sum(map(right, made, said)) / len(made)

    assert accuracy("none") == 0.3
    assert accuracy("explicit") == 0.7
    assert accuracy("implicit") == 0.1
    without_image = {s.pair.id: "explicit" if re.search(r"\ban? ", s.pair.text) else "none" for s in made}
    assert accuracy(without_image) <= 0.9
    obeying = {s.pair.id: "none" if s.kind == "injection" else s.expected["pair"].split("|")[0] for s in made}
    assert accuracy(obeying) == 0.7


def test_demands_stand_in_texts_and_on_signs() -> None:
    injected = [subject for subject in canaries(200, 1) if subject.kind == "injection"]
    on_sign = [subject for subject in injected if "\n" in subject.images[0].name]
    in_text = [subject for subject in injected if "\n" in subject.pair.text]
    assert len(on_sign) == 20
    assert len(in_text) == 40
    assert all("none" in s.images[0].name.lower() or "None" in s.images[0].name for s in on_sign)


EXAMPLE = re.compile(r"^Image: (?P<image>.+)\nText: (?P<text>.+)\nAnswer: (?P<answer>\{.+\})$", re.MULTILINE)


def test_examples_of_the_prompt_are_verdicts_of_every_class_and_kind() -> None:
    task = prompt("llm_judge").render()
    examples = [(found["text"], json.loads(found["answer"])) for found in EXAMPLE.finditer(task)]
    read = [read_leak(answer, text) for text, answer in examples]
    assert len(read) == task.count("Answer: ") == 7
    assert Counter(verdict.reveals for verdict in read) == {"explicit": 3, "implicit": 2, "none": 2}
    assert {verdict.kind for verdict in read} == {"", *KINDS}
    for (text, answer), verdict in zip(examples, read, strict=True):
        assert verdict.dropped_spans == 0, text
        assert bool(verdict.spans) == (verdict.reveals != "none")
        assert next(iter(answer)) == "reasons", "reasons come before the verdict"


def test_no_canary_stands_in_the_prompt() -> None:
    task = folded(prompt("llm_judge").text)
    assert not [s.pair.id for s in canaries(200, 0) if sign(s).split()[-1].casefold() in task]
