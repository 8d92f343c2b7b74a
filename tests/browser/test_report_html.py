"""The HTML report in a real browser: it filters, sorts, reveals on click, obeys the keyboard, and asks for nothing."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.report_pages import CONTRAST, Opened, needs_browser, open_report, quiet_about_sockets
from playwright.sync_api import Browser, expect
from reporting import run_folders

from vsil_audit.reporting.html import render_html

pytestmark = [needs_browser, quiet_about_sockets]


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    file = folder / "report.html"
    file.write_text(render_html(run_folders.write_run(folder / "run", 130)), encoding="utf-8")
    return file


@pytest.fixture
def report(browser: Browser, file: Path) -> Iterator[Opened]:
    opened = open_report(browser, file)
    yield opened
    assert opened.complaints == []
    outside = [url for url in opened.requests if not url.startswith(("file:", "data:"))]
    assert outside == []
    assert [url for url in opened.requests if url.startswith("file:")] == [file.as_uri()]
    opened.page.close()


def test_the_list_shows_the_most_suspicious_first_one_page_at_a_time(report: Opened) -> None:
    assert report.count() == "130 of 130 pairs"
    assert len(report.rows()) == 50
    assert report.page.locator("#list [role=option] .verdict").first.inner_text() == "suspected"
    report.page.click("#next")
    report.page.click("#next")
    assert len(report.rows()) == 30
    assert report.page.is_disabled("#next")


def test_search_finds_text_ids_descriptions_and_image_text(report: Opened) -> None:
    page = report.page
    page.fill("#search", "RED paint")
    expect(page.locator("#count")).not_to_have_text("130 of 130 pairs")
    assert 0 < page.locator("#list [role=option]").count() < 50
    page.fill("#search", "trespass/1")
    expect(page.locator("#list .row-id").first).to_contain_text("trespass/1")
    assert all("trespass/1" in row for row in report.rows())
    page.fill("#search", "no such words anywhere")
    page.wait_for_selector("#list .empty")
    assert report.count() == "0 of 130 pairs"


def test_filters_by_detector_verdict_and_category(report: Opened) -> None:
    report.choose(detector="ocr_overlap", verdict="failed")
    assert report.count().startswith("11 of")
    assert "missing image" in report.page.locator("#detail").inner_text()
    report.choose(verdict="abstained")
    assert report.page.locator("#detail .findings tr", has_text="ocr_overlap").locator(".verdict").inner_text() == (
        "abstained"
    )
    report.choose(detector="any detector", verdict="issue")
    issues = int(report.count().split()[0])
    assert 0 < issues < 130
    report.choose(verdict="any verdict")
    report.page.select_option("#category", index=1)
    assert report.count() == "26 of 130 pairs"


def test_sorts(report: Opened) -> None:
    report.choose(sort="order of the set")
    assert report.rows()[:3] == ["graffiti/0", "trespass/1", "littering/2"]
    report.choose(sort="category")
    assert report.rows()[:2] != ["graffiti/0", "trespass/1"]
    assert all(row.startswith("graffiti/") for row in report.rows()[:26])
    report.choose(detector="harm_prior", sort="highest value")
    assert report.page.locator("#detail .findings tr", has_text="harm_prior").locator("td.num").inner_text() == "0.99"
    report.choose(sort="lowest value")
    assert report.page.locator("#detail .findings tr", has_text="harm_prior").locator("td.num").inner_text() == "0.00"


def test_images_are_blurred_until_clicked_and_again_after(report: Opened) -> None:
    page = report.page
    veil = page.locator("#detail .veil").first
    image = veil.locator("img")
    assert "blur(" in image.evaluate("node => getComputedStyle(node).filter")
    assert veil.get_attribute("aria-pressed") == "false"
    assert image.evaluate("node => node.complete && node.naturalWidth > 0")
    veil.click()
    assert image.evaluate("node => getComputedStyle(node).filter") == "none"
    veil.click()
    assert "blur(" in image.evaluate("node => getComputedStyle(node).filter")


def test_moving_on_blurs_again(report: Opened) -> None:
    page = report.page
    page.locator("#detail .veil").first.click()
    page.locator("#list").focus()
    page.keyboard.press("j")
    page.keyboard.press("k")
    blurs = page.locator("#detail img").evaluate_all("nodes => nodes.map(n => getComputedStyle(n).filter)")
    assert blurs
    assert all("blur(" in blur for blur in blurs)


def test_an_image_that_cannot_be_decoded_is_never_shown(browser: Browser, file: Path, tmp_path: Path) -> None:
    import re

    html = file.read_text(encoding="utf-8")
    broken = re.sub(r'(id="thumbnail-data">\[")[^"]*"', r'\1AAAA"', html, count=1)
    assert broken != html
    (tmp_path / "broken.html").write_text(broken, encoding="utf-8")
    opened = open_report(browser, tmp_path / "broken.html")
    opened.page.wait_for_selector("#detail .no-shot")
    assert opened.page.locator("#detail img").count() == 0
    opened.page.close()


def test_without_its_style_the_page_shows_no_image_at_all(browser: Browser, file: Path, tmp_path: Path) -> None:
    html = file.read_text(encoding="utf-8").replace("blur(22px)", "blur(0.0px)")
    (tmp_path / "unstyled.html").write_text(html, encoding="utf-8")  # its hash no longer fits, so no style applies
    opened = open_report(browser, tmp_path / "unstyled.html")
    opened.page.wait_for_selector("#list [role=option]")
    assert opened.page.locator("img").count() == 0
    opened.page.close()


def test_evidence_is_marked_in_the_query(report: Opened) -> None:
    mark = report.page.locator("#detail .query mark").first
    assert mark.inner_text() in ("red paint", "a wooden fence", "an empty bottle", "a ticket queue", "a loudspeaker",
                                 "a park bench")  # fmt: skip
    assert "text in the image" in str(mark.get_attribute("title"))


def test_keyboard(report: Opened) -> None:
    page = report.page
    rows = report.rows()
    page.locator("#list").focus()
    page.keyboard.press("j")
    page.keyboard.press("j")
    assert report.selected() == rows[2]
    page.keyboard.press("k")
    assert report.selected() == rows[1]
    assert page.locator("#list").get_attribute("aria-activedescendant") == page.locator(
        "#list [aria-selected=true]"
    ).get_attribute("id")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "detail"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("j")
    assert page.input_value("#search") == "j", "typing is not a command"
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "list"


def test_j_walks_over_the_end_of_a_page(report: Opened) -> None:
    report.page.locator("#list").focus()
    for _ in range(50):
        report.page.keyboard.press("j")
    assert report.page.locator("#page").inner_text() == "Page 2 of 3"
    assert report.page.locator("#place").inner_text() == "Pair 51 of 130"


def test_focus_is_visible(report: Opened) -> None:
    report.page.locator("#search").focus()
    report.page.keyboard.press("Tab")
    style = report.page.evaluate(
        "(() => { const s = getComputedStyle(document.activeElement); return [s.outlineStyle, s.outlineWidth]; })()"
    )
    assert style == ["solid", "2px"]


def test_every_control_has_a_name(report: Opened) -> None:
    unnamed = report.page.evaluate(
        """() => [...document.querySelectorAll("button, input, select, [role=listbox], nav, article[aria-label]")]
        .filter(n => !(n.getAttribute("aria-label") || n.textContent.trim() || n.labels?.length))
        .map(n => n.outerHTML)"""
    )
    assert unnamed == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(browser: Browser, file: Path, scheme: str) -> None:
    opened = open_report(browser, file, scheme=scheme)
    assert opened.page.evaluate(CONTRAST) == []
    opened.page.close()


def test_the_theme_can_be_chosen(browser: Browser, file: Path) -> None:
    opened = open_report(browser, file, scheme="dark")
    paper = "getComputedStyle(document.body).backgroundColor"
    dark = opened.page.evaluate(paper)
    opened.page.click("#theme")
    light = opened.page.evaluate(paper)
    assert dark != light
    assert opened.complaints == []
    opened.page.close()


@pytest.mark.parametrize("width", [360, 768, 1300])
def test_nothing_overflows_the_window(browser: Browser, file: Path, width: int) -> None:
    opened = open_report(browser, file, width=width)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.page.close()


def test_on_a_phone_a_pair_opens_over_the_list_and_closes(browser: Browser, file: Path) -> None:
    opened = open_report(browser, file, width=390)
    assert not opened.page.is_visible("#detail")
    opened.page.locator("#list [role=option]").nth(1).click()
    assert opened.page.is_visible("#detail .veil")
    opened.page.click("#detail .close")
    assert not opened.page.is_visible("#detail")
    opened.page.close()


def test_on_a_phone_a_suspicious_pair_has_the_whole_width(browser: Browser, file: Path) -> None:
    opened = open_report(browser, file, width=390)
    row, text = (
        opened.page.locator(f".pairs-table tbody tr{part}").first.bounding_box() for part in ("", " td:last-child")
    )
    assert row is not None
    assert text is not None
    assert text["width"] == row["width"]
    opened.page.close()


def test_it_prints_on_white_without_the_explorer(browser: Browser, file: Path) -> None:
    opened = open_report(browser, file, scheme="dark")
    opened.page.emulate_media(media="print")
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not opened.page.is_visible("#filters")
    assert opened.page.is_visible("#suspicious table")
    assert opened.page.is_visible("#methods")
    assert len(opened.page.pdf()) > 10_000
    opened.page.close()


def test_ten_thousand_pairs_stay_usable(browser: Browser, tmp_path: Path) -> None:
    folder = run_folders.write_run(tmp_path / "run", 10_000, thumbnails=False)
    file = tmp_path / "report.html"
    file.write_text(render_html(folder), encoding="utf-8")
    started = time.monotonic()
    opened = open_report(browser, file)
    opened.page.wait_for_selector("#list [role=option]")
    assert time.monotonic() - started < 20
    assert opened.count() == "10,000 of 10,000 pairs"
    for action in (
        lambda: opened.choose(sort="longest text"),
        lambda: opened.choose(verdict="suspected"),
        lambda: opened.page.fill("#search", "loudspeaker trespass"),
    ):
        before = time.monotonic()
        action()
        opened.page.wait_for_timeout(150)
        assert opened.page.locator("#list [role=option]").count() == 50
        assert time.monotonic() - before < 5
    assert opened.page.locator("*").count() < 5_000, "only one page of pairs is in the document"
    assert opened.complaints == []
    opened.page.close()
