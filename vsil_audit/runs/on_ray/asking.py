"""Third stage of a run on Ray: one actor asks all models, so that limits, cache and budget hold for the whole run.

It is a process of the driver's machine: there are the answer cache, and the keys. These are handed to it in memory, are
written nowhere, and reach no other machine.
"""

from __future__ import annotations

import os
from collections import deque
from pathlib import Path
from typing import Any

from vsil_audit.places.addresses import Place
from vsil_audit.runs import asking
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import Manifest
from vsil_audit.runs.on_ray.cluster import Cluster
from vsil_audit.runs.on_ray.places import everywhere
from vsil_audit.runs.on_ray.spread import CarriedError
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.progress import Progress

_LISTEN_SECONDS = 0.2
_OF_RAY = ("RAY_", "CUDA_", "OMP_")
_IN_PROCESS = "hf/"


def ask_models(plan: ScanPlan, folder: RunFolder, manifest: Manifest, progress: Progress, cluster: Cluster) -> Manifest:
    """`runs.asking.ask_models` in an actor: it raises the same, and Ctrl-C reaches it too."""
    if not plan.chat_detectors:
        return manifest
    import ray

    models = {name for d in plan.chat_detectors for name in d.models(plan.options.ask)}
    gpus = cluster.gpus_here if any(name.startswith(_IN_PROCESS) for name in models) else 0
    where = {"ray.io/node-id": cluster.here}
    options: dict[str, Any] = {"num_cpus": 0, "num_gpus": gpus, "max_concurrency": 2, "label_selector": where}
    gateway = ray.remote(**options)(_Gateway).remote()
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OF_RAY)}
    asked = gateway.ask.remote(plan, everywhere(folder.path), manifest, Path.cwd(), environment)
    try:
        return _listen(gateway, asked, progress)
    except KeyboardInterrupt:
        ray.get(gateway.stop.remote())
        _listen(gateway, asked, progress)
        raise
    finally:
        ray.kill(gateway)


def _listen(gateway: Any, asked: Any, progress: Progress) -> Manifest:
    """Pass on what the actor tells until it has an answer."""
    import ray

    done: list[Any] = []
    while not done:
        done, _ = ray.wait([asked], timeout=_LISTEN_SECONDS)
        for what, arguments in ray.get(gateway.told.remote()):
            getattr(progress, what)(*arguments)
    found = ray.get(asked)
    if isinstance(found, CarriedError):
        raise found.error()
    manifest: Manifest = found
    return manifest


class _Gateway:
    """Made in the actor. `ask` runs in one of its threads, while the driver calls `told` and `stop` in another."""

    def __init__(self) -> None:
        self._heard = _Heard()

    def ask(
        self, plan: ScanPlan, place: Place, manifest: Manifest, folder: Path, environment: dict[str, str]
    ) -> Manifest | CarriedError:
        """As the driver would, with its current folder and environment."""
        os.chdir(folder)
        os.environ.update(environment)
        try:
            return asking.ask_models(plan, RunFolder(place), manifest, self._heard)
        except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001 - it is raised by the driver
            return CarriedError.of(error)

    def told(self) -> list[tuple[str, tuple[Any, ...]]]:
        """What the run had to tell since the last call: names of `Progress`'s methods, and their arguments."""
        return [self._heard.waiting.popleft() for _ in range(len(self._heard.waiting))]

    def stop(self) -> None:
        self._heard.stopped = True


class _Heard:
    """A `Progress` that keeps what it is told. Once stopped it answers as if Ctrl-C came at that moment."""

    def __init__(self) -> None:
        self.waiting: deque[tuple[str, tuple[Any, ...]]] = deque()
        self.stopped = False

    def stage(self, name: str, total: int | None, unit: str) -> None:
        self.waiting.append(("stage", (name, total, unit)))

    def advance(self, steps: int) -> None:
        if steps:
            self.waiting.append(("advance", (steps,)))
        if self.stopped:
            self.stopped = False
            raise KeyboardInterrupt

    def remark(self, text: str) -> None:
        self.waiting.append(("remark", (text,)))
