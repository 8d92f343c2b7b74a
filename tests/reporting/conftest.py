"""Finished runs for the reports' tests."""

from __future__ import annotations

from types import ModuleType

import pytest
import reporting.asked_folders
import reporting.run_folders

from vsil_audit.runs.folder import RunFolder


@pytest.fixture(scope="session")
def run_folders() -> ModuleType:
    """The module that makes run folders: `write_run`, `HOSTILE`."""
    return reporting.run_folders


@pytest.fixture(scope="session")
def asked_folders() -> ModuleType:
    """The module that makes run folders with models' answers: `write_asked_run`."""
    return reporting.asked_folders


@pytest.fixture(scope="session")
def small_run(run_folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """24 pairs, with failures, abstentions and problems. Tests only read it."""
    return run_folders.write_run(tmp_path_factory.mktemp("runs") / "small", 24)


@pytest.fixture(scope="session")
def hostile_run(run_folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """18 pairs whose every string is hostile. Tests only read it."""
    return run_folders.write_run(tmp_path_factory.mktemp("runs") / "hostile", 18, hostile=True)
