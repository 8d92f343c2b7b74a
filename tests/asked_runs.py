"""Runs in which models of known habits were asked about pairs of known truth, and canaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import pyarrow as pa

from vsil_audit.detectors.base import Batch
from vsil_audit.detectors.canaries import safety_canaries
from vsil_audit.detectors.chat import ChatDetector, Observation, Part, Role, Subject
from vsil_audit.detectors.llm_judge import LlmJudge
from vsil_audit.detectors.llm_judge.canaries import canaries as leak_canaries
from vsil_audit.detectors.safety_judge import SafetyJudge
from vsil_audit.detectors.text_refusal import TextRefusal
from vsil_audit.pair import Failed, Outcome, Pair, Scored
from vsil_audit.runs.asked.summary import AskedNumbers, asked_summary
from vsil_audit.runs.asked_summary import SpendRow
from vsil_audit.runs.evidence import Evidence, gather
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest, RunConfig, RunState
from vsil_audit.runs.plan import ScanPlan

DETECTORS: Mapping[str, type[ChatDetector]] = {
    "text_refusal": TextRefusal,
    "safety_judge": SafetyJudge,
    "llm_judge": LlmJudge,
}
BATCH = 16


@dataclass(frozen=True)
class Truth:
    """What is so of one thing that is asked about: the right label under each condition."""

    id: str
    part: Part = Part.SET
    right: Mapping[str, str] = field(default_factory=dict)
    kind: str = ""
    twin: str = ""


Said: TypeAlias = "str | Outcome"
Habit: TypeAlias = Callable[[Truth, str, int], Said]
"""What a model says of something under a condition, in a sample: a label, or how the call ended."""


def honest(truth: Truth, condition: str, sample: int) -> Said:
    return truth.right[condition].split("|")[0]


def dead(truth: Truth, condition: str, sample: int) -> Said:
    return Failed("timeout", "no answer")


def copying(truth: Truth, condition: str, sample: int) -> Said:
    return Failed("copied_input", "the judge copied its input")


def always(label: str) -> Habit:
    return lambda truth, condition, sample: label


def blind(truth: Truth, condition: str, sample: int) -> Said:
    """It says of the pair what it says of the text."""
    return truth.right.get("text", "safe")


def obedient(truth: Truth, condition: str, sample: int) -> Said:
    right = honest(truth, condition, sample)
    return right if truth.kind != "injection" else {"safe": "unsafe", "unsafe": "safe"}[str(right)]


def unsafe_pairs(n: int, leaking: Callable[[int], bool], harmful: Callable[[int], bool]) -> list[Truth]:
    """`n` pairs of the set, as a safety judge should see them; another image makes a pair safe, unless it leaks."""
    return [
        Truth(
            f"pair/{i}",
            right={
                "text": "unsafe" if leaking(i) else "safe",
                "pair": "unsafe" if harmful(i) else "safe",
                "swapped": "unsafe" if leaking(i) else "safe",
            },
        )
        for i in range(n)
    ]


def benign(n: int = 20) -> list[Truth]:
    return [Truth(f"benign/{i}", Part.CONTROL, {"text": "safe", "pair": "safe", "swapped": "safe"}) for i in range(n)]


def planted(subjects: Sequence[Subject]) -> list[Truth]:
    return [Truth(s.pair.id, Part.CANARY, dict(s.expected), s.kind, s.twin) for s in subjects]


def safety_planted(count: int = 30) -> list[Truth]:
    return planted(safety_canaries(count, 0))


def leak_planted(count: int = 30) -> list[Truth]:
    return planted(leak_canaries(count, 0))


def said(
    things: Sequence[Truth],
    habits: Mapping[str, Habit],
    conditions: Sequence[str] = ("text", "pair"),
    *,
    role: Role = Role.JUDGE,
    samples: int = 1,
    **given: Any,
) -> list[Observation]:
    """Observations of every model, under each condition that is known of a thing."""
    made = []
    for thing in things:
        for model, habit in habits.items():
            for condition in (c for c in conditions if c in thing.right):
                for sample in range(samples):
                    answer = habit(thing, condition, sample)
                    label = answer if isinstance(answer, str) else ""
                    outcome = Scored(float(label not in ("safe", "none"))) if isinstance(answer, str) else answer
                    made.append(
                        Observation(
                            thing.id,
                            model,
                            condition,
                            outcome,
                            role=role,
                            part=thing.part,
                            sample=sample,
                            label=label,
                            judged_by="offline" if role is Role.TARGET and label else "",
                            expected=thing.right[condition] if thing.part is Part.CANARY else "",
                            kind=thing.kind,
                            twin=thing.twin,
                            **given,
                        )
                    )
    return made


@dataclass(frozen=True)
class Made:
    folder: RunFolder
    evidence: Evidence

    @property
    def asked(self) -> AskedNumbers:
        found = asked_summary(self.evidence, self.folder)
        assert found is not None
        return found

    def table(self, detector: str) -> list[dict[str, Any]]:
        columns = ("pair_id", "part", "model", "condition", "sample", "outcome", "label", "value")
        return cast(
            "list[dict[str, Any]]", pa.concat_tables(self.folder.observation_tables(detector, columns)).to_pylist()
        )


def write_run(
    path: Path,
    pairs: Sequence[Truth],
    observations: Mapping[str, Sequence[Observation]],
    *,
    texts: Sequence[str] = (),
    asking: Mapping[str, Any] | None = None,
    prompts: Mapping[str, str] | None = None,
    spend: Sequence[SpendRow] = (),
) -> Made:
    """Writes a run folder as a scan does: observations and their findings by batch, then the manifest.

    `texts`: of the pairs, where they are not all different.
    """
    folder = RunFolder(path)
    made = [Pair(t.id, texts[i] if texts else f"What is thing number {i}?") for i, t in enumerate(pairs)]
    batches = [made[start : start + BATCH] for start in range(0, len(made), BATCH)] or [[]]
    for index, batch in enumerate(batches):
        folder.write_batch(Batch(index, tuple(batch), ((),) * len(batch)), [], [])
    for detector, all_said in observations.items():
        _write(folder, detector, batches, all_said)
    folder.write_manifest(_manifest(list(observations), len(batches), asking or {}, prompts or {}, spend))
    plan = cast("ScanPlan", SimpleNamespace(specs=tuple(DETECTORS[name].spec for name in observations)))
    return Made(folder, gather(plan, folder))


def _write(
    folder: RunFolder, detector: str, batches: Sequence[Sequence[Pair]], all_said: Sequence[Observation]
) -> None:
    by_pair: dict[str, list[Observation]] = {}
    for observation in all_said:
        if observation.part is Part.SET:
            by_pair.setdefault(observation.pair_id, []).append(observation)
    canaries = [o for o in all_said if o.part is Part.CANARY]
    instance = DETECTORS[detector]()
    for index, batch in enumerate(batches):
        of_batch = [o for pair in batch for o in by_pair.get(pair.id, ())]
        folder.write_observations(detector, index, [*canaries[index :: len(batches)], *of_batch])
        folder.write_findings(detector, index, [instance.finding(p, by_pair.get(p.id, [])) for p in batch])
    folder.write_observations(detector, None, [o for o in all_said if o.part is Part.CONTROL])


def _manifest(
    detectors: Sequence[str],
    batches: int,
    asking: Mapping[str, Any],
    prompts: Mapping[str, str],
    spend: Sequence[SpendRow],
) -> Manifest:
    config = RunConfig(
        layout="generic",
        view="default",
        detectors=list(detectors),
        detector_versions=dict.fromkeys(detectors, 1),
        max_pixels=1,
        batch_size=BATCH,
        asking=dict(asking),
        prompts=dict(prompts),
    )
    return Manifest(
        tool_version="0",
        state=RunState.COMPLETE,
        dataset_path="set",
        dataset_name="set",
        fingerprint="f",
        config=config,
        command="scan",
        batches=batches,
        spend=list(spend),
    )
