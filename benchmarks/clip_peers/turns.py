"""One turn of each side of `clip_speed.py`: a process tree of its own, held to the same cores."""

from __future__ import annotations

import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from clip_peers.material import MadeSet

HERE = Path(__file__).parent
FEW = 32
Cosines = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Turn:
    """What `pairs` pairs took beyond start-up: seconds, and CPU seconds of the process tree. `start`: seconds of
    start-up, where it is measured. `others`: share of the cores' time that other programs had meanwhile. `cosines`: of
    all pairs of the set, in order, nan where there is none. `failed`: what the scan says could not be read. `notes`:
    what it says of vectors that are not exact."""

    pairs: int
    wall: float
    cpu: float
    others: float
    cosines: Cosines
    start: float = 0.0
    failed: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Spread:
    """Ratios, one a round."""

    ratios: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.ratios)

    def __str__(self) -> str:
        return f"{self.median:5.2f} [{min(self.ratios):.2f}, {max(self.ratios):.2f}]"


def seconds(turns: Sequence[Turn]) -> list[float]:
    """Wall seconds a pair. Start-up is the median over the turns: on a busy machine each differs by seconds."""
    start = statistics.median(turn.start for turn in turns)
    return [(turn.start + turn.wall - start) / turn.pairs for turn in turns]


def cpu_seconds(turns: Sequence[Turn]) -> list[float]:
    """CPU seconds a pair."""
    return [turn.cpu / turn.pairs for turn in turns]


