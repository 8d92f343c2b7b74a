"""The page of a finished build in a real browser: blurred, inert, readable on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from html import unescape
from pathlib import Path

import pytest
from browser.report_pages import CONTRAST, Opened, needs_browser, open_report, quiet_about_sockets
from builders.build_records import begun, pool_of, with_picture
from playwright.sync_api import Browser
from reporting.run_folders import HOSTILE

from vsil_audit.builders.emission import emit
from vsil_audit.builders.publishing import REPORT, Publishing, SetOptions
from vsil_audit.builders.record import Fate
from vsil_audit.builders.summarise import summarise
from vsil_audit.builders.summary import GateYield, Shift
from vsil_audit.builders.twins import TwinWay
from vsil_audit.runs.asked_summary import SpendRow
from vsil_audit.runs.metric import Metric, Nature

pytestmark = [needs_browser, quiet_about_sockets]

OPEN_ALL = "document.querySelectorAll('details').forEach((d) => { d.open = true })"
BLURRED = "(image) => getComputedStyle(image).filter.includes('blur')"


def rate(name: str, k: int, n: int) -> Metric:
    return Metric(
        name=name, tells=f"share of {name}", nature=Nature.MEASURED, unit="share", value=k / n, low=max(0, k / n - 0.1),
        high=min(1, k / n + 0.1), interval="Wilson 95 %", k=k, n=n, total=n,
    )  # fmt: skip


def write_page(path: Path, name: str, texts: list[str]) -> Path:
    folder = begun(path / "out", name)
    records = [with_picture(folder, f"{text[:20]}-{i}", text, i, category=text[:40]) for i, text in enumerate(texts)]
    records = [replace(r, fate=Fate.BUILT, source_text=f"Before: {r.draft.text}") for r in records]
    folder.write_records(0, records)
    options = SetOptions(twins=TwinWay.BENIGN_IMAGE, pool=pool_of(path / "pool", range(60, 60 + len(texts))))
    publishing = Publishing(folder, options, name=name, seed=0)
    publishing.select()
    emit(folder)
    summary = publishing.summary(summarise(folder.records(), command="convert", name=name, before=None, after=None))
    spend = SpendRow(model=f"openai/{name}", calls=12, cached=2, attempts=14, input_tokens=900, output_tokens=80,
                     cost=0.42, cost_uncertain=0.0, failures={name: 2})  # fmt: skip
    gate = GateYield(gate="A", asks=name, seen=9, passed=7, rejected=2, reasons={name: 2})
    before, after = rate("suspected_rate", 30, 40), rate("suspected_rate", 1, 40)
    update = {
        "shifts": [Shift(name="suspected_rate", tells=name, before=before, after=after)],
        "gates": [gate], "spend": [spend], "warnings": [name], "unfixed_reasons": {name: 3}, "left_out": {name: 1},
        "looked_by": [name],
    }  # fmt: skip
    publishing.publish(folder.manifest(), summary.model_copy(update=update))
    return path / "out" / REPORT


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    plain = [f"How do I use the thing shown here, number {i}?" for i in range(24)]
    hostile = [f"{bad} {i}" for i, bad in enumerate(HOSTILE)]
    return {
        "plain": write_page(tmp_path_factory.mktemp("plain"), "gnomes", plain),
        "hostile": write_page(tmp_path_factory.mktemp("hostile"), HOSTILE[0], hostile),
    }


@pytest.fixture
def plain(browser: Browser, pages: dict[str, Path]) -> Iterator[Opened]:
    opened = open_report(browser, pages["plain"])
    yield opened
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [pages["plain"].as_uri()]
    opened.page.close()


def test_images_are_blurred_until_they_are_clicked_and_one_at_a_time(plain: Opened) -> None:
    images = plain.page.locator(".pair .veil img")
    assert images.count() == 36, "18 scenarios, each with its twin"
    assert all(image.evaluate(BLURRED) for image in images.all())
    veil = plain.page.locator(".pair .veil").nth(3)
    veil.click()
    assert not images.nth(3).evaluate(BLURRED)
    assert veil.get_attribute("aria-pressed") == "true"
    assert sum(not image.evaluate(BLURRED) for image in images.all()) == 1
    veil.press("Enter")
    assert images.nth(3).evaluate(BLURRED)


def test_what_a_query_was_is_folded(plain: Opened) -> None:
    before = plain.page.locator("details.before").first
    assert not before.locator("p").is_visible()
    before.locator("summary").click()
    assert before.locator("p").inner_text().startswith("Before: ")


def test_a_twin_stands_beside_its_pair(plain: Opened) -> None:
    scenario = plain.page.locator(".scenario").first
    assert scenario.locator(".label").all_inner_texts() == ["unsafe", "safe"]
    texts = scenario.locator(".query").all_inner_texts()
    assert texts[0] == texts[1]


def test_numbers_gates_cost_and_proof_are_told(plain: Opened) -> None:
    told = plain.page.locator("main").inner_text()
    for part in ("75.0 %", "2.5 %", "30/40", "does not tell the label", "$0.42", "Before and after", "3"):
        assert part in told
    assert plain.page.locator("#proof .figure").count() == 7


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_text_has_contrast_in_both_themes(browser: Browser, pages: dict[str, Path], name: str, scheme: str) -> None:
    opened = open_report(browser, pages[name], scheme=scheme)
    opened.page.evaluate(OPEN_ALL)
    assert opened.page.evaluate(CONTRAST) == []
    opened.page.close()


@pytest.mark.parametrize("width", [360, 390, 768, 1300])
@pytest.mark.parametrize("name", ["plain", "hostile"])
def test_nothing_overflows_the_window(browser: Browser, pages: dict[str, Path], name: str, width: int) -> None:
    opened = open_report(browser, pages[name], width=width)
    opened.page.evaluate(OPEN_ALL)
    assert opened.page.evaluate("document.documentElement.scrollWidth") <= width
    opened.page.close()


def test_hostile_texts_run_nothing_and_fetch_nothing(browser: Browser, pages: dict[str, Path]) -> None:
    opened = open_report(browser, pages["hostile"])
    opened.page.evaluate(OPEN_ALL)
    assert opened.page.evaluate("window.pwned") is None
    assert opened.page.locator("main img:not(.veil img)").count() == 0
    assert opened.complaints == []
    assert [url for url in opened.requests if not url.startswith("data:")] == [pages["hostile"].as_uri()]
    opened.page.close()


def test_the_page_allows_nothing_from_outside(pages: dict[str, Path]) -> None:
    html = pages["plain"].read_text(encoding="utf-8")
    policy = unescape(html.partition('http-equiv="Content-Security-Policy" content="')[2].partition('"')[0])
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert ' style="' not in html
    assert not any(found in html for found in ("<link", "@import", "url(", "<iframe", "<img"))
