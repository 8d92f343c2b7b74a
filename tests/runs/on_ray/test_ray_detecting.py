"""Detectors on Ray: prepared once and sent, or prepared where they are needed; one that breaks costs no other."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import vsil_audit
from vsil_audit.detectors.base import Batch, Detector, DetectorSpec, Lens, Need, Readiness, SetContext, Unit
from vsil_audit.errors import DetectorError
from vsil_audit.pair import Finding, Scored, Verdict
from vsil_audit.runs.execute import execute
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.on_ray.cluster import Cluster
from vsil_audit.runs.plan import ScanOptions, ScanPlan, plan_scan
from vsil_audit.runs.progress import Silent

pytest.importorskip("ray").cloudpickle.register_pickle_by_value(sys.modules[__name__])
pytestmark = pytest.mark.slow
PAIRS = 48


def spec_of(name: str) -> DetectorSpec:
    return DetectorSpec(name, "how long?", Lens.HYGIENE, Unit.PAIR, frozenset({Need.TEXT}), "characters, of the mean")


class Lengths:
    """Writes down in which processes it was prepared: it is sent to the others, unless it holds a lock."""

    spec = spec_of("lengths")
    marks: Path

    def __init__(self) -> None:
        self.mean = 0.0

    @classmethod
    def readiness(cls) -> Readiness:
        return Readiness(ready=True)

    def prepare(self, context: SetContext) -> None:
        lengths = [len(pair.text) for batch in context.read() for pair in batch.pairs]
        self.mean, self.groups = sum(lengths) / context.n_pairs, context.groups
        (self.marks / f"{self.spec.name}-{os.getpid()}").touch()

    def score(self, batch: Batch) -> Iterable[Finding]:
        for pair in batch.pairs:
            yield Finding(self.spec.name, pair.id, Scored(len(pair.text) / self.mean), Verdict.CLEAR)

    def conclude(self) -> Iterable[Finding]:
        yield Finding(self.spec.name, None, Scored(float(len(set(self.groups)))))


class WithLock(Lengths):
    spec = spec_of("with_lock")

    def __init__(self) -> None:
        super().__init__()
        self.lock = threading.Lock()


class Deadly(Lengths):
    spec = spec_of("deadly")

    def score(self, batch: Batch) -> Iterable[Finding]:
        if batch.index == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().score(batch)


class Unprepared(Lengths):
    spec = spec_of("unprepared")

    def prepare(self, context: SetContext) -> None:
        raise ValueError("no such thing")


def planned(dataset: Path, output: Path, engine: str, detectors: Sequence[type[Detector]]) -> ScanPlan:
    options = ScanOptions(("hygiene",), output=output, batch_pairs=12, workers=2, engine=engine)
    return replace(plan_scan(vsil_audit.load(dataset), "set", options), detectors=tuple(detectors))


@pytest.fixture
def marks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "marks"
    folder.mkdir()
    monkeypatch.setattr(Lengths, "marks", folder, raising=False)
    return folder


def findings(output: Path, name: str) -> list[Finding]:
    return list(RunFolder(output).findings(name))


def test_detectors_give_the_findings_of_the_local_engine(
    dataset: Path, marks: Path, tmp_path: Path, cluster: Cluster
) -> None:
    execute(planned(dataset, tmp_path / "here", "local", [Lengths, WithLock]), Silent())
    for mark in marks.iterdir():
        mark.unlink()
    execute(planned(dataset, tmp_path / "there", "ray", [Lengths, WithLock]), Silent())
    for name in ("lengths", "with_lock"):
        assert findings(tmp_path / "there", name) == findings(tmp_path / "here", name)
    assert len(list(marks.glob("lengths-*"))) == 1, "prepared once, and sent"
    assert len(list(marks.glob("with_lock-*"))) > 1, "it cannot be sent"


def test_a_detector_that_breaks_or_ends_its_workers_costs_no_other(
    dataset: Path, marks: Path, tmp_path: Path, cluster: Cluster
) -> None:
    with pytest.raises(DetectorError, match="deadly ended its process 3 times, over batch 2") as met:
        execute(planned(dataset, tmp_path / "run", "ray", [Deadly, Lengths]), Silent())
    assert met.value.exit_code == 70
    run = RunFolder(tmp_path / "run")
    assert len(list(run.findings("lengths"))) == PAIRS + 1
    assert [run.has_findings("deadly", i) for i in range(run.n_batches())] == [True, True, False, True]
    assert not run.has_findings("deadly", None)
    with pytest.raises(DetectorError, match="unprepared broke as it prepared: ValueError: no such thing"):
        execute(planned(dataset, tmp_path / "run", "ray", [Unprepared, Lengths]), Silent())
