"""A Ray cluster for one run: one that is there, or one that is started on this machine and ends with the run."""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vsil_audit
from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.features.worker_pool import available_cpus

_LOCAL = "local"
_SECONDS_TO_ANSWER = 5.0
_CPUS_A_READER = 4
_SCORERS_A_GPU = 4


@dataclass(frozen=True, slots=True)
class Pool:
    """How many workers there are, and what of the cluster each of them holds."""

    size: int
    cpus: int
    gpus: float = 0.0


@dataclass(frozen=True, slots=True)
class Cluster:
    """What of a cluster a run may use: CPUs and GPUs of each machine. `here`: Ray's name of this one, which has
    `gpus_here`. `machines`: Ray's names and people's of all others."""

    nodes: tuple[tuple[int, int], ...]
    here: str
    gpus_here: int = 0
    machines: tuple[tuple[str, str], ...] = ()

    def readers(self, workers: int | None, *, encode: bool) -> Pool:
        """Those that read batches, each with `workers` processes for images; None: as many as suit the machines. With
        `encode` each has a GPU, where there are any."""
        if encode and (with_gpus := [node for node in self.nodes if node[1]]):
            each = workers or max(1, min(cpus // gpus for cpus, gpus in with_gpus))
            return Pool(max(1, sum(min(gpus, cpus // each) for cpus, gpus in with_gpus)), each, 1.0)
        each = workers or max(1, min(_CPUS_A_READER, max(cpus for cpus, _ in self.nodes) // 2))
        return Pool(max(1, sum(cpus // each for cpus, _ in self.nodes)), each)

    def scorers(self, *, encode: bool) -> Pool:
        """Those that run detectors, on a CPU each; with `encode` they share the GPUs, where there are any."""
        cpus, gpus = (sum(column) for column in zip(*self.nodes, strict=True))
        if encode and gpus:
            return Pool(min(cpus, gpus * _SCORERS_A_GPU), 1, 1 / _SCORERS_A_GPU)
        return Pool(max(1, cpus), 1)


def check_ray(address: str | None = None) -> None:
    """Raises MissingDependencyError when Ray is not installed, ConfigurationError when nobody answers at the address
    that `connected` would take. Nothing is started."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # before it is imported
    try:
        import ray.data
    except ImportError as error:
        raise MissingDependencyError(
            f"--engine ray needs Ray Data, which is not installed ({error})", "pip install 'vsil-audit[ray]'"
        ) from error
    if not ray.is_initialized():
        _check_address(_chosen(address))


def _chosen(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or _LOCAL


@contextmanager
def connected(address: str | None, workers: int | None = None) -> Iterator[Cluster]:
    """The cluster at `address` (`HOST:PORT`, or `auto` for the one on this machine), else at $RAY_ADDRESS, else one of
    this machine's CPUs, or of `workers` of them. One that this process has joined already is used as it is.

    What was started or joined here is ended or left at the end. Raises ConfigurationError where there is no cluster.
    """
    check_ray(address)
    import ray

    if ray.is_initialized():
        yield _cluster()
        return
    _join(_chosen(address), workers)
    try:
        yield _cluster()
    finally:
        ray.shutdown()


def _check_address(address: str) -> None:
    """Ray itself tries for minutes, and then ends the process."""
    if "://" in address:
        raise ConfigurationError(
            f"{address} is the address of a Ray client, which cannot run a scan",
            "Run the command on a machine of the cluster with --ray-address auto, or hand it in with `ray job submit`.",
        )
    host, _, port = address.rpartition(":")
    if not host:
        return
    try:
        socket.create_connection((host.strip("[]"), int(port)), _SECONDS_TO_ANSWER).close()
    except (OSError, ValueError) as error:
        raise _unusable(address, str(error)) from error


def _unusable(address: str, why: str) -> ConfigurationError:
    return ConfigurationError(
        f"there is no Ray cluster to be used at {address}: {why}",
        "Start one with `ray start --head` (the same versions of Ray and Python everywhere), name another with "
        "--ray-address, or leave that out: Ray is then started on this machine.",
    )


def _join(address: str, workers: int | None) -> None:
    import ray

    own: dict[str, Any] = {}
    if address == _LOCAL:
        own = {"num_cpus": workers or available_cpus(), "include_dashboard": False}
    try:
        with _quiet() as said:
            ray.init(address=address, job_config=_code(), log_to_driver=False, logging_level=logging.ERROR, **own)
    except (ConnectionError, RuntimeError, ValueError, SystemExit) as error:
        lines = str(error).strip().splitlines() if not isinstance(error, SystemExit) else said()[-1:]
        raise _unusable(address, " ".join(lines)[:500]) from error


def _code() -> Any:
    """Where workers find this package, if it is not installed. Of itself Ray puts the current folder first on their
    path, which may be a dataset, with modules that nobody asked for."""
    from ray.job_config import JobConfig

    code = JobConfig()
    code._client_job = True  # what keeps Ray from adding the folder
    code._py_driver_sys_path = [str(Path(vsil_audit.__file__).resolve().parent.parent)]
    return code


@contextmanager
def _quiet() -> Iterator[Any]:
    """Keep from standard error what Ray's own processes and its C++ part write there; gives a function for the lines.

    Of the C++ part only what is fatal is said later: else it tells of each pool of workers that they have arguments.
    """
    os.environ.setdefault("RAY_BACKEND_LOG_LEVEL", "fatal")
    sys.stderr.flush()
    with tempfile.TemporaryFile() as heard:

        def said() -> list[str]:
            heard.seek(0)
            return heard.read().decode("utf-8", "replace").strip().splitlines()

        kept = os.dup(2)
        try:
            os.dup2(heard.fileno(), 2)
            yield said
        finally:
            os.dup2(kept, 2)
            os.close(kept)


def _cluster() -> Cluster:
    import ray

    here = ray.get_runtime_context().get_node_id()
    alive = {node["NodeID"]: node for node in ray.nodes() if node["Alive"]}
    nodes = {name: (_whole(node["Resources"], "CPU"), _whole(node["Resources"], "GPU")) for name, node in alive.items()}
    others = ((name, node["NodeManagerHostname"]) for name, node in alive.items() if name != here and nodes[name][0])
    usable = tuple(node for node in nodes.values() if node[0]) or ((1, 0),)
    return Cluster(usable, here, nodes.get(here, (0, 0))[1], tuple(others))


def _whole(resources: Mapping[str, float], name: str) -> int:
    with suppress(TypeError, ValueError):
        return int(resources.get(name, 0))
    return 0
