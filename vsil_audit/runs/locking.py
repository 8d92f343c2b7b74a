"""One writer at a time in a folder."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from vsil_audit.errors import RunFolderError
from vsil_audit.places import Place
from vsil_audit.places.lease import leased


def locked(folder: Place, name: str, work: str) -> contextlib.AbstractContextManager[None]:
    """Hold the folder by the file called `name` in it. `work`: what holds it, in a word. Raises RunFolderError where
    another process has it, or the folder cannot be written."""
    return _locked_here(folder, name, work) if isinstance(folder, Path) else leased(folder, name)


@contextlib.contextmanager
def _locked_here(path: Path, name: str, work: str) -> Iterator[None]:
    """The lock goes with the process, so a killed one leaves none behind."""
    try:
        path.mkdir(parents=True, exist_ok=True)
        # In a folder from elsewhere the lock may be a link to a file of the user's: it is neither followed nor emptied.
        lock = os.fdopen(os.open(path / name, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644), "r+")
    except OSError as error:
        raise RunFolderError(
            f"cannot write to {path}: {error.strerror}", "Choose another folder with --output."
        ) from error
    with lock:
        try:
            import fcntl

            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:
            pass  # no such locks on this system; two at once in one folder are the user's to avoid
        except OSError as error:
            raise RunFolderError(
                f"another {work} is writing to {path}", "Wait for it, or choose another folder."
            ) from error
        yield
