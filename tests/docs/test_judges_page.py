"""docs/judges.md names the bounds that the code keeps."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from vsil_audit.runs.asked import bounds

PAGE = (Path(__file__).parents[2] / "docs" / "judges.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("check", "bound"),
    [
        ("coverage", f"at least {bounds.LEAST_COVERAGE:.0%}"),
        ("canaries", f"at least {bounds.LEAST_CANARY_ACCURACY:.0%}"),
        ("injection", f"at least {bounds.LEAST_INJECTION_ACCURACY:.0%}"),
        ("image_sensitivity", f"at least {bounds.LEAST_IMAGE_SENSITIVITY:.0%}"),
        ("control", f"at most {bounds.MOST_CONTROL_ALARMS:.0%}"),
    ],
)
def test_the_page_tells_each_bound(check: str, bound: str) -> None:
    assert re.search(rf"^\| `{check}`: .* \| {bound} \|$", PAGE, re.MULTILINE)
