"""The probability of the verdict's token, however the answer was cut into tokens."""

from __future__ import annotations

import math

import pytest

from vsil_audit.detectors.safety_judge.probability import probability_of_unsafe
from vsil_audit.gateway import TokenLogprob


def token(text: str, **top: float) -> TokenLogprob:
    """`top`: probabilities of alternatives by their text; `_` stands for a space, `Q` for a quotation mark."""
    alternatives = tuple((name.replace("_", " ").replace("Q", '"'), math.log(p)) for name, p in top.items())
    own = next((logprob for name, logprob in alternatives if name == text), 0.0)
    return TokenLogprob(text, own, alternatives)


HEAD = (token('{"reasons": "unsafe'), token("? No, safe"), token('", "verdict":'))
TAIL = (token('"'), token("}"))


@pytest.mark.parametrize(
    ("tokens", "label"),
    [
        ((token(' "'), token("unsafe", unsafe=0.7, safe=0.3)), "unsafe"),
        ((token(' "'), token("safe", safe=0.3, unsafe=0.7)), "safe"),
        ((token(' "'), token("un", un=0.6, unsafe=0.1, sa=0.3), token("safe")), "unsafe"),
        ((token(' "unsafe', _Qunsafe=0.7, _Qsafe=0.3),), "unsafe"),
        ((token(' "un', _Qun=0.7, _Qsafe=0.2, _Qs=0.1), token("safe")), "unsafe"),
        ((token(' "'), token("Unsafe", Unsafe=0.5, UNSAFE=0.2, Safe=0.2, safe=0.1)), "unsafe"),
        ((token(' "'), token("unsafe", unsafe=0.42, safe=0.18, Q=0.3, maybe=0.1)), "unsafe"),
        ((token(' "'), token('safe"}', unsafe=0.7, **{'safe"}': 0.3})), "safe"),
    ],
)
def test_alternatives_that_begin_either_verdict_are_weighed(tokens: tuple[TokenLogprob, ...], label: str) -> None:
    assert probability_of_unsafe((*HEAD, *tokens, *TAIL), label) == pytest.approx(0.7, abs=1e-9)


def test_a_bare_word_has_a_probability_too() -> None:
    assert probability_of_unsafe((token("\n\n"), token("unsafe", unsafe=0.9, safe=0.1), token("\nS2")), "unsafe") == (
        pytest.approx(0.9)
    )


def test_tokens_in_a_vocabularys_own_spelling_are_read() -> None:
    spelt = (
        token('{"verdict":'),
        token('Ġ"'),
        TokenLogprob("▁unsafe", math.log(0.8), (("▁unsafe", math.log(0.8)), ("▁safe", math.log(0.2)))),
    )
    assert probability_of_unsafe((*spelt, *TAIL), "unsafe") == pytest.approx(0.8)


def test_the_last_verdict_counts() -> None:
    first = (token('{"verdict": "'), token("safe", safe=0.9, unsafe=0.1), token('"}\n{"verdict": "'))
    assert probability_of_unsafe((*first, token("unsafe", unsafe=0.6, safe=0.4), *TAIL), "unsafe") == pytest.approx(0.6)


def test_the_token_itself_counts_where_it_is_not_among_the_alternatives() -> None:
    sampled = TokenLogprob("unsafe", math.log(0.25), (("safe", math.log(0.75)),))
    assert probability_of_unsafe((*HEAD, token(' "'), sampled, *TAIL), "unsafe") == pytest.approx(0.25)


@pytest.mark.parametrize(
    "tokens",
    [
        (),
        (token("I cannot tell."),),
        (token('{"verdict": "'), token("unsafe")),  # no alternatives given
        (token('{"verdict": "'), token("unsafe", unsafe=0.2, safe=0.1, maybe=0.7)),  # the choice was not made here
        (token('{"verdict": "'), token("safe", safe=0.6, unsafe=0.4)),  # not the verdict that was read
    ],
)
def test_without_the_token_of_the_verdict_there_is_no_probability(tokens: tuple[TokenLogprob, ...]) -> None:
    assert probability_of_unsafe(tokens, "unsafe") is None


def test_an_answer_without_logprobs_has_none() -> None:
    assert probability_of_unsafe(None, "safe") is None
