"""How many images a second the reading of image files can feed to an encoder that takes no time, beside a `DataLoader`.

    python benchmarks/reading_speed.py [--images 2048] [--rounds 5] [--cores 2] [--workers 2] [--quick]

On a GPU the encoder is faster than the decoding of one core by far. What limits it then is the number of cores that
decode, and what one process does for each image beside: read and hash the file, hand it to a worker process, take the
pixels, gather batches, keep vectors. That is measured here, over made JPEGs (512 × 512 pixels) and the preprocessing of
CLIP at 224 pixels:

- ours: the image pipeline with its worker processes, the feature store and the store of embeddings, both empty;
- undecoded: the same with worker processes that answer at once, so that the parent is what limits it;
- loader: `torch.utils.data.DataLoader` with as many worker processes, batches of 256, Pillow and open_clip's
  preprocessing; its batches are thrown away. It hashes and keeps nothing, and an image that cannot be opened ends it.

Each turn is a process tree of its own, held to the same cores; in a round each side has a turn, and the order changes
from round to round. Before any speed is shown, ours and the loader must give the encoder the same pixels (the mean of
each of the first images, to 0.002). Imports and the start of the worker processes are in no time. `feeds` is 1000 over
the CPU milliseconds of the parent: what it could feed if there were any number of cores for the workers, and its
threads had one between them.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from importlib.util import find_spec
from pathlib import Path

from clip_peers.material import made_photo
from clip_peers.reading_loops import Turn
from clip_peers.turns import Spread, faster

LOOPS = Path(__file__).parent / "clip_peers" / "reading_loops.py"
FIRST = 32
SAME = 2e-3


def made_images(folder: Path, n: int) -> Path:
    paths = [folder / f"images-{n}" / f"{i:06}.jpg" for i in range(n)]
    with ProcessPoolExecutor() as pool:
        list(pool.map(made_photo, paths, range(n), chunksize=16))
    return paths[0].parent


def turn(side: str, images: Path, cores: Sequence[int], workers: int, batch: int) -> Turn:
    """One turn, in a process of its own."""
    command = [sys.executable, "-W", "ignore", str(LOOPS), side, str(images), "--first", str(FIRST)]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("OMP_", "MKL_"))}
    done = subprocess.run(
        [*command, "--workers", str(workers), "--batch", str(batch)],
        capture_output=True,
        text=True,
        check=False,
        env=kept,
        preexec_fn=lambda: os.sched_setaffinity(0, cores),
    )
    if done.returncode:
        sys.exit(f"{side} ended with {done.returncode}:\n{done.stderr[-3000:]}")
    return Turn(**json.loads(done.stdout.splitlines()[-1]))


def gate(ours: Turn, loader: Turn) -> None:
    """Nobody is timed at another task."""
    apart = max(abs(a - b) for a, b in zip(ours.means, loader.means, strict=True))
    if apart > SAME or ours.images != loader.images:
        sys.exit(f"ours and the loader do not give the encoder the same: means of pixels are {apart:.1e} apart")
    print(f"    the first {len(ours.means)} images: means of their pixels at most {apart:.1e} apart")


def show(name: str, turns: list[Turn], ours: list[Turn]) -> None:
    wall = statistics.median(one.images / one.wall for one in turns)
    parent = 1000 * statistics.median(one.parent / one.images for one in turns)
    tree = 1000 * statistics.median((one.parent + one.workers) / one.images for one in turns)
    line = f"    {name:10} {wall:7.1f} images/s, CPU an image: {tree:5.2f} ms, of which the parent {parent:5.3f} ms"
    line += f" (feeds {1000 / parent:,.0f} images/s)"
    if name == "loader":
        line += f"   ours is {ratio(ours, turns, 'wall')} times as fast; by CPU {ratio(ours, turns, 'tree')}"
    print(line, flush=True)


def ratio(ours: list[Turn], theirs: list[Turn], what: str) -> Spread:
    """How many times theirs takes what we take, round by round."""

    def of(one: Turn) -> float:
        return (one.wall if what == "wall" else one.parent + one.workers) / one.images

    return faster([of(one) for one in ours], [of(one) for one in theirs])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, help="[default: 2048]")
    parser.add_argument("--rounds", type=int, help="[default: 5]")
    parser.add_argument("--cores", type=int, default=2, help="that every side is held to")
    parser.add_argument("--workers", type=int, help="worker processes of each side [default: as many as cores]")
    parser.add_argument("--quick", action="store_true", help="64 images, 1 round: whether it works, not how fast it is")
    parser.add_argument("--folder", type=Path, help="keep images here for a next time")
    given = parser.parse_args()
    images = given.images or (64 if given.quick else 2048)
    rounds, batch = given.rounds or (1 if given.quick else 5), 16 if given.quick else 256
    cores = sorted(os.sched_getaffinity(0))[: given.cores]
    workers = given.workers or len(cores)
    sides = ["ours", "undecoded"]
    if find_spec("torch") and find_spec("open_clip"):
        sides.append("loader")
    else:
        print("The loader is left out: torch and open_clip are not installed here.")
    with tempfile.TemporaryDirectory() as temporary:
        folder = made_images((given.folder or Path(temporary)).resolve(), images + FIRST)
        print(f"{images} images, {len(cores)} core(s), {workers} worker process(es), {rounds} round(s)", flush=True)
        taken: dict[str, list[Turn]] = {side: [] for side in sides}
        for number in range(rounds):
            shift = number % len(sides)
            for side in sides[shift:] + sides[:shift]:
                taken[side].append(turn(side, folder, cores, workers, batch))
            if number == 0 and "loader" in taken:
                gate(taken["ours"][0], taken["loader"][0])
    for side, turns in taken.items():
        show(side, turns, taken["ours"])


if __name__ == "__main__":
    main()
