"""The responses that the classifier is trained on: which files, under which licence, and how their labels are read.

Only files whose licence allows weights derived from them inside an Apache-2.0 package are read here. Do-Not-Answer
(CC BY-NC-SA) is for measuring and is read by `response_classifier.py` only.
"""

from __future__ import annotations

import csv
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vsil_audit.evaluation.response_model.cues import CUES, declines
from vsil_audit.evaluation.response_model.fitting import LabelledResponse
from vsil_audit.evaluation.response_model.words import normal

HERE = Path(__file__).parent
XSTEST_MODELS = ("gpt4", "llama2new", "llama2orig", "mistralguard", "mistralinstruct")
REFUSAL, WARNING, UNSAFE = 0, 1, 2
GPTFUZZ_MOST = 1500

Rows = Iterator[LabelledResponse]


@dataclass(frozen=True)
class Source:
    """Files of one origin; `reads` says how its labels are read."""

    name: str
    origin: str
    licence: str
    files: tuple[str, ...]
    reads: str
    rows: Callable[[Path], Rows]


@dataclass(frozen=True)
class Corpus:
    """`responses` without repeats; `about` goes into the model."""

    responses: list[LabelledResponse]
    about: dict[str, object]


def read(root: Path) -> Corpus:
    """Read every source under `root` and our own texts. Raises FileNotFoundError where a file is missing."""
    kept: list[LabelledResponse] = []
    described: list[dict[str, object]] = []
    seen: set[tuple[str, str, frozenset[str]]] = set()
    for source in SOURCES:
        base = HERE if source.name == "project" else root
        mine = []
        for name in source.files:
            for row in source.rows(base / name):
                # A set repeats its stock refusals; each is learnt once per model.
                key = (row.model, row.text.strip(), row.acts)
                if key not in seen or source.name == "xstest":
                    seen.add(key)
                    mine.append(row)
        kept += mine
        described.append(
            {
                "name": source.name,
                "origin": source.origin,
                "licence": source.licence,
                "reads": source.reads,
                "responses": len(mine),
                "files": {name: hashlib.sha256((base / name).read_bytes()).hexdigest() for name in source.files},
            }
        )
    return Corpus(kept, {"sources": described})


def _acts(names: str) -> frozenset[str]:
    letters = {"D": "declines", "U": "unable", "R": "refutes", "C": "cautions", "A": "answers"}
    return frozenset(letters[letter] for letter in names)


_CAUTIOUS = ("caution", "seek help", "important", "not advised", "expert", "do not", "wrong", "both sides")


def _cautious(text: str) -> bool:
    """Whether an answer names risks, advises care or weighs sides: sets that ask only whether it complies leave open
    whether it also warns."""
    normalised = normal(text)
    return sum(bool(CUES[name].search(normalised)) for name in _CAUTIOUS) >= 2


def _xstest(path: Path) -> Rows:
    model = path.stem.removeprefix("xstest_v2_completions_")
    for row in _csv(path):
        text, label = row["completion"], row["final_label"][0]
        to_safe, declining = "contrast" not in row["type"], declines(normal(text))
        if label == "2":
            acts, gold = ("DU" if declining else "R"), REFUSAL
        elif label == "3":
            acts, gold = ("DUC" if declining else "RC"), WARNING
        elif "discr" in row["type"]:
            acts, gold = "ARC", UNSAFE
        else:
            acts, gold = ("A" if to_safe and not _cautious(text) else "AC"), UNSAFE
        group = f"xstest {row['id']}"
        yield LabelledResponse(text, _acts(acts), gold, "xstest", model, group, risky=not to_safe)


_TONES = {
    "complied": ("A", UNSAFE),
    "rejected": ("DU", REFUSAL),
    "redirected": ("U", REFUSAL),
    "disclaimed": ("U", None),
    "contradicted": ("UC", None),
}


def _chatgpt(path: Path) -> Rows:
    for row in json.loads(path.read_text("utf-8")):
        acts, gold = _TONES[row["tone"]]
        kind = re.sub(r"\b[A-Z][\w.'’-]*\s*", "", row["prompt"][1:])
        yield LabelledResponse(row["response"], _acts(acts), gold, "chatgpt-refusals", "gpt-3.5", kind, 0.3)


def _gptfuzz(path: Path) -> Rows:
    rows = {row["Response"]: row for row in _csv(path)}
    ordered = sorted(rows.values(), key=lambda row: hashlib.sha256(row["Response"].encode()).digest())
    for row in ordered[:GPTFUZZ_MOST]:
        text = row["Response"]
        brief = len(text.split()) < 45 and declines(normal(text))
        acts = "AC" if row["label"] == "1" else "D" if brief else "DURC"
        yield LabelledResponse(text, _acts(acts), None, "gptfuzz", "gptfuzz", f"gptfuzz {row['question']}", 0.3)


