"""One scan at a time in a remote run folder: an owner file with a lease, since no lock there goes with the process.

What it cannot promise: a store without conditional writes lets two scans that begin in the same moment both begin; and
a process that sleeps through its lease (a suspended machine, a long break of the network) may wake up beside another.
Both are noticed at the next renewal at the latest, by the token in the file, and the one that lost it writes no more.
Until then both write the same parts: equal data and options make equal parts, so that a folder is not spoilt; what is
asked of models in that time is paid twice. Leases are judged by the clocks of the machines, which should agree within
seconds.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import platform
import secrets
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass

from vsil_audit.errors import RunFolderError, StoreError
from vsil_audit.places.filesystems import creates_alone
from vsil_audit.places.remote_path import RemotePath

LEASE_SECONDS = 90.0
_RENEWED_EVERY = 20.0
_SETTLING_SECONDS = 1.0
_lost: set[str] = set()
"""Folders whose lease this process held and lost: nothing is written there any more."""


@dataclass(frozen=True, slots=True)
class _Owner:
    token: str
    machine: str
    process: int
    until: float

    def to_json(self) -> bytes:
        return json.dumps({name: getattr(self, name) for name in self.__slots__}).encode()

    def is_dead(self) -> bool:
        """Whether it is known to have ended: on this machine, and gone."""
        if self.machine != _machine() or not hasattr(os, "kill") or os.name == "nt":
            return False
        try:
            os.kill(self.process, 0)
        except ProcessLookupError:
            return True
        except OSError:
            return False
        return False


@contextlib.contextmanager
def leased(folder: RemotePath, name: str) -> Iterator[None]:
    """Hold the lease on `folder`, in its file `name`, and renew it until the end. Raises RunFolderError when another
    holds it."""
    file, token = folder / name, secrets.token_hex(16)
    _take(folder, file, token)
    _lost.discard(folder.url)
    ended = threading.Event()
    renewing = threading.Thread(target=_renew, args=(folder, file, token, ended), daemon=True, name="lease")
    renewing.start()
    try:
        yield
    finally:
        ended.set()
        renewing.join()
        with contextlib.suppress(OSError):
            found = _owner(file)
            if found is not None and found.token == token:
                file.unlink(missing_ok=True)


def check_lease(file: RemotePath) -> None:
    """Raise RunFolderError when `file` lies in a folder whose lease this process has lost."""
    for folder in _lost:
        if file.url.startswith(f"{folder}/"):
            raise RunFolderError(
                f"another scan has taken over {folder}: this one did not renew its lease in time",
                "Let the other one finish, or end it and run the same command again; what was done is kept.",
            )


def _take(folder: RemotePath, file: RemotePath, token: str) -> None:
    mine = _mine(token).to_json()
    try:
        file.create(mine)
        if creates_alone(file.url):
            return
    except FileExistsError:
        found = _owner(file)
        if found is not None and found.token != token:  # a create that was tried again may have met its own file
            if found.until > time.time() and not found.is_dead():
                left = max(1, round(found.until - time.time()))
                raise RunFolderError(
                    f"another scan is writing to {folder}",
                    f"Wait for it, or choose another folder with --output; if it was killed, wait {left} s.",
                ) from None
            file.write(mine)
        elif found is None:
            file.write(mine)
    time.sleep(_SETTLING_SECONDS)
    found = _owner(file)
    if found is None or found.token != token:
        raise RunFolderError(
            f"another scan began to write to {folder} at the same moment", "Wait for it, or choose another folder."
        )


def _renew(folder: RemotePath, file: RemotePath, token: str, ended: threading.Event) -> None:
    until = time.time() + LEASE_SECONDS
    while not ended.wait(_RENEWED_EVERY):
        try:
            found = _owner(file)
            if found is None or found.token != token:
                break
            file.write(_mine(token).to_json())
            until = time.time() + LEASE_SECONDS
        except OSError:
            if time.time() > until:
                break
    if not ended.is_set():
        _lost.add(folder.url)


def _mine(token: str) -> _Owner:
    return _Owner(token, _machine(), os.getpid(), time.time() + LEASE_SECONDS)


def _machine() -> str:
    """Tells machines apart without naming them."""
    return hashlib.sha256(platform.node().encode()).hexdigest()[:16]


def _owner(file: RemotePath) -> _Owner | None:
    """Who holds the lease; None where nobody does, or the file says nothing that can be read."""
    try:
        found = json.loads(file.read_bytes())
        return _Owner(str(found["token"]), str(found["machine"]), int(found["process"]), float(found["until"]))
    except FileNotFoundError:
        return None
    except StoreError:
        raise
    except (ValueError, KeyError, TypeError):
        return None
