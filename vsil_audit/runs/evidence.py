"""All that the summary is computed from, gathered once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import DetectorSpec, Lens, Unit
from vsil_audit.runs.columns import (
    FindingColumns,
    IssueColumns,
    PairColumns,
    finding_columns,
    issue_columns,
    lens_columns,
    pair_columns,
)
from vsil_audit.runs.detecting import Clusters, clusters
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanPlan

Flags = npt.NDArray[np.bool_]


@dataclass(slots=True)
class Evidence:
    """Arrays over the pairs, by what they are and by what each detector says of them."""

    pairs: PairColumns
    clusters: Clusters
    by_detector: dict[str, FindingColumns]
    issues: dict[str, IssueColumns]
    specs: dict[str, DetectorSpec]

    def of_lens(self, lens: Lens) -> list[FindingColumns]:
        return [columns for name, columns in self.by_detector.items() if self.specs[name].lens is lens]


def gather(plan: ScanPlan, folder: RunFolder) -> Evidence:
    pairs = pair_columns(folder)
    specs = {spec.name: spec for spec in plan.specs}
    return Evidence(
        pairs=pairs,
        clusters=clusters(folder, pairs.n),
        by_detector={n: finding_columns(folder, n, pairs.n) for n, s in specs.items() if s.unit is Unit.PAIR},
        issues={n: issue_columns(folder, n, pairs.n) for n, s in specs.items() if s.unit is Unit.ISSUES},
        specs=specs,
    )


def content_columns(evidence: Evidence) -> tuple[Flags, Flags]:
    """(suspected, scored), bool, shape (n_pairs,), by the content lens."""
    return lens_columns(evidence.of_lens(Lens.CONTENT), evidence.pairs.n)
