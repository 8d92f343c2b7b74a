"""What the HTML page shows of asked models: the summary's numbers, grouped by detector and model, with examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from vsil_audit.reporting.observed import Said
from vsil_audit.reporting.pair_reports import PairReport
from vsil_audit.reporting.standing import Standing, quantity_of
from vsil_audit.runs.asked.columns import LLM_JUDGE, SAFETY_JUDGE
from vsil_audit.runs.asked_summary import (
    Agreement,
    AskedSummary,
    ConditionRow,
    FlowCell,
    JudgeCheck,
    JudgeRow,
    PairedFlow,
)
from vsil_audit.runs.metric import Metric
from vsil_audit.runs.summary import DetectorRun, Summary

EXAMPLES_A_CELL = 3
DISAGREEMENTS = 5
ANSWER = 600
"""Characters of an answer in an example."""

WITH = {
    "text": "without the image",
    "pair": "with the image",
    "swapped": "with another pair's image",
    "blank": "with an empty image",
    "caption": "with a description in place of the image",
    "image": "the image alone",
}
"""What a condition means, in words."""

DETECTOR_TITLES = {
    "text_refusal": "What target models do",
    "safety_judge": "What safety judges say",
    "llm_judge": "What the leakage judge says",
}
AGREEMENT_TITLES = {
    "text": "Of the text alone",
    "pair": "Of the pair",
    "leak": "Of whether a pair leaks",
    "reveals": "Of what the text reveals of the image",
}
_COMPARED = {
    "text": (SAFETY_JUDGE, ("text",)),
    "pair": (SAFETY_JUDGE, ("pair",)),
    "leak": (SAFETY_JUDGE, ("text", "pair")),
    "reveals": (LLM_JUDGE, ("pair", "caption")),
}
"""What an agreement is about: the judges' detector, and under which conditions they said it."""
KIND = "kind"

SYMBOLS = {
    "harmful_rate": "R1",
    "text_harmful_rate": "J(text)",
    "text_only_harmful_rate": "R2",
    "vsil_rate": "V",
    "vsil_rate_corrected_for_chance": "V*",
}
"""The field's own signs for a safety judge's quantities."""


@dataclass(frozen=True, slots=True)
class AskedModelBlock:
    """One model as asked by one detector. `doubt`: why what it says is not to be believed; `judge`, `checks`: of
    judges."""

    model: str
    doubt: str
    judge: JudgeRow | None
    checks: list[JudgeCheck]
    conditions: list[ConditionRow]
    flows: list[PairedFlow]

    def rates(self) -> list[Metric]:
        """A judge's own numbers, but those of kinds, and those that its only condition shows already."""
        shown = {class_of(m, row) for row in self.conditions for m in row.metrics} if len(self.conditions) == 1 else ()
        metrics = self.judge.metrics if self.judge else []
        return [m for m in metrics if (q := quantity_of(m, m.detector or "")) != KIND and q not in shown]

    def kinds(self) -> list[tuple[str, Metric]]:
        """Of a leakage judge's leaks, how many are of which kind."""
        metrics = self.judge.metrics if self.judge else []
        return [(name, m) for m in metrics if (name := m.name.partition("@")[0].partition(f".{KIND}.")[2])]


@dataclass(frozen=True, slots=True)
class AskedDetectorPart:
    """One detector with everyone that it asked."""

    run: DetectorRun
    blocks: list[AskedModelBlock]

    @property
    def classes(self) -> list[str]:
        """The classes of its conditions' rates, in order."""
        return list(dict.fromkeys(class_of(m, row) for b in self.blocks for row in b.conditions for m in row.metrics))

    @property
    def conditions(self) -> list[str]:
        return list(dict.fromkeys(row.condition for b in self.blocks for row in b.conditions))

    def overview(self, name: str) -> list[tuple[AskedModelBlock, list[tuple[ConditionRow, Metric] | None]]]:
        """The rate of class `name` of every model (rows) under every condition (columns), where there are several
        models."""
        if len(self.blocks) < 2:
            return []
        return [(b, [_rate_of(b, condition, name) for condition in self.conditions]) for b in self.blocks]


def _rate_of(block: AskedModelBlock, condition: str, name: str) -> tuple[ConditionRow, Metric] | None:
    rows = (row for row in block.conditions if row.condition == condition)
    return next(((row, m) for row in rows for m in row.metrics if class_of(m, row) == name), None)


