"""A file of labels and a finished run → `calibration.json`, and the summary with the corrected rates in it."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vsil_audit.calibration.draws import Draws, read_draws
from vsil_audit.calibration.judges import Found, leak_judges, safety_judges
from vsil_audit.calibration.labels import Item, Labellable, Question, Vote, read_votes
from vsil_audit.calibration.people import MOST_ANNOTATORS, Sheets, agreement, majority, sheets
from vsil_audit.calibration.report import FILE, Calibration, Confusion, Labelled, LabelsFile
from vsil_audit.calibration.responses import response_classes
from vsil_audit.calibration.told import Told
from vsil_audit.calibration.truth import Chosen, Truth, settle
from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.runs.asked.columns import LLM_JUDGE, SAFETY_JUDGE, TEXT_REFUSAL, Observed, PairPlaces, observed
from vsil_audit.runs.asked_summary import Corrected
from vsil_audit.runs.detecting import clusters
from vsil_audit.runs.folder import RunFolder, write_atomically
from vsil_audit.runs.summary import Summary
from vsil_audit.stats.clusters import Groups
from vsil_audit.wording import plural

DETECTOR = {
    Question.TEXT: SAFETY_JUDGE,
    Question.PAIR: SAFETY_JUDGE,
    Question.LEAK: LLM_JUDGE,
    Question.RESPONSE: TEXT_REFUSAL,
}
"""Whom each question is about."""


@dataclass(frozen=True, slots=True)
class _Run:
    """What of a run the labels are set beside."""

    folder: RunFolder
    summary: Summary
    places: dict[str, int]
    groups: Groups
    seen: dict[str, Observed]

    @classmethod
    def read(cls, folder: RunFolder) -> _Run:
        """Raises ConfigurationError where no model was asked."""
        summary = folder.summary()
        asked = {d for model in summary.asked.models for d in model.detectors} if summary.asked else set()
        if not asked:
            raise ConfigurationError(
                "no model was asked in this run, so that there is nothing to calibrate",
                "Scan with --judges or --targets first.",
            )
        places = {pair_id: place for place, pair_id in enumerate(folder.pair_ids())}
        of_pairs = PairPlaces(folder, len(places))
        return cls(
            folder,
            summary,
            places,
            clusters(folder, len(places)).for_intervals,
            {name: observed(folder, name, of_pairs) for name in dict.fromkeys(DETECTOR.values()) if name in asked},
        )

    def items(self) -> Labellable:
        answered: dict[str, dict[str, list[int]]] = {}
        targets = self.seen.get(TEXT_REFUSAL)
        for asked, by_sample in targets.on_set.codes.items() if targets else ():
            answered.setdefault(asked.model, {})[asked.condition] = list(by_sample)
        return Labellable(self.places, answered)

    def everything(self, question: Question) -> int:
        """How many items there are to label."""
        if question is not Question.RESPONSE:
            return len(self.places)
        return sum(
            int((row >= 0).sum())
            for by_sample in self.seen[TEXT_REFUSAL].on_set.codes.values()
            for row in by_sample.values()
        )


def calibrate(folder: RunFolder, labels: Sequence[Path], *, sample: bool | None = None) -> Calibration:
    """Set people's `labels` beside what the models of a complete run said, and keep what follows in its folder.

    Of several files, one without annotators is one person's. `sample`: True when the labelled items are a random part
    of the set, False when they are not; None: those are that `draw` drew, or all. Writes `calibration.json` and the
    summary; a former calibration is replaced. Raises DatasetError when a file cannot be read, or none holds a usable
    label, ConfigurationError where no model was asked.
    """
    run, told = _Run.read(folder), Told()
    draws, names = read_draws(folder), ", ".join(path.name for path in labels)
    files, votes = _read(labels, run.items(), told)
    answers, truths = _truths(run, votes, draws, told, sample=sample)
    if not truths:
        raise DatasetError(f"{names} holds no label that can be used{_why(told)}", _remedy(told))
    found, confusions = _found(run, truths)
    labelled = [_labelled(truth, answers[question], run) for question, truth in truths.items()]
    calibration = Calibration(
        fingerprint=run.summary.dataset.fingerprint,
        labels=files,
        labelled=labelled,
        corrected=[_corrected(each, names, truths, draws) for each in found],
        confusions=tuple(confusions),
        unused=told.unused(),
        warnings=(*_choice_warnings(truths, draws), *_crowds(answers), *(w for each in found for w in each.warnings)),
    )
    write_atomically(folder.path / FILE, calibration.model_dump_json(indent=2).encode())
    folder.write_summary(with_corrected(run.summary, calibration.corrected))
    return calibration


def with_corrected(summary: Summary, corrected: list[Corrected]) -> Summary:
    """The summary with these corrected rates, and without those of a calibration before."""
    if summary.asked is None:
        raise ValueError("no model was asked in this run")
    former = {metric.name for row in summary.asked.corrected for metric in row.metrics}
    metrics = [metric for metric in summary.metrics if metric.name not in former]
    metrics += [metric for row in corrected for metric in row.metrics]
    asked = summary.asked.model_copy(update={"corrected": corrected})
    return summary.model_copy(update={"asked": asked, "metrics": metrics})


def _read(labels: Sequence[Path], items: Labellable, told: Told) -> tuple[tuple[LabelsFile, ...], list[Vote]]:
    files, votes = [], []
    for number, path in enumerate(labels, 1):
        digest = _sha256(path)
        found = read_votes(path, items, told, f"file {number}" if len(labels) > 1 else "")
        files.append(LabelsFile(name=path.name, sha256=digest, rows=found.rows))
        votes += found.votes
    return tuple(files), votes


def _sha256(file: Path) -> str:
    """Raises DatasetError when the file cannot be read."""
    if not file.is_file():
        raise DatasetError(f"{file} is not a file", "Name a CSV, TSV or JSON Lines file of labels.")
    try:
        with file.open("rb") as stream:
            digest = hashlib.sha256()
            while block := stream.read(1 << 20):
                digest.update(block)
    except OSError as error:
        raise DatasetError(
            f"{file} cannot be read: {error.strerror or error}", "Check the file's permissions."
        ) from error
    return digest.hexdigest()


def _truths(
    run: _Run, votes: list[Vote], draws: Draws, told: Told, *, sample: bool | None
) -> tuple[dict[Question, Sheets], dict[Question, Truth]]:
    answers, truths, drawn = sheets(votes, told), {}, draws.items()
    for question in (q for q in Question if q in answers):
        settled = majority(answers[question], question, told)
        if DETECTOR[question] not in run.seen:
            told.add("not_asked", "", f"{question.value}: no {DETECTOR[question]} in this run", len(settled))
        elif settled:
            truths[question] = settle(question, settled, drawn, run.everything(question), told, sample=sample)
    return answers, truths


def _why(told: Told) -> str:
    kinds = [f"{unused.tells}: {unused.count:,} (such as {unused.examples[0]})" for unused in told.unused()]
    return f": {'; '.join(kinds)}" if kinds else ": it has no rows"


def _remedy(told: Told) -> str:
    kinds = {unused.kind: unused.count for unused in told.unused()}
    worst = max(kinds, key=lambda kind: kinds[kind], default="")
    return {
        "unknown_id": "Label pairs of this run by their ids, as `--draw 150 --output FILE.csv` writes them.",
        "empty_cell": "Fill in the label columns, and give the file again.",
        "not_asked": "Give labels of what this run asked, or scan again with that detector's models.",
    }.get(worst, "Draw a file to fill in with `vsil-audit calibrate RUN --draw 150 --output FILE.csv`.")


def _found(run: _Run, truths: Mapping[Question, Truth]) -> tuple[list[Found], list[Confusion]]:
    places = {Item(pair_id): place for pair_id, place in run.places.items()}
    found: list[Found] = []
    confusions: list[Confusion] = []
    if Question.TEXT in truths or Question.PAIR in truths:
        found += safety_judges(run.seen[SAFETY_JUDGE], truths, places, run.groups)
    if Question.LEAK in truths:
        found += leak_judges(run.seen[LLM_JUDGE], truths[Question.LEAK], places, run.groups)
    if Question.RESPONSE in truths:
        for each, tables in response_classes(run.seen[TEXT_REFUSAL], truths[Question.RESPONSE], run.places, run.groups):
            found.append(each)
            confusions += tables
    return found, confusions


def _labelled(truth: Truth, of: Sheets, run: _Run) -> Labelled:
    groups = {item.pair_id: int(run.groups[run.places[item.pair_id]]) for sheet in of.values() for item in sheet}
    return Labelled(
        question=truth.question.value,
        items=len(truth.labels),
        annotators=len(of),
        chosen=truth.chosen.value,
        agreement=agreement(of, truth.question, groups),
    )


def _corrected(found: Found, labels: str, truths: Mapping[Question, Truth], draws: Draws) -> Corrected:
    used = {question: truth for question, truth in truths.items() if DETECTOR[question] == found.detector}
    how = "; ".join(
        f"{question.value}: {plural(len(truth.labels), 'label')}, {truth.chosen.value}"
        for question, truth in used.items()
    )
    return Corrected(
        model=found.model,
        labels=labels,
        metrics=found.metrics,
        note="; ".join([f"{found.detector} ({how})", *_choice_warnings(used, draws), *found.warnings]),
    )


def _crowds(answers: Mapping[Question, Sheets]) -> list[str]:
    return [
        f"{question.value}: {len(of):,} annotators; how they agree was not computed. Is annotator the right column?"
        for question, of in answers.items()
        if len(of) > MOST_ANNOTATORS
    ]


def _choice_warnings(truths: Mapping[Question, Truth], draws: Draws) -> list[str]:
    """What the way in which the items were chosen means."""
    warnings = []
    elsewhere = [question.value for question, truth in truths.items() if truth.chosen is Chosen.ELSEWHERE]
    if elsewhere:
        warnings.append(
            f"{', '.join(elsewhere)}: the labelled items are not known to be a random part of the set, so that the "
            "judge is assumed to err alike on the others; that does not hold where they were chosen by what it said. "
            "Name --sample if they were chosen at random"
        )
    for question, truth in truths.items():
        drawn = sum((item.model != "") == (question is Question.RESPONSE) for item in draws.items())
        if truth.chosen is Chosen.DRAWN and len(truth.labels) < drawn:
            warnings.append(
                f"{question.value}: {len(truth.labels):,} of the {drawn:,} drawn items have a label; the others are "
                "assumed to be like them"
            )
    return warnings
