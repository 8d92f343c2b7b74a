"""The benchmark of CLIP speed: what its sides are given, and one small comparison by the real command."""

from __future__ import annotations

import os
import re
import shutil
import sys
from collections import Counter
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from benchmark_scripts import FOLDER, load_script
from PIL import Image, UnidentifiedImageError


@pytest.fixture(scope="module")
def clip_speed() -> ModuleType:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        return load_script("clip_speed")


def opens(path: Path) -> bool:
    try:
        with Image.open(path) as image:
            image.load()
    except (OSError, UnidentifiedImageError):
        return False
    return True


def test_the_sets_are_as_told(clip_speed: ModuleType, tmp_path: Path) -> None:
    unique = clip_speed.unique_set(tmp_path, 12)
    assert (unique.unique_images, unique.unique_texts) == (12, 12)
    assert all(5 <= len(text.split()) <= 40 for text in unique.texts)
    with Image.open(unique.images[0]) as image:
        assert (image.format, image.size) == ("JPEG", (512, 512))

    repeating = clip_speed.repeating_set(tmp_path, unique, 12)
    assert set(Counter(repeating.images).values()) == {3}
    assert set(Counter(repeating.texts).values()) == {2}
    assert len(set(zip(repeating.images, repeating.texts, strict=True))) == 12

    corrupt = clip_speed.corrupt_set(tmp_path, unique, 0.25)
    assert {path.name for path in corrupt.images if not opens(path)} == corrupt.corrupt
    assert len(corrupt.corrupt) == 3


def test_our_scan_and_a_loader_compute_the_same_and_are_compared(
    clip_speed: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("torch", "open_clip", "psutil"):
        pytest.importorskip(module)
    from tiny_clip import TINY, save_tiny_clip

    clip = save_tiny_clip(tmp_path / "clip", config={**TINY, "embed_dim": 512})  # narrow vectors suffer from rounding
    sides = clip_speed.Sides(tmp_path, clip, tuple(sorted(os.sched_getaffinity(0))[:2]), 1, batch=32)
    made = clip_speed.unique_set(tmp_path, 36)
    few = made.first(clip_speed.FEW)
    each = clip_speed.ours(sides, few) | {"loader": lambda made: sides.loop("loader", made)}
    taken = clip_speed.compare(each, made, 1, {"loader": 1.0})
    assert taken["ours"][0].failed == ()
    said = capsys.readouterr().out
    assert "unique: 36 pairs, 36 images, 36 texts" in said
    assert re.search(r"loader .* ours is +-?\d+\.\d+ \[.*; asked 1.0: ", said)


def test_our_reading_in_both_ways_is_near_a_loader_in_bf16(
    clip_speed: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for module in ("torch", "open_clip", "psutil"):
        pytest.importorskip(module)
    from tiny_clip import TINY, save_tiny_clip

    clip = save_tiny_clip(tmp_path / "clip", config={**TINY, "embed_dim": 512})
    cores = tuple(sorted(os.sched_getaffinity(0))[:2])
    sides = clip_speed.Sides(tmp_path, clip, cores, 1, batch=32, precision="bf16")
    made = clip_speed.unique_set(tmp_path, 24)
    taken = {"ours": [sides.reading(made, "cpu")], clip_speed.ON_GPU: [sides.reading(made, "gpu")]}
    taken["loader"] = [sides.loop("loader", made)]
    exact = taken["ours"][0].cosines  # float32, on a CPU
    clip_speed.near(taken, exact)
    assert np.abs(taken[clip_speed.ON_GPU][0].cosines - exact).max() > 0
    said = capsys.readouterr().out
    assert re.search(r"ours, gpu +says: CLIP with JPEGs decoded on the GPU: .* 0\.\d{5} or more", said)
    assert taken["ours"][0].pairs == 12, "the first two batches of six warm up"


def test_a_side_too_far_from_float32_ends_it(clip_speed: ModuleType) -> None:
    exact = np.linspace(-0.1, 0.1, 50)

    def near(**off: float) -> None:
        names = {"loader": "loader", "ours": "ours", "decoded": clip_speed.ON_GPU}
        taken = {names[name]: [clip_speed.Turn(50, 1.0, 1.0, 0.0, exact + by)] for name, by in off.items()}
        clip_speed.near(taken, exact)

    near(loader=3e-3, ours=5e-3, decoded=1.5e-2)
    near(loader=0, ours=1e-4, decoded=0)
    with pytest.raises(SystemExit, match=r"ours, gpu .* 0\.02"):
        near(loader=3e-3, ours=5e-3, decoded=2.5e-2)
    with pytest.raises(SystemExit, match=r"ours .* 0\.01"):
        near(loader=6e-3, ours=1.1e-2)
    with pytest.raises(SystemExit, match="twice as far"):
        near(loader=3e-3, ours=7e-3)


def test_no_more_workers_than_shared_memory_holds(clip_speed: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = shutil.disk_usage("/")
    for free, workers in ((64 << 20, 0), (1 << 30, 2), (64 << 30, 16)):
        monkeypatch.setattr(shutil, "disk_usage", lambda path, free=free: usage._replace(free=free))
        assert clip_speed.fitting_workers(16, 256) == workers


def test_a_side_that_computes_something_else_ends_it(clip_speed: ModuleType) -> None:
    def turn(*cosines: float) -> list[object]:
        return [clip_speed.Turn(2, 1.0, 1.0, 0.0, np.array(cosines))]

    clip_speed.gate({"loader": turn(0.1, 0.2), "ours": turn(0.10004, 0.2)})
    for wrong in ((0.1, 0.2002), (0.1, float("nan")), (0.1,)):
        with pytest.raises(SystemExit, match="ours"):
            clip_speed.gate({"loader": turn(0.1, 0.2), "ours": turn(*wrong)})


def test_without_a_gpu_it_says_so(
    clip_speed: ModuleType, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    torch = pytest.importorskip("torch")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["clip_speed.py", "--gpu"])
    clip_speed.main()
    assert "No GPU here: nothing is measured." in capsys.readouterr().out
