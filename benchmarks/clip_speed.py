"""What scanning a set with `clip_overlap` costs beside its encoder alone, beside open_clip with a `DataLoader`, and
beside data-juicer's `image_text_similarity_filter`.

    python benchmarks/clip_speed.py [--pairs 480] [--rounds 5] [--cores 2] [--data-juicer PYTHON] [--quick]
    python benchmarks/clip_speed.py --gpu [--pairs 10000]

Every side encodes the same made JPEGs (512 × 512 pixels) and texts (5 to 40 words) with the same ViT-B-32 of random
weights, in a process tree of its own that is held to the same cores; in a round each side has a turn, and the order
changes from round to round. Before any speed is shown, all sides must give the same cosines, to 1e-4.

- preloaded, truncating: the encoders alone, over tensors that lie in memory: texts padded to the full context as
  open_clip does, and texts cut as we do. Neither reads anything;
- loader: open_clip, a `DataLoader` with worker processes, `inference_mode`, batches of 32;
- data-juicer: its operator in its own environment (`--data-juicer`: the Python in which `py-data-juicer` and `aiohttp`
  are installed), a process a core, the same weights in transformers' format;
- ours: `vsil-audit scan --detectors clip_overlap` with an empty cache, from its start to its last report.

Sets: `unique` (pairs share nothing), `repeating` (each image in three pairs, each text in two, as safety sets are
made), `corrupt` (1 % of the files of `unique` cannot be opened) and, to be scanned again over the cache of a first
scan, `larger/unique` with four times as many pairs: a second scan takes little more than its start-up, which differs by
tenths of a second each time.

Start-up (imports, loading the model) is in no side's time: the loops leave it out; ours and data-juicer's is what a run
over a few pairs of the same kind takes, and is stated. Shown is the median over the rounds of how many times faster we
are, with its range: by wall clock, and by CPU seconds of the process tree, which other programs on the same cores
disturb less. No made pair is suspected, so none has its phrases tried: on a set that overlaps, each suspected pair
costs up to eight more short texts.

`--gpu`: ViT-L-14 in bf16 on the card, images a second from the same JPEG files beside the encoders alone, of which at
least 0.9 is asked. Here ours is the first stage of a scan, files to vectors in the run folder, with the model loaded;
`ours, gpu` is the same with `--clip-decode gpu`, and `scan` the whole command, start-up left out. bf16 keeps eight bits
of a number, and no two orders of adding up agree: so every side is held against float32 on the same card, by cosines
that lie at most 0.01 apart (0.02 where the GPU decodes), ours on average no more than twice as far as the loader's.
With random weights the cosines of a set spread by about 0.03, so that another pairing or other pixels are seen.
"""

from __future__ import annotations

import argparse
import os
import shutil
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from clip_peers.material import MadeSet, corrupt_set, repeating_set, save_for_transformers, save_random_clip, unique_set
from clip_peers.turns import FEW, Cosines, Sides, Turn, cpu_seconds, faster, seconds

SAME = 1e-4
NEAR, NEAR_WHEN_DECODED = 1e-2, 2e-2
ON_GPU = "ours, gpu"
BATCH_ON_GPU = 256
Side = Callable[[MadeSet], Turn]
Taken = dict[str, list[Turn]]


def compare(
    sides: dict[str, Side],
    made: MadeSet,
    rounds: int,
    bars: dict[str, float],
    check: Callable[[Taken], None] | None = None,
) -> Taken:
    """Turns of each side over one set, gate, table. `ours` is among the sides; `bars`: what is asked of us, by side;
    `check`: ends it where a side computes something else; None: `gate`."""
    about = f"{len(made.texts)} pairs, {made.unique_images} images, {made.unique_texts} texts"
    print(f"{made.folder.name}: {about}, {rounds} rounds", flush=True)
    taken: Taken = {name: [] for name in sides}
    for number in range(rounds):
        names = list(sides)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            taken[name].append(sides[name](made))
        if number == 0:
            (check or gate)(taken)
    for name, turns in taken.items():
        show(name, turns, taken["ours"], bars.get(name))
    print(flush=True)
    return taken


def gate(taken: Taken) -> None:
    """Nobody is timed at another task: the same pairs have a cosine, and it is the same."""
    reference = taken["loader"][0].cosines
    for name, apart in distances(taken, reference):
        most, spread = apart.max(), reference.std()
        print(f"    {name:12} cosines at most {most:.1e} from the loader's, which spread by {spread:.1e}")
        if most > SAME:
            sys.exit(f"{name} does not compute the same: more than {SAME:.0e} apart")


def near(taken: Taken, reference: Cosines) -> None:
    """As `gate`, for sides that round as they like: near to what float32 gives, and ours no farther than the loader."""
    apart = dict(distances(taken, reference))
    for name, distance in apart.items():
        told = f"at most {distance.max():.1e}, on average {distance.mean():.1e}"
        print(f"    {name:12} cosines {told} from float32, which spread by {reference.std():.1e}", flush=True)
        bound = NEAR_WHEN_DECODED if name == ON_GPU else NEAR
        if distance.max() > bound:
            sys.exit(f"{name} does not compute the same: more than {bound:g} apart")
        if name in ("ours", "scan") and distance.mean() > 2 * max(apart["loader"].mean(), SAME):
            sys.exit(f"{name} does not compute the same: more than twice as far from float32 as the loader")
        for note in taken[name][0].notes:
            print(f"    {name:12} says: {note}", flush=True)


