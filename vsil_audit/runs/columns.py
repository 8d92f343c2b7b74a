"""A finished run as a few arrays, one entry per pair: what the summary is computed from, in bounded memory."""

from __future__ import annotations

import hashlib
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Batch, Unit
from vsil_audit.pair import Finding, Verdict
from vsil_audit.runs.folder import RunFolder

_NO_VALUE = -1


@dataclass(slots=True)
class Codes:
    """Strings as small integers, in order of first appearance; None is -1."""

    names: dict[str, int] = field(default_factory=dict)
    codes: array[int] = field(default_factory=lambda: array("i"))

    def add(self, name: str | None) -> None:
        self.codes.append(_NO_VALUE if name is None else self.names.setdefault(name, len(self.names)))

    def where(self, name: str) -> npt.NDArray[np.bool_]:
        """Which pairs have that value, shape (n_pairs,), bool."""
        return np.equal(np.frombuffer(self.codes, dtype=np.int32), self.names.get(name, _NO_VALUE - 1))

    def counts(self) -> dict[str, int]:
        values, counts = np.unique(np.frombuffer(self.codes, dtype=np.int32), return_counts=True)
        by_code = dict(zip(values.tolist(), counts.tolist(), strict=True))
        return {name: by_code.get(code, 0) for name, code in self.names.items()}


@dataclass(slots=True)
class PairColumns:
    """What the pairs are: category, sub-category and label per pair, and counts over texts and images."""

    n: int = 0
    categories: Codes = field(default_factory=Codes)
    subcategories: Codes = field(default_factory=Codes)
    labels: Codes = field(default_factory=Codes)
    image_refs: int = 0
    without_image: int = 0
    image_errors: Counter[str] = field(default_factory=Counter)
    ocr_errors: Counter[str] = field(default_factory=Counter)
    _texts: array[int] = field(default_factory=lambda: array("Q"))
    _digests: array[int] = field(default_factory=lambda: array("Q"))

    def add(self, batch: Batch) -> None:
        for pair, images in batch:
            self.n += 1
            self.categories.add(pair.category)
            self.subcategories.add(pair.subcategory)
            self.labels.add(pair.label)
            self._texts.append(_hash64(pair.text.encode("utf-8", "surrogatepass")))
            self.image_refs += len(images)
            self.without_image += not images
            for facts in images:
                if facts.error is not None:
                    self.image_errors[facts.error.kind] += 1
                else:
                    self._digests.append(int(facts.digest[:16], 16))
                if facts.ocr_error is not None:
                    self.ocr_errors[facts.ocr_error] += 1

    @property
    def distinct_texts(self) -> int:
        return len(np.unique(np.frombuffer(self._texts, dtype=np.uint64)))

    @property
    def distinct_images(self) -> int:
        return len(np.unique(np.frombuffer(self._digests, dtype=np.uint64)))


def _hash64(data: bytes) -> int:
    return int.from_bytes(hashlib.blake2b(data, digest_size=8).digest(), "big")


def pair_columns(folder: RunFolder) -> PairColumns:
    columns = PairColumns()
    for batch in folder.batches():
        columns.add(batch)
    return columns


@dataclass(slots=True)
class FindingColumns:
    """One pair-level detector's outcomes: all arrays have shape (n_pairs,). `values` is NaN where not scored; `failed`
    tells where it could not look."""

    values: npt.NDArray[np.float32]
    flagged: npt.NDArray[np.bool_]
    failed: npt.NDArray[np.bool_]
    abstain_reasons: Counter[str] = field(default_factory=Counter)
    failure_kinds: Counter[str] = field(default_factory=Counter)

    @property
    def scored(self) -> npt.NDArray[np.bool_]:
        return ~np.isnan(self.values)


def finding_columns(folder: RunFolder, detector: str, n_pairs: int) -> FindingColumns:
    """Outcomes of a PAIR detector, by the pairs' positions."""
    nowhere = np.zeros(n_pairs, dtype=bool)
    columns = FindingColumns(np.full(n_pairs, np.nan, dtype=np.float32), nowhere, nowhere.copy())
    position = 0
    for table in folder.finding_tables(detector, ("pair_id", "outcome", "value", "reason", "verdict")):
        for pair_id, outcome, value, reason, verdict in zip(*(c.to_pylist() for c in table.columns), strict=True):
            if pair_id is None:
                continue
            if outcome == "scored":
                columns.values[position] = value
                columns.flagged[position] = verdict in _FLAGS
            else:
                reasons = columns.abstain_reasons if outcome == "abstained" else columns.failure_kinds
                reasons[reason] += 1
                columns.failed[position] = outcome == "failed"
            position += 1
    return columns


def lens_columns(
    columns: Sequence[FindingColumns], n_pairs: int
) -> tuple[npt.NDArray[np.bool_], npt.NDArray[np.bool_]]:
    """(flagged, scored) of a lens, shape (n_pairs,): flagged by any of its detectors; scored by at least one, and none
    failed on it.

    That one detector is silent where another could not look is no answer: with a broken OCR every pair would count as
    looked at and clear. A flag there is no answer either: to count those alone would raise the rate. A detector that
    abstains (there is no image, no description) leaves the answer to the others.
    """
    flagged, scored, failed = (np.zeros(n_pairs, dtype=bool) for _ in range(3))
    for of_detector in columns:
        flagged |= of_detector.flagged
        scored |= of_detector.scored
        failed |= of_detector.failed
    return flagged & ~failed, scored & ~failed


_FLAGS = frozenset(verdict.value for verdict in Verdict if verdict.flags)


def set_findings(folder: RunFolder, detector: str, unit: Unit) -> Iterator[Finding]:
    """Findings about the whole set; of a SET detector that is all of them."""
    return folder.findings(detector) if unit is Unit.SET else folder.findings_without_pair(detector)


@dataclass(slots=True)
class IssueColumns:
    """Problems by kind: how many, in how many pairs, and the first few pairs' ids. `flagged`: shape (n_pairs,)."""

    flagged: npt.NDArray[np.bool_]
    count: Counter[str] = field(default_factory=Counter)
    pairs: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)
    set_level: list[Finding] = field(default_factory=list)


def issue_columns(folder: RunFolder, detector: str, n_pairs: int, n_examples: int = 5) -> IssueColumns:
    """Problems that an ISSUES detector found. Issues of a whole-set look may stand apart from their pair's batch."""
    columns = IssueColumns(np.zeros(n_pairs, dtype=bool))
    hashes: dict[str, array[int]] = {}
    for finding in folder.findings(detector):
        if finding.verdict is not Verdict.ISSUE or finding.pair_id is None:
            columns.set_level.append(finding)
            continue
        columns.count[finding.kind] += 1
        hashes.setdefault(finding.kind, array("Q")).append(_hash64(finding.pair_id.encode()))
        examples = columns.examples.setdefault(finding.kind, [])
        if len(examples) < n_examples and finding.pair_id not in examples:
            examples.append(finding.pair_id)
    distinct = {kind: np.unique(np.frombuffer(found, dtype=np.uint64)) for kind, found in hashes.items()}
    columns.pairs.update({kind: len(found) for kind, found in distinct.items()})
    if distinct:
        ids = (_hash64(pair_id.encode()) for pair_id in folder.pair_ids())
        with_issue = np.unique(np.concatenate(list(distinct.values())))
        columns.flagged = np.isin(np.fromiter(ids, dtype=np.uint64, count=n_pairs), with_issue)
    return columns
