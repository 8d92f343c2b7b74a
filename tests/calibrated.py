"""Finished runs of judges with known errors about pairs of known truth, and files of people's labels of them."""

from __future__ import annotations

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from asked_runs import Truth, honest, said, write_run

from vsil_audit.audit import Audit
from vsil_audit.detectors.chat import Role
from vsil_audit.pair import Failed
from vsil_audit.runs.summary import DatasetSummary, DetectorRun, Summary

JUDGE = "openai/a-judge"
TARGET = "openai/a-target"


def write_finished(path: Path, verdicts: Mapping[str, Sequence[Truth]], **given: object) -> Audit:
    """A complete run of the detectors in `verdicts`; what a model says is what its `Truth.right` says, `dead` being a
    failed call."""
    pairs = next(iter(verdicts.values()))

    def habit(thing: Truth, condition: str, sample: int) -> object:
        label = honest(thing, condition, sample)
        return Failed("timeout", "no answer") if label == "dead" else label

    observations = {
        detector: said(
            things,
            {TARGET if detector == "text_refusal" else JUDGE: habit},  # type: ignore[dict-item]  # a habit's result
            role=Role.TARGET if detector == "text_refusal" else Role.JUDGE,
        )
        for detector, things in verdicts.items()
    }
    made = write_run(path, pairs, observations, **given)  # type: ignore[arg-type]  # passed on as they are
    asked = made.asked
    detectors = [
        DetectorRun(name=name, asks="", lens="judged", unit="pair", value="", version=1, state="done")
        for name in observations
    ]
    dataset = DatasetSummary(
        name="set", layout="generic", view="default", pairs=len(pairs), rows_unreadable=0, fingerprint="f"
    )
    made.folder.write_summary(
        Summary(dataset=dataset, metrics=asked.metrics, lenses=[], detectors=detectors, asked=asked.summary)
    )
    return Audit.open(path)


class World:
    """`n` pairs of known truth, and the verdicts of a judge of known errors. All arrays have shape (n,)."""

    def __init__(self, n: int, sensitivity: float, specificity: float, seed: int = 0) -> None:
        chance = np.random.default_rng(seed)
        self.ids = [f"pair/{i}" for i in range(n)]
        self.pair = chance.random(n) < 0.7
        self.text = self.pair & (chance.random(n) < 0.5)

        def judged(truth: np.ndarray) -> np.ndarray:
            return np.where(truth, chance.random(n) < sensitivity, chance.random(n) >= specificity)

        self.says_pair, self.says_text = judged(self.pair), judged(self.text)

    def verdicts(self) -> list[Truth]:
        word = ("safe", "unsafe")
        return [
            Truth(name, right={"text": word[int(t)], "pair": word[int(p)]})
            for name, t, p in zip(self.ids, self.says_text, self.says_pair, strict=True)
        ]

    def rows(self, places: Sequence[int]) -> list[dict[str, object]]:
        return [
            {
                "id": self.ids[i],
                "text_harmful": "yes" if self.text[i] else "no",
                "pair_harmful": "yes" if self.pair[i] else "no",
            }
            for i in places
        ]


def write_labels(path: Path, rows: Sequence[Mapping[str, object]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(dict.fromkeys(name for row in rows for name in row)))
        writer.writeheader()
        writer.writerows(rows)
    return path


def fill_in(path: Path, answers: Callable[[dict[str, str]], Mapping[str, object]]) -> None:
    """As a person does with a drawn file: every row gets what `answers` says of it."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    write_labels(path, [{**row, **answers(row)} for row in rows])
