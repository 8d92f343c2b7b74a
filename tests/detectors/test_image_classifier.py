"""Image-safety classifiers: what their scores say, each image once, and nothing downloaded."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image
from tiny_models import save_tiny_vit

from vsil_audit.detectors.chat import AskContext, AskOptions, Observation, Part, Question, Role, Subject
from vsil_audit.detectors.model_evaluation import ModelEvaluation, image_classifier
from vsil_audit.detectors.model_evaluation.image_classifier import (
    MISSING,
    OF_THE_PAPER,
    ImageClassifier,
    ImageVerdict,
    read_scores,
    readiness,
    version,
)
from vsil_audit.features.facts import ImageError
from vsil_audit.gateway import Answer, ImagePart
from vsil_audit.pair import Abstained, Failed, ImageRef, Pair, Scored


def picture(colour: str, size: int = 40) -> ImagePart:
    target = io.BytesIO()
    Image.new("RGB", (size, size), colour).save(target, "PNG")
    return ImagePart.of_bytes(target.getvalue(), f"{colour}.png")


class TestScores:
    @pytest.mark.parametrize(
        ("scores", "value", "label"),
        [
            ({"nsfw": 0.9, "normal": 0.1}, 0.9, "unsafe"),
            ({"sfw": 0.75, "nsfw": 0.25}, 0.25, "safe"),
            ({"NSFW": 0.5, "SFW": 0.5}, 0.5, "unsafe"),
            ({"porn": 0.3, "hentai": 0.3, "sexy": 0.1, "neutral": 0.2, "drawings": 0.1}, 0.7, "unsafe"),
        ],
    )
    def test_the_share_of_the_labels_that_mean_unsafe(self, scores: dict[str, float], value: float, label: str) -> None:
        found = read_scores(scores)
        assert found.outcome == Scored(pytest.approx(value))
        assert found.label == label

    @pytest.mark.parametrize(
        "scores", [{"LABEL_0": 0.9, "LABEL_1": 0.1}, {"cat": 1.0}, {"safe": 1.0}, {"nsfw": 0.4, "cat": 0.6}, {}]
    )
    def test_labels_that_do_not_say_which_is_unsafe_are_no_verdict(self, scores: dict[str, float]) -> None:
        found = read_scores(scores)
        assert isinstance(found.outcome, Abstained)
        assert not found.label


class Counting:
    """Stands where the pipeline is, and counts."""

    def __init__(self) -> None:
        self.seen: list[str] = []
        self.rounds = 0

    def verdicts(self, images: Sequence[ImagePart]) -> list[ImageVerdict]:
        self.rounds += 1
        self.seen += [image.name for image in images]
        return [read_scores({"nsfw": 0.1, "normal": 0.9}) for _ in images]


def looked_at(subjects: Sequence[Subject], *names: str) -> list[list[Observation]]:
    detector = ModelEvaluation()
    detector.prepare(AskContext(AskOptions(image_classifiers=names), len(subjects)))

    async def nobody(model: str, question: Question) -> Answer:
        raise AssertionError("asked")

    async def run() -> list[list[Observation]]:
        return [list(o) for o in await asyncio.gather(*(detector.examine(s, nobody) for s in subjects))]

    return asyncio.run(run())


def subject(name: str, *images: ImagePart, part: Part = Part.SET) -> Subject:
    refs = tuple(ImageRef(image.name, path=image.name) for image in images)
    return Subject(Pair(name, "What is this?", images=refs), images, part=part)


class TestLooking:
    def test_each_image_is_looked_at_once_and_many_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        counting = Counting()
        monkeypatch.setattr(image_classifier, "_loaded", lambda name: counting)
        images = [picture(colour) for colour in ("red", "green", "blue", "tan", "plum")]
        subjects = [subject(f"p{i}", images[i % 5], images[(i + 1) % 5]) for i in range(40)]
        observed = looked_at(subjects, "mine")
        assert sorted(counting.seen) == sorted(image.name for image in images)
        assert counting.rounds <= 2
        assert all(
            [o.details["image"] for o in of] == [i.digest for i in s.images]
            for s, of in zip(subjects, observed, strict=True)
        )
        one = observed[0][0]
        assert (one.model, one.condition, one.role, one.label) == ("mine", "image", Role.JUDGE, "safe")
        assert (one.details["role"], one.details["scores"]) == ("image_classifier", {"nsfw": 0.1, "normal": 0.9})

    def test_a_pair_without_an_image_is_no_zero(self) -> None:
        ((none,), (broken,)) = looked_at(
            [subject("p1"), Subject(Pair("p2", "What?", images=(ImageRef("x.png", path="x.png"),)))], "mine"
        )
        assert none.outcome == Abstained("no image")
        assert broken.outcome == Abstained("the pair's image cannot be opened")

    def test_the_control_is_looked_at_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_classifier, "_loaded", lambda name: Counting())
        ((o,),) = looked_at([subject("b", picture("red"), part=Part.CONTROL)], "mine")
        assert o.part is Part.CONTROL


@pytest.fixture
def nothing_here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An empty cache of the hub, and a machine on which the libraries are installed."""
    monkeypatch.setattr(image_classifier, "find_spec", lambda name: object())
    monkeypatch.setattr(image_classifier, "find_weights", lambda name: None)


