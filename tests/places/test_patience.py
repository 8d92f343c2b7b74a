"""Faults of the network pass, or are said; those of the user are said at once."""

from __future__ import annotations

import pytest

pytest.importorskip("fsspec")

from failing_store import Failing  # only where there is fsspec

from vsil_audit.errors import ConfigurationError, MissingDependencyError, StoreError
from vsil_audit.places import place
from vsil_audit.places.filesystems import ATTEMPTS, patiently
from vsil_audit.places.remote_path import RemotePath

WHERE = RemotePath("failing://bucket/run")


def test_a_fault_that_passes_is_not_noticed(failing: Failing) -> None:
    failing.faults[:] = [ConnectionError("reset"), TimeoutError("late")]
    (WHERE / "a").write(b"data")
    assert (WHERE / "a").read_bytes() == b"data"


def test_faults_that_stay_are_said_after_a_bounded_number_of_attempts(failing: Failing) -> None:
    failing.faults[:] = [ConnectionError(f"reset {n}") for n in range(50)]
    with pytest.raises(StoreError, match=r"writing failing://bucket/run/a failed 4 times.*reset 3") as caught:
        (WHERE / "a").write(b"data")
    assert len(failing.calls) == ATTEMPTS
    assert "run the same command again" in caught.value.remedy
    assert isinstance(caught.value, OSError), "whoever expects a disk's errors meets this one too"


def test_what_is_not_allowed_is_asked_once(failing: Failing) -> None:
    failing.faults[:] = [PermissionError("Access Denied: secret_key=HIDDEN")]
    with pytest.raises(StoreError, match="not allowed") as caught:
        (WHERE / "a").read_bytes()
    assert len(failing.calls) == 1
    assert "AWS_PROFILE" in caught.value.remedy
    assert "HIDDEN" not in str(caught.value)


def test_a_file_that_is_not_there_is_asked_for_once(failing: Failing) -> None:
    with pytest.raises(FileNotFoundError):
        (WHERE / "a").read_bytes()
    assert len(failing.calls) == 1


class _StatusError(Exception):
    status = 400


def test_a_request_that_is_wrong_is_not_repeated(failing: Failing) -> None:
    failing.faults[:] = [_StatusError("bad request")]
    with pytest.raises(StoreError, match="bad request"):
        (WHERE / "a").read_bytes()
    assert len(failing.calls) == 1


def test_a_client_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "gcsfs", None)
    with pytest.raises(MissingDependencyError, match="gs://bucket/set needs gcsfs") as caught:
        patiently("gs://bucket/set", "reading", lambda fs, path: None)
    assert caught.value.remedy == "Run `pip install gcsfs`."


def test_without_fsspec_both_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "fsspec.core", None)
    with pytest.raises(MissingDependencyError) as caught:
        (place("s3://other-bucket/set")).is_file()  # type: ignore[union-attr]
    assert caught.value.remedy == "Run `pip install fsspec s3fs`."


def test_an_unknown_scheme_is_said() -> None:
    with pytest.raises(ConfigurationError, match="s4://bucket/set"):
        patiently("s4://bucket/set", "reading", lambda fs, path: None)