def distances(taken: Taken, reference: Cosines) -> Iterator[tuple[str, Cosines]]:
    """How far the cosines of each side's first turn are from the reference."""
    for name, (turn, *_) in taken.items():
        if turn.cosines.shape != reference.shape or np.isnan(turn.cosines).any():
            sys.exit(f"{name}: not every pair has a cosine")
        yield name, np.abs(turn.cosines - reference)


def show(name: str, turns: list[Turn], ours: list[Turn], bar: float | None) -> None:
    rate, cpu = 1 / statistics.median(seconds(turns)), statistics.median(cpu_seconds(turns))
    others = statistics.median(turn.others for turn in turns)
    line = f"    {name:12} {rate:7.1f} pairs/s {1000 * cpu:6.1f} ms CPU a pair"
    if turns is not ours:
        wall, used = faster(seconds(ours), seconds(turns)), faster(cpu_seconds(ours), cpu_seconds(turns))
        line += f"   ours is {wall} times as fast; by CPU {used}"
        line += "" if bar is None else f"; asked {bar}: {'met' if wall.median >= bar else 'NOT met'}"
    if any(turn.start for turn in turns):
        line += f"   (start-up {statistics.median(turn.start for turn in turns):.1f} s, left out)"
    print(f"{line}   others had {others:.0%} of the cores", flush=True)


def rescan(sides: Sides, made: MadeSet, few: MadeSet, rounds: int) -> None:
    """The same command into a new run folder, over the cache that a first scan filled."""
    cache = sides.fresh("cache")
    first = sides.scan(made, few, cache)
    again = [sides.scan(made, few, cache) for _ in range(rounds)]
    apart = float(np.max(np.abs(again[0].cosines - first.cosines)))
    cold = [first] * rounds
    ratio, by_cpu = faster(seconds(again), seconds(cold)), faster(cpu_seconds(again), cpu_seconds(cold))
    whole = (first.start + first.wall) / statistics.median(turn.start + turn.wall for turn in again)
    print(
        f"{made.folder.name}: {len(made.texts)} pairs, scanned, and {rounds} times again; vectors kept to {apart:.1e}"
    )
    for name, turns in (("first", [first]), ("again", again)):
        show(name, turns, turns, None)
    met = "met" if ratio.median >= 50 else "NOT met"
    print(f"    again is {ratio} times as fast as the first scan, by CPU {by_cpu}; asked 50: {met}")
    print(f"    with start-up on both sides: {whole:.1f} times", flush=True)


def corrupt(sides: Sides, made: MadeSet, few: MadeSet, clean: list[Turn]) -> None:
    turns = [sides.scan(made, few, sides.fresh("cache")) for _ in clean]
    print(f"{made.folder.name}: {len(made.corrupt)} of {len(made.images)} images cannot be opened")
    show("ours", turns, turns, None)
    named = set(turns[0].failed) == made.corrupt
    ratio, by_cpu = faster(seconds(turns), seconds(clean)), faster(cpu_seconds(turns), cpu_seconds(clean))
    print(f"    {ratio} times as fast as without, by CPU {by_cpu}; {'all' if named else 'NOT all'} named", flush=True)


def ours(sides: Sides, few: MadeSet) -> dict[str, Side]:
    return {"ours": lambda made: sides.scan(made, few, sides.fresh("cache"))}


def encoders(sides: Sides) -> dict[str, Side]:
    return {name: lambda made, name=name: sides.loop(name, made) for name in ("preloaded", "truncating")}


def on_cpu(given: argparse.Namespace, folder: Path, scratch: Path) -> None:
    cores = tuple(sorted(os.sched_getaffinity(0))[: given.cores])
    clip = given.clip or save_random_clip(folder / "ViT-B-32", "ViT-B-32")
    sides = Sides(scratch, clip, cores, given.workers or given.cores, batch=32)
    unique = unique_set(folder, given.pairs)
    few = unique.first(FEW)
    peers: dict[str, Side] = {"loader": lambda made: sides.loop("loader", made)}
    if given.data_juicer:
        sides.data_juicer = given.data_juicer
        sides.clip_for_transformers = save_for_transformers(folder / f"{clip.name}-transformers", clip)
        peers["data-juicer"] = sides.filter
    else:
        print("data-juicer is left out: --data-juicer names the Python of the environment that it is installed in")
    print(f"{given.cores} core(s), {sides.workers} worker(s) of the loader, batches of 32")
    if given.only in (None, "repeating"):
        # as much work for each of the few pairs as for each of all, or start-up would hold too much of it
        repeating, few_repeating = (repeating_set(folder, unique, n) for n in (given.pairs, 30))
        both = ours(sides, few_repeating) | peers
        compare(both, repeating, given.rounds, {"loader": 1.8, "data-juicer": 3.0})
    if given.only in (None, "unique"):
        bars = {"preloaded": 0.95, "loader": 1.0, "data-juicer": 3.0}
        taken = compare(ours(sides, few) | peers | encoders(sides), unique, given.rounds, bars)["ours"]
        corrupt(sides, corrupt_set(folder, unique, 0.01), few, taken)
    if given.only in (None, "rescan"):
        larger = unique_set(folder / "larger", given.pairs if given.quick else 4 * given.pairs)
        rescan(sides, larger, few, given.rounds if given.quick else max(given.rounds, 7))


