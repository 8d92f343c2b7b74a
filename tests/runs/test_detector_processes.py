"""Detectors in processes of their own: the same findings, and no process that outlives, hangs or hides its death."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

import vsil_audit
from vsil_audit.errors import DetectorError
from vsil_audit.runs import detecting
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState

MakeDataset = Callable[..., Path]
OURS = ("hygiene", "description_overlap", "topic_probe", "harm_prior")

THIRD_PARTY = """
import os, signal, time
from pathlib import Path
from vsil_audit.detectors.base import DetectorSpec, Lens, Readiness, Unit
from vsil_audit.pair import Finding, Scored, Verdict

class Odd:
    spec = DetectorSpec("odd", "odd?", Lens.CONTENT, Unit.PAIR, frozenset(), "1")

    @classmethod
    def readiness(cls):
        return Readiness(ready=True)

    def prepare(self, context):
        {prepare}

    def score(self, batch):
        print("what a library prints must not disturb")
        {score}
        return [Finding("odd", pair.id, Scored(1.0), Verdict.CLEAR) for pair in batch.pairs]

    def conclude(self):
        return ()
"""


@pytest.fixture(autouse=True)
def in_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(detecting, "_PAIRS_FOR_PROCESSES", 1)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Install a third party's detector `odd`, as pip would, whose methods begin with the given statements."""

    def make(prepare: str = "pass", score: str = "pass") -> Path:
        site = tmp_path / "site"
        about = site / "odd_detector-1.0.dist-info"
        about.mkdir(parents=True)
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-detector\nVersion: 1.0\n")
        (about / "entry_points.txt").write_text("[vsil_audit.detectors]\nodd = odd_detector:Odd\n")
        (site / "odd_detector.py").write_text(THIRD_PARTY.format(prepare=prepare, score=score))
        monkeypatch.syspath_prepend(str(site))
        monkeypatch.delitem(sys.modules, "odd_detector", raising=False)
        return site

    return make


def scan(dataset: Path, output: Path, detectors: tuple[str, ...], workers: int = 2) -> RunFolder:
    options = vsil_audit.ScanOptions(detectors=detectors, workers=workers, batch_pairs=8, output=output)
    return vsil_audit.scan(dataset, options=options).folder


def contents(folder: Path) -> dict[str, bytes]:
    files = [*folder.rglob("*.parquet"), folder / "summary.json"]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files}


def test_findings_are_the_same_in_one_process_and_in_several(make_dataset: MakeDataset, tmp_path: Path) -> None:
    dataset = make_dataset(40, images=False)
    scan(dataset, tmp_path / "one", OURS, workers=1)
    scan(dataset, tmp_path / "several", OURS, workers=3)
    one = contents(tmp_path / "one")
    assert len(one) > 4 * 5
    assert contents(tmp_path / "several") == one


def test_an_installed_detector_runs_in_a_process_of_its_own(
    make_dataset: MakeDataset, tmp_path: Path, install: Callable[..., Path]
) -> None:
    install(score=f"Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))")
    folder = scan(make_dataset(20, images=False), tmp_path / "run", ("odd", "hygiene"))
    assert len(list(folder.findings("odd"))) == 20
    assert int((tmp_path / "pid").read_text()) != os.getpid()