def asked_parts(summary: Summary, asked: AskedSummary, who: Standing) -> list[AskedDetectorPart]:
    """The detectors that asked models, in the run's order."""
    parts = []
    for detector in summary.detectors:
        models = dict.fromkeys(
            row.model
            for rows in (asked.conditions, asked.judges, asked.checks, asked.flows)
            for row in rows
            if row.detector == detector.name
        )
        if models:
            blocks = [_block(detector.name, model, asked, who) for model in models]
            parts.append(AskedDetectorPart(detector, blocks))
    return parts


def _block(detector: str, model: str, asked: AskedSummary, who: Standing) -> AskedModelBlock:
    def mine(row: ConditionRow | PairedFlow | JudgeCheck | JudgeRow) -> bool:
        return (row.detector, row.model) == (detector, model)

    return AskedModelBlock(
        model=model,
        doubt=who.doubts.get((detector, model), ""),
        judge=next((row for row in asked.judges if mine(row)), None),
        checks=[row for row in asked.checks if mine(row)],
        conditions=[row for row in asked.conditions if mine(row)],
        flows=[row for row in asked.flows if mine(row)],
    )


def class_of(metric: Metric, row: ConditionRow) -> str:
    """The class that a condition's rate counts: `refusal`, `unsafe`, `explicit` …"""
    return quantity_of(metric, row.detector, row.condition, "control")


def control_of(metric: Metric, row: ConditionRow) -> Metric | None:
    """The same rate on the benign control."""
    return next((m for m in row.control if class_of(m, row) == class_of(metric, row)), None)


def shared_note(row: ConditionRow) -> str:
    """What is to be said of all rates of a row alike."""
    notes = {m.note for m in row.metrics}
    return notes.pop() if len(notes) == 1 else ""


def same_pairs(row: ConditionRow) -> Metric | None:
    """One of a row's rates to say the coverage of all by; None where they are of different pairs."""
    counted = {(m.n, m.total, m.nature) for m in row.metrics if m.value is not None}
    return next((m for m in row.metrics if m.value is not None), None) if len(counted) == 1 else None


def agreement_of_lenses(asked: AskedSummary) -> Agreement | None:
    return next((a for a in asked.agreement if a.about == "lenses"), None)


def agreement_of_raters(asked: AskedSummary) -> list[Agreement]:
    return [a for a in asked.agreement if a.about != "lenses"]


def rated_by(agreement: Agreement) -> str:
    """The detector whose judges an agreement is of; empty for one of lenses."""
    return _COMPARED.get(agreement.about, ("", ()))[0]


def example_ids(asked: AskedSummary) -> set[str]:
    """The pairs that the page shows as examples."""
    ids = {i for flow in asked.flows for cell in flow.cells for i in cell.examples[:EXAMPLES_A_CELL]}
    return ids | {i for agreement in asked.agreement for i in agreement.disagreements[:DISAGREEMENTS]}


@dataclass(frozen=True, slots=True)
class Example:
    """One pair and what was said of it."""

    report: PairReport
    said: list[Said]


@dataclass(frozen=True, slots=True)
class Examples:
    """The pairs that the page shows as examples, with everything that models said of them."""

    reports: Mapping[str, PairReport]
    said: Mapping[str, Sequence[Said]]

    def of_cell(self, flow: PairedFlow, cell: FlowCell) -> list[Example]:
        """A few pairs of one cell of a flow, with what the flow's model said under its two conditions."""
        both = (flow.first, flow.second)
        return [
            Example(report, [s for s in self._by(flow.detector, {flow.model}, i) if s.condition in both])
            for i in cell.examples[:EXAMPLES_A_CELL]
            if (report := self.reports.get(i)) is not None
        ]

    def of_agreement(self, agreement: Agreement) -> list[Example]:
        """A few pairs on which raters disagree; for an agreement of judges with what they said."""
        detector, conditions = _COMPARED.get(agreement.about, ("", ()))
        raters = set(agreement.raters)
        return [
            Example(report, [s for s in self._by(detector, raters, i) if s.condition in conditions])
            for i in agreement.disagreements[:DISAGREEMENTS]
            if (report := self.reports.get(i)) is not None
        ]

    def _by(self, detector: str, models: set[str], pair_id: str) -> list[Said]:
        return [s for s in self.said.get(pair_id, ()) if s.detector == detector and s.model in models]


def cell_words(flow: PairedFlow, cell: FlowCell) -> str:
    """What a cell of a flow holds: `only without the image`."""
    first, second = WITH.get(flow.first, flow.first), WITH.get(flow.second, flow.second)
    words = {
        "both": "both ways",
        "only_first": f"only {first}",
        "only_second": f"only {second}",
        "neither": "neither way",
    }
    return words.get(cell.name, cell.name)
