"""The leaderboard's page in a real browser, with three models and with thirty: both themes, a phone, hostile names."""

from __future__ import annotations

from collections.abc import Iterator
from html import unescape
from pathlib import Path

import pytest
from browser.report_pages import CONTRAST, Opened, needs_browser, open_report, quiet_about_sockets
from leaderboard_summaries import names, summary
from playwright.sync_api import Browser
from reporting.run_folders import HOSTILE

from vsil_audit.evaluation.alignment import align
from vsil_audit.evaluation.alignment_groups import paper_groups
from vsil_audit.evaluation.paper import paper_tables
from vsil_audit.reporting.leaderboard.page import leaderboard_page
from vsil_audit.runs.leaderboard_summary import LeaderboardSummary

pytestmark = [needs_browser, quiet_about_sockets]

OPEN_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = true })"
LUMINANCE = """(selector) => [...document.querySelectorAll(selector)].map((cell) => {
  const [r, g, b] = getComputedStyle(cell).backgroundColor.match(/[\\d.]+/g).map(Number);
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
})"""


def hostile_summary() -> LeaderboardSummary:
    """Every string that a run or a dataset controls is hostile."""
    found = summary([f"{bad}-{i}" for i, bad in enumerate(HOSTILE)], dataset=HOSTILE[0], remarks=HOSTILE)
    table = found.tables[0]
    maps = [
        heat_map.model_copy(update={"slices": list(HOSTILE[:6]), "within": list(HOSTILE[:6])})
        for heat_map in table.rankings[0].heat_maps
    ]
    rankings = [
        ranking.model_copy(update={"variant": HOSTILE[1] if ranking.variant else "", "heat_maps": maps})
        for ranking in table.rankings
    ]
    update = {
        "rankings": rankings, "view": HOSTILE[1], "control": HOSTILE[0], "judged_by": [HOSTILE[0]],
        "protocol": HOSTILE[1], "limited_to": HOSTILE[0], "differs_in": list(HOSTILE),
    }  # fmt: skip
    runs = [run.model_copy(update={"folder": HOSTILE[0]}) for run in found.runs]
    return found.model_copy(update={"tables": [table.model_copy(update=update)], "runs": runs})


def write_page(folder: Path, found: LeaderboardSummary) -> Path:
    file = folder / "leaderboard.html"
    file.write_text(leaderboard_page(found, paper_tables(), align(paper_groups())), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    made = {"three": summary(names(3)), "thirty": summary(names(30)), "hostile": hostile_summary()}
    return {name: write_page(tmp_path_factory.mktemp(name), found) for name, found in made.items()}


@pytest.fixture
def thirty(browser: Browser, pages: dict[str, Path]) -> Iterator[Opened]:
    opened = open_report(browser, pages["thirty"])
    yield opened
    assert opened.complaints == []
    assert opened.requests == [pages["thirty"].as_uri()]
    opened.page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["three", "thirty", "hostile"])
def test_text_has_contrast_in_both_themes(browser: Browser, pages: dict[str, Path], name: str, scheme: str) -> None:
    opened = open_report(browser, pages[name], scheme=scheme)
    opened.page.evaluate(OPEN_ALL)
    assert opened.page.evaluate(CONTRAST) == []
    opened.page.close()


@pytest.mark.parametrize("width", [360, 390, 768, 1300])
@pytest.mark.parametrize("name", ["three", "thirty", "hostile"])
def test_nothing_overflows_the_window(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    opened = open_report(browser, pages[name], width=width)
    opened.page.evaluate(OPEN_ALL)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.page.close()


def test_the_ranking_stands_whole_in_a_window(thirty: Opened) -> None:
    box = (
        "[...document.querySelectorAll('.scroll:has(> .ranking)')].filter((s) => s.scrollWidth > s.clientWidth).length"
    )
    assert thirty.page.evaluate(box) == 0


@pytest.mark.parametrize(("scheme", "sign"), [("light", -1), ("dark", 1)])
def test_a_heat_maps_lightness_runs_one_way(browser: Browser, pages: dict[str, Path], scheme: str, sign: int) -> None:
    """Whoever sees no hue still reads it; the page's own ground is the low end in both themes."""
    opened = open_report(browser, pages["three"], scheme=scheme)
    steps = opened.page.evaluate(LUMINANCE, ".heat-scale i")[:11]
    assert len(steps) == 11
    assert steps == sorted(steps, reverse=sign < 0)
    assert len(set(steps)) == 11
    opened.page.close()


def test_model_names_stay_in_sight_when_a_matrix_is_scrolled(thirty: Opened) -> None:
    scroll = thirty.page.locator(".scroll:has(> .duels)").first
    scroll.evaluate("(s) => { s.scrollLeft = 1500 }")
    left = scroll.evaluate(
        "(s) => s.querySelector('th[scope=row]').getBoundingClientRect().left - s.getBoundingClientRect().left"
    )
    assert abs(left) < 2


def test_other_conditions_are_folded_and_open(thirty: Opened) -> None:
    other = thirty.page.locator("details.other")
    assert other.count() == 3
    assert not other.first.locator(".ranking").is_visible()
    other.first.locator("> summary").click()
    assert other.first.locator(".ranking").is_visible()


def test_hostile_names_run_nothing_and_fetch_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    opened = open_report(browser, pages["hostile"])
    opened.page.evaluate(OPEN_ALL)
    assert opened.page.evaluate("window.pwned") is None
    assert opened.page.locator("img").count() == 0
    assert opened.page.locator("script").count() == 1
    assert opened.complaints == []
    assert opened.requests == [pages["hostile"].as_uri()]
    assert "<img src=x onerror=window.pwned=2>-1" in opened.page.locator(".ranking").first.inner_text()
    opened.page.close()


def test_the_page_allows_nothing_from_outside(pages: dict[str, Path]) -> None:
    html = pages["three"].read_text(encoding="utf-8")
    policy = unescape(html.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0])
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy
    assert ' style="' not in html
    assert not any(found in html for found in ("<link", "@import", "url(", " src=", "<iframe"))


def test_it_prints_light_with_its_colours(browser: Browser, pages: dict[str, Path]) -> None:
    opened = open_report(browser, pages["three"], scheme="dark")
    opened.page.emulate_media(media="print", color_scheme="dark")
    low, *_, high = opened.page.evaluate(LUMINANCE, ".heat-scale i")[:11]
    assert low > high
    assert opened.page.is_visible(".ranking")
    opened.page.close()
