"""Run folders of evaluations in which models of known habits answered, and their numbers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import pandas as pd

from vsil_audit.detectors.base import Batch
from vsil_audit.detectors.chat import AskOptions, Condition, Observation, Part, Role
from vsil_audit.detectors.model_evaluation import ModelEvaluation
from vsil_audit.pair import Outcome, Pair, Scored
from vsil_audit.runs.evaluated.summary import evaluation_summary
from vsil_audit.runs.evaluation_summary import Evaluation, EvaluationRow
from vsil_audit.runs.evidence import Evidence, gather
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest, RunConfig, RunState
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.summary import DatasetSummary, Summary

BATCH = 64
JUDGE = "openai/grader"
PROMPTED = "safety prompt vlsbench"
LABELS = ("refusal", "warning", "unsafe")


@dataclass(frozen=True)
class Put:
    """A question as a habit sees it."""

    id: str
    number: int
    condition: str
    variant: str = ""
    sample: int = 0
    benign: bool = False


Said: TypeAlias = "str | Outcome"
Habit: TypeAlias = Callable[[Put], Said]


def refuses_all(put: Put) -> Said:
    return "refusal"


def answers_all(put: Put) -> Said:
    return "unsafe"


def good(put: Put) -> Said:
    """Refuses what is harmful and answers what is not."""
    return "unsafe" if put.benign else "refusal"


@dataclass
class Asking:
    """What was asked: options as of a run, by their names in AskOptions."""

    conditions: Sequence[str] = ("pair", "text")
    variants: Sequence[str] = ("",)
    samples: int = 1
    control: int = 20
    judged_by: str = JUDGE
    base: tuple[str, Habit] | None = None
    protocol: str = "default"
    more: Sequence[Observation] = field(default_factory=tuple)
    asking: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Evaluated:
    folder: RunFolder
    evidence: Evidence
    options: AskOptions

    @property
    def found(self) -> Evaluation:
        return self.numbers[0]

    @cached_property
    def numbers(self) -> tuple[Evaluation, list[Metric]]:
        return self.computed()

    def computed(self) -> tuple[Evaluation, list[Metric]]:
        plan = cast("ScanPlan", SimpleNamespace(options=SimpleNamespace(ask=self.options)))
        return evaluation_summary(plan, self.folder, self.evidence)

    def row(self, model: str, condition: str = "pair", **given: str) -> EvaluationRow:
        given = {"slice_kind": "all", "slice": "", "variant": "", **given}
        [row] = [
            row
            for row in self.found.rows
            if (row.model, row.condition) == (model, condition) and all(getattr(row, k) == v for k, v in given.items())
        ]
        return row

    def frame(self) -> pd.DataFrame:
        """All observations, with what their details hold."""
        return pd.DataFrame(
            {
                "pair_id": o.pair_id,
                "part": o.part.value,
                "model": o.model,
                "condition": o.condition,
                "variant": o.details.get("variant", ""),
                "sample": o.sample,
                "label": o.label,
                "outcome": type(o.outcome).__name__,
            }
            for o in self.folder.observations("evaluation")
        )


def pairs_of(n: int, **columns: Callable[[int], str | None]) -> list[Pair]:
    """`n` pairs, all texts different unless `text` is given; `category`, `subcategory`, `label` … by number."""
    made = [Pair(f"pair/{i}", f"How do I polish gnome {i}?") for i in range(n)]
    return [replace(pair, **{name: of(i) for name, of in columns.items()}) for i, pair in enumerate(made)]


def evaluated(
    path: Path, pairs: Sequence[Pair], habits: Mapping[str, Habit], asking: Asking | None = None
) -> Evaluated:
    """Writes a run folder as an evaluation does."""
    asking = asking or Asking()
    folder = RunFolder(path)
    batches = [tuple(pairs[start : start + BATCH]) for start in range(0, len(pairs), BATCH)]
    for index, batch in enumerate(batches):
        folder.write_batch(Batch(index, batch, ((),) * len(batch)), [], [])
        observed = [o for pair in batch for o in _said(pair.id, Part.SET, habits, asking)]
        here = {pair.id for pair in batch}
        observed += [o for o in asking.more if o.part is Part.SET and o.pair_id in here]
        folder.write_observations("evaluation", index, observed)
        detector = ModelEvaluation()
        folder.write_findings("evaluation", index, [detector.finding(pair, ()) for pair in batch])
    benign = [o for i in range(asking.control) for o in _said(f"benign/{i}", Part.CONTROL, habits, asking)]
    folder.write_observations("evaluation", None, [*benign, *(o for o in asking.more if o.part is Part.CONTROL)])
    options = AskOptions(
        targets=tuple(habits),
        response_judges=() if asking.judged_by == "offline" else (asking.judged_by,),
        conditions=tuple(Condition(c) for c in asking.conditions),
        base_model=asking.base[0] if asking.base else None,
        protocol=asking.protocol,
        max_tokens=128 if asking.protocol == "vlsbench" else 1024,
    )
    made = Evaluated(folder, _evidence(folder), options)
    _finish(made, asking, len(batches))
    return made


def _evidence(folder: RunFolder) -> Evidence:
    return gather(cast("ScanPlan", SimpleNamespace(specs=(ModelEvaluation.spec,))), folder)


def _said(subject: str, part: Part, habits: Mapping[str, Habit], asking: Asking) -> list[Observation]:
    number, benign = int(subject.split("/")[1]), part is Part.CONTROL
    made = [
        _observation(subject, part, model, put, habit(put), asking)
        for model, habit in habits.items()
        for variant in asking.variants
        for condition in asking.conditions
        for sample in range(asking.samples)
        for put in [Put(subject, number, condition, variant, sample, benign)]
    ]
    if asking.base:
        put = Put(subject, number, "text", benign=benign)
        base = _observation(subject, part, asking.base[0], put, asking.base[1](put), asking)
        made.append(replace(base, details={"role": "base"}))
    return made


def _observation(subject: str, part: Part, model: str, put: Put, said: Said, asking: Asking) -> Observation:
    label = said if isinstance(said, str) else ""
    return Observation(
        subject,
        model,
        put.condition,
        Scored(float(label != "unsafe")) if isinstance(said, str) else said,
        role=Role.TARGET,
        part=part,
        sample=put.sample,
        label=label,
        judged_by=asking.judged_by if label else "",
        finish="stop" if label else "",
        details={"variant": put.variant} if put.variant else {},
    )


def _finish(made: Evaluated, asking: Asking, batches: int) -> None:
    options = made.options
    config = RunConfig(
        layout="generic",
        view="default",
        detectors=["evaluation"],
        detector_versions={"evaluation": 1},
        max_pixels=1,
        batch_size=BATCH,
        asking={
            "targets": list(options.targets),
            "response_judges": list(options.response_judges),
            "conditions": [c.value for c in options.conditions],
            "samples": asking.samples,
            "temperature": 0.0,
            "max_tokens": options.max_tokens,
            "protocol": options.protocol,
            "control_fingerprint": "shipped",
            **asking.asking,
        },
        prompts={"response_judge": "1"},
    )
    manifest = Manifest(
        tool_version="0",
        state=RunState.COMPLETE,
        dataset_path="gnomes",
        dataset_name="gnomes",
        fingerprint="f",
        config=config,
        command="evaluate",
        batches=batches,
    )
    made.folder.write_manifest(manifest)
    found, metrics = made.computed()
    dataset = DatasetSummary(
        name="gnomes",
        layout="generic",
        view="default",
        pairs=made.evidence.pairs.n,
        rows_unreadable=0,
        clusters=len(set(made.evidence.clusters.connected.tolist())),
        fingerprint="f",
    )
    made.folder.write_summary(Summary(dataset=dataset, metrics=metrics, lenses=[], detectors=[], evaluation=found))
