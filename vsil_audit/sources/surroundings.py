"""What lies in a folder, for recognising layouts and for telling people what was found instead."""

from __future__ import annotations

import os
from collections import Counter
from pathlib import Path

from vsil_audit.sources.files import is_image_name, walk

_LISTED = 8
_COUNTED = 20_000


def sub_folders(root: Path) -> list[Path]:
    """Folders directly below `root`, sorted; no hidden ones, no links, no run folders."""
    try:
        with os.scandir(root) as entries:  # tells folders without a look at each: there may be thousands
            names = sorted(e.name for e in entries if e.is_dir(follow_symlinks=False) and not e.name.startswith("."))
    except OSError:
        return []
    return [child for child in map(root.joinpath, names) if not (child / "run.json").exists()]


def what_is_there(path: Path) -> str:
    """One or two sentences on what `path` holds."""
    if path.is_file():
        return f"It is a file of {path.stat().st_size:,} bytes."
    if (path / "run.json").exists():
        return "It looks like a run folder, the result of a scan (it has a run.json)."
    suffixes: Counter[str] = Counter()
    for _, names in walk(path):
        suffixes.update("images" if is_image_name(name) else Path(name).suffix.lower() or "no suffix" for name in names)
        if sum(suffixes.values()) > _COUNTED:
            break
    if not suffixes:
        return "It holds no files, only folders."
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in suffixes.most_common(_LISTED))
    children = sorted(child.name + ("/" if child.is_dir() else "") for child in path.iterdir())
    named = ", ".join(children[:_LISTED]) + (" …" if len(children) > _LISTED else "")
    return f"It holds {named}; by kind, with sub-folders: {kinds}."