def faster(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """How many times theirs takes what we take."""
    return Spread(tuple(b / max(a, 1e-6) for a, b in zip(ours, theirs, strict=True)))


@dataclass
class Sides:
    """Everything that a turn needs but the set. `device`, `precision`: of the loops around open_clip; a scan finds its
    own."""

    scratch: Path
    clip: Path
    cores: tuple[int, ...]
    workers: int
    batch: int
    device: str = "cpu"
    precision: str = "fp32"
    data_juicer: Path | None = None
    clip_for_transformers: Path | None = None
    _turns: int = field(default=0, init=False)

    def fresh(self, name: str) -> Path:
        self._turns += 1
        return self.scratch / f"{name}-{self._turns}"

    def loop(self, name: str, made: MadeSet, precision: str | None = None) -> Turn:
        """`name`: preloaded, truncating or loader."""
        result = self.fresh(name).with_suffix(".npy")
        command = [sys.executable, "-W", "ignore", str(HERE / "open_clip_loops.py"), name, str(made.folder)]
        command += [str(self.clip), "--result", str(result), "--workers", str(self.workers)]
        command += ["--batch", str(self.batch), "--device", self.device, "--precision", precision or self.precision]
        said, others = self._run(command)
        return Turn(len(made.texts), said["wall"], said["cpu"], others, np.load(result))

    def reading(self, made: MadeSet, decode: str) -> Turn:
        """The first stage of our scan, by itself: files to vectors in a run folder. `decode`: cpu or gpu."""
        from vsil_audit.runs.folder import RunFolder

        run = self.fresh(f"reading-{decode}")
        command = [sys.executable, "-W", "ignore", str(HERE / "our_reading.py"), str(made.folder), str(self.clip)]
        command += ["--run", str(run), "--device", self.device, "--decode", decode]
        command += ["--batch-pairs", str(min(256, len(made.texts) // 4))]
        said, others = self._run(command)
        cosines, _ = read_batches(RunFolder(run).batches(clip=True))
        return Turn(said["pairs"], said["wall"], said["cpu"], others, cosines, notes=tuple(said["notes"]))

    def filter(self, made: MadeSet) -> Turn:
        result = self.fresh("data-juicer").with_suffix(".npy")
        command = [str(self.data_juicer), "-W", "ignore", str(HERE / "data_juicer_filter.py"), str(made.folder)]
        command += [str(self.clip_for_transformers), "--result", str(result)]
        said, others = self._run(command, HF_HUB_OFFLINE="1", OMP_NUM_THREADS="1")
        return Turn(said["pairs"], said["wall"], said["cpu"], others, np.load(result), said["start"])

    def scan(self, made: MadeSet, few: MadeSet, cache: Path) -> Turn:
        """Our command, over the few pairs and then over all of them; the difference is the turn. The few use a cache of
        their own when `cache` is new: each scan is then the first that meets its images."""
        cold = not cache.exists()
        start, start_cpu, _ = self._scan(few, self.fresh("run"), self.fresh("cache") if cold else cache)
        run = self.fresh("run")
        wall, cpu, others = self._scan(made, run, cache)
        cosines, failed = read_run(run)
        pairs = len(made.texts) - len(few.texts)
        return Turn(pairs, wall - start, cpu - start_cpu, others, cosines, start, failed)

    def _scan(self, made: MadeSet, run: Path, cache: Path) -> tuple[float, float, float]:
        command = [sys.executable, "-m", "vsil_audit", "scan", str(made.folder), "--detectors", "clip_overlap"]
        command += ["--clip", str(self.clip), "--output", str(run), "--cache", str(cache)]
        busy, used, began = self._busy(), children_seconds(), time.perf_counter()
        self._start([*command, "--quiet", "--min-coverage", "0"])
        wall, cpu = time.perf_counter() - began, children_seconds() - used
        return wall, cpu, self._others(busy, wall, cpu)

    def _run(self, command: list[str], **environment: str) -> tuple[dict[str, Any], float]:
        busy, used, began = self._busy(), children_seconds(), time.perf_counter()
        said = self._start(command, **environment)
        wall, cpu = time.perf_counter() - began, children_seconds() - used
        return json.loads(said.splitlines()[-1]), self._others(busy, wall, cpu)

    def _start(self, command: list[str], **environment: str) -> str:
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=False,
            env={**kept, **environment},
            preexec_fn=lambda: os.sched_setaffinity(0, self.cores),
        )
        if done.returncode:
            sys.exit(
                f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
            )
        return done.stdout

    def _busy(self) -> float:
        times = psutil.cpu_times(percpu=True)
        return sum(float(sum(times[c][:-2])) - times[c].idle - getattr(times[c], "iowait", 0.0) for c in self.cores)

    def _others(self, busy: float, wall: float, cpu: float) -> float:
        return max(0.0, self._busy() - busy - cpu) / (wall * len(self.cores))


def children_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def read_run(run: Path) -> tuple[Cosines, tuple[str, ...]]:
    """Cosines from the vectors in a run folder, and the images that it says could not be opened, each with its pair's
    finding to that effect."""
    from vsil_audit.pair import Failed
    from vsil_audit.runs.folder import RunFolder

    folder = RunFolder(run)
    cosines, unread = read_batches(folder.batches(clip=True))
    told = {found.pair_id for found in folder.findings("clip_overlap") if isinstance(found.outcome, Failed)}
    return cosines, tuple(sorted(name for pair, name in unread if pair in told))


def read_batches(batches: Iterable[Any]) -> tuple[Cosines, set[tuple[str, str]]]:
    """Cosines of a run's pairs, and their ids and files where an image could not be opened."""
    cosines: list[float] = []
    unread: set[tuple[str, str]] = set()
    for batch in batches:
        assert batch.clip is not None
        place = 0
        for i, (pair, images) in enumerate(batch):
            text = batch.clip.texts.of(i)[:1].astype(np.float64)
            image = batch.clip.images.of(place)[:1].astype(np.float64)
            place += len(images)
            unread.update((pair.id, Path(facts.name).name) for facts in images if facts.error)
            lengths = np.linalg.norm(text) * np.linalg.norm(image)
            cosines.append(float((text * image).sum() / lengths) if len(text) and len(image) else float("nan"))
    return np.asarray(cosines), unread
