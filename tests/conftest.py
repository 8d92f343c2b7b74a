"""What every test gets: its own feature store, and property tests that do not fail for a slow machine."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

os.environ.setdefault("OMP_NUM_THREADS", "1")  # each worker's models with a pool of their own fight for the cores

settings.register_profile("any-machine", deadline=None, suppress_health_check=[HealthCheck.too_slow], derandomize=True)
settings.register_profile("exploring", settings.get_profile("any-machine"), derandomize=False, max_examples=1000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "any-machine"))  # `exploring` looks for new examples


@pytest.fixture(autouse=True)
def own_feature_store(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No test reads or fills the user's feature store, or another test's."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("VSIL_AUDIT_CACHE", str(folder))
    return folder
