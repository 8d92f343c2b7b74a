"""Memory that stays flat: the benchmark on a small set, and the one thing a reader remembers of every image."""

from __future__ import annotations

import subprocess
import sys
from collections import OrderedDict
from hashlib import sha256

import pytest
from benchmark_scripts import FOLDER

from vsil_audit.runs import reader

SCRIPT = [sys.executable, str(FOLDER / "clip_memory.py")]


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_benchmark_does_the_work_that_it_measures() -> None:
    done = subprocess.run([*SCRIPT, "--pairs", "1500", "--width", "32"], check=True, capture_output=True, text=True)
    head, *stages, ratio = done.stdout.splitlines()
    assert head.split()[:3] == ["pairs", "stage", "seconds"]
    assert [line.split()[:2] for line in stages] == [["1,500", stage] for stage in ("reading", "grouping", "detecting")]
    assert all(float(line.split()[3]) > 10 for line in stages)
    assert "private 1.00" in ratio


def test_a_reader_remembers_the_thumbnails_of_the_last_images_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader, "_THUMBNAILS_KNOWN", 10)
    digests = [sha256(bytes([i])).hexdigest() for i in range(15)]
    known: OrderedDict[bytes, None] = OrderedDict()
    assert all(reader._is_new(digest, known) for digest in digests)
    assert len(known) == 10
    assert not any(reader._is_new(digest, known) for digest in digests[5:])
    assert reader._is_new(digests[0], known)
