"""Whether the installed torch and torchvision fit each other: where they don't, half of what uses torch cannot load."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

REMEDY = "pip install --force-reinstall torch torchvision"
_SECONDS = 120


def torchvision_fault() -> str:
    """What importing torchvision says when it fails; empty when it works, or one of the two is not installed.

    Tried in a process of its own: a failed import leaves half of torch behind, and takes seconds.
    """
    if find_spec("torch") is None or find_spec("torchvision") is None:
        return ""
    try:
        done = subprocess.run(
            [sys.executable, "-c", "import torchvision"], capture_output=True, text=True, timeout=_SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        return f"importing torchvision takes more than {_SECONDS} seconds"
    if done.returncode == 0:
        return ""
    lines = [line for line in done.stderr.strip().splitlines() if line.strip()]
    return lines[-1] if lines else f"importing torchvision ended with status {done.returncode}"
