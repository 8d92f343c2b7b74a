"""What models said of single pairs, read from the run's observations: labels for tables, and a few answers to show."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from vsil_audit.detectors.chat import Condition, Part
from vsil_audit.detectors.model_evaluation.detector import BASE, IMAGE_CLASSIFIER, ROLE, VARIANT
from vsil_audit.runs.asked.columns import EVALUATION
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.summary import Summary

_LABELS = ("pair_id", "part", "model", "condition", "sample", "outcome", "label", "reason")
_ANSWERS = (*_LABELS, "role", "value", "has_probability", "reason_detail", "judged_by", "finish", "answer")
PROBABILITY_OF = {"text_refusal": "safe", "safety_judge": "unsafe", "llm_judge": "leak", EVALUATION: "flagged"}
"""What an answer's probability is of, by detector."""
_ORDER = {condition.value: i for i, condition in enumerate(Condition)}


@dataclass(frozen=True, slots=True)
class Said:
    """What `model` did or said under `condition`. `label`: its class; where it has none `outcome` is `abstained` or
    `failed`, and `reason` says why. `probability`: where the answer gave one. `answer`: its own words, untrusted.
    `variant`: of an evaluation, what was put before the query, or whom the model stood in for."""

    detector: str
    model: str
    role: str
    condition: str
    sample: int
    outcome: str
    label: str
    reason: str
    probability: float | None
    judged_by: str
    truncated: bool
    answer: str
    variant: str = ""

    @property
    def chances(self) -> str:
        """`P(unsafe) = 0.93`; empty where the answer gave no probability."""
        if self.probability is None:
            return ""
        return f"P({PROBABILITY_OF.get(self.detector, 'yes')}) = {self.probability:.2f}"

    @property
    def shown(self) -> str:
        """`unsafe`, `abstained: …`, `failed: …`."""
        return _shown(self.outcome, self.label, self.reason)


def asking_detectors(run: RunFolder, summary: Summary) -> list[str]:
    """The detectors of the run that asked models, in its own order."""
    if summary.asked is None and summary.evaluation is None:
        return []
    return [d.name for d in summary.detectors if (run.path / "observations" / d.name).is_dir()]


def said_of(run: RunFolder, detectors: Sequence[str], pair_ids: Collection[str]) -> dict[str, list[Said]]:
    """What was said of the pairs called `pair_ids`, by pair: detector after detector, model after model, condition
    after condition."""
    wanted = pa.array(sorted(set(pair_ids)), pa.string())
    found: dict[str, list[Said]] = defaultdict(list)
    for detector in detectors if len(wanted) else ():
        for table in run.observation_tables(detector, (*_ANSWERS, *_more(detector))):
            of_set = pc.and_(pc.equal(table["part"], Part.SET.value), pc.is_in(table["pair_id"], wanted))
            for row in table.filter(of_set).to_pylist():
                found[row["pair_id"]].append(_said(detector, row))
    place = {name: i for i, name in enumerate(detectors)}
    for said in found.values():
        said.sort(key=lambda s: (place[s.detector], s.model, s.variant, _ORDER.get(s.condition, len(_ORDER)), s.sample))
    return dict(found)


def _said(detector: str, row: dict[str, object]) -> Said:
    value = row["value"]
    return Said(
        detector=detector,
        model=str(row["model"]),
        role=str(row["role"]),
        condition=str(row["condition"]),
        sample=int(str(row["sample"])),
        outcome=str(row["outcome"]),
        label=str(row["label"] or ""),
        reason=": ".join(str(row[key]).replace("_", " ") for key in ("reason", "reason_detail") if row[key]),
        probability=float(value) if row["has_probability"] and isinstance(value, float) else None,
        judged_by=str(row["judged_by"] or ""),
        truncated=row["finish"] == "length",
        answer=str(row["answer"] or ""),
        variant=_variant(row),
    )


def _more(detector: str) -> tuple[str, ...]:
    return ("details",) if detector == EVALUATION else ()


def _variant(row: Mapping[str, object]) -> str:
    """The variant of the query, or what the model was asked as where it was not evaluated."""
    details = row.get("details")
    told = json.loads(str(details)) if details else {}
    asked_as = {BASE: "base model", IMAGE_CLASSIFIER: "image classifier"}.get(told.get(ROLE, ""), "")
    return asked_as or str(told.get(VARIANT, ""))


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """The labels that one model got, or gave, under one condition, by pair; several samples are joined by `; `."""

    name: str
    labels: dict[str, str]


def label_columns(run: RunFolder, detectors: Sequence[str]) -> Iterator[LabelColumn]:
    """One column, named `DETECTOR.CONDITION@MODEL`, for each model and condition, of all pairs of the set; without a
    condition where a model was asked under none. Of an evaluation's variants, `evaluation.CONDITION.VARIANT@MODEL`."""
    for detector in detectors:
        columns: dict[tuple[str, str, str], dict[str, str]] = defaultdict(dict)
        for table in run.observation_tables(detector, (*_LABELS, *_more(detector))):
            of_set = table.filter(pc.equal(table["part"], Part.SET.value))
            for row in of_set.sort_by([("sample", "ascending")]).to_pylist():
                labels = columns[row["model"], _variant(row), row["condition"]]
                shown = _shown(row["outcome"], row["label"], row["reason"])
                before = labels.get(row["pair_id"])
                labels[row["pair_id"]] = shown if before is None else f"{before}; {shown}"
        for key in sorted(columns, key=lambda c: (c[0], c[1], _ORDER.get(c[2], len(_ORDER)), c[2])):
            model, variant, condition = key
            name = ".".join(part for part in (detector, condition, variant) if part)
            yield LabelColumn(f"{name}@{model}", columns[key])


def _shown(outcome: str, label: str | None, reason: str | None) -> str:
    if outcome == "scored":
        return label or "scored"
    return f"{outcome}: {reason}" if reason else outcome
