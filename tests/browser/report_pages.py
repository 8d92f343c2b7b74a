"""A report in a real browser, for the tests that open one."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

needs_browser = pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}: install chromium")
quiet_about_sockets = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

CONTRAST = """() => {
  const parse = (c) => c.match(/[\\d.]+/g).map(Number);
  const luminance = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const background = (node) => {
    for (let n = node; n; n = n.parentElement) {
      const c = parse(getComputedStyle(n).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const low = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const node = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || !node.checkVisibility() || node.closest("script, style")) continue;
    const [a, b] = [luminance(parse(getComputedStyle(node).color)), luminance(background(node))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const said = walker.currentNode.textContent.slice(0, 30);
    if (ratio < 4.5) low.push([ratio.toFixed(2), node.className, said].join(" "));
  }
  return [...new Set(low)];
}"""
"""Every visible text whose contrast with its background is below 4.5."""


@dataclass
class Opened:
    """A page with everything that it said and asked for."""

    page: Page
    complaints: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)

    def rows(self) -> list[str]:
        return self.page.locator("#list [role=option] .row-id").all_inner_texts()

    def count(self) -> str:
        return self.page.locator("#count").inner_text()

    def selected(self) -> str:
        return self.page.locator("#list [aria-selected=true] .row-id").inner_text()

    def choose(self, **filters: str) -> None:
        for name, label in filters.items():
            self.page.select_option(f"#{name}", label=label)


def open_report(browser: Browser, file: Path, *, scheme: str = "light", width: int = 1300) -> Opened:
    page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 900})  # type: ignore[arg-type]
    opened = Opened(page)
    page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("request", lambda request: opened.requests.append(request.url))
    page.goto(file.as_uri())
    return opened
