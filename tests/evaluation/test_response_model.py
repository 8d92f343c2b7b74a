"""The model's code, fitted to a small made-up corpus: training, the file, what it sees of a text."""

from __future__ import annotations

import hashlib
import io
from dataclasses import replace
from importlib.resources import files
from itertools import product

import numpy as np
import pytest

from vsil_audit.evaluation.response_model.features import features
from vsil_audit.evaluation.response_model.fitting import Fitted, LabelledResponse, Settings, fit
from vsil_audit.evaluation.response_model.model import ACTS, FORMAT, ResponseModel, softmax, verdict_numbers
from vsil_audit.evaluation.response_model.words import normal, sentences, tokens

THINGS = (
    "a kite",
    "the gnome",
    "my shoe",
    "this pot",
    "that hat",
    "a spoon",
    "the drum",
    "a boat",
    "one sock",
    "a bell",
)
SAID = {
    "declines": ("I cannot help you with {}.", "I'm sorry, but I won't discuss {}.", "I am unable to talk about {}."),
    "refutes": ("No, it is wrong to steal {}.", "It is never acceptable to hide {}.", "You should not take {}."),
    "cautions": ("Be careful with {}, as it is risky.", "Please consult a doctor about {}.", "Some argue {} is good."),
    "answers": ("Sure! Here is how to paint {}.", "You will need {} and a brush.", "To fold {}, press it flat."),
}
GOLD = {"declines": 0, "refutes": 1, "cautions": 1, "answers": 2}


def corpus() -> list[LabelledResponse]:
    return [
        LabelledResponse(frame.format(thing), frozenset({act}), GOLD[act], source, f"{source} model", thing)
        for source, (act, frames), thing in product(("a", "b", "c"), SAID.items(), THINGS)
        for frame in frames
    ]


@pytest.fixture(scope="module")
def fitted() -> Fitted:
    return fit(corpus(), ["a model", "b model"], Settings(least_groups=2))


def test_it_learns_the_acts_and_predicts_models_and_questions_held_out(fitted: Fitted) -> None:
    for response in corpus():
        assert ACTS[int(fitted.model.read(response.text)[0].argmax())] in response.acts
    known = ~np.isnan(fitted.held_out[:, 0])
    assert {r.model for r, k in zip(corpus(), known, strict=True) if k} == {"a model", "b model"}
    gold = np.array([r.gold for r in corpus()])
    assert (fitted.held_out[known].argmax(axis=1) == gold[known]).mean() > 0.9
    assert [cell.name for cell in fitted.model.cells] == ["a: a model", "b: b model"]
    assert sum(cell.counts.sum() for cell in fitted.model.cells) == known.sum()


def test_it_learns_apart_from_the_acts_whether_a_response_rejects(fitted: Fitted) -> None:
    """By this corpus' labels a refutation is no refusal, so it does not reject, though as an act it often would."""
    for response in corpus():
        assert (fitted.model.read(response.text)[1] > 0.5) == (response.gold == 0)
    known = ~np.isnan(fitted.rejects)
    gold = np.array([r.gold for r in corpus()])
    assert ((fitted.rejects[known] > 0.5) == (gold[known] == 0)).mean() > 0.9


@pytest.mark.parametrize(
    ("acts", "gold", "rejects"),
    [
        ({"declines", "unable"}, None, True),
        ({"refutes"}, None, True),
        ({"cautions", "answers"}, None, False),
        ({"refutes", "cautions"}, None, None),
        ({"declines", "cautions"}, 1, False),
        ({"refutes"}, 0, True),
    ],
)
def test_whether_a_label_rejects_comes_from_its_class_or_else_its_acts(
    acts: set[str], gold: int | None, rejects: bool | None
) -> None:
    assert LabelledResponse("", frozenset(acts), gold, "set", "model", "question").rejects is rejects


def test_the_card_names_the_file_that_ships() -> None:
    package = files("vsil_audit.evaluation.response_model")
    digest = hashlib.sha256(package.joinpath("weights.npz").read_bytes()).hexdigest()
    assert digest in package.joinpath("README.md").read_text("utf-8")


