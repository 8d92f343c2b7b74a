"""What a report shows of asked models, in a real browser: folded, inert, readable on a phone and in the dark."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.report_pages import CONTRAST, Opened, needs_browser, open_report, quiet_about_sockets
from playwright.sync_api import Browser
from reporting import asked_folders, run_folders

from vsil_audit.reporting.html import render_html
from vsil_audit.runs.folder import RunFolder

pytestmark = [needs_browser, quiet_about_sockets]


def write_page(folder: Path, pairs: int, **options: object) -> Path:
    run = asked_folders.write_asked_run(folder / "run", run_folders, pairs, **options)
    file = folder / "report.html"
    file.write_text(render_html(run), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("asked"), 60)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("hostile"), 18, hostile=True)


@pytest.fixture
def report(browser: Browser, file: Path) -> Iterator[Opened]:
    opened = open_report(browser, file)
    yield opened
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [file.as_uri()]
    opened.page.close()


def select(report: Opened, pair_id: str) -> None:
    report.page.fill("#search", pair_id)
    report.page.wait_for_function("id => document.querySelector('#list .row-id')?.textContent === id", arg=pair_id)
    report.page.locator("#list [role=option]").first.click()


def test_a_pairs_observations_stand_under_it_with_the_answers_folded(report: Opened, file: Path) -> None:
    run = RunFolder(file.parent / "run")
    pair_id = run.summary().suspicious[0]
    select(report, pair_id)
    detail = report.page.locator("#detail")
    said = [o for d in ("text_refusal", "safety_judge", "llm_judge") for o in run.observations(d)]
    of_pair = [o for o in said if o.pair_id == pair_id]
    answers = detail.locator("details.answer")
    assert answers.count() == len(of_pair) == 19
    assert not answers.first.locator("p").is_visible()
    labels = sorted(answers.locator("summary .label").all_inner_texts())
    assert labels == sorted(o.label or "failed: timeout: no answer within 60 s" for o in of_pair)
    answers.first.locator("summary").click()
    assert answers.first.locator("p").is_visible()
    assert detail.locator(".asked-by .scripted").count() == 2, "a target and a judge"


def test_what_a_leakage_judge_quotes_is_marked_in_the_query(report: Opened, file: Path) -> None:
    run = RunFolder(file.parent / "run")
    found = next(f for f in run.findings("llm_judge") if f.evidence)
    assert found.pair_id is not None
    select(report, found.pair_id)
    marks = report.page.locator("#detail .query mark")
    titles = [mark.get_attribute("title") or "" for mark in marks.all()]
    assert any("the text itself" in title for title in titles)


def test_examples_open_and_their_answers_stay_folded(report: Opened) -> None:
    cells = report.page.locator("#asked-text_refusal .cells details.folded >> nth=0")
    cells.locator("> summary").click()
    assert cells.locator(".examples > li").first.is_visible()
    assert not cells.locator("details.answer p").first.is_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(browser: Browser, file: Path, scheme: str) -> None:
    opened = open_report(browser, file, scheme=scheme)
    opened.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    assert opened.page.evaluate(CONTRAST) == []
    opened.page.close()


@pytest.mark.parametrize("width", [360, 390, 768, 1300])
def test_nothing_overflows_the_window(browser: Browser, file: Path, hostile: Path, width: int) -> None:
    for page in (file, hostile):
        opened = open_report(browser, page, width=width)
        opened.page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        opened.page.close()


def test_hostile_names_and_answers_run_nothing_and_fetch_nothing(browser: Browser, hostile: Path) -> None:
    opened = open_report(browser, hostile)
    page = opened.page
    page.evaluate("document.querySelectorAll('details').forEach((d) => { d.open = true })")
    page.locator("#list").focus()
    for _ in range(18):
        page.evaluate("document.querySelectorAll('#detail details').forEach((d) => { d.open = true })")
        page.keyboard.press("j")
    assert page.evaluate("window.pwned") is None
    assert page.locator("#detail details.answer").count() > 0
    assert page.locator("main img:not(.veil img)").count() == 0
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [hostile.as_uri()]
    page.close()


def test_a_judge_that_failed_gives_no_verdict_to_the_list(browser: Browser, tmp_path: Path) -> None:
    file = write_page(tmp_path, 24, trusted=False, detectors=("safety_judge",))
    opened = open_report(browser, file)
    heads = opened.page.locator("#list [role=option] .row-head").all_inner_texts()
    doubted = [head for head in heads if "safety_judge (not believed)" in head]
    assert doubted
    assert not any(head.startswith("leak") for head in heads)
    assert "not believed: " in opened.page.locator("#detail .findings").inner_text()
    opened.page.close()


def test_it_prints_with_its_judges_and_flows(browser: Browser, file: Path) -> None:
    opened = open_report(browser, file, scheme="dark")
    opened.page.emulate_media(media="print")
    assert opened.page.is_visible("#asked-safety_judge .checks")
    assert opened.page.is_visible("#asked-text_refusal .flow-bands")
    opened.page.close()


@pytest.mark.slow
def test_ten_thousand_pairs_stay_usable(browser: Browser, tmp_path: Path) -> None:
    detectors = ("safety_judge",)
    run = asked_folders.write_asked_run(tmp_path / "run", run_folders, 10_000, scripted=False, detectors=detectors)
    started = time.monotonic()
    html = render_html(run)
    assert time.monotonic() - started < 60
    assert len(html) < 8_000_000
    file = tmp_path / "report.html"
    file.write_text(html, encoding="utf-8")
    started = time.monotonic()
    opened = open_report(browser, file)
    opened.page.wait_for_selector("#list [role=option]")
    assert time.monotonic() - started < 20
    assert opened.page.locator("#detail details.answer").count() > 0
    assert "were left out; the CSV report holds every label" in opened.page.locator("#explorer").inner_text()
    opened.choose(sort="order of the set")
    assert opened.complaints == []
    opened.page.close()