def _coconot(path: Path) -> Rows:
    for row in _jsonl(path):
        text = str(row["chosen"])
        acts = _acts("AC" if _cautious(text) else "A")
        yield LabelledResponse(text, acts, None, "coconot", "coconot", f"coconot {row['id']}", 0.5)


def _rbr(path: Path) -> Rows:
    for number, row in enumerate(_jsonl(path)):
        said, completion = row["propositions"], row["completion"]
        assert isinstance(said, dict)
        assert isinstance(completion, list)
        text = str(completion[-1]["content"])
        warns = said["disclaimer"] or said["judgement"] or said["encourage_professional_help"] or said["apology"]
        refuse, gold = "Refuse" in str(row["response_type"]), None
        if said["fully_complies"]:
            acts, gold = ("AC", None) if warns else ("A", UNSAFE)
        elif said["partially_complies"]:
            acts = "CA"
        elif said["inability_to_comply"] or (said["apology"] and "Hard" in str(row["response_type"])):
            acts, gold = ("DU", REFUSAL) if declines(normal(text)) else ("DUR", None)
        elif refuse:
            acts = "DURC"
        else:
            continue
        yield LabelledResponse(text, _acts(acts), gold, "rbr", "rbr", f"rbr {number}", 0.7, risky=refuse)


_OWN = {
    "refusal_openings.txt": ("D", 4, ("refusal_bodies.txt",), "refusal_closings.txt"),
    "inability_openings.txt": ("U", 4, ("inability_bodies.txt",), "refusal_closings.txt"),
    "opinionless_openings.txt": ("U", 8, ("opinionless_bodies.txt",), "opinionless_bodies.txt"),
    "refutation_openings.txt": ("R", 4, ("refutation_bodies.txt",), "refutation_bodies.txt"),
    "both_sides.txt": ("C", 5, (), "refusal_closings.txt"),
    "caution_openings.txt": ("C", 6, ("caution_bodies.txt", "answer_bodies.txt"), "caution_bodies.txt"),
    "answer_openings.txt": ("A", 6, ("answer_bodies.txt",), "answer_bodies.txt"),
    "unknown_openings.txt": ("U", 5, ("unknown_bodies.txt",), "unknown_bodies.txt"),
    "confident_answers.txt": ("A", 5, ("answer_bodies.txt", "confident_answers.txt"), "answer_bodies.txt"),
    "false_premise_openings.txt": ("RC", 5, ("false_premise_bodies.txt",), "refutation_bodies.txt"),
}
"""Openings: act, how many responses from each, what may follow, how they may end."""


def _ours(path: Path) -> Rows:
    """Responses put together from openings, bodies and closings, drawn by digest, about our own acts and topics."""
    act, times, bodies, closings = _OWN[path.name]
    following = [line for name in bodies for line in _lines(f"response_texts/{name}")]
    ends = _lines(f"response_texts/{closings}")
    for number, opening in enumerate(_lines(f"response_texts/{path.name}")):
        for repeat in range(times):
            key = f"{path.stem} {number} {repeat}"
            parts = [_filled(opening, key, benign=act == "A" and bool(repeat % 2))]
            if following and _drawn(key + " body", 4):
                parts.append(following[_drawn(key + " which", len(following))])
            if following and _drawn(key + " more", 5) < 2:
                parts.append(following[_drawn(key + " another", len(following))])
            if _drawn(key + " end", 2):
                parts.append(ends[_drawn(key + " close", len(ends))])
            gap = "\n\n" if _drawn(key + " gap", 3) == 0 else " "
            text = parts[0] + gap + " ".join(parts[1:]) if parts[1:] else parts[0]
            yield LabelledResponse(text, _acts(act), None, "project", "project", f"{path.stem} {number}", 0.6)


def _warned(path: Path) -> Rows:
    """Answers that end with a warning and a disapproval: cautions."""
    for number, opening in enumerate(_lines(f"response_texts/{path.name}")[:14]):
        for repeat in range(3):
            key = f"warned {number} {repeat}"
            parts = [_filled(opening, key, benign=False)]
            for name in ("answer_bodies", "caution_bodies", "refutation_bodies"):
                lines = _lines(f"response_texts/{name}.txt")
                parts.append(lines[_drawn(key + name, len(lines))])
            yield LabelledResponse(" ".join(parts), _acts("C"), None, "project", "project", f"warned {number}", 0.6)


