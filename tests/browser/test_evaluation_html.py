"""The report of an evaluation in a real browser: readable on a phone and in the dark, answers folded, strings inert."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from browser.report_pages import CONTRAST, Opened, needs_browser, open_report, quiet_about_sockets
from playwright.sync_api import Browser
from reporting import evaluation_folders, run_folders
from reporting.evaluation_folders import CONDITIONS

from vsil_audit.reporting.html import render_html
from vsil_audit.runs.folder import RunFolder

pytestmark = [needs_browser, quiet_about_sockets]

OPEN_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = true })"


def write_page(folder: Path, pairs: int, **options: object) -> Path:
    run = evaluation_folders.write_evaluation(folder / "run", run_folders, pairs, **options)
    file = folder / "report.html"
    file.write_text(render_html(run), encoding="utf-8")
    return file


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("three"), 30)


@pytest.fixture(scope="module")
def thirty(tmp_path_factory: pytest.TempPathFactory) -> Path:
    models = [f"vllm/org-{i % 5}/Some-Model-{i}B-Instruct" for i in range(30)]
    return write_page(tmp_path_factory.mktemp("thirty"), 20, models=models, conditions=CONDITIONS[:2], extras=False)


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("hostile"), 18, hostile=True)


@pytest.fixture
def report(browser: Browser, three: Path) -> Iterator[Opened]:
    opened = open_report(browser, three)
    yield opened
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [three.as_uri()]
    opened.page.close()


def test_what_each_model_answered_stands_folded_under_the_pair(report: Opened, three: Path) -> None:
    run = RunFolder(three.parent / "run")
    pair_id = report.selected()
    detail = report.page.locator("#detail")
    of_pair = [o for o in run.observations("evaluation") if o.pair_id == pair_id]
    answers = detail.locator("details.answer")
    assert answers.count() == len(of_pair)
    assert not answers.first.locator("p").is_visible()
    labels = sorted(answers.locator("summary .label").all_inner_texts())
    told = {"timeout": "failed: timeout: no answer within 60 s", "unclear: neither": "abstained: unclear: neither"}
    reasons = [getattr(o.outcome, "kind", "") or getattr(o.outcome, "reason", "") for o in of_pair]
    assert labels == sorted(o.label or told[reason] for o, reason in zip(of_pair, reasons, strict=True))
    answers.first.locator("summary").click()
    assert answers.first.locator("p").is_visible()
    assert "safety prompt vlsbench" in detail.inner_text()
    assert detail.locator(".asked-by .scripted").count() == 1


def test_the_list_says_how_many_answers_were_safe_and_sorts_by_it(report: Opened) -> None:
    heads = report.page.locator("#list [role=option] .row-head").all_inner_texts()
    assert heads
    assert all("% handled safely" in head or "no answer classed" in head for head in heads)
    shares = [int(head.split(" %")[0].split()[-1]) for head in heads if "%" in head]
    assert shares == sorted(shares)
    report.choose(sort="safest answers first")
    first = report.page.locator("#list [role=option] .row-head").first.inner_text()
    assert first.startswith(f"{max(shares)} %")
    assert "no verdict" not in report.page.locator("#explorer").inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_in_both_themes(browser: Browser, three: Path, thirty: Path, scheme: str) -> None:
    for file in (three, thirty):
        opened = open_report(browser, file, scheme=scheme)
        opened.page.evaluate(OPEN_ALL)
        assert opened.page.evaluate(CONTRAST) == []
        opened.page.close()


@pytest.mark.parametrize("width", [360, 390, 768, 1300])
def test_nothing_overflows_the_window(browser: Browser, three: Path, thirty: Path, hostile: Path, width: int) -> None:
    for file in (three, thirty, hostile):
        opened = open_report(browser, file, width=width)
        opened.page.evaluate(OPEN_ALL)
        assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
        opened.page.close()


def test_a_phone_names_each_number_that_has_lost_its_column(browser: Browser, three: Path) -> None:
    opened = open_report(browser, three, width=390)
    label = "getComputedStyle(document.querySelector('.rates td'), '::before').content"
    assert opened.page.evaluate(label) == '"Safe"'
    opened.page.close()


def test_many_models_stay_folded_until_they_are_opened(browser: Browser, thirty: Path) -> None:
    opened = open_report(browser, thirty)
    articles = opened.page.locator("article.evaluated")
    assert articles.count() == 30
    assert not articles.first.is_visible()
    opened.page.locator("#models details > summary").first.click()
    assert articles.first.is_visible()
    opened.page.close()


def test_hostile_names_and_answers_run_nothing_and_fetch_nothing(browser: Browser, hostile: Path) -> None:
    opened = open_report(browser, hostile)
    page = opened.page
    page.evaluate(OPEN_ALL)
    page.locator("#list").focus()
    for _ in range(6):
        page.evaluate("document.querySelectorAll('#detail details').forEach((d) => { d.open = true })")
        page.keyboard.press("j")
    assert page.evaluate("window.pwned") is None
    assert page.locator("main img:not(.veil img)").count() == 0
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [hostile.as_uri()]
    page.close()
