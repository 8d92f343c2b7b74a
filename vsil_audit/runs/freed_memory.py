"""Memory that a stage of a run has freed, handed back to the system before the next one begins."""

from __future__ import annotations

import ctypes
import sys
from contextlib import suppress

import pyarrow as pa


def release_freed_memory() -> None:
    """Give back what is free inside this process: of a long stage with many threads the C library keeps tens of
    megabytes, in small pieces. Does nothing where it has no such call."""
    pa.default_memory_pool().release_unused()
    if sys.platform == "linux":
        with suppress(AttributeError, OSError):  # another C library than glibc
            ctypes.CDLL(None).malloc_trim(0)
