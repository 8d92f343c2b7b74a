"""An installation in which torch and torchvision do not fit each other is recognised."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsil_audit.torch_fit import torchvision_fault


@pytest.fixture
def packages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A place that comes first on the path, of this process and of those that it starts."""
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    (tmp_path / "torch.py").write_text("")
    return tmp_path


def test_a_torchvision_that_cannot_be_imported_is_a_fault_in_its_own_words(packages: Path) -> None:
    (packages / "torchvision.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    assert torchvision_fault() == "RuntimeError: operator torchvision::nms does not exist"


def test_one_that_can_be_imported_is_none(packages: Path) -> None:
    (packages / "torchvision.py").write_text("")
    assert not torchvision_fault()
