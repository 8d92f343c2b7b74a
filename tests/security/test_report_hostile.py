"""Hostile strings in every place that a dataset controls stay inert in every report."""

from __future__ import annotations

import csv
import io
import json
import re
from pathlib import Path

import pytest
from browser.report_pages import ARGUMENTS, CHROMIUM, needs_browser
from reporting import run_folders
from rich.console import Console

from vsil_audit.reporting.compare import compare, comparison_view, render_comparison_html, render_comparison_json
from vsil_audit.reporting.console import summary_view
from vsil_audit.reporting.csv_report import render_csv
from vsil_audit.reporting.html import render_html
from vsil_audit.reporting.json_report import render_json
from vsil_audit.reporting.junit import render_junit
from vsil_audit.runs.folder import RunFolder

HIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\u2028\u2029\ud800-\udfff]")


@pytest.fixture(scope="module")
def hostile_run(tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    return run_folders.write_run(tmp_path_factory.mktemp("hostile") / "run", 27, hostile=True)


@pytest.fixture(scope="module")
def html(hostile_run: RunFolder) -> str:
    return render_html(hostile_run)


def on_terminal(renderable: object, *, colour: bool) -> str:
    console = Console(
        file=io.StringIO(), width=80, force_terminal=colour, color_system="standard" if colour else None
    )  # fmt: skip
    console.print(renderable)
    return console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, given above


def test_the_page_holds_no_control_override_or_separator_character(html: str) -> None:
    assert HIDDEN.search(html) is None


def test_the_page_has_our_script_elements_and_no_other(html: str) -> None:
    assert html.count("</script>") == 3
    assert len(re.findall(r"<script\b", html)) == 3
    assert "<img" not in html
    assert "49" not in re.findall(r"<title>(.*?)</title>", html)[0]
    assert "{{7*7}}" in html, "a template in the data is text, not evaluated"


def test_terminal_gets_no_escape_code_and_no_markup(hostile_run: RunFolder) -> None:
    text = on_terminal(summary_view(hostile_run), colour=False)
    assert HIDDEN.search(text) is None
    assert "[bold red]markup[/bold red]" in re.sub(r"\s+", "", text).replace("boldred", "bold red")


def test_terminal_gets_only_our_colours(hostile_run: RunFolder) -> None:
    plain = re.sub(r"\x1b\[[\d;]*m", "", on_terminal(summary_view(hostile_run), colour=True))
    assert HIDDEN.search(plain) is None


def test_comparison_is_inert_too(hostile_run: RunFolder) -> None:
    comparison = compare([hostile_run, hostile_run])
    assert HIDDEN.search(on_terminal(comparison_view(comparison), colour=False)) is None
    page = render_comparison_html(comparison)
    assert HIDDEN.search(page) is None
    assert page.count("</script>") == 1
    json.loads(render_comparison_json(comparison))


def test_csv_json_and_xml_stay_data(hostile_run: RunFolder) -> None:
    from xml.etree import ElementTree as ET

    for row in csv.reader(io.StringIO(render_csv(hostile_run))):
        assert not any(cell.startswith(("=", "+", "-", "@", "\t", "\r")) for cell in row)
        assert not any(HIDDEN.search(cell) for cell in row)
    json.loads(render_json(hostile_run))
    ET.fromstring(render_junit(hostile_run).encode())


@needs_browser
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_nothing_runs_and_nothing_is_fetched_in_a_browser(html: str, hostile_run: RunFolder, tmp_path: Path) -> None:
    from playwright.sync_api import sync_playwright

    file = tmp_path / "</title> & report.html".replace("/", "_")
    file.write_text(html, encoding="utf-8")
    said: list[str] = []
    asked: list[str] = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=ARGUMENTS)
        page = browser.new_page()
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("dialog", lambda dialog: said.append("dialog"))
        page.on("request", lambda request: asked.append(request.url))
        page.goto(file.as_uri())
        page.locator("#list").focus()
        seen = set()
        for _ in range(27):
            seen.add(page.locator("#detail h3").inner_text())
            page.keyboard.press("r")
            page.keyboard.press("j")
        page.fill("#search", "<script>")
        page.select_option("#category", index=2)
        assert page.evaluate("window.pwned") is None
        assert page.locator("main img:not(.veil img)").count() == 0
        browser.close()
    assert len(seen) == 27, "every hostile pair was opened"
    assert said == []
    assert [url for url in asked if not url.startswith("data:")] == [file.as_uri()]
