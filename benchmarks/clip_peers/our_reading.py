"""One turn of the first stage of our scan, files to vectors, in a process of its own; `clip_speed.py` starts it.

    python our_reading.py SET CLIP --run FOLDER [--device cuda] [--decode gpu] [--batch-pairs N]

What a scan does between loading and ranking: images opened, decoded and encoded, texts encoded, vectors kept in a new
cache and committed to FOLDER. The first two batches of pairs load the model and start the processes; they are in no
time, all else is, to the last byte that the cache writes.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from pathlib import Path

import psutil

from vsil_audit.detectors.base import Need
from vsil_audit.features.clip.model import ClipSettings
from vsil_audit.images import ImageLimits
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import BATCH_PAIRS, ScanOptions
from vsil_audit.runs.progress import Silent
from vsil_audit.runs.reader import Reader, ReaderSettings
from vsil_audit.runs.reading import raw_batches
from vsil_audit.sources.registry import open_source

WARM_UP = 2


def cpu_seconds() -> float:
    """Of this process and of those that it started, while they run."""
    here = psutil.Process()
    times = [process.cpu_times() for process in (here, *here.children(recursive=True))]
    return sum(t.user + t.system for t in times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("clip")
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--decode", choices=("cpu", "gpu"), default="cpu")
    parser.add_argument("--batch-pairs", type=int, default=BATCH_PAIRS)
    given = parser.parse_args()
    source = open_source(given.set)
    batches = list(raw_batches(source, ScanOptions(batch_pairs=given.batch_pairs)))
    assert len(batches) > WARM_UP, "too few pairs to warm up and to measure"
    folder = RunFolder(given.run)
    with tempfile.TemporaryDirectory() as cache:
        clip = ClipSettings(given.clip, device=given.device, decode=given.decode)
        settings = ReaderSettings(source.root, frozenset({Need.CLIP}), ImageLimits(), cache=Path(cache), clip=clip)
        with Reader(settings) as reader:
            reader.read(batches[:WARM_UP], folder, Silent())
            cpu, wall = cpu_seconds(), time.perf_counter()
            reader.read(batches[WARM_UP:], folder, Silent())
            cpu = cpu_seconds() - cpu
            notes = [note for note in reader.notes() if note.startswith("CLIP with")]
        wall = time.perf_counter() - wall
    pairs = sum(len(batch.pairs) for batch in batches[WARM_UP:])
    print(json.dumps({"pairs": pairs, "wall": wall, "cpu": cpu, "notes": notes}))


if __name__ == "__main__":
    main()
