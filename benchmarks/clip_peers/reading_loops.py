"""One turn of a loop that reads images for a CLIP encoder, in a process of its own; `reading_speed.py` starts it.

    python reading_loops.py (ours | undecoded | loader) FOLDER [--workers N] [--batch N]

- ours: `ImagePipeline` with its worker processes, the feature store and the store of embeddings in a temporary folder,
  and an encoder that takes no time.
- undecoded: the same, but the worker processes open nothing and answer at once.
- loader: what one writes with open_clip: a `Dataset` that opens and preprocesses, a `DataLoader` with worker processes.
  Its batches are thrown away.

The first images of the folder start the processes and are in no time; what the encoder is given of them is told as the
mean of each image's pixels in 0 to 1.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil

from vsil_audit.detectors.base import Need
from vsil_audit.features.clip.images import ClipImages
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.embeddings.store import EmbeddingStore
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.store import FeatureStore
from vsil_audit.features.worker_pool import WORKER_MODULE
from vsil_audit.pair import ImageRef

WIDTH = 768  # of a vector, as of ViT-L-14
AHEAD = 4 * 256  # images under way, as a scan has them


@dataclass(frozen=True)
class Turn:
    """What `images` images took: seconds by the clock, CPU seconds of the parent and of its worker processes. `means`:
    of the pixels of the first images."""

    images: int
    wall: float
    parent: float
    workers: float
    means: tuple[float, ...]


class Timed:
    """Seconds since it was made."""

    def __init__(self) -> None:
        self._wall, self._parent, self._workers = time.perf_counter(), time.process_time(), workers_seconds()

    def turn(self, images: int, means: Sequence[float]) -> Turn:
        wall, parent = time.perf_counter() - self._wall, time.process_time() - self._parent
        return Turn(images, wall, parent, workers_seconds() - self._workers, tuple(means))


def workers_seconds() -> float:
    """CPU seconds of the processes below this one that still run."""
    used = [child.cpu_times() for child in psutil.Process().children(recursive=True)]
    return sum(times.user + times.system for times in used)


class NoTime:
    """In the place of a model: a vector says the mean of the pixels while `means` is set, and nothing afterwards.
    Batches lie in memory that is used again and again, as page-locked memory is."""

    means = True

    def __init__(self, batch: int, side: int) -> None:
        self.batch = batch
        self._rooms = cycle(np.ones((4, batch, side, side, 3), np.uint8))  # filled, waiting, at work; one to spare

    def stacked(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        return np.stack(pixels, out=next(self._rooms)[: len(pixels)])

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        vectors = np.ones((len(pixels), WIDTH), np.float32)
        if self.means:
            vectors[:, 0] = pixels.mean((1, 2, 3)) / 255
        return vectors


@dataclass
class Vectors:
    images: ClipImages
    preprocessing: Preprocessing


def ours(first: list[Path], others: list[Path], workers: int, batch: int, worker_module: str = WORKER_MODULE) -> Turn:
    with ExitStack() as stack:
        cache = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        preprocessing = Preprocessing()
        encoder = NoTime(batch, preprocessing.height)
        space = stack.enter_context(EmbeddingStore(cache / "embeddings")).space("no time")
        clip = Vectors(stack.enter_context(ClipImages(encoder, space)), preprocessing)
        store = stack.enter_context(FeatureStore(cache / "features.sqlite"))
        pipeline = stack.enter_context(
            ImagePipeline(
                first[0].parent,
                frozenset({Need.CLIP}),
                store,
                workers=workers,
                worker_module=worker_module,
                clip=clip,
            )
        )
        means: list[float] = []
        read(pipeline, first, lambda facts: means.append(float(facts.clip[0])))  # type: ignore[index]  # all have one
        encoder.means = False
        timed, seen = Timed(), [0]
        read(pipeline, others, lambda _: seen.append(seen.pop() + 1))
        store.flush()
        space.flush()
        return timed.turn(seen[0], means)


def read(pipeline: ImagePipeline, paths: list[Path], take: Callable[[ImageFacts], None]) -> None:
    under_way: deque[Future[ImageFacts]] = deque()
    for path in paths:
        under_way.append(pipeline.submit(ImageRef(path.name, path=path.name)))
        if len(under_way) > AHEAD:
            take(under_way.popleft().result())
    for future in under_way:
        take(future.result())


def loader(first: list[Path], others: list[Path], workers: int, batch: int) -> Turn:
    import open_clip
    import torch
    from PIL import Image

    torch.set_num_threads(1)
    preprocess = open_clip.image_transform(Preprocessing().height, is_train=False)
    paths, shown = first + others, list(range(len(first)))

    class Images(torch.utils.data.Dataset[Any]):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, i: int) -> torch.Tensor:
            with Image.open(paths[i]) as image:
                pixels: torch.Tensor = preprocess(image.convert("RGB"))
            return pixels

    batches = torch.utils.data.DataLoader(Images(), batch, sampler=shown, num_workers=workers, persistent_workers=True)
    statistics = open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD
    mean, deviation = (np.asarray(of)[:, None, None] for of in statistics)
    means = [float((pixels.numpy() * deviation + mean).mean()) for together in batches for pixels in together]
    shown[:] = range(len(first), len(paths))
    timed = Timed()
    seen = sum(len(pixels) for pixels in batches)
    return timed.turn(seen, means)


LOOPS = {"ours": ours, "undecoded": partial(ours, worker_module="clip_peers.undecoded_worker"), "loader": loader}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("loop", choices=sorted(LOOPS))
    parser.add_argument("folder", type=Path)
    parser.add_argument("--first", type=int, default=32, help="images that are in no time")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--batch", type=int, default=256)
    given = parser.parse_args()
    sys.path.append(str(Path(__file__).parents[1]))  # where worker processes find theirs
    paths = sorted(given.folder.glob("*.jpg"))
    turn = LOOPS[given.loop](paths[: given.first], paths[given.first :], given.workers, given.batch)
    print(json.dumps(asdict(turn)))


if __name__ == "__main__":
    main()
