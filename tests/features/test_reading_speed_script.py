"""The benchmark of reading: both sides give an encoder the same pixels, and what the parent costs is told."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest
from benchmark_scripts import FOLDER, load_script


@pytest.fixture(scope="module")
def reading_speed() -> ModuleType:
    pytest.importorskip("psutil")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(FOLDER))
        return load_script("reading_speed")


def test_a_small_run_tells_what_the_parent_can_feed(
    reading_speed: ModuleType, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        sys, "argv", ["reading_speed.py", "--quick", "--images", "20", "--cores", "1", "--folder", str(tmp_path)]
    )
    reading_speed.main()
    said = capsys.readouterr().out
    assert "20 images, 1 core(s), 1 worker process(es), 1 round(s)" in said
    for side in ("ours", "undecoded"):
        assert re.search(rf"{side} +[\d.]+ images/s, CPU an image: .* the parent [\d.]+ ms \(feeds [\d,]+", said)
    assert ("ours is" in said) != ("The loader is left out" in said)


def test_the_pixels_of_each_image_reach_the_encoder(reading_speed: ModuleType, tmp_path: Path) -> None:
    import numpy as np

    from vsil_audit.features.clip.preprocessing import Preprocessing
    from vsil_audit.images import DecodedImage, ImageLimits, decode

    folder = reading_speed.made_images(tmp_path, reading_speed.FIRST + 5)
    turn = reading_speed.turn("ours", folder, sorted(os.sched_getaffinity(0))[:1], 1, 16)
    assert turn.images == 5
    for mean, path in zip(turn.means, sorted(folder.iterdir()), strict=False):
        decoded = decode(path.read_bytes(), path.name, ImageLimits())
        assert isinstance(decoded, DecodedImage)
        assert abs(mean - np.mean(Preprocessing().pixels(decoded.pixels)) / 255) < 1e-3


def test_sides_that_do_not_the_same_work_end_it(reading_speed: ModuleType) -> None:
    ours = reading_speed.Turn(10, 1.0, 0.1, 0.5, (0.4, 0.5))
    reading_speed.gate(ours, replace(ours, means=(0.4004, 0.5)))
    for other in (replace(ours, means=(0.41, 0.5)), replace(ours, images=9)):
        with pytest.raises(SystemExit, match="the same"):
            reading_speed.gate(ours, other)
