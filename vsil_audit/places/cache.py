"""Where this tool keeps what it can make again."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def cache_folder() -> Path:
    """`$VSIL_AUDIT_CACHE`, or vsil-audit's folder in the platform's cache directory."""
    chosen = os.environ.get("VSIL_AUDIT_CACHE")
    return Path(chosen).expanduser() if chosen else _platform_folder() / "vsil-audit"


def _platform_folder() -> Path:
    if sys.platform == "win32":
        local = os.environ.get("LOCALAPPDATA")
        return Path(local) if local else Path.home() / "AppData" / "Local"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    chosen = os.environ.get("XDG_CACHE_HOME", "")
    return Path(chosen) if Path(chosen).is_absolute() else Path.home() / ".cache"
