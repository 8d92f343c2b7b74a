"""What lies in the caches of this machine: the Hugging Face hub's, and open_clip's own. Nothing is fetched."""

from __future__ import annotations

import re
from pathlib import Path

_REPOSITORY = re.compile(r"^[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*$")
_COMMIT = re.compile(r"^[0-9a-f]{40}$")


def is_repository(name: str) -> bool:
    """Whether `name` is an ORG/NAME of the hub."""
    return bool(_REPOSITORY.match(name))


def snapshot(repository: str) -> Path | None:
    """The folder of the revision that `main` stood at when something was last fetched from `ORG/NAME`."""
    from huggingface_hub.constants import HF_HUB_CACHE

    if not is_repository(repository):
        return None
    folder = Path(HF_HUB_CACHE) / f"models--{repository.replace('/', '--')}"
    try:
        commit = (folder / "refs" / "main").read_text(encoding="ascii").strip()
    except (OSError, ValueError):
        return None
    found = folder / "snapshots" / commit
    return found if _COMMIT.match(commit) and found.is_dir() else None


def cached(repository: str, *names: str) -> Path | None:
    """The first of the files `names` that is in the cache."""
    folder = snapshot(repository)
    return None if folder is None else first_file(folder, names)


def first_file(folder: Path, names: tuple[str, ...]) -> Path | None:
    return next((folder / name for name in names if (folder / name).is_file()), None)


def fetched_from_url(url: str) -> Path | None:
    """Where open_clip keeps what it fetched from an address."""
    kept = Path.home() / ".cache" / "clip" / url.rpartition("/")[2]
    return kept if kept.is_file() else None
