"""topic_probe: planted information is recovered, nothing is found where there is nothing, and some sets are refused."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np
import pytest

from vsil_audit.detectors.base import Batch, SetContext
from vsil_audit.detectors.probe_labels import FEWEST_GROUPS
from vsil_audit.detectors.topic_probe import MOST_PAIRS, TopicProbe
from vsil_audit.pair import Abstained, Finding, Pair, Scored, Verdict

FILLER = ("what", "which", "when", "people", "place", "thing", "tell", "about", "show", "more", "day", "street", "walk")
MARKS = ("copper", "violet", "lantern", "harbour", "meadow", "thunder")


def texts(marks: Sequence[str | None], seed: int = 0) -> list[str]:
    """A different sentence of filler words for each mark, with the mark somewhere in it (None: no mark)."""
    generator = np.random.default_rng(seed)
    made = []
    for i, mark in enumerate(marks):
        words = [*generator.choice(FILLER, size=6), f"n{i}"]
        words.insert(int(generator.integers(0, 7)), mark or "nothing")
        made.append(" ".join(words))
    return made


def planted(n: int, classes: int, told: float, seed: int = 0) -> list[Pair]:
    """n pairs in equal classes; with probability `told` the text holds its class's mark, else a random class's."""
    generator = np.random.default_rng(seed)
    labels = np.arange(n) % classes
    marks = np.where(generator.random(n) < told, labels, generator.integers(0, classes, n))
    sentences = texts([MARKS[m] for m in marks], seed)
    return [
        Pair(f"p{i}", text, category=f"class {label}")
        for i, (text, label) in enumerate(zip(sentences, labels, strict=True))
    ]


def planted_bits(classes: int, told: float) -> float:
    """Mutual information of label and mark in `planted`, in bits."""
    right = told + (1 - told) / classes
    wrong = (1 - told) / classes
    rest = (classes - 1) * wrong * np.log2(wrong) if wrong else 0.0
    return float(np.log2(classes) + right * np.log2(right) + rest)


def with_values(pairs: Iterable[Pair], field: str, values: Iterable[str | None]) -> list[Pair]:
    """The pairs with one field set anew."""
    return [replace(pair, **{field: value}) for pair, value in zip(pairs, values, strict=True)]


def probe(pairs: Sequence[Pair], groups: Sequence[int] | None = None, seed: int = 0) -> dict[str, Finding]:
    """The detector's findings by kind."""
    half = len(pairs) // 2
    batches = [
        Batch(i, tuple(part), tuple(() for _ in part)) for i, part in enumerate((pairs[:half], pairs[half:])) if part
    ]
    detector = TopicProbe()
    detector.prepare(
        SetContext(lambda: iter(batches), len(pairs), range(len(pairs)) if groups is None else groups, seed)
    )
    assert not [finding for batch in batches for finding in detector.score(batch)]
    findings = list(detector.conclude())
    assert len({finding.kind for finding in findings}) == len(findings)
    return {finding.kind: finding for finding in findings}


def value(finding: Finding) -> float:
    assert isinstance(finding.outcome, Scored), finding.outcome
    return finding.outcome.value


@pytest.mark.parametrize(("classes", "told"), [(4, 1.0), (4, 0.7), (2, 0.8), (6, 0.4)])
def test_planted_information_is_recovered(classes: int, told: float) -> None:
    findings = probe(planted(900, classes, told))
    bits, planted_in = value(findings["text_bits"]), planted_bits(classes, told)
    assert 0.8 * planted_in - 0.06 <= bits <= planted_in + 0.08
    details = findings["text_bits"].details
    assert details["low"] < bits < details["high"]
    assert details["floor"] < details["low"]
    assert details["p"] == 0.001
    assert value(findings["text_accuracy"]) == pytest.approx(told + (1 - told) / classes, abs=0.05)


def test_the_label_is_described_beside_what_is_told_of_it() -> None:
    findings = probe(planted(200, 4, 1.0))
    assert value(findings["label_entropy"]) == pytest.approx(2.0)
    assert value(findings["majority_accuracy"]) == pytest.approx(0.25)
    assert findings["text_accuracy"].details["chance"] == pytest.approx(0.25)
    assert findings["text_bits"].details["classes"] == {f"class {i}": 50 for i in range(4)}
    assert all(finding.pair_id is None and finding.verdict is Verdict.NONE for finding in findings.values())


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_labels_have_no_bits(seed: int) -> None:
    pairs = planted(400, 4, 1.0, seed)
    shuffled = np.random.default_rng(seed).permutation([pair.category for pair in pairs]).tolist()
    findings = probe(with_values(pairs, "category", shuffled), seed=seed)
    assert abs(value(findings["text_bits"])) < 0.03
    assert findings["text_bits"].details["p"] > 0.005
    assert value(findings["text_accuracy"]) < 0.35


