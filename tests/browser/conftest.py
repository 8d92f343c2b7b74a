"""The browser that all tests of a worker share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from browser.report_pages import ARGUMENTS, CHROMIUM
from playwright.sync_api import Browser, sync_playwright


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        yield browser
        browser.close()
