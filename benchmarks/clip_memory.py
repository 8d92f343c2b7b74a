"""Does memory stay flat when the set grows? clip_overlap over simulated pairs, from reading to its findings.

    python benchmarks/clip_memory.py [--pairs 10000,1000000] [--width 512] [--folder FOLDER]

For each number of pairs a child process drives the real path: batches of pairs are read and committed to a run folder
(image pipeline, store of embeddings, Arrow parts), pairs that share something are grouped, and the detector prepares,
scores each batch, commits its findings and concludes. Simulated are only what files and models would give: the facts
and the thumbnail of an image come from a stand-in for the feature store, and vectors are drawn, seeded by content,
instead of encoded; they are put into the real store of embeddings and looked up there, as those of a model are. Some of
the texts are close to their image, so that some pairs are suspected and their phrases looked at.

Ten times a second the child's memory is read from /proc (Linux). `private` is anonymous memory: what nothing but the
end of the process, or swapping, can free. `uss` adds mapped files that no other process has mapped, `rss` all that is
resident; pages of mapped files are the system's to take back at any time. The status is 1 when the largest set takes
more than 1.3 times the private memory of the smallest.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Need, SetContext
from vsil_audit.detectors.clip_overlap import ClipOverlap
from vsil_audit.features.clip.images import ClipImages
from vsil_audit.features.clip.model import ClipSettings
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.embeddings.store import EmbeddingStore
from vsil_audit.features.embeddings.texts import KeptTexts
from vsil_audit.features.examine import pack_pixels
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.store import FeatureStore
from vsil_audit.images import ImageLimits
from vsil_audit.pair import ImageRef, Pair
from vsil_audit.runs import reader
from vsil_audit.runs.detecting import clusters
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.progress import Silent
from vsil_audit.runs.scoring import run_detector

ALLOWED = 1.3
BATCH = 256
CATEGORIES = 12
TIED = 10  # every tenth text is close to its image
THUMBNAIL_BYTES = 500
MEASURES = ("private", "uss", "rss")


def memory() -> dict[str, float]:
    """MB of this process."""
    kilobytes: dict[str, int] = {}
    for line in Path("/proc/self/smaps_rollup").read_text().splitlines()[1:]:
        name, value = line.split(":")
        kilobytes[name] = int(value.split()[0])
    uss = kilobytes["Private_Clean"] + kilobytes["Private_Dirty"]
    return {"private": kilobytes["Anonymous"] / 1024, "uss": uss / 1024, "rss": kilobytes["Rss"] / 1024}


class Watched:
    """The most memory of each kind, and the time, while a stage runs."""

    def __init__(self) -> None:
        self._most: dict[str, float] = memory()
        self._lock = threading.Lock()
        threading.Thread(target=self._watch, daemon=True).start()

    def _look(self) -> None:
        now = memory()
        with self._lock:
            self._most = {name: max(self._most[name], now[name]) for name in MEASURES}

    def _watch(self) -> None:
        while True:
            self._look()
            time.sleep(0.1)

    def done(self, stage: str, begin: float) -> None:
        self._look()
        with self._lock:
            told = {"stage": stage, "seconds": time.perf_counter() - begin, **self._most}
            self._most = dict.fromkeys(MEASURES, 0.0)
        print(json.dumps(told), flush=True)


# what files and models would give


def image_bytes(number: int) -> bytes:
    return f"image {number}".encode()


def drawn(seed: bytes, width: int) -> npt.NDArray[np.float32]:
    vector = np.random.default_rng(int.from_bytes(seed[:8], "big")).standard_normal(width, dtype=np.float32)
    return vector / np.linalg.norm(vector)


def image_vector(digest: str, width: int) -> npt.NDArray[np.float32]:
    return drawn(bytes.fromhex(digest), width)


def text_vectors(texts: Sequence[str], width: int) -> list[npt.NDArray[np.float32]]:
    """Of "Query N: …", close to image N where N is a multiple of `TIED`; of phrases of it, as near as they are long."""
    vectors = []
    for text in texts:
        vector = drawn(hashlib.sha256(text.encode()).digest(), width)
        number = text.removeprefix("Query ").partition(":")[0]
        if number.isdigit() and int(number) % TIED == 0:
            vector += image_vector(hashlib.sha256(image_bytes(int(number))).hexdigest(), width)
            vector /= np.linalg.norm(vector)
        vectors.append(vector[None])
    return vectors


class SimulatedFacts(FeatureStore):
    """Knows the facts and the thumbnail of every image."""

    def get(self, digests: Sequence[str], feature: str, version: str) -> dict[str, bytes]:  # noqa: ARG002 - of the store
        return {digest: pack_pixels(self._facts(digest)) for digest in digests}

    @staticmethod
    def _facts(digest: str) -> ImageFacts:
        thumbnail = bytes.fromhex(digest) * (THUMBNAIL_BYTES // 32)
        return ImageFacts("", digest, 512, 512, "JPEG", phash=int(digest[:16], 16), thumbnail=thumbnail)


class SimulatedImages(ClipImages):
    """Draws the vector of an image that none is kept of, keeps it, and looks it up."""

    width = 0

    def kept(self, digests: Sequence[str]) -> list[npt.NDArray[np.float32] | None]:
        for digest, found in zip(digests, super().kept(digests), strict=True):
            if found is None:
                self._kept.put(digest, image_vector(digest, self.width)[None])
        return super().kept(digests)


class SimulatedClip:
    """Stands in for `ClipInUse`: the real store, and vectors that are drawn."""

    preprocessing = None
    warnings = ()

    def __init__(self, cache: Path, width: int) -> None:
        self._store = EmbeddingStore(cache / "embeddings")
        self.images = SimulatedImages(None, self._store.space("images, drawn"))
        self.images.width = width
        self.encode_texts = KeptTexts(self._store.space("texts, drawn"), partial(text_vectors, width=width))

    def texts(self, texts: Sequence[str]) -> Future[Rows]:
        return self.images.run(partial(self.encode_texts, texts))

    def __enter__(self) -> SimulatedClip:
        return self

    def __exit__(self, *error: object) -> None:
        self.images.close()
        self._store.close()
        if self._store.warnings:
            raise RuntimeError(" ".join(self._store.warnings))


# one run, in a process of its own


def batches(n_pairs: int) -> Iterator[reader.RawBatch]:
    for index, start in enumerate(range(0, n_pairs, BATCH)):
        pairs = (
            Pair(
                str(i),
                f"Query {i}: where is the gnome?",
                (ImageRef(f"{i}.jpg", data=image_bytes(i)),),
                category=f"category {i % CATEGORIES}",
            )
            for i in range(start, min(start + BATCH, n_pairs))
        )
        yield reader.RawBatch(index, tuple(pairs), ())


def run(folder: Path, n_pairs: int, width: int) -> None:
    watched = Watched()
    kept = RunFolder(folder / "run")
    cache = folder / "cache"

    begin = time.perf_counter()
    reader.FeatureStore = SimulatedFacts
    reader.ClipInUse = lambda _settings, cache: SimulatedClip(cache, width)
    needs = frozenset({Need.CLIP, Need.PIXELS})
    settings = reader.ReaderSettings(folder, needs, ImageLimits(), workers=1, cache=cache, clip=ClipSettings())
    with reader.Reader(settings) as reading:
        reading.read(batches(n_pairs), kept, Silent())
    watched.done("reading", begin)

    begin = time.perf_counter()
    groups = clusters(kept, n_pairs).connected
    watched.done("grouping", begin)

    begin = time.perf_counter()
    with SimulatedClip(cache, width) as clip:
        context = SetContext(kept.batches, n_pairs, groups, clip_texts=clip.encode_texts)
        run_detector(ClipOverlap, kept, context, lambda _done: None)
    watched.done("detecting", begin)
    check(kept, n_pairs)


def check(kept: RunFolder, n_pairs: int) -> None:
    """That the numbers are of work that was done: tied pairs are suspected, nearly no others are."""
    suspected = [
        int(finding.pair_id)
        for finding in kept.findings("clip_overlap")
        if finding.pair_id is not None and finding.verdict.flags
    ]
    tied = sum(number % TIED == 0 for number in suspected)
    if tied < 0.95 * n_pairs / TIED or len(suspected) - tied > 0.2 * len(suspected) + 5:
        raise RuntimeError(f"{tied} of {n_pairs // TIED} tied pairs were found, and {len(suspected) - tied} others")


def in_a_child(folder: Path, n_pairs: int, width: int) -> dict[str, float]:
    """The most of each kind of memory; prints each stage as it is done."""
    command = [sys.executable, __file__, "--child", str(folder), "--pairs", str(n_pairs), "--width", str(width)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    most = dict.fromkeys(MEASURES, 0.0)
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as child:
        for line in child.stdout or ():
            told = json.loads(line)
            most = {name: max(most[name], told[name]) for name in MEASURES}
            figures = " ".join(f"{told[name]:11.0f}" for name in MEASURES)
            print(f"{n_pairs:>10,} {told['stage']:<10} {told['seconds']:8.1f} {figures}", flush=True)
    if child.returncode:
        raise SystemExit(f"the run of {n_pairs} pairs ended with status {child.returncode}")
    return most


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", default="10000,1000000", help="Numbers of pairs, separated by commas.")
    parser.add_argument("--width", type=int, default=512, help="Numbers in a vector.")
    parser.add_argument("--folder", type=Path, help="For the run folders; some 5 KB a pair, removed afterwards.")
    parser.add_argument("--child", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    sizes = [int(size) for size in given.pairs.split(",")]
    if given.child is not None:
        run(given.child, sizes[0], given.width)
        return 0
    most: dict[int, dict[str, float]] = {}
    print(f"{'pairs':>10} {'stage':<10} {'seconds':>8} " + " ".join(f"{name + ' MB':>11}" for name in MEASURES))
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            most[size] = in_a_child(Path(folder), size, given.width)
    smallest, largest = min(sizes), max(sizes)
    ratios = {name: most[largest][name] / most[smallest][name] for name in MEASURES}
    print(
        f"peak at {largest:,} pairs over that at {smallest:,}: " + ", ".join(f"{n} {r:.2f}" for n, r in ratios.items())
    )
    return int(ratios["private"] > ALLOWED)


if __name__ == "__main__":
    raise SystemExit(main())
