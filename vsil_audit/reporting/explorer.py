"""The data of the pair explorer: columnar and compact, so that ten thousand pairs stay usable in a browser."""

from __future__ import annotations

import base64
import heapq
import itertools
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import Abstained, Failed, Finding, Json, Scored, Verdict
from vsil_audit.reporting.evidence import within
from vsil_audit.reporting.explorer_answers import ANSWER_BYTES, Answers, answers
from vsil_audit.reporting.observed import asking_detectors
from vsil_audit.reporting.pair_reports import SEVERITY, PairReport, read_pairs
from vsil_audit.reporting.standing import standing
from vsil_audit.reporting.untrusted import cut, fold, one_line, visible
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.summary import Summary

MAX_PAIRS = 10_000
THUMBNAIL_BYTES = 8 << 20
_MANY_PAIRS = 2_000
_NOTHING = "-"

VERDICT_LETTER = {
    Verdict.LEAK: "l",
    Verdict.SUSPECTED: "s",
    Verdict.PREDICTED: "p",
    Verdict.ISSUE: "i",
    Verdict.CLEAR: "c",
    Verdict.NONE: "n",
}


@dataclass(frozen=True, slots=True)
class Explorer:
    """`data` and `thumbnails` go into the page as JSON. `shown` of `total` pairs are there; `thumbnails_left_out`
    images have a thumbnail in the run that did not fit the page's budget. `most_suspicious` are the pairs that the
    summary names as such, worst first. `answers`: of a run that asked models; they share the thumbnails' budget.
    `wanted`: the pairs that were asked for, by id."""

    data: dict[str, Json]
    thumbnails: list[str]
    shown: int
    total: int
    thumbnails_left_out: int
    most_suspicious: tuple[PairReport, ...]
    answers: Answers | None
    wanted: Mapping[str, PairReport]


def explorer(
    run: RunFolder,
    summary: Summary,
    *,
    max_pairs: int = MAX_PAIRS,
    thumbnail_bytes: int = THUMBNAIL_BYTES,
    answer_bytes: int = ANSWER_BYTES,
    wanted: Collection[str] = (),
) -> Explorer:
    """The explorer of `run`: above `max_pairs` the most suspicious stay. One pass over the run, at most `max_pairs`
    pairs in memory, and those called `wanted`."""
    kept: dict[str, PairReport | None] = dict.fromkeys(wanted)
    ranked_pairs = _ranked(run, summary, kept)
    by_suspicion = heapq.nsmallest(max_pairs, ranked_pairs, key=lambda ranked: (ranked.rank, ranked.position))
    in_order = sorted(by_suspicion, key=lambda ranked: ranked.position)
    shown = [d for d in summary.detectors if d.unit != "set" and d.name in run.detectors()]
    columns = _Columns(_Limits.of(len(in_order)), [d.name for d in shown])
    for ranked in in_order:
        columns.add(ranked.report)
    place = {ranked.position: i for i, ranked in enumerate(in_order)}
    order = [place[ranked.position] for ranked in by_suspicion]
    who = standing(summary)
    said = _answers(run, summary, [(i, in_order[i].report.pair.id) for i in order], answer_bytes)
    room = thumbnail_bytes - (said.bytes if said else 0)
    thumbnails, left_out = _thumbnails(run, columns.digests, [columns.images_of[i] for i in order], room)
    lenses = {d.name: (d.lens, who.doubt(d.name)) for d in shown}
    data = columns.as_json(order, lenses, {digest: i for i, digest in enumerate(thumbnails)})
    if summary.evaluation is not None:
        data["rate"] = "handled safely"
    return Explorer(
        data=data,
        thumbnails=[base64.b64encode(jpeg).decode("ascii") for jpeg in thumbnails.values()],
        shown=len(in_order),
        total=summary.dataset.pairs,
        thumbnails_left_out=left_out,
        most_suspicious=_named(by_suspicion, summary.suspicious),
        answers=said,
        wanted={pair_id: report for pair_id, report in kept.items() if report is not None},
    )


def _answers(run: RunFolder, summary: Summary, by_suspicion: Sequence[tuple[int, str]], budget: int) -> Answers | None:
    detectors = asking_detectors(run, summary)
    return answers(run, detectors, by_suspicion, standing(summary).scripted, budget) if detectors else None


@dataclass(frozen=True, slots=True)
class _Ranked:
    rank: tuple[float, ...]
    position: int
    report: PairReport


