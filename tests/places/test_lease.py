"""One scan at a time in a remote run folder, as far as a lease can promise that."""

from __future__ import annotations

import json
import time

import pytest

pytest.importorskip("fsspec")

from failing_store import Failing  # only where there is fsspec

from vsil_audit.errors import RunFolderError
from vsil_audit.places import RemotePath, lease
from vsil_audit.places.lease import check_lease, leased

RUN = RemotePath("failing://bucket/run")
FILE = RUN / ".lock"


@pytest.fixture(autouse=True)
def quick(failing: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_SETTLING_SECONDS", 0.0)
    lease._lost.clear()


def owner(**changed: object) -> bytes:
    found = {"token": "theirs", "machine": "elsewhere", "process": 1, "until": time.time() + 60}
    return json.dumps({**found, **changed}).encode()


def test_a_second_scan_is_refused_and_the_first_leaves_nothing() -> None:
    with leased(RUN, ".lock"):
        with (
            pytest.raises(RunFolderError, match="another scan is writing to failing://bucket/run"),
            leased(RUN, ".lock"),
        ):
            pass
        assert FILE.is_file()
    assert not FILE.is_file()
    with leased(RUN, ".lock"):
        pass


def test_a_lease_that_has_run_out_is_taken_over() -> None:
    FILE.write(owner(until=time.time() - 1))
    with leased(RUN, ".lock"):
        assert json.loads(FILE.read_bytes())["token"] != "theirs"


def test_the_lease_of_a_process_that_died_here_is_taken_over_at_once() -> None:
    FILE.write(owner(machine=lease._machine(), process=2**22 + 1))
    with leased(RUN, ".lock"):
        pass


def test_a_lease_that_runs_is_respected_and_its_end_told() -> None:
    FILE.write(owner(until=time.time() + 40))
    with pytest.raises(RunFolderError) as caught, leased(RUN, ".lock"):
        pass
    assert "wait 40 s" in caught.value.remedy
    assert json.loads(FILE.read_bytes())["token"] == "theirs"


@pytest.mark.parametrize("rubbish", [b"", b"{", b"[]", b'{"token": 1}'])
def test_an_owner_file_that_says_nothing_holds_nothing(rubbish: bytes) -> None:
    FILE.write(rubbish)
    with leased(RUN, ".lock"):
        pass


def test_who_lost_the_lease_writes_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEWED_EVERY", 0.02)
    with leased(RUN, ".lock"):
        time.sleep(0.1)
        check_lease(RUN / "pairs" / "a")
        deadline = time.monotonic() + 5
        while not lease._lost and time.monotonic() < deadline:
            FILE.write(owner())  # again and again, as its owner would: a renewal under way may have written over it
            time.sleep(0.05)
        with pytest.raises(RunFolderError, match="has taken over"):
            check_lease(RUN / "pairs" / "a")
        check_lease(RemotePath("failing://bucket/run2/pairs/a"))
    assert json.loads(FILE.read_bytes())["token"] == "theirs", "what is another's is not removed"


def test_the_lease_is_renewed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lease, "_RENEWED_EVERY", 0.02)
    with leased(RUN, ".lock"):
        first = json.loads(FILE.read_bytes())["until"]
        deadline = time.monotonic() + 5
        while json.loads(FILE.read_bytes())["until"] <= first:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_no_name_of_a_machine_is_written() -> None:
    import platform

    with leased(RUN, ".lock"):
        assert platform.node().encode() not in FILE.read_bytes()
