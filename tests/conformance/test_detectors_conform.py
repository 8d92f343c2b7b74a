"""Every registered detector holds to the contract; the same checks are shipped for third parties."""

from __future__ import annotations

from typing import cast

import pytest

from vsil_audit.detectors import chat_conformance, conformance, registry
from vsil_audit.detectors.base import Need
from vsil_audit.detectors.chat import ChatDetector

ASKING = [name for name in registry.available() if Need.CHAT in registry.load(name).spec.needs]
OFFLINE = [name for name in registry.available() if name not in ASKING]


@pytest.mark.parametrize("check", conformance.CHECKS, ids=conformance.name_of)
@pytest.mark.parametrize("name", OFFLINE)
def test_detector_conforms(name: str, check: conformance.Check) -> None:
    check(registry.load_offline(name))


@pytest.mark.parametrize("check", chat_conformance.CHECKS, ids=conformance.name_of)
@pytest.mark.parametrize("name", ASKING)
def test_detector_that_asks_models_conforms(name: str, check: chat_conformance.Check) -> None:
    check(cast("type[ChatDetector]", registry.load(name)))
