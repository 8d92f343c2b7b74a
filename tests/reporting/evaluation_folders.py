"""Made-up evaluations: the observations are ours, the findings and numbers the package's own.

Texts and answers are mild stand-ins, as in `run_folders`. Nothing here was said by a model.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np

from vsil_audit.detectors import registry
from vsil_audit.detectors.chat import AskOptions, Condition, Observation, Part, Role
from vsil_audit.detectors.model_evaluation.detector import (
    BASE,
    IMAGE_CLASSIFIER,
    IMAGE_DIGEST,
    NAME,
    ROLE,
    VARIANT,
    ModelEvaluation,
)
from vsil_audit.pair import Abstained, Failed, Finding, Json, Pair, Scored
from vsil_audit.runs.asked_summary import SpendRow
from vsil_audit.runs.evaluated.summary import evaluation_summary
from vsil_audit.runs.evidence import gather
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.summary import DetectorRun, Summary

MODELS = ("openai/gpt-4o-mini", "ollama/llava:7b", "scripted/rules.yaml")
BASE_MODEL = "ollama/llama3:8b"
CLASSIFIER = "Falconsai/nsfw_image_detection"
PROMPT = "safety prompt vlsbench"
CONDITIONS = (Condition.PAIR, Condition.TEXT, Condition.BLANK)
ANSWERS = {
    "refusal": "I cannot help with that.",
    "warning": "You can, but mind that the paint must be dry and the owner of the fence asked first. " * 6,
    "unsafe": "Sure: first take the brush, then the paint, then the fence.",
}
CONTROL = 20


@dataclass(frozen=True)
class Cast:
    """Who is evaluated, and how. `hostile`: strings in place of answers."""

    models: tuple[str, ...]
    conditions: tuple[Condition, ...]
    judge: str
    hostile: Sequence[str] = ()
    control: bool = True
    extras: bool = True
    cut: float = 0.06


def write_evaluation(
    folder: Path,
    run_folders: ModuleType,
    pairs: int = 60,
    *,
    models: Sequence[str] = MODELS,
    conditions: Sequence[Condition] = CONDITIONS,
    hostile: bool = False,
    control: bool = True,
    extras: bool = True,
    judge: str = "openai/gpt-4o",
    cut: float = 0.06,
) -> RunFolder:
    """A finished evaluation over the pairs of `run_folders.write_run`. `extras`: a safety prompt, a base model and an
    image classifier take part too."""
    run: RunFolder = run_folders.write_run(folder, pairs, hostile=hostile, thumbnails=pairs < 1000)
    bad: Sequence[str] = run_folders.HOSTILE if hostile else ()
    named = tuple(f"openai/{name}" for name in bad[:4]) if bad else tuple(models)
    cast = Cast(named, tuple(conditions), judge, bad, control, extras, cut)
    for name in run.detectors():
        _forget(run, name)
    detector = ModelEvaluation()
    number = 0
    for batch in run.batches():
        observations: list[Observation] = []
        findings: list[Finding] = []
        for pair, facts in batch:
            of_pair = list(_said(pair, number, cast, [f.digest for f in facts if f.digest]))
            observations += of_pair
            findings.append(detector.finding(pair, of_pair))
            number += 1
        run.write_observations(NAME, batch.index, observations)
        run.write_findings(NAME, batch.index, findings)
    if control:
        run.write_observations(NAME, None, list(_of_control(cast)))
    _write_manifest(run, cast)
    run.write_summary(_summary(run, cast))
    return run


def _forget(run: RunFolder, detector: str) -> None:
    """The scan's findings: an evaluation has none of them."""
    import shutil

    shutil.rmtree(run.path / "findings" / detector)


def _said(pair: Pair, i: int, cast: Cast, digests: Sequence[str]) -> Iterator[Observation]:
    for m, model in enumerate(cast.models):
        for variant in ("", PROMPT) if cast.extras else ("",):
            for condition in cast.conditions:
                yield _answer(pair.id, model, condition.value, i, m, cast, variant=variant)
    if cast.extras:
        yield _answer(pair.id, BASE_MODEL, "text", i, 1, cast, base=True)
        for place, digest in enumerate(digests):
            yield Observation(
                pair.id, CLASSIFIER, "image", Scored(0.01), Role.JUDGE, sample=place, label="safe",
                has_probability=True, details={ROLE: IMAGE_CLASSIFIER, IMAGE_DIGEST: digest, "scores": {"nsfw": 0.01}},
            )  # fmt: skip


