"""The command line against an object store on loopback, through s3fs: scan, faults, kill -9, reports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("s3fs")

from object_store import ObjectStore, object_store  # only where there is s3fs

from vsil_audit import scan
from vsil_audit.audit import Audit
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanOptions

EXAMPLE = Path(__file__).parents[2] / "examples" / "hades-mini"
OFFLINE = ("--detectors", "hygiene,description_overlap", "--workers", "1")


@pytest.fixture(scope="module")
def store() -> Iterator[ObjectStore]:
    with object_store() as made:
        for file in EXAMPLE.rglob("*"):
            if file.is_file():
                made.put(f"sets/hades-mini/{file.relative_to(EXAMPLE).as_posix()}", file.read_bytes())
        yield made


@pytest.fixture(scope="module")
def environment(store: ObjectStore, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    here = {"VSIL_AUDIT_CACHE": str(tmp_path_factory.mktemp("cache")), "COLUMNS": "200"}
    return {**os.environ, **store.environment(), **here}


def vsil_audit(environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "vsil_audit", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)


def downloaded(store: ObjectStore, prefix: str, folder: Path) -> Path:
    for name in store.below(prefix):
        target = folder / name.removeprefix(prefix).lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(store.objects[name])
    return folder


@pytest.fixture(scope="module")
def scanned(store: ObjectStore, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """A first scan, during which the store is busy now and then."""
    store.faults = 2
    return vsil_audit(environment, "scan", "s3://sets/hades-mini", "--output", "s3://runs/one", *OFFLINE)


def test_the_run_in_the_bucket_is_the_run_on_disk(
    scanned: subprocess.CompletedProcess[str], store: ObjectStore, tmp_path: Path
) -> None:
    assert scanned.returncode == 0, scanned.stderr
    assert store.faults == 0
    assert "s3://runs/one" in scanned.stdout
    there = Audit.open(downloaded(store, "runs/one", tmp_path / "there"))
    options = ScanOptions(detectors=("hygiene", "description_overlap"), workers=1)
    here = scan(EXAMPLE, output=tmp_path / "here", options=options)
    assert there.findings.equals(here.findings)
    assert there.folder.manifest().fingerprint == here.folder.manifest().fingerprint
    assert {"report.html", "report.json", "pairs.csv"} <= {p.name for p in (tmp_path / "there").iterdir()}
    assert not (tmp_path / "there" / ".lock").exists()


def test_no_key_is_kept_or_printed(scanned: subprocess.CompletedProcess[str], store: ObjectStore) -> None:
    written = b"".join(store.objects[name] for name in store.below("runs/one"))
    for secret in ("nobody", "nothing"):
        assert secret not in scanned.stdout + scanned.stderr
    assert b"AWS_" not in written


def test_a_complete_run_is_shown_again_and_compared(
    scanned: subprocess.CompletedProcess[str], environment: dict[str, str], store: ObjectStore
) -> None:
    again = vsil_audit(environment, "scan", "s3://sets/hades-mini", "--output", "s3://runs/one", *OFFLINE)
    assert again.returncode == 0
    assert "complete already" in again.stderr
    assert vsil_audit(environment, "report", "s3://runs/one", "--format", "junit", "-q").returncode == 0
    assert "runs/one/junit.xml" in store.objects
    compared = vsil_audit(environment, "compare", "s3://runs/one", "s3://runs/one")
    assert compared.returncode == 0, compared.stderr


def test_a_scan_that_was_killed_is_continued(environment: dict[str, str], store: ObjectStore, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "vsil_audit", "scan", "s3://sets/hades-mini", "-o", "s3://runs/killed", *OFFLINE]
    command += ["--batch-pairs", "4"]
    first = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not store.below("runs/killed/pairs") and time.monotonic() < deadline:
        time.sleep(0.02)
    first.send_signal(signal.SIGKILL)
    first.wait()
    assert "runs/killed/.lock" in store.objects
    put = len(store.requests)
    again = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert again.returncode == 0, again.stderr
    assert "PUT runs/killed/pairs/part-00000.parquet" not in store.requests[put:]
    assert RunFolder(downloaded(store, "runs/killed", tmp_path)).manifest().state.value == "complete"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("inspect", "s3://sets/none"), "s3://sets/none does not exist, or is empty"),
        (("inspect", "s3://key:SECRET@sets/hades-mini"), "Leave the secret out"),
        (("report", "s3://runs/none"), "s3://runs/none is not a run folder"),
        (("inspect", "gs://sets/hades-mini"), "pip install gcsfs"),
    ],
)
def test_what_cannot_be_is_said_with_its_remedy(
    arguments: tuple[str, ...], said: str, environment: dict[str, str]
) -> None:
    if "gcsfs" in said and __import__("importlib.util", fromlist=["util"]).find_spec("gcsfs"):
        pytest.skip("gcsfs is here")
    done = vsil_audit(environment, *arguments)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert "SECRET" not in done.stderr