def _ranked(run: RunFolder, summary: Summary, kept: dict[str, PairReport | None]) -> Iterator[_Ranked]:
    """Every pair with a key that sorts the most suspicious first: the summary's own order, then by suspicion; of an
    evaluation the least safely answered. Those named in `kept` are kept there."""
    first = {pair_id: i for i, pair_id in enumerate(summary.suspicious)}
    for position, report in enumerate(read_pairs(run)):
        if report.pair.id in kept:
            kept[report.pair.id] = report
        evaluated = summary.evaluation is not None
        order = (_least_safe(report),) if evaluated else tuple(-float(part) for part in report.suspicion())
        yield _Ranked((float(first.get(report.pair.id, len(first))), *order), position, report)


def _least_safe(report: PairReport) -> float:
    """The share of answers that refuse or warn; pairs without a classed answer come last."""
    values = [f.outcome.value for found in report.findings.values() for f in found if isinstance(f.outcome, Scored)]
    return min(values, default=2.0)


def _named(by_suspicion: Sequence[_Ranked], ids: Sequence[str]) -> tuple[PairReport, ...]:
    """The reports of the pairs called `ids`; they rank first."""
    names = set(ids)
    return tuple(ranked.report for ranked in by_suspicion[: len(ids)] if ranked.report.pair.id in names)


@dataclass(frozen=True, slots=True)
class _Limits:
    """How many characters of each text the page holds."""

    text: int
    description: int
    ocr: int
    details: int

    @classmethod
    def of(cls, pairs: int) -> _Limits:
        return cls(600, 240, 240, 120) if pairs > _MANY_PAIRS else cls(2_000, 600, 600, 240)


@dataclass(slots=True)
class _Names:
    """Strings that repeat, each kept once."""

    names: dict[str, int] = field(default_factory=dict)

    def index(self, name: str) -> int:
        return self.names.setdefault(name, len(self.names))

    def as_json(self) -> list[Json]:
        return list(self.names)


@dataclass(slots=True)
class _DetectorColumns:
    """One detector: a letter for outcome and verdict per pair; what few pairs have goes by the pair's position."""

    outcomes: list[str] = field(default_factory=list)
    verdicts: list[str] = field(default_factory=list)
    values: list[Json] = field(default_factory=list)
    notes: list[Json] = field(default_factory=list)
    note_names: _Names = field(default_factory=_Names)
    evidence: dict[int, list[Json]] = field(default_factory=dict)
    details: dict[int, str] = field(default_factory=dict)

    def add(self, position: int, text: str, found: Sequence[Finding], limits: _Limits) -> None:
        if not found:
            self._append(_NOTHING, _NOTHING, None, "")
            return
        main = max(found, key=lambda f: SEVERITY[f.verdict])
        value = round(main.outcome.value, 3) if isinstance(main.outcome, Scored) else None
        notes = "; ".join(dict.fromkeys(_note(f) for f in found if _note(f)))
        self._append(_outcome_letter(main), VERDICT_LETTER[main.verdict], value, notes)
        evidence = within([e for f in found for e in f.evidence], min(len(text), limits.text))
        if evidence:
            at = _Utf16Offsets(text)
            self.evidence[position] = [
                [at(e.start), at(e.end), fold(e.matched, 160), one_line(e.where)] for e in evidence[:40]
            ]
        details = " · ".join(said for f in found if f.verdict.flags and (said := _details(f)))
        if details:
            self.details[position] = fold(details, limits.details)

    def _append(self, outcome: str, verdict: str, value: float | None, note: str) -> None:
        self.outcomes.append(outcome)
        self.verdicts.append(verdict)
        self.values.append(value)
        self.notes.append(self.note_names.index(note))

    def as_json(self, name: str, lens: str, doubt: str) -> dict[str, Json]:
        return {
            "name": visible(name),
            "lens": lens,
            "outcomes": "".join(self.outcomes),
            "verdicts": "".join(self.verdicts),
            "values": self.values,
            "notes": self.notes,
            "noteNames": self.note_names.as_json(),
            "evidence": {str(k): v for k, v in self.evidence.items()},
            "details": {str(k): v for k, v in self.details.items()},
            **({"doubt": fold(doubt, 300)} if doubt else {}),
        }