def test_a_biggest_class_is_no_information() -> None:
    """90 % of one class gives 90 % accuracy and no bits; the majority stands beside."""
    pairs = [Pair(f"p{i}", text) for i, text in enumerate(texts([None] * 400))]
    findings = probe(with_values(pairs, "category", ["usual" if i % 10 else "rare" for i in range(400)]))
    assert value(findings["majority_accuracy"]) == value(findings["text_accuracy"]) == pytest.approx(0.9)
    assert findings["majority_accuracy"].details["class"] == "usual"
    assert findings["text_accuracy"].details["over_majority"]["value"] == 0
    assert findings["text_bits"].details["p"] > 0.005
    assert abs(value(findings["text_bits"])) < 0.02


def test_texts_that_tell_nothing_at_all_are_not_significant() -> None:
    """Where the predictor keeps to the label shares, every shuffle ties with it."""
    pairs = [Pair(f"p{i}", "tell me about this thing", category=f"class {i % 2}") for i in range(60)]
    details = probe(pairs)["text_bits"].details
    assert details["p"] == 1.0
    assert details["floor"] == 0.0


def test_copies_do_not_pass_for_knowledge() -> None:
    """Each text five times, labels at random: only folds by group see that nothing was learned."""
    generator = np.random.default_rng(0)
    sentences = texts([None] * 80)
    labels = generator.integers(0, 2, 80)
    pairs = [Pair(f"p{i}", sentences[i // 5], category=f"class {labels[i // 5]}") for i in range(400)]
    by_text = [i // 5 for i in range(400)]
    assert abs(value(probe(pairs, by_text)["text_bits"])) < 0.05
    assert value(probe(pairs)["text_bits"]) > 0.5


def test_twins_of_either_label_do_not_hide_what_the_text_tells() -> None:
    """A harmless and a harmful text about each image, always in this order: dealt out anew, labels tell nothing."""
    pairs = [
        Pair(
            f"p{i}", f"{'kindly' if i % 2 else 'slyly'} lift the {words} {i // 2}", label="safe" if i % 2 else "unsafe"
        )
        for i, words in enumerate(f"{a} {b}" for a in ("red", "old", "wet", "big", "odd") for b in ("kite", "jar") * 8)
    ]
    found = probe(pairs, groups=[i // 2 for i in range(len(pairs))])["safety_label_bits"]
    assert value(found) > 0.9
    assert abs(found.details["chance"]) < 0.3
    assert found.details["p"] == 0.001


def test_twins_are_kept_in_one_fold() -> None:
    generator = np.random.default_rng(0)
    sentences = texts([None] * 80)
    labels = generator.integers(0, 2, 80)
    pairs = [
        Pair(f"p{i}", f"{sentences[i // 5]} {i}", category=f"class {labels[i // 5]}", twin_of=f"scenario {i // 5}")
        for i in range(400)
    ]
    findings = probe(pairs)
    assert findings["text_bits"].details["groups"] == 80
    assert abs(value(findings["text_bits"])) < 0.05


def test_telling_ngrams_are_the_planted_ones() -> None:
    ngrams = probe(planted(400, 4, 1.0))["text_bits"].details["ngrams"]
    for i in range(4):
        gram, weight = ngrams[f"class {i}"][0]
        assert MARKS[i] in gram
        assert weight > 0


def test_a_description_adds_what_the_text_does_not_say() -> None:
    pairs = planted(400, 4, 0.0)
    labels = [int(pair.category[-1]) for pair in pairs]
    described = with_values(pairs, "description", texts([MARKS[label] for label in labels], seed=9))
    findings = probe(described)
    assert value(findings["text_bits"]) < 0.05
    assert value(findings["text_description_bits"]) > 1.5
    gain = findings["text_description_bits"].details["gain"]
    assert gain["low"] > 1.4
    assert gain["n"] == 400


def test_a_description_is_compared_on_the_pairs_that_have_one() -> None:
    pairs = planted(300, 2, 1.0)
    described = with_values(pairs, "description", [p.text if i < 120 else None for i, p in enumerate(pairs)])
    details = probe(described)["text_description_bits"].details
    assert details["n"] == details["gain"]["n"] == 120


@pytest.mark.parametrize(("field", "prefix"), [("source", "source"), ("split", "split"), ("label", "safety_label")])
def test_other_columns_are_probed_when_they_differ(field: str, prefix: str) -> None:
    pairs = planted(300, 2, 1.0)
    told = with_values(pairs, field, [pair.category for pair in pairs])
    untold = with_values(pairs, field, ["same"] * 300)
    assert value(probe(told)[f"{prefix}_bits"]) > 0.8
    assert value(probe(told)[f"{prefix}_accuracy"]) > 0.95
    assert f"{prefix}_bits" not in probe(untold)


@pytest.mark.parametrize(
    ("categories", "reason"),
    [
        ([None] * 60, "no pair has a category"),
        (["one"] * 60, "constant label"),
        (["one"] * 58 + ["two"] * 2, "fewer than two values"),
        ([f"class {i}" for i in range(60)], "fewer than two values"),
        (["one"] * 5 + ["two"] * 5 + [None] * 50, "fewer than 20"),
    ],
)
def test_what_cannot_be_told_is_not_given_a_number(categories: list[str | None], reason: str) -> None:
    pairs = [Pair(f"p{i}", text) for i, text in enumerate(texts([None] * 60))]
    findings = probe(with_values(pairs, "category", categories))
    outcome = findings["text_bits"].outcome
    assert isinstance(outcome, Abstained)
    assert reason in outcome.reason
    assert set(findings) == {"text_bits"}


def test_pairs_that_all_hang_together_are_refused() -> None:
    outcome = probe(planted(60, 2, 1.0), [0] * 60)["text_bits"].outcome
    assert isinstance(outcome, Abstained)
    assert f"{FEWEST_GROUPS} unconnected groups" in outcome.reason


def test_texts_without_a_common_ngram_are_refused() -> None:
    pairs = [Pair(f"p{i}", "", category=f"class {i % 2}") for i in range(40)]
    outcome = probe(pairs)["text_bits"].outcome
    assert isinstance(outcome, Abstained)
    assert "n-gram" in outcome.reason


def test_an_empty_set_is_refused() -> None:
    assert isinstance(probe([])["text_bits"].outcome, Abstained)


def test_the_same_set_gives_the_same_findings() -> None:
    pairs = with_values(planted(200, 3, 0.6), "source", ["a", "b"] * 100)
    assert probe(pairs, seed=4) == probe(pairs, seed=4)


def test_hostile_texts_and_labels_are_only_data() -> None:
    hostile = ["<script>alert(1)</script>", "\x00\x1b[31m", "\ud800 lone", "=cmd()", "{{7*7}}", "x" * 100_000]
    pairs = [
        Pair(f"p{i}", hostile[i % 6] + f" n{i}", category=("<b>\ud800" + "y" * 200, "{{x}}")[i % 2]) for i in range(60)
    ]
    for finding in probe(pairs).values():
        written = json.dumps(dict(finding.details), allow_nan=False, ensure_ascii=False).encode("utf-8")
        assert len(written) < 20_000


def test_of_a_large_set_a_sample_is_looked_at_and_told() -> None:
    assert str(MOST_PAIRS) in TopicProbe.spec.limits
    pairs = planted(MOST_PAIRS + 500, 2, 0.9)
    details = probe(pairs)["text_bits"].details
    assert (details["looked_at"], details["of"], details["n"]) == (MOST_PAIRS, MOST_PAIRS + 500, MOST_PAIRS)
    assert details["note"] == "a sample of 2,500 of 3,000 pairs"


def test_every_number_says_what_it_is() -> None:
    pairs = with_values(planted(200, 2, 1.0), "source", ["a", "b", "b", None] * 50)
    for kind, finding in probe(pairs).items():
        details = finding.details
        assert details["tells"]
        assert details["unit"] == ("share" if kind.endswith("accuracy") else "bits")
        assert (details["n"], details["total"]) == ((150, 200) if kind.startswith("source") else (200, 200))
        assert details["note"] == ("50 pairs without the label" if kind.startswith("source") else "")