_LISTED = {
    "advice_openings.txt": ("advice_items.txt", (("C", 5, "advice_cautions.txt"), ("A", 3, "advice_closings.txt"))),
    "argument_openings.txt": ("argument_items.txt", (("C", 8, "argument_closings.txt"),)),
    "unknown_openings.txt": ("unknown_items.txt", (("U", 3, "unknown_bodies.txt"),)),
}
"""Openings before a list: what its items are; act, how many responses from each opening, how they end."""


def _listed(path: Path) -> Rows:
    """Responses with a list: advice with a warning is a caution and without one an answer; arguments weigh both sides;
    general remarks after a gap of knowledge do not fill it."""
    items, kinds = _LISTED[path.name]
    lines = _lines(f"response_texts/{items}")
    for number, opening in enumerate(_lines(f"response_texts/{path.name}")):
        for act, times, closings in kinds:
            ends = _lines(f"response_texts/{closings}")
            for repeat in range(times):
                key = f"{path.stem} list {number} {act} {repeat}"
                first, end = _drawn(key, len(lines)), ends[_drawn(key + " end", len(ends))]
                chosen = [lines[(first + 3 * i) % len(lines)] for i in range(3 + _drawn(key + " n", 3))]
                if act == "C" and repeat % 3 == 0:
                    chosen[-1] += " " + end
                    end = ""
                listed = "\n".join(f"{i}. {item}" for i, item in enumerate(chosen, 1))
                text = f"{opening}\n\n{listed}\n\n{end}".strip()
                yield LabelledResponse(text, _acts(act), None, "project", "project", f"{path.stem} {number}", 0.6)


def _project(path: Path) -> Rows:
    if path.name in _OWN:
        yield from _ours(path)
    if path.name in _LISTED:
        yield from _listed(path)
    if path.name == "answer_openings.txt":
        yield from _warned(path)


def _filled(opening: str, key: str, *, benign: bool) -> str:
    contrasts = _lines("harm_prior_texts/contrasts.tsv")
    topics = _lines("harm_prior_texts/topics.txt")
    act = contrasts[_drawn(key, len(contrasts))].split("\t")[benign]
    filled = opening.format(act=re.sub(r"\bmy\b", "your", act), topic=topics[_drawn(key + " topic", len(topics))])
    return filled[0].upper() + filled[1:]


def _drawn(key: str, n: int) -> int:
    return int(hashlib.sha256(key.encode()).hexdigest(), 16) % n


def _lines(name: str) -> list[str]:
    return (HERE / name).read_text("utf-8").splitlines()


def _csv(path: Path) -> Iterator[dict[str, str]]:
    csv.field_size_limit(1 << 30)
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _jsonl(path: Path) -> Iterator[dict[str, object]]:
    with path.open(encoding="utf-8") as file:
        yield from (json.loads(line) for line in file)


SOURCES = (
    Source(
        "xstest",
        "paul-rottger/xstest (Röttger et al., NAACL 2024)",
        "CC BY 4.0",
        tuple(f"xstest/xstest_v2_completions_{model}.csv" for model in XSTEST_MODELS),
        "full refusal: declines or unable where it says so near its start, else refutes; partial: any but answers; "
        "full compliance: answers, or cautions where it names risks or the prompt is unsafe, on discrimination also "
        "refutes",
        _xstest,
    ),
    Source(
        "chatgpt-refusals",
        "maxwellreuter/chatgpt-refusals (Reuter and Schulze, 2023)",
        "MIT",
        ("chatgpt-refusals/political_figures.json", "chatgpt-refusals/nyp.json"),
        "complied: answers; rejected: declines or unable; redirected, disclaimed: unable; contradicted: unable or "
        "cautions",
        _chatgpt,
    ),
    Source(
        "rbr",
        "openai/safety-rbr-code-and-data (Mu et al., 2024)",
        "MIT",
        ("rbr/train.jsonl",),
        "fully complies: answers, with a disclaimer answers or cautions; partially: cautions or answers; inability or "
        "apology to a request to be refused: declines or unable; other refusals: any but answers; rest not used",
        _rbr,
    ),
    Source(
        "gptfuzz",
        "sherdencooper/GPTFuzz (Yu et al., 2023)",
        "MIT",
        ("gptfuzz/train.csv",),
        "jailbroken: answers or cautions; not: declines when brief, else any but answers",
        _gptfuzz,
    ),
    Source(
        "coconot",
        "allenai/coconot (Brahman et al., 2024)",
        "ODC-BY 1.0 (code: MIT)",
        ("coconot/coconot_pref.jsonl",),
        "preferred answers to requests to be complied with: answers, or cautions where they name risks",
        _coconot,
    ),
    Source(
        "project",
        "written for this project",
        "Apache-2.0",
        tuple(f"response_texts/{name}" for name in dict.fromkeys((*_OWN, *_LISTED))),
        "openings written for one act each, with bodies, lists and closings drawn by digest",
        _project,
    ),
)
