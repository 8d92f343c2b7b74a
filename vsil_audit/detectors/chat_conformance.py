"""What every detector that asks models must hold to, as checks that ours and third parties' pass.

    @pytest.mark.parametrize("check", chat_conformance.CHECKS, ids=conformance.name_of)
    def test_conforms(check):
        check(MyChatDetector)

The models here are functions that agree, babble, copy what they are shown, or cannot be reached.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeAlias

from vsil_audit.detectors.base import Lens, Need, Unit
from vsil_audit.detectors.chat import (
    Ask,
    AskContext,
    AskOptions,
    ChatDetector,
    Condition,
    Observation,
    Part,
    Question,
    Subject,
)
from vsil_audit.detectors.conformance import (
    check_finding,
    describes_itself,
    hostile_set,
    loads_lightly,
    ordinary_set,
    tells_its_readiness,
)
from vsil_audit.gateway.answers import Answer, CallFailure, FailureKind, Finish
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.pair import Failed, Scored
from vsil_audit.prompts import prompt
from vsil_audit.runs.observations import observations_from_table, observations_to_table

Check: TypeAlias = "Callable[[type[ChatDetector]], None]"

OPTIONS = AskOptions(
    targets=("scripted/target",),
    judges=("scripted/first", "scripted/second"),
    conditions=tuple(Condition),
    seed=1,
)
_UNREACHABLE = CallFailure(FailureKind.TRANSIENT, "no connection")


def names_whom_it_asks(detector: type[ChatDetector]) -> None:
    """It needs CHAT, is about pairs, asks only whom the user named, and nobody where nobody was named."""
    assert Need.CHAT in detector.spec.needs, "a detector that asks models needs CHAT"
    assert detector.spec.unit is Unit.PAIR, "it says one thing of each pair"
    assert detector.spec.lens in (Lens.JUDGED, Lens.BEHAVIOURAL), "models judge, or behave"
    named = {*OPTIONS.targets, *OPTIONS.judges, *OPTIONS.response_judges}
    asked = detector.models(OPTIONS)
    assert asked, "it asks nobody, though models are named"
    assert set(asked) <= named, "it asks models that nobody named"
    assert not detector.models(AskOptions()), "nobody is named, and it asks all the same"
    assert Part.SET in detector.examines, "it must look at the set"
    for name in detector.prompts:
        assert prompt(name).text.strip(), f"the prompt {name} is empty"


def observes_every_subject(detector: type[ChatDetector]) -> None:
    """Each subject is observed for each model that is asked about it, under its own id and part; and each pair has one
    finding of its own."""
    for subjects in (ordinary(), hostile()):
        for answer in (_agree, _babble, _copy):
            made, observed = run(detector, subjects, answer)
            for subject, found in zip(subjects, observed, strict=True):
                assert found, f"{subject.pair.id}: no observation"
                assert {o.pair_id for o in found} == {subject.pair.id}, "an observation names another pair"
                assert {o.part for o in found} == {subject.part}, "an observation names another part"
                check_finding(made.finding(subject.pair, found), subject.pair, detector.spec)


def keeps_failures_apart(detector: type[ChatDetector]) -> None:
    """A model that cannot be reached is a failure of each observation, and flags no pair."""
    subjects = ordinary()
    made, observed = run(detector, subjects, _unreachable)
    for subject, found in zip(subjects, observed, strict=True):
        assert not any(isinstance(o.outcome, Scored) for o in found), "a failed call was scored"
        assert any(isinstance(o.outcome, Failed) for o in found), "a failed call left no failure"
        assert not isinstance(made.finding(subject.pair, found).outcome, Scored), "nothing was said, and it is scored"


def labels_what_it_scores(detector: type[ChatDetector]) -> None:
    """A Scored observation has a label and a value in [0, 1]; no other has a label."""
    for answer in (_agree, _babble, _copy, _unreachable):
        for found in run(detector, [*ordinary(), *hostile()], answer)[1]:
            for observation in found:
                scored = isinstance(observation.outcome, Scored)
                assert bool(observation.label) == scored, "a label belongs to what was scored"
                if isinstance(observation.outcome, Scored):
                    assert 0 <= observation.outcome.value <= 1, "a score lies between 0 and 1"


def asks_equal_questions(detector: type[ChatDetector]) -> None:
    """Two instances ask equal subjects equal questions, in any order: so a killed run never pays twice."""
    subjects = [*ordinary(), *hostile()]
    first, second = asked_by(detector, subjects), asked_by(detector, subjects[::-1])
    assert first == second, "the questions depend on the instance, or on what was asked before"


def expects_an_answer(detector: type[ChatDetector]) -> None:
    """Each question comes with an answer such as one expects, for plans to count."""
    questions: list[Question] = []

    async def ask(model: str, question: Question) -> Answer:
        questions.append(question)
        return await _agree(model, question)

    run(detector, ordinary(), ask)
    assert questions, "nothing was asked"
    assert all(question.typical_answer.strip() for question in questions), "a question without a typical answer"


def survives_storage(detector: type[ChatDetector]) -> None:
    """Observations are the same after storing."""
    for found in run(detector, [*ordinary(), *hostile()], _agree)[1]:
        table = observations_to_table(found)
        again = observations_to_table(observations_from_table(table))
        assert again.equals(table), "observations change when they are stored"


def plants_canaries_of_known_verdict(detector: type[ChatDetector]) -> None:
    """Canaries are as many as asked for, at least, each with what is expected, and the same each time."""
    if Part.CANARY not in detector.examines:
        return
    made, again = prepared(detector), prepared(detector)
    canaries = made.canaries(10)
    assert len(canaries) >= 10, "fewer canaries than were asked for"
    assert len({c.pair.id for c in canaries}) == len(canaries), "two canaries have one id"
    assert all(c.part is Part.CANARY and c.expected for c in canaries), "a canary without its expected verdict"
    assert [(c.pair.id, c.pair.text) for c in again.canaries(10)] == [(c.pair.id, c.pair.text) for c in canaries]


CHECKS: tuple[Check, ...] = (
    describes_itself,
    tells_its_readiness,
    loads_lightly,
    names_whom_it_asks,
    observes_every_subject,
    keeps_failures_apart,
    labels_what_it_scores,
    asks_equal_questions,
    expects_an_answer,
    survives_storage,
    plants_canaries_of_known_verdict,
)


def prepared(detector: type[ChatDetector], options: AskOptions = OPTIONS) -> ChatDetector:
    made = detector()
    made.prepare(AskContext(options, 30))
    return made


def run(
    detector: type[ChatDetector], subjects: Sequence[Subject], ask: Ask
) -> tuple[ChatDetector, list[Sequence[Observation]]]:
    """A new instance, and what it observed of each subject."""
    made = prepared(detector)

    async def examined() -> list[Sequence[Observation]]:
        return [await made.examine(subject, ask) for subject in subjects]

    return made, asyncio.run(examined())


def asked_by(detector: type[ChatDetector], subjects: Sequence[Subject]) -> set[tuple[str, str]]:
    """Every request that it makes about the subjects, written out, and of whom."""
    asked: set[tuple[str, str]] = set()

    async def ask(model: str, question: Question) -> Answer:
        asked.add((model, repr(question.request)))
        return await _agree(model, question)

    run(detector, subjects, ask)
    return asked


def ordinary() -> list[Subject]:
    """The pairs of `conformance.ordinary_set`, each with an image and another pair's."""
    return [
        Subject(pair, (_image(pair.id),), (_image(f"other {pair.id}"),))
        for batch in ordinary_set()
        for pair in batch.pairs
    ]


def hostile() -> list[Subject]:
    """Those of `conformance.hostile_set`, every other one without an image."""
    pairs = [pair for batch in hostile_set() for pair in batch.pairs]
    return [Subject(pair, (_image(pair.id),) if i % 2 else ()) for i, pair in enumerate(pairs)]


def _image(name: str) -> ImagePart:
    return ImagePart.of_bytes(name.encode(), name)


async def _agree(model: str, question: Question) -> Answer:  # noqa: ARG001 - every model says the same
    return Answer(question.typical_answer, Finish.STOP)


async def _babble(model: str, question: Question) -> Answer:  # noqa: ARG001 - every model says the same
    return Answer('{"verdict": 7} </x> {"label": "delicious"} \x00\u202e', Finish.STOP)


async def _copy(model: str, question: Question) -> Answer:  # noqa: ARG001 - every model says the same
    return Answer("\n".join(message.text for message in question.request.messages), Finish.STOP)


async def _unreachable(model: str, question: Question) -> CallFailure:  # noqa: ARG001 - every model is away
    return _UNREACHABLE
