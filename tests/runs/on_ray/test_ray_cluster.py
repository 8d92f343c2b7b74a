"""Finding a cluster, and how a run shares it out."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest

from vsil_audit.errors import ConfigurationError, MissingDependencyError
from vsil_audit.runs.engine import check_engine
from vsil_audit.runs.on_ray.cluster import Cluster, Pool, connected
from vsil_audit.runs.on_ray.machines import check_machines
from vsil_audit.runs.plan import ScanOptions


@pytest.mark.parametrize(
    ("nodes", "workers", "pool"),
    [
        (((2, 0),), None, Pool(2, 1)),
        (((1, 0),), None, Pool(1, 1)),
        (((32, 0), (16, 0)), None, Pool(12, 4)),
        (((32, 0), (3, 0)), None, Pool(8, 4)),
        (((16, 0), (16, 0)), 16, Pool(2, 16)),
    ],
)
def test_readers_fill_the_machines(nodes: tuple[tuple[int, int], ...], workers: int | None, pool: Pool) -> None:
    assert Cluster(nodes, "here").readers(workers, encode=False) == pool
    assert Cluster(nodes, "here").readers(workers, encode=True) == pool


def test_with_gpus_there_is_one_reader_a_gpu_with_its_share_of_the_cpus() -> None:
    cluster = Cluster(((64, 8), (16, 1), (32, 0)), "here")
    assert cluster.readers(None, encode=True) == Pool(9, 8, 1.0)
    assert cluster.scorers(encode=True) == Pool(36, 1, 0.25)
    assert cluster.scorers(encode=False) == Pool(112, 1)


def test_ray_that_is_not_installed_is_named_with_its_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingDependencyError) as met:
        check_engine(ScanOptions(engine="ray"))
    assert met.value.remedy == "pip install 'vsil-audit[ray]'"
    check_engine(ScanOptions())


@pytest.mark.parametrize(
    ("address", "why"),
    [("127.0.0.1:{free}", "refused"), ("no-such-host.invalid:6379", "invalid:6379"), ("ray://head:10001", "client")],
)
def test_a_cluster_that_is_not_there_is_told_at_once(address: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray")
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        address = address.format(free=taken.getsockname()[1])
        started = time.monotonic()
        with pytest.raises(ConfigurationError, match=why) as met, connected(address):
            pass
    assert time.monotonic() - started < 15
    assert "--ray-address" in met.value.remedy


@pytest.mark.slow
def test_a_machine_that_does_not_see_the_run_folder_is_found_before_the_work_begins(
    cluster: Cluster, tmp_path: Path
) -> None:
    """As that other machine serves this one, which is told of a folder that only it should see."""
    (tmp_path / "run.json").write_text("{}")
    other = replace(cluster, machines=((cluster.here, "node-7"),))
    check_machines(tmp_path, tmp_path, other)
    with pytest.raises(ConfigurationError, match=r"node-7 of the cluster does not see .*images as this machine does"):
        check_machines(tmp_path, tmp_path / "images", other)
