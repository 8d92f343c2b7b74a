"""Safety prompts: two shipped ones, and files; ablations and protocols by name."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsil_audit.detectors.chat import AskOptions, Condition
from vsil_audit.detectors.model_evaluation.ablations import ABLATIONS, with_ablations
from vsil_audit.detectors.model_evaluation.image_classifier import OF_THE_PAPER
from vsil_audit.detectors.model_evaluation.protocol import check_protocol, settled
from vsil_audit.detectors.model_evaluation.safety_prompts import SHIPPED, safety_prompts
from vsil_audit.errors import ConfigurationError

PAIR, TEXT, CAPTION = Condition.PAIR, Condition.TEXT, Condition.CAPTION


def test_the_shipped_ones_say_what_the_papers_say() -> None:
    vlsbench, mmsafetybench = safety_prompts(["vlsbench", "mmsafetybench"])
    for word in ("image", "query", "reason", "safe", "refuse", "warn"):
        assert word in vlsbench.text
    for word in ("not safe", "unethical", "sorry", "in detail"):
        assert word in mmsafetybench.text
    assert [vlsbench.variant, mmsafetybench.variant] == ["safety prompt vlsbench", "safety prompt mmsafetybench"]


def test_a_file_is_known_by_its_name_and_its_text_is_kept_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "polite.txt"
    file.write_text("\ufeff  Be careful with {{ everything }}.\n", encoding="utf-8")
    (found,) = safety_prompts([str(file)])
    assert (found.variant, found.text) == ("safety prompt polite", "Be careful with {{ everything }}.")


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (None, "neither a file nor"),
        (b" \n", "is empty"),
        (b"\xff\xfe\xfa", "cannot be read"),
        (b"x" * 70_000, "larger"),
    ],
)
def test_what_is_no_prompt_is_refused(tmp_path: Path, content: bytes | None, says: str) -> None:
    file = tmp_path / "mine.txt"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=says):
        safety_prompts([str(file)])


def test_two_of_one_name_could_not_be_told_apart(tmp_path: Path) -> None:
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "mine.txt").write_text("Be careful.")
    with pytest.raises(ConfigurationError, match="two safety prompts are called 'mine'"):
        safety_prompts([str(tmp_path / "a" / "mine.txt"), str(tmp_path / "b" / "mine.txt")])


NONE_NAMED = AskOptions(targets=("m",), conditions=())


@pytest.mark.parametrize(
    ("names", "conditions"),
    [
        ((), (PAIR, TEXT)),
        (("no-image",), (PAIR, TEXT)),
        (("caption",), (PAIR, TEXT, CAPTION)),
        (("safety-prompt",), (PAIR,)),
        (("nsfw",), (PAIR, TEXT)),
        (("safety-prompt", "caption"), (PAIR, TEXT, CAPTION)),
    ],
)
def test_ablations_bring_their_conditions(names: tuple[str, ...], conditions: tuple[Condition, ...]) -> None:
    assert with_ablations(NONE_NAMED, names).conditions == conditions


def test_conditions_that_were_named_stay() -> None:
    named = AskOptions(targets=("m",), conditions=(Condition.BLANK,))
    assert with_ablations(named, ()).conditions == (Condition.BLANK,)
    assert with_ablations(named, ("no-image",)).conditions == (Condition.BLANK, PAIR, TEXT)


def test_the_safety_prompt_ablation_tries_both_shipped_ones_under_the_pair() -> None:
    found = with_ablations(NONE_NAMED, ("no-image", "safety-prompt"))
    assert found.safety_prompts == tuple(SHIPPED)
    assert (found.conditions, found.safety_prompt_conditions) == ((PAIR, TEXT), (PAIR,))


def test_a_prompt_that_was_named_is_tried_under_every_condition() -> None:
    named = AskOptions(targets=("m",), conditions=(), safety_prompts=("vlsbench",))
    found = with_ablations(named, ("no-image", "safety-prompt"))
    assert found.safety_prompts == ("vlsbench", "mmsafetybench")
    assert found.safety_prompt_conditions == ()


def test_the_image_ablation_takes_the_papers_classifiers_or_those_named() -> None:
    assert with_ablations(NONE_NAMED, ("nsfw",)).image_classifiers == OF_THE_PAPER
    named = AskOptions(conditions=(), image_classifiers=("mine",))
    assert with_ablations(named, ("nsfw",)).image_classifiers == ("mine",)


def test_an_unknown_ablation_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no ablation 'noise'"):
        with_ablations(NONE_NAMED, (*ABLATIONS, "noise"))


def test_the_papers_protocol_is_greedy_and_short() -> None:
    options = AskOptions(protocol="vlsbench", **settled("vlsbench"))
    assert (options.temperature, options.max_tokens, options.samples) == (0.0, 128, 1)
    check_protocol(options)
    assert settled("default") == {}
    assert (AskOptions().temperature, AskOptions().max_tokens) == (0.0, 1024)


@pytest.mark.parametrize("other", [{"max_tokens": 512}, {"temperature": 0.5}, {"samples": 3}])
def test_what_contradicts_the_protocol_is_refused(other: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError, match="protocol vlsbench has"):
        check_protocol(AskOptions(**{"protocol": "vlsbench", **settled("vlsbench"), **other}))


def test_an_unknown_protocol_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="no protocol 'mine'"):
        check_protocol(AskOptions(protocol="mine"))
