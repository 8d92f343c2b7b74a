"""One turn of data-juicer's `image_text_similarity_filter`, in its own environment; `clip_speed.py` starts it.

    PYTHON_WITH_DATA_JUICER data_juicer_filter.py SET CLIP_FOR_TRANSFORMERS --result FILE [--processes N]

The operator runs over the set as data-juicer runs it: `op.run(dataset)`, as many processes as there are cores, each of
one thread (data-juicer's own rule for workers). Its processes and their models start anew at each run, so it first runs
over a few pairs, and the difference is what the other pairs took.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import time
from pathlib import Path
from typing import Any

import datasets
import numpy as np
from data_juicer.core.data import NestedDataset
from data_juicer.ops.filter.image_text_similarity_filter import ImageTextSimilarityFilter
from data_juicer.utils.constant import Fields, StatsKeys
from data_juicer.utils.mm_utils import SpecialTokens


def samples(folder: Path) -> list[dict[str, Any]]:
    rows = json.loads((folder / "data.json").read_text(encoding="utf-8"))
    return [
        {
            "text": f"{SpecialTokens.image} {row['question']} {SpecialTokens.eoc}",
            "images": [str(folder / row["image"])],
            Fields.stats: {},
        }
        for row in rows
    ]


def timed(rows: list[dict[str, Any]], clip: Path, processes: int) -> tuple[float, float, list[float]]:
    operator = ImageTextSimilarityFilter(hf_clip=str(clip), min_score=-1.0, num_proc=processes)
    dataset = NestedDataset.from_list(rows)
    cpu, wall = cpu_seconds(), time.perf_counter()
    kept = operator.run(dataset)
    wall, cpu = time.perf_counter() - wall, cpu_seconds() - cpu
    return wall, cpu, [row[StatsKeys.image_text_similarity][0] for row in kept[Fields.stats]]


def cpu_seconds() -> float:
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("clip", type=Path)
    parser.add_argument("--result", type=Path, required=True)
    parser.add_argument("--processes", type=int, default=len(os.sched_getaffinity(0)))
    given = parser.parse_args()
    datasets.disable_caching()
    rows = samples(given.set)
    few = 2 * given.processes
    few_wall, few_cpu, _ = timed(rows[:few], given.clip, given.processes)
    wall, cpu, cosines = timed(rows, given.clip, given.processes)
    np.save(given.result, np.asarray(cosines, np.float64))
    print(json.dumps({"wall": wall - few_wall, "cpu": cpu - few_cpu, "pairs": len(rows) - few, "start": few_wall}))


if __name__ == "__main__":
    main()