def on_gpu(given: argparse.Namespace, folder: Path, scratch: Path) -> None:
    import torch

    if given.device == "cuda" and not torch.cuda.is_available():
        print("No GPU here: nothing is measured. On a machine with one this compares ViT-L-14 from JPEG files with its")
        print("encoder alone on the same card; 0.9 of its images a second are asked.")
        return
    cores = tuple(sorted(os.sched_getaffinity(0)))
    clip = given.clip or save_random_clip(folder / "ViT-L-14", "ViT-L-14")
    made = unique_set(folder, given.pairs)
    few = made.first(min(FEW, given.pairs // 3))
    workers = fitting_workers(given.workers or len(cores), BATCH_ON_GPU)
    sides = Sides(scratch, clip, cores, workers, BATCH_ON_GPU, given.device, "bf16")
    each: dict[str, Side] = {
        "ours": lambda made: sides.reading(made, "cpu"),
        ON_GPU: lambda made: sides.reading(made, "gpu"),
        "scan": lambda made: sides.scan(made, few, sides.fresh("cache")),
        "loader": lambda made: sides.loop("loader", made),
    }
    where = torch.cuda.get_device_name() if given.device == "cuda" else "A rehearsal without a GPU, no measurement"
    print(f"{where}; torch {torch.__version__}, {len(cores)} core(s), {workers} worker(s) of the loader")
    print(f"bf16, batches of {BATCH_ON_GPU}")
    try:
        each[ON_GPU](few)
    except SystemExit as error:
        print(f"{ON_GPU} is left out, it cannot be had here: {str(error).splitlines()[-1]}")
        del each[ON_GPU]
    reference = sides.loop("preloaded", made, "fp32").cosines
    taken = compare(
        each | encoders(sides), made, given.rounds, {"preloaded": 0.9}, lambda taken: near(taken, reference)
    )
    if ON_GPU in taken:
        ratio = faster(seconds(taken[ON_GPU]), seconds(taken["preloaded"]))
        met = "met" if ratio.median >= 0.9 else "NOT met"
        print(f"    {ON_GPU} is {ratio} times as fast as preloaded; asked 0.9: {met}")


def fitting_workers(wanted: int, batch: int) -> int:
    """How many processes a `DataLoader` can have here: each lays two batches of 224 x 224 pixels in shared memory, of
    which containers often have little, and dies where it is full."""
    try:
        free = shutil.disk_usage("/dev/shm").free
    except OSError:
        return wanted
    fitting = min(wanted, int(0.8 * free) // (2 * batch * 224 * 224 * 3 * 4))
    if fitting < wanted:
        print(f"shared memory holds the batches of {fitting} instead of {wanted} worker(s) of the loader")
    return fitting


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=int, help="[default: 480; with --gpu 10000]")
    parser.add_argument("--rounds", type=int, help="[default: 5]")
    parser.add_argument("--cores", type=int, default=2, help="that every side is held to")
    parser.add_argument("--workers", type=int, help="processes of the DataLoader [default: as many as cores]")
    parser.add_argument("--data-juicer", type=Path, metavar="PYTHON", help="of its environment")
    parser.add_argument("--clip", type=Path, metavar="FOLDER", help="a model of open_clip's instead of random weights")
    parser.add_argument(
        "--only", choices=("unique", "repeating", "rescan"), help="one part; unique with the corrupt set"
    )
    parser.add_argument("--gpu", action="store_true", help="ViT-L-14 on the GPU")
    parser.add_argument("--device", default="cuda", help=argparse.SUPPRESS)  # cpu: --gpu rehearsed without a GPU
    parser.add_argument("--quick", action="store_true", help="96 pairs, 1 round: whether it works, not how fast it is")
    parser.add_argument("--folder", type=Path, help="keep models and images here for a next time")
    given = parser.parse_args()
    given.pairs = given.pairs or (96 if given.quick else 10_000 if given.gpu else 480)
    given.pairs -= given.pairs % 6
    given.rounds = given.rounds or (1 if given.quick else 5)
    with tempfile.TemporaryDirectory() as temporary:
        scratch = Path(temporary) / "runs"
        scratch.mkdir()
        folder = given.folder or Path(temporary)
        folder.mkdir(parents=True, exist_ok=True)
        (on_gpu if given.gpu else on_cpu)(given, folder.resolve(), scratch)


if __name__ == "__main__":
    main()
