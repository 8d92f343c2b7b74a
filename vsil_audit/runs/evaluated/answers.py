"""The observations of an evaluation as small arrays: what each answer is, and how each question ended."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from vsil_audit.detectors.chat import Part
from vsil_audit.detectors.model_evaluation.detector import BASE, IMAGE_CLASSIFIER, IMAGE_DIGEST, ROLE, VARIANT
from vsil_audit.errors import RunFolderError
from vsil_audit.gateway.answers import Finish
from vsil_audit.runs.asked.columns import (
    COLUMNS,
    EVALUATION,
    MENUS,
    NOTHING,
    STOPPED,
    TEXT_REFUSAL,
    Asked,
    Grid,
    Labels,
    Others,
    PairPlaces,
    Placed,
    Rows,
    placed_rows,
)
from vsil_audit.runs.asked.targets import OFFLINE, SAFE
from vsil_audit.runs.asked.votes import Flags, merged, most_voted
from vsil_audit.runs.folder import RunFolder

MENU = MENUS[TEXT_REFUSAL]

CLASSED, BLOCKED, UNCLEAR, FAILED, NOT_SHOWN = range(5)
"""How a question ended: with an answer of a class, of no class, stopped by the provider, not at all; or it could not be
put, since the pair lacks what the condition shows, or the model takes no images."""

_CUT = 16  # added to the code of an answer that was cut at the most tokens
_UNCLEAR = "unclear"
_UNSAFE = "unsafe"
_READ = (*COLUMNS, "reason", "judged_by", "finish", "details")
_OF_DETAILS = {"variant": VARIANT, "answers_as": ROLE, "image": IMAGE_DIGEST}


@dataclass(slots=True)
class Looks:
    """What an image classifier says of the set's images, an entry for each time that it looked. Codes as in `Labels`:
    1 flagged, 0 not, below 0 no verdict. `places`: of the pairs that the images are of."""

    images: array[int] = field(default_factory=lambda: array("Q"))
    places: array[int] = field(default_factory=lambda: array("q"))
    codes: array[int] = field(default_factory=lambda: array("b"))
    why_none: Counter[str] = field(default_factory=Counter)

    def distinct(self) -> tuple[npt.NDArray[np.int64], Labels]:
        """(place of the first pair, code) of each image. Shapes (images,)."""
        _, first = np.unique(np.frombuffer(self.images, dtype=np.uint64), return_index=True)
        places = np.frombuffer(self.places, dtype=np.int64)[first]
        return places, np.frombuffer(self.codes, dtype=np.int8)[first]


@dataclass(slots=True)
class Answers:
    """All answers of an evaluation. `labels`, `ends`: by part; codes of MENU, and how the questions ended (`_CUT` added
    where an answer was cut). `judges`: who was to class the answers; `classed_by`: who did. `broken`: subjects on which
    the detector failed, by model, whatever the condition. `failure_kinds`: why no answer came; `judge_failures`: why
    one that came has no verdict, by model. `as_target`, `as_base`: what models were asked as; a model may be both."""

    labels: dict[Part, Grid]
    ends: dict[Part, Grid]
    judges: str = OFFLINE
    classed_by: dict[Asked, Counter[str]] = field(default_factory=dict)
    broken: Counter[str] = field(default_factory=Counter)
    failure_kinds: dict[str, Counter[str]] = field(default_factory=dict)
    judge_failures: dict[str, Counter[str]] = field(default_factory=dict)
    looks: dict[str, Looks] = field(default_factory=dict)
    as_target: set[str] = field(default_factory=set)
    as_base: set[str] = field(default_factory=set)

    def asked(self, model: str | None = None) -> list[Asked]:
        """Who was asked what of the set, in order of first appearance; of one model, or of all."""
        return [asked for asked in self.ends[Part.SET].codes if model in (None, asked.model)]

    def codes(self, asked: Asked, part: Part = Part.SET) -> Labels:
        """Shape (samples, n): codes of MENU, below 0 where the answer has no class."""
        return self.labels[part].samples(asked)

    def handled_safely(self, asked: Asked, part: Part = Part.SET) -> Labels:
        """1 where most of a subject's samples refuse or warn, 0 where most do not, below 0 where that is not known.
        Shape (n,)."""
        return most_voted(merged(self.codes(asked, part), [MENU.index(name) for name in SAFE]))

    def ended(self, asked: Asked, part: Part = Part.SET) -> Labels:
        """How each question ended, CLASSED … NOT_SHOWN; NOTHING where none was asked. Shape (samples, n)."""
        codes = self.ends[part].samples(asked)
        return np.where(codes >= 0, codes & ~np.int8(_CUT), codes).astype(np.int8)

    def cut(self, asked: Asked, part: Part = Part.SET) -> Flags:
        """Whether an answer came and was cut at the most tokens. Shape (samples, n)."""
        codes = self.ends[part].samples(asked)
        cut: Flags = (codes >= 0) & (codes & np.int8(_CUT) > 0)
        return cut

    def judged_by(self, asked: Asked) -> str:
        """Who classed most of the answers; `judges` where nobody did."""
        classers = Counter({name: n for name, n in self.classed_by.get(asked, {}).items() if name})
        return classers.most_common(1)[0][0] if classers else self.judges


def read_answers(folder: RunFolder, places: PairPlaces, others: Others | None = None) -> Answers:
    """Raises RunFolderError for a damaged table. Memory: two bytes for each subject, model, condition, variant and
    sample, 17 for each look at an image. `others`: as in `placed_rows`."""
    judges = " + ".join(dict.fromkeys(folder.manifest().config.asking.get("response_judges") or [OFFLINE]))
    found = Answers({part: Grid() for part in Part}, {part: Grid() for part in Part}, judges)
    found.labels[Part.SET].n = found.ends[Part.SET].n = places.n
    tables = map(_with_details, folder.observation_tables(EVALUATION, _READ))
    for rows, parts in placed_rows(tables, places, others):
        ends, labels = _ends(rows), rows.labels(MENU)
        classifier = rows.equals("answers_as", IMAGE_CLASSIFIER)
        _tally(rows, ends, ~classifier, found)
        for placed in parts:
            found.labels[placed.part].n = found.ends[placed.part].n = placed.n
            _fill(rows, _only(placed, ~classifier), labels, ends, found)
            if placed.part is Part.SET:
                _look(rows, _only(placed, classifier), found)
    return found


def _with_details(table: pa.Table) -> pa.Table:
    """What `details` hold for us, as columns of their own."""
    details = pc.fill_null(table["details"], "").to_pylist()
    read = [_read_details(text) if _may_tell(text) else {} for text in details]
    table = table.drop_columns(["details"])
    for column, key in _OF_DETAILS.items():
        told = (one.get(key) for one in read)
        table = table.append_column(column, pa.array([v if isinstance(v, str) else "" for v in told], pa.string()))
    return table


def _read_details(text: str) -> dict[str, object]:
    try:
        read = json.loads(text)
    except (ValueError, RecursionError):
        read = None
    if not isinstance(read, dict):
        raise RunFolderError(
            "the details of an observation cannot be read", "Evaluate again with --overwrite to make the run anew."
        )
    return read


def _may_tell(text: str) -> bool:
    return any(f'"{key}"' in text for key in _OF_DETAILS.values())


def _only(placed: Placed, among: Flags) -> Placed:
    inside = among[placed.rows] & (placed.places >= 0)
    return placed._replace(rows=placed.rows[inside], places=placed.places[inside])


def _ends(rows: Rows) -> Labels:
    ends = np.full(len(rows), NOT_SHOWN, dtype=np.int8)
    ends[_any_of(rows, "reason", lambda reason: reason.startswith(_UNCLEAR))] = UNCLEAR
    ends[_any_of(rows, "finish", STOPPED.__contains__)] = BLOCKED
    ends[rows.equals("outcome", "failed")] = FAILED
    ends[rows.equals("outcome", "scored")] = CLASSED
    ends[rows.equals("finish", Finish.LENGTH.value)] += _CUT
    return ends


def _any_of(rows: Rows, column: str, wanted: Callable[[str], bool]) -> Flags:
    return np.isin(rows.codes[column], [i for i, name in enumerate(rows.names[column]) if wanted(name)])


def _tally(rows: Rows, ends: Labels, answering: Flags, found: Answers) -> None:
    base = rows.equals("answers_as", BASE)
    failed = (ends & ~np.int8(_CUT)) == FAILED
    nowhere, answered = rows.equals("condition", ""), ~rows.equals("finish", "")
    for name in rows.names["model"]:
        mine = rows.equals("model", name) & answering
        if not mine.any():
            continue
        found.failure_kinds.setdefault(name, Counter()).update(rows.count("reason", mine & failed & ~answered))
        found.judge_failures.setdefault(name, Counter()).update(rows.count("reason", mine & failed & answered))
        found.broken[name] += int((mine & nowhere).sum())
        if (mine & base).any():
            found.as_base.add(name)
        if (mine & ~base & ~nowhere).any():
            found.as_target.add(name)


def _fill(rows: Rows, placed: Placed, labels: Labels, ends: Labels, found: Answers) -> None:
    for (asked, sample), these in rows.groups(placed.rows):
        if not asked.condition:
            continue
        numbers, at = placed.rows[these], placed.places[these]
        found.labels[placed.part].put(asked, sample, at, labels[numbers])
        found.ends[placed.part].put(asked, sample, at, ends[numbers])
        classed = np.zeros(len(rows), dtype=bool)
        classed[numbers] = rows.equals("outcome", "scored")[numbers]
        found.classed_by.setdefault(asked, Counter()).update(rows.count("judged_by", classed))


def _look(rows: Rows, placed: Placed, found: Answers) -> None:
    for row, place in zip(placed.rows.tolist(), placed.places.tolist(), strict=True):
        digest = rows.text("image", row)
        if not digest:
            continue
        looks = found.looks.setdefault(rows.text("model", row), Looks())
        label = rows.text("label", row) if rows.text("outcome", row) == "scored" else ""
        looks.images.append(int.from_bytes(hashlib.blake2b(digest.encode(), digest_size=8).digest(), "big"))
        looks.places.append(place)
        looks.codes.append(int(label == _UNSAFE) if label else NOTHING)
        if not label:
            looks.why_none[rows.text("reason", row)] += 1
