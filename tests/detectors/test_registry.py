"""The registry: names without imports, third parties by entry point, and clear errors."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from vsil_audit.detectors import registry
from vsil_audit.errors import ConfigurationError

DETECTOR = """
from vsil_audit.detectors.base import DetectorSpec, Lens, Readiness, Unit

class Colours:
    spec = DetectorSpec("{name}", "Is it blue?", Lens.CONTENT, Unit.SET, frozenset(), "share")
    @classmethod
    def readiness(cls): return Readiness(True)
    def prepare(self, context): ...
    def score(self, batch): return ()
    def conclude(self): return ()
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Put a package on the path, with an entry point as an installer would write it."""

    def put(package: str, name: str, target: str, code: str) -> None:
        (tmp_path / f"{package}.py").write_text(code)
        info = tmp_path / f"{package}-1.0.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.0\n")
        (info / "entry_points.txt").write_text(f"[vsil_audit.detectors]\n{name} = {target}\n")
        monkeypatch.syspath_prepend(str(tmp_path))

    return put


def test_our_detectors_are_listed_in_the_order_of_a_report() -> None:
    overlap = ["ocr_overlap", "clip_overlap", "description_overlap"]
    assert registry.available()[:6] == ["hygiene", *overlap, "topic_probe", "harm_prior"]


@pytest.mark.parametrize("name", ["ocr_overlap", "description_overlap"])
def test_a_detector_is_loaded_by_name(name: str) -> None:
    assert registry.load(name).spec.name == name


def test_listing_imports_no_detector() -> None:
    code = (
        "import sys; from vsil_audit.detectors import registry; registry.available()\n"
        "print([m for m in sys.modules if m.startswith('vsil_audit.detectors.') and m.split('.')[-1] not in "
        "('base', 'registry')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


@pytest.mark.parametrize("typo", ["ocr-overlap", "ocr_overlp", "OCR overlap"])
def test_an_unknown_name_gets_a_suggestion(typo: str) -> None:
    with pytest.raises(ConfigurationError, match="no detector called") as raised:
        registry.load(typo)
    assert "Did you mean 'ocr_overlap'?" in raised.value.remedy


def test_a_name_like_no_other_gets_the_list() -> None:
    with pytest.raises(ConfigurationError) as raised:
        registry.load("zzz")
    assert "Did you mean" not in raised.value.remedy
    assert "description_overlap" in raised.value.remedy


def test_an_installed_package_adds_its_detector(install) -> None:
    install("acme_colours", "colours", "acme_colours:Colours", DETECTOR.format(name="colours"))
    assert registry.available()[-1] == "colours"
    assert registry.load("colours").__name__ == "Colours"


def test_a_name_of_ours_cannot_be_taken(install) -> None:
    install("acme_taker", "hygiene", "acme_taker:Colours", DETECTOR.format(name="hygiene"))
    with pytest.raises(ConfigurationError, match=r"two detectors are called 'hygiene'.*acme"):
        registry.available()


@pytest.mark.parametrize(
    ("package", "target", "code", "says"),
    [
        ("acme_absent", "acme_absent:Missing", "", "cannot be loaded"),
        ("acme_function", "acme_function:found", "def found(): ...", "is no detector"),
        ("acme_misnamed", "acme_misnamed:Colours", DETECTOR.format(name="other"), "calls itself 'other'"),
    ],
)
def test_a_broken_package_is_named(install, package: str, target: str, code: str, says: str) -> None:
    install(package, "colours", target, code)
    with pytest.raises(ConfigurationError, match=says) as raised:
        registry.load("colours")
    assert raised.value.remedy