def test_a_detector_known_to_this_process_only_runs_here(
    make_dataset: MakeDataset, tmp_path: Path, install: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    install(score=f"Path({str(tmp_path / 'pid')!r}).write_text(str(os.getpid()))")
    from vsil_audit.detectors import registry

    odd = registry.load("odd")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(sys, "path", [entry for entry in sys.path if not entry.endswith("site")])
    monkeypatch.setattr(registry, "BUILT_IN", {**registry.BUILT_IN, "odd": "here:Odd"})
    monkeypatch.setitem(sys.modules, "here", sys.modules[odd.__module__])
    folder = scan(make_dataset(20, images=False), tmp_path / "run", ("odd", "hygiene"))
    assert len(list(folder.findings("odd"))) == 20
    assert int((tmp_path / "pid").read_text()) == os.getpid()


def test_a_death_by_chance_costs_nothing(
    make_dataset: MakeDataset, tmp_path: Path, install: Callable[..., Path]
) -> None:
    mark = tmp_path / "died"
    install(
        score=f"mark = Path({str(mark)!r})\n"
        "        if batch.index == 1 and not mark.exists(): mark.touch(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    folder = scan(make_dataset(20, images=False), tmp_path / "run", ("odd", "hygiene"))
    assert mark.exists()
    assert [f.pair_id for f in folder.findings("odd")] == [f"q{i}" for i in range(20)]


def test_a_detector_that_always_dies_is_named_and_costs_no_other(
    make_dataset: MakeDataset, tmp_path: Path, install: Callable[..., Path]
) -> None:
    install(score="os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(DetectorError, match="odd ended its process twice") as caught:
        scan(make_dataset(20, images=False), tmp_path / "run", ("odd", "hygiene", "harm_prior"))
    assert "--skip odd" in caught.value.remedy
    folder = RunFolder(tmp_path / "run")
    assert folder.has_findings("hygiene", None)
    assert len([f for f in folder.findings("harm_prior") if f.pair_id]) == 20


@pytest.mark.parametrize("workers", [1, 2])
def test_a_detector_that_cannot_prepare_is_named_and_costs_no_other(
    make_dataset: MakeDataset, tmp_path: Path, install: Callable[..., Path], workers: int
) -> None:
    install(prepare="raise KeyError('no such column')")
    with pytest.raises(DetectorError, match=r"odd broke as it prepared: KeyError: 'no such column' \(odd_detector"):
        scan(make_dataset(20, images=False), tmp_path / "run", ("odd", "hygiene"), workers)
    assert RunFolder(tmp_path / "run").has_findings("hygiene", None)


SCAN = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[3])
import vsil_audit
from vsil_audit.runs import detecting
detecting._PAIRS_FOR_PROCESSES = 1
options = vsil_audit.ScanOptions(
    detectors=("odd", "hygiene"), batch_pairs=8, workers=2, output=Path(sys.argv[2])
)
vsil_audit.scan(sys.argv[1], options=options)
"""


def scan_with_children(dataset: Path, output: Path, site: Path) -> tuple[subprocess.Popen[bytes], list[psutil.Process]]:
    """A scan in a process, caught while its detectors run in theirs."""
    command = [sys.executable, "-c", SCAN, str(dataset), str(output), str(site)]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not (output / "findings" / "odd").is_dir():
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = psutil.Process(process.pid).children(recursive=True)
    assert children
    return process, children


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_processes_end_with_the_scan(
    make_dataset: MakeDataset, tmp_path: Path, install: Callable[..., Path], how: signal.Signals
) -> None:
    site = install(score="time.sleep(0.2)")
    output = tmp_path / "run"
    process, children = scan_with_children(make_dataset(400, images=False), output, site)
    process.send_signal(how)
    errors = process.communicate(timeout=30)[1].decode()
    assert psutil.wait_procs(children, timeout=10)[1] == []
    if how is signal.SIGINT:
        assert RunFolder(output).manifest().state is RunState.INTERRUPTED
        assert "detector_worker" not in errors, "a worker's traceback is no business of the user's"


def test_a_scan_that_is_continued_keeps_what_was_committed_and_leaves_no_rest(
    make_dataset: MakeDataset, tmp_path: Path, install: Callable[..., Path]
) -> None:
    site = install(score="time.sleep(0.2)")
    output, dataset = tmp_path / "run", make_dataset(120, images=False)
    process, children = scan_with_children(dataset, output, site)
    process.kill()
    process.communicate()
    psutil.wait_procs(children, timeout=10)
    kept = {file: file.stat().st_mtime_ns for file in output.glob("findings/odd/part-*.parquet")}
    rest = output / "findings" / "odd" / ".part-00009.parquet.4242.tmp"
    rest.write_bytes(b"cut short")
    folder = scan(dataset, output, ("odd", "hygiene"))
    assert len([f for f in folder.findings("odd") if f.pair_id]) == 120
    assert kept == {file: file.stat().st_mtime_ns for file in kept}
    assert not list(output.rglob("*.tmp"))
    assert json.loads((output / "run.json").read_text())["state"] == "complete"
