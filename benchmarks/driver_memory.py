"""What the scan's own process holds per pair.

    python benchmarks/driver_memory.py [--pairs 200000 1000000] [--batch 4096]

Writes a table and a run folder of made-up pairs (each image used by three pairs, each text by two) with the findings of
one detector; then, each in its own process, what a scan does: reading the table, knowing which thumbnails are kept,
grouping pairs, the columns of the summary, and the detector that knows most of the set (hygiene). Prints the growth of
the process's peak memory per pair between the two sizes (Linux).
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import numpy as np

from vsil_audit.detectors import registry
from vsil_audit.detectors.base import Batch, Detector, SetContext
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import Finding, ImageRef, Origin, Pair, Scored, Verdict
from vsil_audit.runs.columns import finding_columns, pair_columns
from vsil_audit.runs.detecting import clusters
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.scoring import run_detector
from vsil_audit.sources.base import ColumnMapping, SourceOptions
from vsil_audit.sources.registry import open_source

DETECTOR = "description_overlap"
STEPS = ("table", "thumbnails", "reading alone", "clusters", "pair columns", "finding columns", "hygiene")


def write_run(path: Path, pairs: int, batch: int) -> None:
    folder = RunFolder(path)
    table = path / "set" / "data.csv"
    table.parent.mkdir(parents=True)
    with table.open("w") as file:
        file.write("id,text,image,category\n")
        for n in range(pairs):
            file.write(f"{n},what would someone say of scene number {n // 2}?,images/{n // 3}.jpg,{n % 12}\n")
    for index, start in enumerate(range(0, pairs, batch)):
        numbers = range(start, min(pairs, start + batch))
        made = tuple(
            Pair(
                f"set/{n}",
                f"what would someone say of scene number {n // 2}, as it is seen here?",
                (ImageRef(f"images/{n // 3}.jpg", path=f"images/{n // 3}.jpg"),),
                category=f"category {n % 12}",
                origin=Origin("data.parquet", n + 1),
            )
            for n in numbers
        )
        facts = tuple((ImageFacts(p.images[0].name, _digest(p.images[0].name), 512, 512, "JPEG"),) for p in made)
        thumbnails = [(_digest(p.images[0].name), b"jpeg") for n, p in zip(numbers, made, strict=True) if n % 3 == 0]
        folder.write_batch(Batch(index, made, facts), [], thumbnails)
        found = [Finding(DETECTOR, p.id, Scored((n % 97) / 97), Verdict.CLEAR) for n, p in enumerate(made)]
        folder.write_findings(DETECTOR, index, found)
    folder.write_findings(DETECTOR, None, [])


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode()).hexdigest()


def measure(path: Path, pairs: int, step: str) -> None:
    """In a process of its own: peak memory in bytes, and seconds."""
    folder, started = RunFolder(path), time.perf_counter()
    kept: object = None
    if step == "table":
        source = open_source(path / "set" / "data.csv", SourceOptions(columns=ColumnMapping(text="text")))
        kept = sum(1 for _ in source.read())
    elif step == "thumbnails":
        kept = set(map(bytes.fromhex, folder.thumbnail_digests()))
    elif step == "hygiene":
        hygiene = cast("type[Detector]", registry.load("hygiene"))
        context = SetContext(folder.batches, pairs, np.arange(pairs), 0, {})
        shutil.rmtree(path / "findings" / "hygiene", ignore_errors=True)
        run_detector(hygiene, folder, context, lambda _: None)
        kept = hygiene
    elif step == "reading alone":
        kept = sum(len(batch.pairs) for batch in folder.batches())
    elif step == "clusters":
        kept = clusters(folder, pairs)
    elif step == "pair columns":
        kept = pair_columns(folder)
    else:
        kept = finding_columns(folder, DETECTOR, pairs)
    took = time.perf_counter() - started
    assert kept is not None
    # not ru_maxrss, which begins with that of the process that started this one
    status = Path("/proc/self/status").read_text(encoding="ascii")
    print(int(status.partition("VmHWM:")[2].split()[0]) * 1024, took)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, nargs=2, default=[200_000, 1_000_000])
    parser.add_argument("--batch", type=int, default=4096)
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.measure:
        measure(Path(given.measure[0]), int(given.measure[1]), given.measure[2])
        return
    peaks: dict[str, list[tuple[float, float]]] = {step: [] for step in STEPS}
    with tempfile.TemporaryDirectory() as parent:
        for pairs in given.pairs:
            path = Path(parent) / str(pairs)
            started = time.perf_counter()
            write_run(path, pairs, given.batch)
            took, size = time.perf_counter() - started, sum(f.stat().st_size for f in path.rglob("*") if f.is_file())
            parts = sum(1 for f in path.rglob("*.parquet"))
            print(f"{pairs:,} pairs: {size / pairs:.0f} bytes a pair in {parts:,} parts, written in {took:.0f} s")
            for step in STEPS:
                command = [sys.executable, __file__, "--measure", str(path), str(pairs), step]
                out = subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ).stdout
                peak, seconds = map(float, out.split())
                peaks[step].append((peak, seconds))
                print(
                    f"  {step:16} peak {peak / 1e6:7.0f} MB, {seconds:6.1f} s ({1e6 * seconds / pairs:.1f} µs a pair)"
                )
    few, many = given.pairs
    for step, ((low, _), (high, _)) in peaks.items():
        print(f"{step:16} {(high - low) / (many - few):6.1f} bytes a pair")


if __name__ == "__main__":
    main()
