"""The review page in a real browser, over a real server that is killed: two annotators, blurred images, no way in."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from browser.report_pages import CONTRAST, Opened, needs_browser, quiet_about_sockets
from playwright.sync_api import Browser, Page
from review_server import ReviewServer, draw_set, start_review

from vsil_audit.review.agreement import agreement
from vsil_audit.review.labels import FILE, LabelStore
from vsil_audit.review.material import Material, of_run
from vsil_audit.review.sheets import Sheets
from vsil_audit.runs.plan import ScanOptions

pytestmark = [needs_browser, quiet_about_sockets]

TEXT_HARMFUL = {
    "ann": {"p0": "yes", "p1": "yes", "p2": "yes", "p3": "no", "p4": "no", "p5": "no"},
    "bo": {"p0": "yes", "p1": "yes", "p2": "no", "p3": "no", "p4": "no", "p5": "yes"},
}
KEY = {"no": "1", "yes": "2"}
FITS, PAIR_HARMFUL = "3", "6"

HIGH_FREQUENCIES = """(image) => {
  const canvas = document.createElement("canvas");
  canvas.width = image.naturalWidth; canvas.height = image.naturalHeight;
  const context = canvas.getContext("2d");
  context.drawImage(image, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  const step = Math.round(width / 40);
  let sum = 0, n = 0;
  for (let y = 20; y < height - 20; y += 3) for (let x = 20; x + step < width - 20; x += 3) {
    sum += Math.abs(data[4 * (y * width + x)] - data[4 * (y * width + x + step)]); n += 1;
  }
  return sum / n;
}"""
"""Mean difference of two pixels a square apart: near 0 in a preview, large in the picture."""


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import vsil_audit

    folder = tmp_path_factory.mktemp("scanned")
    draw_set(folder / "set")
    options = ScanOptions(output=folder / "run", detectors=("hygiene",), cache=folder / "cache", workers=1)
    return vsil_audit.scan(folder / "set", options=options).path


@pytest.fixture
def run(scanned: Path) -> Iterator[Path]:
    yield scanned
    for file in scanned.glob(f"{FILE}*"):
        file.unlink()


@dataclass
class Reviewing(Opened):
    def wait(self) -> None:
        self.page.wait_for_selector("#pair:not([hidden]), #start:not([hidden]), #end:not([hidden])")

    def pair_id(self) -> str:
        return self.page.locator("#where bdi").inner_text()

    def press(self, key: str, said: str) -> None:
        """Press a key, and wait for the server's word that it is kept."""
        self.page.keyboard.press(key)
        self.page.wait_for_function("said => document.getElementById('said').textContent.includes(said)", arg=said)

    def on(self) -> None:
        """To the next pair, or to the end."""
        before = self.pair_id()
        self.page.keyboard.press("Enter")
        self.page.wait_for_function(
            "id => !document.getElementById('end').hidden || document.querySelector('#where bdi').textContent !== id",
            arg=before,
        )

    def label(self, pair_id: str, annotator: str) -> None:
        value = TEXT_HARMFUL[annotator][pair_id]
        self.press(KEY[value], f"Kept: {'Harmful' if value == 'yes' else 'Harmless'}.")
        self.press(FITS, "Kept: They fit")
        self.press(PAIR_HARMFUL, "All answered")

    def pressed(self) -> list[str]:
        return self.page.locator(".choices [aria-pressed=true] kbd").all_inner_texts()


def open_review(browser: Browser, url: str, *, scheme: str = "light", width: int = 1280) -> Reviewing:
    page: Page = browser.new_page(color_scheme=scheme, viewport={"width": width, "height": 860})  # type: ignore[arg-type]
    opened = Reviewing(page)
    page.on("console", lambda message: opened.complaints.append(f"{message.type}: {message.text}"))
    page.on("pageerror", lambda error: opened.complaints.append(str(error)))
    page.on("request", lambda request: opened.requests.append(request.url))
    page.goto(url)
    opened.wait()
    return opened


@pytest.fixture
def start(run: Path) -> Iterator[Callable[..., ReviewServer]]:
    servers: list[ReviewServer] = []

    def started(*arguments: str, path: Path = run) -> ReviewServer:
        servers.append(start_review(path, *arguments, cwd=run.parent))
        return servers[-1]

    yield started
    for server in servers:
        if server.process.poll() is None:
            server.kill()


def sheets_of(run: Path) -> tuple[Sheets, Material]:
    material = of_run(run)
    with LabelStore(run / FILE, material.name) as store:
        return Sheets.of(store, material), material


def test_two_annotators_and_a_crash_between_labels(
    browser: Browser, run: Path, start: Callable[..., ReviewServer]
) -> None:
    server = start("--annotator", "ann", "--annotator", "bo")
    opened = open_review(browser, server.url)
    opened.page.get_by_role("button", name="ann").click()
    opened.page.wait_for_selector("#pair:not([hidden])")
    first = []
    for _ in range(3):
        first.append(opened.pair_id())
        opened.label(first[-1], "ann")
        opened.on()
    fourth = opened.pair_id()
    value = TEXT_HARMFUL["ann"][fourth]
    opened.press(KEY[value], "Kept")
    server.kill()
    opened.page.keyboard.press(FITS)
    opened.page.wait_for_selector("#alarm:not([hidden])")
    assert "Not kept" in opened.page.locator("#alarm").inner_text()
    assert opened.pressed() == [KEY[value]], "what the server did not keep is not shown as kept"
    opened.page.close()

    server = start("--annotator", "ann")
    opened = open_review(browser, server.url)
    assert opened.page.locator("#count").inner_text() == "3 of 6 done"
    assert (opened.pair_id(), opened.pressed()) == (fourth, [KEY[value]]), "the label before the crash is there"
    opened.press(KEY[value], "Taken back")
    rest = []
    while opened.page.locator("#end").is_hidden():
        rest.append(opened.pair_id())
        opened.label(rest[-1], "ann")
        opened.on()
    assert sorted(first + rest) == sorted(TEXT_HARMFUL["ann"]), "each pair once"
    assert opened.complaints == []
    opened.page.close()
    assert server.interrupt() == 130

    server = start("--annotator", "bo")
    opened = open_review(browser, server.url)
    assert opened.page.locator("#count").inner_text() == "0 of 6 done"
    seen = []
    while opened.page.locator("#end").is_hidden():
        assert opened.pressed() == [], "nobody sees another's labels"
        seen.append(opened.pair_id())
        opened.label(seen[-1], "bo")
        opened.on()
    assert "All 6 pairs are done" in opened.page.locator("#end-said").inner_text()
    assert seen != first + rest, "each annotator has an order of their own"
    opened.page.close()

    sheets, material = sheets_of(run)
    found = {one.criterion.name: one for one in agreement(sheets, material)}
    text = found["text_harmful"]
    # both say yes of 3 and no of 3, and the same of 4: (4/6 − 1/2) / (1 − 1/2); chance disagreement 1 − 60/132
    assert text.pairs[0].kappa.value == pytest.approx(1 / 3)
    assert text.alpha.value == pytest.approx(1 - (2 / 6) / (72 / 132))
    assert [(one.pair_id, one.said) for one in text.disagreements] == [("p2", ("yes", "no")), ("p5", ("no", "yes"))]
    assert found["pair_harmful"].pairs[0].same.value == 1.0
    assert found["pair_harmful"].alpha.value is None, "one answer alone shows no agreement beyond chance"


def test_no_image_is_shown_unblurred_unasked(browser: Browser, start: Callable[..., ReviewServer]) -> None:
    opened = open_review(browser, start("--annotator", "ann").url)
    page = opened.page
    for _ in range(6):
        page.wait_for_function("() => document.querySelector('.veil img').naturalWidth > 0")
        image = page.locator(".veil img")
        assert "blur(" in image.evaluate("i => getComputedStyle(i).filter")
        assert image.evaluate(HIGH_FREQUENCIES) < 12, "the preview itself holds nothing to be seen"
        opened.on()
    assert not [url for url in opened.requests if url.endswith("/full")]

    shown = opened.pair_id()
    page.keyboard.press("r")
    page.wait_for_selector(".veil[aria-pressed=true]")
    page.wait_for_function("() => document.querySelector('.veil img').naturalWidth === 320")
    assert page.locator(".veil img").evaluate(HIGH_FREQUENCIES) > 100
    assert page.locator(".veil img").evaluate("i => getComputedStyle(i).filter") == "none"
    assert len([url for url in opened.requests if url.endswith("/full")]) == 1
    opened.on()
    assert opened.pair_id() != shown
    assert page.locator(".veil").get_attribute("aria-pressed") == "false", "the next one is blurred again"
    page.keyboard.press("k")
    page.wait_for_function("id => document.querySelector('#where bdi').textContent === id", arg=shown)
    assert page.locator(".veil").get_attribute("aria-pressed") == "false", "and so is this one when it comes back"
    assert len([url for url in opened.requests if url.endswith("/full")]) == 1
    assert opened.complaints == []
    page.close()


def test_no_request_leaves_loopback(browser: Browser, start: Callable[..., ReviewServer]) -> None:
    server = start("--annotator", "ann")
    opened = open_review(browser, server.url)
    opened.page.keyboard.press("r")
    opened.page.wait_for_selector(".veil[aria-pressed=true]")
    opened.label(opened.pair_id(), "ann")
    opened.on()
    assert server.origin.startswith("http://127.0.0.1:")
    outside = [url for url in opened.requests if not url.startswith((f"{server.origin}/", f"blob:{server.origin}/"))]
    assert outside == []
    assert not [url for url in opened.requests[1:] if server.token in url], "the token travels in a header"
    opened.page.close()


ATTACK = """async ([target, token, body, digest]) => {
  const tried = [];
  const attempt = async (name, options) => {
    try {
      const response = await fetch(target + name, options);
      tried.push([name, response.type, response.status]);
    } catch { tried.push([name, "refused"]); }
  };
  const known = { "X-Review-Token": token, "Content-Type": "application/json" };
  await attempt("/api/about", { credentials: "include" });
  await attempt("/api/about", { mode: "no-cors" });
  await attempt("/api/about", { headers: { "X-Review-Token": token } });
  await attempt("/api/label", { method: "POST", mode: "no-cors", body });
  await attempt("/api/label", { method: "POST", headers: known, body });
  const image = new Image();
  tried.push(["image", await new Promise((done) => {
    image.onload = () => done("shown");
    image.onerror = () => done("refused");
    image.src = `${target}/api/image/${digest}/full`;
  })]);
  const frame = document.createElement("iframe");
  frame.src = `${target}/review/${token}`;
  await new Promise((done) => { frame.onload = done; document.body.append(frame); });
  return tried;
}"""


class _Elsewhere(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>elsewhere</title><body>")

    def log_message(self, *_: object) -> None:
        pass


def test_another_origin_gets_nothing_and_changes_nothing(
    browser: Browser, run: Path, start: Callable[..., ReviewServer]
) -> None:
    """Even one that knows the token: a page on another port of this machine."""
    server = start("--annotator", "ann")
    body = json.dumps({"annotator": "ann", "item": 1, "criterion": "text_harmful", "value": "yes"})
    digest = next(iter(of_run(run).pair("p0")[1])).digest
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Elsewhere) as elsewhere:
        threading.Thread(target=elsewhere.serve_forever, daemon=True).start()
        page = browser.new_page()
        page.goto(f"http://127.0.0.1:{elsewhere.server_port}/")
        tried = page.evaluate(ATTACK, [server.origin, server.token, body, digest])
        framed = page.frames[1].url
        page.close()
        elsewhere.shutdown()
    assert tried == [
        ["/api/about", "refused"],
        ["/api/about", "refused"],
        ["/api/about", "refused"],
        ["/api/label", "refused"],
        ["/api/label", "refused"],
        ["image", "refused"],
    ]
    assert framed.startswith("chrome-error:"), "no other page may frame ours"
    sheets, _ = sheets_of(run)
    assert list(sheets.said()) == []


def test_everything_is_done_by_keys_alone_and_undone(
    browser: Browser, run: Path, start: Callable[..., ReviewServer]
) -> None:
    opened = open_review(browser, start().url)
    page = opened.page
    page.keyboard.type("  Ann  ")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pair:not([hidden])")
    first = opened.pair_id()
    opened.press("2", "Kept: Harmful")
    opened.press("1", "Kept: Harmless")
    assert opened.pressed() == ["1"]
    opened.press("u", "Undone: Is the text harmless by itself?")
    assert opened.pressed() == ["2"], "what held before holds again"
    page.keyboard.press("n")
    page.keyboard.type("1 is a digit, and j a letter")
    page.keyboard.press("Escape")
    page.wait_for_function("() => document.getElementById('said').textContent === 'Note kept.'")
    assert opened.pressed() == ["2"], "typing a note labels nothing"
    page.keyboard.press("s")
    page.wait_for_function("id => document.querySelector('#where bdi').textContent !== id", arg=first)
    assert page.locator("#count").inner_text() == "0 of 6 done, 1 skipped"
    opened.press("u", "Undone: skipping")
    assert opened.pair_id() == first, "undo leads back to where it was done"
    assert page.locator("#note").input_value() == "1 is a digit, and j a letter"
    page.keyboard.press("?")
    assert page.locator("#help").is_visible()
    page.keyboard.press("2")
    page.keyboard.press("Escape")
    assert page.locator("#help").is_hidden()
    assert opened.pressed() == ["2"], "keys do nothing behind the help"

    page.reload()
    opened.wait()
    assert (opened.pair_id(), opened.pressed()) == (first, ["2"]), "a reload goes on"
    page.get_by_role("button", name="They fit").focus()
    opened.press("Space", "Kept: They fit")
    assert opened.pressed() == ["2", "3"]
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent").startswith("Contradictory")
    assert opened.complaints == []
    page.close()
    with LabelStore(run / FILE, "") as store:
        acts = [(field, value, undoes is not None) for _, _, _, field, value, _, _, undoes in store.history()]
    assert acts[:3] == [("text_harmful", "yes", False), ("text_harmful", "no", False), ("text_harmful", "yes", True)]


def test_everything_that_acts_has_a_name(browser: Browser, start: Callable[..., ReviewServer]) -> None:
    opened = open_review(browser, start("--annotator", "ann").url)
    page = opened.page
    for name in ("Harmless", "Harmful", "They fit", "Contradictory or irrelevant", "Back", "Undo", "Skip", "Next"):
        assert page.get_by_role("button", name=re.compile(name)).count() >= 1, name
    assert page.get_by_role("button", name=re.compile("Image is blurred")).count() == 1
    groups = page.get_by_role("group").evaluate_all(
        "g => g.map(x => x.querySelector('legend')?.textContent || x.ariaLabel)"
    )
    assert "Is the text harmless by itself?" in groups
    assert page.get_by_label("Note").count() == 1
    nameless = page.evaluate(
        "[...document.querySelectorAll('button, textarea, input')].filter(e => e.checkVisibility() && "
        "!(e.textContent.trim() || e.labels?.length || e.ariaLabel)).length"
    )
    assert nameless == 0
    small = page.evaluate(
        "[...document.querySelectorAll('#pair button')].filter(e => e.checkVisibility() && "
        "e.getBoundingClientRect().height < 36).length"
    )
    assert small == 0
    page.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_it_is_readable_on_a_phone_and_in_the_dark(
    browser: Browser, start: Callable[..., ReviewServer], scheme: str, width: int
) -> None:
    opened = open_review(browser, start().url, scheme=scheme, width=width)
    page = opened.page
    assert page.evaluate(CONTRAST) == []
    page.fill("#new-name", "ann")
    page.keyboard.press("Enter")
    page.wait_for_selector("#pair:not([hidden])")
    opened.press("2", "Kept")
    page.locator("#told summary").click()
    assert page.evaluate(CONTRAST) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#keys").click()
    assert page.evaluate("document.getElementById('help').getBoundingClientRect().right") <= width
    page.close()


def test_hostile_texts_are_inert_and_long_ones_folded(
    browser: Browser, tmp_path: Path, start: Callable[..., ReviewServer]
) -> None:
    texts = ["<img src=x onerror=window.pwned=1></script><script>window.pwned=2</script>", "word " * 3_000]
    server = start("--annotator", "<b>ann</b>", path=draw_set(tmp_path / "</title><script>", texts))
    opened = open_review(browser, server.url)
    page = opened.page
    seen = {}
    for _ in texts:
        seen[opened.pair_id()] = page.locator("#text").inner_text()
        if opened.pair_id() == "p1":
            assert page.locator("#text").bounding_box()["height"] < 400  # type: ignore[index]
            page.keyboard.press("f")
            assert page.locator("#text").bounding_box()["height"] > 1_000  # type: ignore[index]
        opened.on()
    assert seen["p0"] == texts[0]
    assert page.locator("#name").inner_text() == "<b>ann</b>"
    assert page.evaluate("window.pwned") is None
    assert opened.complaints == []
    page.close()