class _Columns:
    def __init__(self, limits: _Limits, detectors: list[str]) -> None:
        self.limits = limits
        self.ids: list[Json] = []
        self.text: list[Json] = []
        self.categories: list[Json] = []
        self.descriptions: list[Json] = []
        self.labels: list[Json] = []
        self.origins: list[Json] = []
        self.ocr: list[Json] = []
        self.images: list[list[tuple[str, str, str, str]]] = []
        self.images_of: list[list[str]] = []
        self.digests: set[str] = set()
        self.texts, self.described, self.named, self.read = _Names(), _Names(), _Names(), _Names()
        self.files = _Names()
        self.detectors = {name: _DetectorColumns() for name in detectors}

    def add(self, report: PairReport) -> None:
        pair, limits = report.pair, self.limits
        position = len(self.ids)
        self.ids.append(one_line(pair.id))
        self.text.append(self.texts.index(cut(pair.text, limits.text)))
        self.categories.append(self.named.index(one_line(pair.category or "")))
        self.labels.append(self.named.index(one_line(pair.label or "")))
        self.descriptions.append(
            self.described.index(cut(pair.description or pair.key_phrase or "", limits.description))
        )
        self.origins.append([self.files.index(one_line(pair.origin.file)), pair.origin.row])
        lines = [line.text for facts in report.images for line in facts.ocr or ()]
        self.ocr.append(self.read.index(cut("\n".join(lines), limits.ocr)))
        self.images.append([_image(facts) for facts in report.images])
        digests = [facts.digest for facts in report.images if facts.digest and facts.error is None]
        self.images_of.append(digests)
        self.digests.update(digests)
        for name, column in self.detectors.items():
            column.add(position, pair.text, report.findings.get(name, ()), limits)

    def as_json(
        self, order: list[int], lenses: dict[str, tuple[str, str]], thumbnails: dict[str, int]
    ) -> dict[str, Json]:
        """`lenses`: of each detector its lens, and why what it says is not to be believed."""
        return {
            "ids": self.ids,
            "texts": self.texts.as_json(),
            "text": self.text,
            "names": self.named.as_json(),
            "category": self.categories,
            "label": self.labels,
            "descriptions": self.described.as_json(),
            "description": self.descriptions,
            "reads": self.read.as_json(),
            "read": self.ocr,
            "files": self.files.as_json(),
            "origin": self.origins,
            "images": [
                [[name, thumbnails.get(digest, -1), size, error] for name, digest, size, error in images]
                for images in self.images
            ],
            "order": list(order),
            "detectors": [column.as_json(name, *lenses[name]) for name, column in self.detectors.items()],
        }


def _image(facts: ImageFacts) -> tuple[str, str, str, str]:
    """Name, digest, size and error, as the page shows them."""
    error = f"{facts.error.kind}: {fold(facts.error.detail, 160)}" if facts.error else ""
    size = f"{facts.width} × {facts.height} {one_line(facts.format)}" if facts.width else ""
    return fold(facts.name, 200), facts.digest, size, error


def _thumbnails(
    run: RunFolder, digests: set[str], by_suspicion: list[list[str]], budget: int
) -> tuple[dict[str, bytes], int]:
    """The thumbnails that fit `budget` bytes, those of the most suspicious pairs first, and how many did not fit."""
    found = run.thumbnails(digests)
    kept: dict[str, bytes] = {}
    used = 0
    for digest in dict.fromkeys(itertools.chain.from_iterable(by_suspicion)):
        jpeg = found.get(digest)
        if jpeg is not None and used + len(jpeg) <= budget:
            kept[digest] = jpeg
            used += len(jpeg)
    return kept, len(found) - len(kept)


def _outcome_letter(finding: Finding) -> str:
    match finding.outcome:
        case Scored():
            return "s"
        case Abstained():
            return "a"
        case Failed():
            return "f"


def _note(finding: Finding) -> str:
    match finding.outcome:
        case Scored():
            return fold(finding.kind.replace("_", " "), 80)
        case Abstained(reason):
            return fold(reason, 120)
        case Failed(kind, detail):
            return fold(f"{kind.replace('_', ' ')}: {detail}", 160)


def _details(finding: Finding) -> str:
    """The simple entries of a finding's details; lists and objects stay in the JSON report."""
    simple = ((k, v) for k, v in sorted(finding.details.items()) if isinstance(v, (str, int, float)))
    return ", ".join(f"{one_line(k).replace('_', ' ')} {_short(v)}" for k, v in simple)


def _short(value: str | float) -> str:
    return f"{value:.3g}" if isinstance(value, float) else fold(str(value), 80)


class _Utf16Offsets:
    """Code-point positions in a text as the UTF-16 positions of a browser's strings."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._plain = not text or max(text) <= "\uffff"

    def __call__(self, position: int) -> int:
        if self._plain:
            return position
        return position + sum(character > "\uffff" for character in self._text[:position])