def _answer(
    pair_id: str,
    model: str,
    condition: str,
    i: int,
    m: int,
    cast: Cast,
    *,
    variant: str = "",
    base: bool = False,
    part: Part = Part.SET,
) -> Observation:
    rng = random.Random(f"{pair_id} {m} {condition} {variant} {base}")
    skill = (m + 1) / (max(len(cast.models), 3) + 1)
    safe = skill * {"pair": 1.0, "text": 0.7, "blank": 0.6, "caption": 0.9}.get(condition, 0.5) + (
        0.25 if variant else 0
    )
    safe += 0.1 * (i % 5 - 2) if part is Part.SET else -0.75 * safe
    dice = rng.random()
    label = "refusal" if dice < safe / 3 else "warning" if dice < safe else "unsafe"
    answer = cast.hostile[i % len(cast.hostile)] if cast.hostile else ANSWERS[label]
    details: dict[str, Json] = {}
    if variant:
        details[VARIANT] = variant
    if base:
        details[ROLE] = BASE
    said = Observation(
        pair_id, model, condition, Scored(float(label != "unsafe")), Role.TARGET, part, label=label, answer=answer,
        judged_by=cast.judge, finish="length" if rng.random() < cast.cut else "stop", details=details,
    )  # fmt: skip
    if rng.random() < 0.04:
        return replace(said, outcome=Failed("timeout", "no answer within 60 s"), label="", answer="", finish="")
    if rng.random() < 0.03:
        return replace(said, outcome=Abstained("unclear: neither"), label="", finish="stop")
    return said


def _of_control(cast: Cast) -> Iterator[Observation]:
    for n in range(CONTROL):
        for m, model in enumerate(cast.models):
            for variant in ("", PROMPT) if cast.extras else ("",):
                for condition in cast.conditions:
                    yield _answer(
                        f"control/{n}", model, condition.value, n, m, cast, variant=variant, part=Part.CONTROL
                    )


def _write_manifest(run: RunFolder, cast: Cast) -> None:
    manifest = run.manifest()
    asking = {"targets": list(cast.models), "response_judges": [cast.judge], "max_tokens": 128}
    config = manifest.config.model_copy(
        update={
            "detectors": [NAME],
            "detector_versions": {NAME: 1},
            "asking": asking,
            "prompts": {"response_judge": "a" * 64, "safety_prompt_vlsbench": "b" * 64},
        }
    )
    spend = [_spend(model) for model in dict.fromkeys((*cast.models, cast.judge))]
    run.write_manifest(manifest.model_copy(update={"config": config, "spend": spend, "command": "vsil-audit evaluate"}))


def _spend(model: str) -> SpendRow:
    free = model.startswith(("scripted/", "ollama/"))
    return SpendRow(
        model=model, calls=0 if free else 148, cached=12, attempts=151, input_tokens=51_200, output_tokens=9_800,
        cost=0.0 if free else 0.4312, cost_uncertain=0.0 if free else 0.0031,
        price_checked=None if free else "2026-11-02", scripted=model.startswith("scripted/"), failures={"timeout": 3},
    )  # fmt: skip


def _summary(run: RunFolder, cast: Cast) -> Summary:
    before, spec = run.summary(), registry.load(NAME).spec
    evidence = gather(SimpleNamespace(specs=(spec,)), run)  # type: ignore[arg-type]  # it reads the specs only
    options = AskOptions(
        targets=cast.models, response_judges=(cast.judge,), conditions=cast.conditions, max_tokens=128,
        base_model=BASE_MODEL if cast.extras else None, protocol="vlsbench",
    )  # fmt: skip
    plan = SimpleNamespace(options=SimpleNamespace(ask=options))
    found, metrics = evaluation_summary(plan, run, evidence)  # type: ignore[arg-type]  # it reads the options only
    values = [f.outcome.value for f in run.findings(NAME) if isinstance(f.outcome, Scored)]
    detector = DetectorRun(
        name=NAME, asks=spec.asks, lens=spec.lens.value, unit=spec.unit.value, value=spec.value, limits=spec.limits,
        version=spec.version, state="done", scored=len(values), abstained=before.dataset.pairs - len(values),
        histogram=np.histogram(values, bins=20, range=(0.0, 1.0))[0].tolist(),
    )  # fmt: skip
    return Summary(
        dataset=before.dataset, metrics=metrics, lenses=[], detectors=[detector], warnings=list(found.warnings),
        evaluation=found,
    )  # fmt: skip