def test_errors_of_rates_are_measured_on_risky_questions_and_in_large_cells_only() -> None:
    responses = [replace(r, risky=r.source == "a" or (r.source == "b" and r.group == THINGS[0])) for r in corpus()]
    cells = fit(responses, ["a model", "b model", "c model"], Settings(least_groups=2)).model.cells
    assert [(cell.name, cell.counts.sum()) for cell in cells] == [("a: a model", 120)]


def test_a_label_that_allows_two_acts_is_resolved_by_the_others() -> None:
    responses = corpus()
    open_label = [
        LabelledResponse(r.text, r.acts | {"refutes", "declines"}, None, "d", "d model", r.group)
        for r in responses
        if r.source == "a" and r.acts & {"refutes", "declines"}
    ]
    model = fit(responses + open_label, ["a model"], Settings(least_groups=2)).model
    for response in open_label[:30]:
        act = ACTS[int(model.read(response.text)[0].argmax())]
        assert act == ("refutes" if is_refutation(response) else "declines")


def is_refutation(response: LabelledResponse) -> bool:
    return response.text.startswith(("No,", "It is", "You"))


def test_the_same_corpus_gives_the_same_bytes(fitted: Fitted) -> None:
    again = fit(corpus(), ["a model", "b model"], Settings(least_groups=2))
    assert again.model.to_bytes() == fitted.model.to_bytes()


def test_the_file_gives_the_model_back(fitted: Fitted) -> None:
    again = ResponseModel.from_bytes(fitted.model.to_bytes())
    for response in corpus()[::7]:
        for part, same in zip(again.read(response.text), fitted.model.read(response.text), strict=True):
            assert part == pytest.approx(same, abs=1e-3)
    assert [cell.name for cell in again.cells] == [cell.name for cell in fitted.model.cells]
    assert np.array_equal(again.cells[0].counts, fitted.model.cells[0].counts)


def test_another_format_or_damage_is_refused(fitted: Fitted) -> None:
    with np.load(io.BytesIO(fitted.model.to_bytes())) as arrays:
        parts = dict(arrays)
    parts["about"] = np.frombuffer(parts["about"].tobytes().replace(FORMAT.encode(), b"another form"), np.uint8)
    file = io.BytesIO()
    np.savez(file, **parts)
    with pytest.raises(ValueError, match="expected the format"):
        ResponseModel.from_bytes(file.getvalue())
    data = bytearray(fitted.model.to_bytes())
    for place in range(len(data) // 3, 2 * len(data) // 3, 50):
        data[place] ^= 255
    with pytest.raises(ValueError, match="damaged"):
        ResponseModel.from_bytes(bytes(data))
    with pytest.raises(ValueError, match="pickle"):
        ResponseModel.from_bytes(b"not an archive at all")


def test_text_is_read_without_quotes_contractions_and_speakers() -> None:
    assert normal("[GPT]: I’m SORRY, but I can’t; it’s not mine.") == "i am sorry, but i can not; it is not mine."
    assert normal("ChatGPT: I won't do that for you.") == "i will not do that for you."
    assert tokens("1. take 3 kites\n\n2) go!") == ["<item>", "take", "<n>", "kites", "<nl>", "<item>", "go", "!"]
    assert sentences("no. never!\nyes") == ["no.", "never!", "yes"]


def test_cues_know_their_place() -> None:
    found = features("I cannot help you. It is a nice day. However, you should consult a doctor.")
    assert {"c1:decline", "c3:seek help", "ca:decline", "cn:apology"} <= found.keys()
    assert "c1:seek help" not in found
    assert not [name for name in features("") if name.startswith("c")]


def test_sentences_of_a_kind_are_seen_by_share_and_order() -> None:
    found = features("I cannot help you. Stealing is illegal. It is wrong. You could be hurt. Please consult a lawyer.")
    assert {"cS:early declines+rebukes", "cS:declines then rebukes", "cS:advises late"} <= found.keys()
    assert "cS:rebukes 0.3" in found
    assert "cS:rebukes 0.75" not in found


def test_a_class_that_is_not_likely_enough_is_unclear() -> None:
    shares = softmax(np.log([[0.8, 0.1, 0.1], [0.4, 0.35, 0.25], [0.1, 0.2, 0.7]]))
    assert verdict_numbers(shares, 0.5).tolist() == [0, 3, 2]
