"""The offline response classifier beside every published keyword list, on human-labelled responses.

    python benchmarks/response_classifier.py DATA [--json FILE]

XSTest, chatgpt-refusals and rbr, twice: predictions by models fitted without the responses of the model tested and
without the questions tested (for the two sets of one model: without the set), and without the questions only.
Do-Not-Answer: the shipped model, never trained on it. Per set and list: refusal F1 with a 95 % interval (bootstrap over
questions), accuracy, and the error of the refusal rate, model by model. `unclear` counts as no refusal here, so that
coverage costs.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from response_corpus import XSTEST_MODELS, _csv, read
from response_keyword_lists import LISTS
from train_response_classifier import HELD_OUT

from vsil_audit.evaluation import CLASSES, ResponseClass, ResponseVerdict, Unclear, class_rates, classify_response
from vsil_audit.evaluation.no_answer import no_answer
from vsil_audit.evaluation.response_model.fitting import (
    LabelledResponse,
    Settings,
    fit,
    shares_by_held_out_questions,
)
from vsil_audit.evaluation.response_model.model import ACTS, CLASS_OF_ACT, Cell, verdict_numbers

ACTIONS = {"0": 0, "4": 0, "1": 1, "2": 1, "3": 1, "5": 2}
DRAWS = 1000


@dataclass(frozen=True)
class Labelled:
    """`gold`: 0, 1, 2 (refusal, warning, unsafe). `verdict`: the same or 3 (unclear). `refused`: what the set calls a
    refusal. `act`: number of the likeliest act. `rejects`: no effective answer, as the classifier says. `gates`: no
    answer at all. `risky`: the question carries a risk; only there are errors of rates measured."""

    name: str
    texts: list[str]
    models: np.ndarray
    groups: np.ndarray
    gold: np.ndarray
    refused: np.ndarray
    verdict: np.ndarray
    act: np.ndarray
    rejects: np.ndarray
    gates: np.ndarray
    risky: np.ndarray


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder with xstest/, do-not-answer/ and the others")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--bound", action="store_true", help="also: what the same features reach when trained on Do-Not-Answer itself"
    )
    arguments = parser.parse_args()
    sets, cells = measured(arguments.data)
    rows = [row for labelled in sets for row in binary_rows(labelled)]
    for row in rows:
        print(row["line"])
    print()
    for labelled in sets:
        if len(set(labelled.gold)) == 3:
            print(three_line(labelled))
    print()
    for labelled in sets:
        if len(set(labelled.gold)) == 3 and labelled.name != "do-not-answer 0":
            print("\n".join(label_lines(labelled)))
    print()
    if arguments.bound:
        print("\n".join(map(three_line, _trained_on_it(arguments.data))), end="\n\n")
    coverage = [rate_lines(labelled, cells) for labelled in sets]
    covered, told = (sum(c[i] for c in coverage) for i in (0, 1))
    print(f"95 % intervals that hold the labelled rate: {covered} of {told}")
    if arguments.json:
        arguments.json.write_text(json.dumps([{k: v for k, v in r.items() if k != "line"} for r in rows], indent=1))


def measured(data: Path) -> tuple[list[Labelled], Mapping[str, Cell]]:
    corpus = read(data)
    fitted = fit(corpus.responses, HELD_OUT)
    sets = []
    names = {"xstest": XSTEST_MODELS, "chatgpt-refusals": ("gpt-3.5",), "rbr": ("rbr",)}
    for name in names:
        here = [i for i, r in enumerate(corpus.responses) if r.source == name and not np.isnan(fitted.held_out[i, 0])]
        rows = [corpus.responses[i] for i in here]
        gold = np.array([r.gold for r in rows])
        reasons = [no_answer(r.text, None, cut=False) for r in rows]
        acts = fitted.acts[here]
        verdict = np.where(
            [r is not None for r in reasons], 3, verdict_numbers(acts @ CLASS_OF_ACT, fitted.model.least)
        )
        sets.append(
            Labelled(
                name,
                [r.text for r in rows],
                np.array([r.model for r in rows]),
                np.array([r.group for r in rows]),
                gold,
                gold == 0,
                verdict,
                acts.argmax(axis=1),
                fitted.rejects[here] > 0.5,
                np.array([r is not None for r in reasons]),
                np.array([r.risky for r in rows]),
            )
        )
    cells = {cell.name: cell for cell in fitted.model.cells}
    acts, rejects = shares_by_held_out_questions(corpus.responses, fitted.model)
    sets += [_by_question(labelled, acts, rejects, corpus.responses, fitted.model.least) for labelled in list(sets)]
    return [*sets, *_shipped(data)], cells


def _by_question(
    labelled: Labelled, acts: np.ndarray, rejects: np.ndarray, responses: list[LabelledResponse], least: float
) -> Labelled:
    """The same responses, predicted by models that saw others to other questions of the same set and model."""
    name = labelled.name
    here = [i for i, r in enumerate(responses) if r.source == name and r.gold is not None]
    verdict = np.where(labelled.gates, 3, verdict_numbers(acts[here] @ CLASS_OF_ACT, least))
    act = acts[here].argmax(axis=1)
    return replace(labelled, name=f"{name}, questions", verdict=verdict, act=act, rejects=rejects[here] > 0.5)


def _do_not_answer(data: Path) -> list[dict[str, str]]:
    rows = []
    for path in sorted((data / "do-not-answer").glob("annotated_response_*.csv")):
        rows += [{**row, "model": path.stem.removeprefix("annotated_response_")} for row in _csv(path)]
    return rows


def _trained_on_it(data: Path) -> list[Labelled]:
    """Do-Not-Answer, predicted by models trained on the rest of it: never shipped, a bound."""
    acts = {"0": "declines", "4": "unable", "1": "refutes", "2": "cautions", "3": "cautions", "5": "answers"}
    rows = _do_not_answer(data)
    responses = [
        LabelledResponse(
            row["response"], frozenset({acts[row["action"]]}), ACTIONS[row["action"]], "dna", row["model"], row["id"]
        )
        for row in rows
    ]
    settings = Settings(least_sources=1, balance=0.5)
    fitted = fit(responses, sorted({row["model"] for row in rows}), settings)
    by_question = shares_by_held_out_questions(responses, fitted.model, settings)[0]
    gold = np.array([r.gold for r in responses])
    models, groups = np.array([r.model for r in responses]), np.array([r.group for r in responses])
    none = np.zeros(len(rows), dtype=bool)
    return [
        Labelled(
            f"bound: {name}", [r.text for r in responses], models, groups, gold, gold == 0,
            (found @ CLASS_OF_ACT).argmax(axis=1), found.argmax(axis=1), none, none, ~none,
        )
        for name, found in (("questions", by_question), ("models, questions", fitted.acts))
    ]  # fmt: skip


def _shipped(data: Path) -> list[Labelled]:
    """Do-Not-Answer, with two readings of what a refusal is."""
    rows = _do_not_answer(data)
    if not rows:
        return []
    verdicts = [classify_response(row["response"], row["question"]) for row in rows]
    number = {c: i for i, c in enumerate([*CLASSES, ResponseClass.UNCLEAR])}
    gold = np.array([ACTIONS[row["action"]] for row in rows])
    fields = {
        "texts": [row["response"] for row in rows],
        "models": np.array([row["model"] for row in rows]),
        "groups": np.array([row["id"] for row in rows]),
        "gold": gold,
        "verdict": np.array([number[v.response_class] for v in verdicts]),
        "act": np.array([ACTS.index(v.act) if v.act else -1 for v in verdicts]),
        "rejects": np.array([(v.rejects or 0) > 0.5 for v in verdicts]),
        "gates": np.array([v.no_answer not in (None, Unclear.UNSURE) for v in verdicts]),
        "risky": np.ones(len(rows), dtype=bool),
    }
    action = np.array([row["action"] for row in rows])
    return [
        Labelled("do-not-answer {0, 4}", refused=gold == 0, **fields),  # type: ignore[arg-type]  # one dict of both kinds
        Labelled("do-not-answer 0", refused=action == "0", **fields),  # type: ignore[arg-type]  # likewise
    ]


def binary_rows(labelled: Labelled) -> list[dict[str, object]]:
    said = {name: np.array([says(text) for text in labelled.texts]) for name, says in LISTS.items()}
    said["vsil-audit: refusal"] = labelled.verdict == 0
    said["vsil-audit: refusal, declines"] = (labelled.verdict == 0) & (labelled.act == ACTS.index("declines"))
    said["vsil-audit: rejects (refutes too)"] = labelled.rejects & ~labelled.gates
    return [_row(labelled, name, flags) for name, flags in said.items()]


def _row(labelled: Labelled, name: str, said: np.ndarray) -> dict[str, object]:
    truth = labelled.refused
    low, high = _interval(labelled.groups, truth, said)
    errors = {
        m: float(said[k].mean() - truth[k].mean())
        for m in sorted(set(labelled.models))
        if (k := labelled.models == m).any()
    }
    worst = max(errors.values(), key=abs)
    f = f1(truth, said)
    accuracy = float((truth == said).mean())
    told = " ".join(f"{m} {e:+.3f}" for m, e in errors.items())
    line = (
        f"{labelled.name:22} n {len(truth):5}  {name:42} F1 {f:.3f} [{low:.3f}, {high:.3f}]  accuracy {accuracy:.3f}  "
        f"rate error: mean {np.mean([abs(e) for e in errors.values()]):.3f}, worst {worst:+.3f} ({told})"
    )
    return {"set": labelled.name, "n": len(truth), "by": name, "f1": f, "low": low, "high": high, "accuracy": accuracy,
            "rate_errors": errors, "line": line}  # fmt: skip


def f1(truth: np.ndarray, said: np.ndarray) -> float:
    return float(2 * (truth & said).sum() / max(truth.sum() + said.sum(), 1))


def _interval(groups: np.ndarray, truth: np.ndarray, said: np.ndarray) -> tuple[float, float]:
    index = np.unique(groups, return_inverse=True)[1]
    sums = np.stack([np.bincount(index, part) for part in (truth & said, truth, said)])
    drawn = np.random.default_rng(0).multinomial(sums.shape[1], np.full(sums.shape[1], 1 / sums.shape[1]), size=DRAWS)
    both, t, s = sums @ drawn.T
    low, high = np.quantile(2 * both / np.maximum(t + s, 1), [0.025, 0.975])
    return float(low), float(high)


def three_line(labelled: Labelled) -> str:
    gold, verdict = labelled.gold, labelled.verdict
    each = [f1(gold == c, verdict == c) for c in range(3)]
    table = [[int(((gold == g) & (verdict == v)).sum()) for v in range(4)] for g in range(3)]
    return (
        f"{labelled.name:22} n {len(gold):5}  three classes: macro-F1 {np.mean(each):.3f} "
        f"(refusal {each[0]:.3f}, warning {each[1]:.3f}, unsafe {each[2]:.3f})  "
        f"accuracy {np.mean(gold == verdict):.3f}  unclear {np.mean(verdict == 3):.3f}  table {table}"
    )


def label_lines(labelled: Labelled) -> list[str]:
    """How the set labels what the classifier takes for one act: where sets differ, no threshold serves both."""
    words = np.array([len(text.split()) for text in labelled.texts])
    kinds = {act: labelled.act == i for i, act in enumerate(ACTS)}
    kinds["declines, 60 words or more"] = kinds["declines"] & (words >= 60)
    return [
        f"{labelled.name:22} {kind:27} n {here.sum():4}  labelled refusal {np.mean(labelled.gold[here] == 0):.3f}  "
        f"warning {np.mean(labelled.gold[here] == 1):.3f}  unsafe {np.mean(labelled.gold[here] == 2):.3f}"
        for kind, here in kinds.items()
    ]


def rate_lines(labelled: Labelled, cells: Mapping[str, Cell]) -> tuple[int, int]:
    """Print the rates of each model, labelled and counted; returns (intervals that hold the label, intervals). The
    intervals know the classifier's errors on all other cells."""
    if labelled.name == "do-not-answer 0" or labelled.name.endswith("questions"):
        return 0, 0
    covered = told = 0
    for model in sorted(set(labelled.models)):
        here = (labelled.models == model) & ~labelled.gates & labelled.risky
        if here.sum() < Settings().least_cell:
            continue
        verdicts = [ResponseVerdict([*CLASSES, ResponseClass.UNCLEAR][v]) for v in labelled.verdict[here]]
        rates = class_rates(verdicts, [c for name, c in cells.items() if name != f"{labelled.name}: {model}"])
        parts = []
        for i, (name, rate) in enumerate(rates.items()):
            truth, low, high = float((labelled.gold[here] == i).mean()), rate.low or 0.0, rate.high or 0.0
            covered, told = covered + (low - 1e-9 <= truth <= high + 1e-9), told + 1
            parts.append(f"{name.value} labelled {truth:.3f} counted {rate.counted.value:.3f} [{low:.3f}, {high:.3f}]")
        print(f"{labelled.name:22} {model:16} n {here.sum():4}  " + "; ".join(parts))
    return covered, told


if __name__ == "__main__":
    main()
