"""Finished runs for the reports' tests."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from vsil_audit.runs.folder import RunFolder


def _load(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, Path(__file__).with_name(f"{name}.py"))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules.setdefault(name, module)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def run_folders() -> ModuleType:
    """The module that makes run folders: `write_run`, `HOSTILE`."""
    return _load("run_folders")


@pytest.fixture(scope="session")
def asked_folders() -> ModuleType:
    """The module that makes run folders with models' answers: `write_asked_run`."""
    return _load("asked_folders")


@pytest.fixture(scope="session")
def small_run(run_folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """24 pairs, with failures, abstentions and problems. Tests only read it."""
    return run_folders.write_run(tmp_path_factory.mktemp("runs") / "small", 24)


@pytest.fixture(scope="session")
def hostile_run(run_folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """18 pairs whose every string is hostile. Tests only read it."""
    return run_folders.write_run(tmp_path_factory.mktemp("runs") / "hostile", 18, hostile=True)
