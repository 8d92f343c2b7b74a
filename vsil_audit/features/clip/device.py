"""Where a CLIP model would run here, told without importing torch."""

from __future__ import annotations

import ctypes
import re
import sys
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

_CUDA = re.compile(r"^cuda(?:\s*:[^=]*)?\s*=\s*['\"](\d+)\.", re.MULTILINE)


def chosen_device(asked: str | None) -> str:
    """What was asked for; else `cuda` where the installed torch was built for a GPU that this machine has, and `cpu`
    where not."""
    return asked or ("cuda" if _has_fitting_gpu() else "cpu")


@lru_cache
def _has_fitting_gpu() -> bool:
    built_for = _torch_cuda()
    return built_for is not None and _driver_cuda() >= built_for


def _torch_cuda() -> int | None:
    """The major version of CUDA that the installed torch was built for; None for a build without."""
    spec = find_spec("torch")
    if spec is None or spec.origin is None:
        return None
    try:
        found = _CUDA.search((Path(spec.origin).parent / "version.py").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return None if found is None else int(found[1])


def _driver_cuda() -> int:
    """The major version of CUDA that the driver knows; 0 without a driver, or without a GPU that may be used."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
        count, version = ctypes.c_int(), ctypes.c_int()
        failed = driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count))
        failed = failed or driver.cuDriverGetVersion(ctypes.byref(version))
    except (OSError, AttributeError):
        return 0
    return 0 if failed or count.value < 1 else version.value // 1000
