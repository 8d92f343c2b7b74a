"""What a stage has freed does not stay with the process."""

from __future__ import annotations

import platform
import subprocess
import sys

import pytest

from vsil_audit.runs.freed_memory import release_freed_memory

FRAGMENTED = """
from pathlib import Path
from vsil_audit.runs.freed_memory import release_freed_memory

def anonymous():
    lines = Path("/proc/self/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Anonymous:")) / 1024

pieces = [bytes(5000) for _ in range(20_000)]
kept = pieces[::100]  # so that what is freed lies between what is not
del pieces
before = anonymous()
release_freed_memory()
print(before - anonymous())
"""


def test_it_may_be_called_anywhere_and_twice() -> None:
    release_freed_memory()
    release_freed_memory()


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc" or sys.platform != "linux", reason="needs glibc and /proc")
def test_memory_freed_in_pieces_goes_back_to_the_system() -> None:
    done = subprocess.run([sys.executable, "-c", FRAGMENTED], check=True, capture_output=True, text=True)
    assert float(done.stdout) > 40, "of some 95 MB that were freed"
