"""How far the numbers that rest on models may be believed: whose answers were scripted, which judges failed a check.

The same in every report: a number that rests on a judge that failed is not shown, and the reason is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from vsil_audit.detectors.base import Lens
from vsil_audit.runs.asked.columns import EVALUATION, SAFETY_JUDGE, TEXT_REFUSAL
from vsil_audit.runs.asked.summary import is_scripted
from vsil_audit.runs.asked.targets import OFFLINE
from vsil_audit.runs.evaluation_summary import Evaluation
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import Summary

RESPONSE_JUDGE = "response judge"
SCRIPTED = "scripted"
PARTLY_SCRIPTED = "partly scripted"
SCRIPTED_TELLS = "The answers come from a file of rules. No model was asked."
NOT_SHOWN = "not shown"
NO_BOUND = "none"
"""The bound of a check that is shown beside the others and decides nothing."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Who stands behind a run's numbers. `models`: the models of each detector; `detectors`: those of each lens that
    asked models; `doubts`: why what a model says as a detector's judge is not to be believed; `judges`: those of each
    detector that were checked; `classers`: who classed the answers of targets, where models did."""

    scripted: frozenset[str] = frozenset()
    models: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    detectors: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    doubts: Mapping[tuple[str, str], str] = field(default_factory=dict)
    judges: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    classers: tuple[str, ...] = ()

    def behind(self, metric: Metric) -> tuple[str, ...]:
        """The models that `metric` rests on; none for a number that needs no model."""
        model = model_of(metric)
        if model:
            return (model, *self.classers) if metric.detector in (TEXT_REFUSAL, EVALUATION) else (model,)
        detectors = (metric.detector,) if metric.detector else self.detectors.get(metric.lens or "", ())
        if metric.name.startswith("leak_rate"):
            detectors = tuple(d for d in detectors if d == SAFETY_JUDGE)
        return tuple(dict.fromkeys(m for d in detectors for m in self._counted(d)))

    def _counted(self, detector: str) -> Iterable[str]:
        """The models that a detector's own numbers rest on: of judges, those that can be believed."""
        return (m for m in self.models.get(detector, ()) if (detector, m) not in self.doubts)

    def label(self, models: Iterable[str]) -> str:
        """`scripted`, `partly scripted` or nothing."""
        asked = list(models)
        scripted = [model in self.scripted for model in asked]
        return "" if not any(scripted) else SCRIPTED if all(scripted) else PARTLY_SCRIPTED

    def of_lens(self, lens: str) -> str:
        """The label of a whole lens."""
        return self.label(m for d in self.detectors.get(lens, ()) for m in self.models.get(d, ()))

    def caveat(self, metric: Metric) -> str:
        """What must stand beside the metric wherever it is shown with a value."""
        return self.label(self.behind(metric)) if metric.value is not None else ""

    def doubt(self, detector: str) -> str:
        """Why nothing that `detector` says of a pair is to be believed: every judge of it failed a check."""
        judges = self.judges.get(detector, ())
        found = [self.doubts[detector, model] for model in judges if (detector, model) in self.doubts]
        return "; ".join(dict.fromkeys(found)) if judges and len(found) == len(judges) else ""

    def doubted_judges(self, detector: str) -> str:
        """`1 of its 3 judges is not believed`, where some of a detector's judges failed, and not all."""
        judges = self.judges.get(detector, ())
        doubted = sum((detector, model) in self.doubts for model in judges)
        verb = "is" if doubted == 1 else "are"
        return f"{doubted} of its {len(judges)} judges {verb} not believed" if 0 < doubted < len(judges) else ""

    def believed(self, metric: Metric) -> Metric:
        """The metric as it may be shown: without its value, and with the reason, where its judges failed."""
        detector, model = metric.detector or metric.name.partition(".")[0], model_of(metric)
        why = self.doubts.get((detector, model), "") if model else self.doubt(detector)
        if metric.value is None or not why:
            return metric
        empty = dict.fromkeys(("value", "low", "high", "chance", "k"))
        return metric.model_copy(update={**empty, "n": 0, "note": f"{NOT_SHOWN}: {why}"})


def standing(summary: Summary) -> Standing:
    """The standing of a run's numbers; for a run that asked no model everything may be shown as it is."""
    asked = summary.asked
    if summary.evaluation is not None:
        return _of_evaluation(summary.evaluation)
    if asked is None:
        return Standing()
    models: dict[str, tuple[str, ...]] = {}
    judges: dict[str, tuple[str, ...]] = {}
    for model in asked.models:
        for detector in model.detectors:
            models[detector] = (*models.get(detector, ()), model.model)
    for row in asked.judges:
        judges[row.detector] = (*judges.get(row.detector, ()), row.model)
    lenses: dict[str, tuple[str, ...]] = {}
    for run in summary.detectors:
        if run.name in models:
            lenses[run.lens] = (*lenses.get(run.lens, ()), run.name)
    scripted = {m.model for m in asked.models if m.scripted} | {s.model for s in asked.spend if s.scripted}
    doubts = {(r.detector, r.model): r.why_not or "it did not pass its checks" for r in asked.judges if not r.trusted}
    classers = tuple(m.model for m in asked.models if m.role == RESPONSE_JUDGE)
    return Standing(frozenset(scripted), models, lenses, doubts, judges, classers)


def _of_evaluation(found: Evaluation) -> Standing:
    """Of models under evaluation, and of who classed their answers."""
    classers = tuple(dict.fromkeys(name for names in found.judged_by for name in names.split(" + ") if name != OFFLINE))
    scripted = {m.model for m in found.models if m.scripted} | {s.model for s in found.spend if s.scripted}
    models = tuple(m.model for m in found.models)
    return Standing(
        scripted=frozenset(scripted | {name for name in classers if is_scripted(name)}),
        models={EVALUATION: models},
        detectors={Lens.BEHAVIOURAL.value: (EVALUATION,)},
        classers=classers,
    )


def model_of(metric: Metric) -> str:
    """The model after the `@` of `DETECTOR.QUANTITY@MODEL`; empty for other names."""
    return metric.name.partition("@")[2]


def quantity_of(metric: Metric, *left_out: str) -> str:
    """The words of `DETECTOR.QUANTITY@MODEL` that name the quantity, without the parts in `left_out`."""
    parts = metric.name.partition("@")[0].split(".")
    named = [part for part in parts if part not in left_out and part != metric.detector]
    return named[0] if named else parts[-1]
