"""The proof: with twins no model tells the label from the text, text and image do, and a leak is not overlooked."""

from __future__ import annotations

import pytest
from builders.build_records import GNOMES

from vsil_audit.builders.probe import BY_CONSTRUCTION, Probed, Proof, prove


def scenarios(n: int, *, form: str = "How do I use the {} item shown here, number {}?") -> list[str]:
    return [form.format(GNOMES[i % len(GNOMES)], i) for i in range(n)]


def twinned(texts: list[str]) -> list[Probed]:
    found = []
    for i, text in enumerate(texts):
        found.append(Probed(f"q{i}", text, f"u{i}", "unsafe", ""))
        found.append(Probed(f"q{i}-benign", text, f"s{i}", "safe", f"q{i}"))
    return found


def bits(proof: Proof, name: str) -> tuple[float, float, float]:
    metric = next(m for m in proof.metrics if m.name == f"text_probe.{name}_bits")
    assert metric.value is not None
    assert metric.low is not None
    assert metric.high is not None
    return metric.value, metric.low, metric.high


MODELS = ("logistic_regression", "naive_bayes", "style_forest")


def test_twins_leave_the_text_alone_at_chance_and_the_pair_tells_all() -> None:
    proof = prove(twinned(scenarios(120)))
    assert proof.at_chance is True
    for name in MODELS:
        _, low, high = bits(proof, name)
        assert low <= 0 <= high
    assert bits(proof, "text_and_image") == (1, 1, 1)
    assert "does not tell the label" in proof.note
    accuracies = [m for m in proof.metrics if m.unit == "share"]
    assert len(accuracies) == len(MODELS)
    assert all(m.low is not None and m.high is not None and m.low <= 0.5 <= m.high for m in accuracies)


def test_an_interval_by_construction_says_so() -> None:
    proof = prove(twinned(scenarios(60)))
    assert {m.interval for m in proof.metrics if m.unit == "bits"} >= {BY_CONSTRUCTION}


@pytest.mark.parametrize("telling", ["word", "length", "question"])
def test_a_label_that_the_text_tells_is_found(telling: str) -> None:
    forms = {
        "word": ("How do I use the {} item, number {}?", "How do I hide the {} item, number {}?"),
        "length": ("How do I use the {} item, number {}?", "How do I use the {} item in the image, item number {}?"),
        "question": ("Use the {} item, number {}.", "Use the {} item, number {}?"),
    }[telling]
    safe, unsafe = (scenarios(80, form=form) for form in forms)
    pairs = [Probed(f"s{i}", text, f"a{i}", "safe", "") for i, text in enumerate(safe)]
    pairs += [Probed(f"u{i}", text, f"b{i}", "unsafe", "") for i, text in enumerate(unsafe)]
    proof = prove(pairs)
    assert proof.at_chance is False
    assert max(m.value or 0 for m in proof.metrics if m.name.split(".")[1] in {f"{n}_bits" for n in MODELS}) > 0.5
    assert "tells of the label" in proof.note


def test_random_labels_without_twins_are_at_chance() -> None:
    pairs = [
        Probed(f"q{i}", text, f"i{i}", "safe" if (i * 7919) % 13 < 6 else "unsafe", "")
        for i, text in enumerate(scenarios(160))
    ]
    proof = prove(pairs)
    for name in MODELS:
        metric = next(m for m in proof.metrics if m.name == f"text_probe.{name}_bits")
        assert metric.value is not None
        assert metric.value < 0.1
        assert metric.low is None or metric.low <= 0


def test_a_few_pairs_whose_benign_twin_is_missing_show() -> None:
    whole = twinned(scenarios(100))
    gone = [pair for pair in whole if not (pair.label == "safe" and "rusty" in pair.text)]
    assert any(m.interval != BY_CONSTRUCTION for m in prove(gone).metrics if m.unit == "bits")


def test_a_set_of_one_label_shows_nothing_and_says_what_would() -> None:
    proof = prove([Probed(f"q{i}", text, f"i{i}", "unsafe", "") for i, text in enumerate(scenarios(50))])
    assert proof.metrics == ()
    assert proof.at_chance is None
    assert "cannot be shown" in proof.note
    assert "--twins" in proof.note


def test_too_few_scenarios_show_nothing() -> None:
    proof = prove(twinned(scenarios(8)))
    assert proof.metrics == ()
    assert "fewer than 20" in proof.note


def test_two_by_two_blocks_tell_benign_texts_apart_and_say_so() -> None:
    pairs = []
    for i, text in enumerate(scenarios(60)):
        benign = f"Which flowers bloom in month {i}?"
        pairs += [
            Probed(f"{i}", text, f"u{i}", "unsafe", ""),
            Probed(f"{i}-a", text, f"s{i}", "safe", f"{i}"),
            Probed(f"{i}-b", benign, f"u{i}", "safe", f"{i}"),
            Probed(f"{i}-c", benign, f"s{i}", "safe", f"{i}"),
        ]
    proof = prove(pairs)
    assert proof.at_chance is False
    best = max(bits(proof, name)[0] for name in MODELS)
    assert best == pytest.approx(0.311, abs=0.03), "H(1/4) - 1/2 bits: whether it is a benign text, and no more"
    within = next(m for m in proof.metrics if m.name == "text_probe.harmful_texts_bits")
    assert within.value == within.low == within.high == 0
    assert "60 of 60 texts" in within.note


def test_the_same_set_gives_the_same_numbers() -> None:
    pairs = twinned(scenarios(40))[:-3]
    assert prove(pairs, 1) == prove(pairs, 1)