class TestWithoutWeights:
    @pytest.mark.parametrize("name", OF_THE_PAPER)
    def test_it_abstains_with_the_command_that_fetches_them(self, nothing_here: None, name: str) -> None:
        ((o,),) = looked_at([subject("p", picture("red"))], name)
        assert o.outcome == Abstained(f"the classifier {name} is not on this machine: hf download {name}")
        assert version(name) == MISSING

    def test_without_the_libraries_it_says_how_to_install_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(image_classifier, "find_spec", lambda name: None)
        ready = readiness(OF_THE_PAPER[0])
        assert not ready.ready
        assert "torch and transformers" in ready.reason
        assert ready.remedy == 'pip install "vsil-audit[local]"'

    @pytest.mark.parametrize("name", ["", "no such", "../x", "a/b/c/d", "x" * 300])
    def test_a_name_that_none_can_have_is_a_missing_one(self, name: str) -> None:
        assert version(name) == MISSING


@pytest.fixture(scope="module")
def tiny_vit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a ViT of two layers that tells nsfw from normal by chance alone."""
    for package in ("torch", "transformers"):
        pytest.importorskip(package, reason="image classifiers need the extra [local]")
    return save_tiny_vit(tmp_path_factory.mktemp("classifiers") / "tiny-vit")


class TestARealClassifier:
    def test_it_says_the_same_of_an_image_however_it_comes(self, tiny_vit: Path) -> None:
        name = str(tiny_vit)
        assert readiness(name).ready
        assert version(name) != MISSING
        images = [picture(colour) for colour in ("red", "green", "blue", "white", "black")]
        subjects = [subject(f"p{i}", image) for i, image in enumerate(images)]
        together = [of[0] for of in looked_at(subjects, name)]
        alone = [looked_at([one], name)[0][0] for one in subjects]
        values = [o.outcome.value for o in together if isinstance(o.outcome, Scored)]
        assert len(set(values)) == 5
        assert {o.label for o in together} <= {"safe", "unsafe"}
        for one, other in zip(together, alone, strict=True):
            assert isinstance(one.outcome, Scored)
            assert isinstance(other.outcome, Scored)
            assert one.outcome.value == pytest.approx(other.outcome.value, abs=1e-4)
            assert sum(one.details["scores"].values()) == pytest.approx(1, abs=1e-4)  # type: ignore[union-attr]
            assert (one.label == "unsafe") == (one.outcome.value >= 0.5)

    def test_an_image_that_cannot_be_read_fails_alone(self, tiny_vit: Path) -> None:
        gone = ImagePart("0" * 64, lambda: ImageError("missing", "it went away"), name="gone.png")
        (good,), (bad,) = looked_at([subject("p", picture("red")), subject("q", gone)], str(tiny_vit))
        assert isinstance(good.outcome, Scored)
        assert bad.outcome == Failed("missing", "it went away")

    def test_weights_that_are_not_whole_are_never_made_up(self, tiny_vit: Path, tmp_path: Path) -> None:
        from safetensors.torch import load_file, save_file

        for file in tiny_vit.iterdir():
            (tmp_path / file.name).write_bytes(file.read_bytes())
        weights = load_file(tiny_vit / "model.safetensors")
        save_file({k: v for k, v in weights.items() if "classifier" not in k}, tmp_path / "model.safetensors")
        ((o,),) = looked_at([subject("p", picture("red"))], str(tmp_path))
        assert isinstance(o.outcome, Failed)
        assert "not whole" in o.outcome.detail

    def test_what_is_no_classifier_fails_with_the_reason(self, tmp_path: Path) -> None:
        pytest.importorskip("transformers")
        pytest.importorskip("torch")
        (tmp_path / "config.json").write_text('{"model_type": "nonsense"}')
        (tmp_path / "model.safetensors").write_bytes(b"")
        verdict = asyncio.run(ImageClassifier(str(tmp_path)).verdict(picture("red")))
        assert isinstance(verdict.outcome, Failed)
        assert verdict.outcome.kind == "classifier_error"
