"""What reports show of asked models: every number of the summary as it is, and nothing that is not to be believed."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree as ET

import pytest
from rich.cells import cell_len
from rich.console import Console

from vsil_audit.reporting.compare import compare, comparison_view, render_comparison_html
from vsil_audit.reporting.console import summary_view
from vsil_audit.reporting.csv_report import render_csv
from vsil_audit.reporting.html import render_html
from vsil_audit.reporting.json_report import Report, render_json
from vsil_audit.reporting.junit import render_junit
from vsil_audit.reporting.numbers import number, quantity
from vsil_audit.runs.asked_summary import AskedSummary, Corrected
from vsil_audit.runs.folder import RunFolder

SNAPSHOTS = Path(__file__).with_name("snapshots")
MakeRun = Callable[..., RunFolder]


@pytest.fixture(scope="module")
def make_run(run_folders: ModuleType, asked_folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    def make(pairs: int = 24, **options: object) -> RunFolder:
        folder = tmp_path_factory.mktemp("asked") / "small"
        return asked_folders.write_asked_run(folder, run_folders, pairs, **options)

    return make


@pytest.fixture(scope="module")
def run(make_run: MakeRun) -> RunFolder:
    return make_run()


@pytest.fixture(scope="module")
def untrusted(make_run: MakeRun) -> RunFolder:
    """No judge passed its checks."""
    return make_run(trusted=False, scripted=False)


@pytest.fixture(scope="module")
def html(run: RunFolder) -> str:
    return render_html(run)


def asked_of(run: RunFolder) -> AskedSummary:
    asked = run.summary().asked
    assert asked is not None
    return asked


def words(html: str) -> str:
    """What a reader of the page reads, without the data of the explorer."""
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def section(html: str, name: str) -> str:
    return html.partition(f'<section id="{name}"')[2].partition('<section id="')[0]


def shown(run: RunFolder, width: int = 80) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    console.print(summary_view(run))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, given above
    return "\n".join(line.rstrip() for line in text.splitlines()) + "\n"


# numbers are the summary's


def test_every_rate_of_every_model_stands_with_its_counts_and_interval(run: RunFolder, html: str) -> None:
    for detector in ("text_refusal", "safety_judge", "llm_judge"):
        text = words(section(html, f"asked-{detector}"))
        doubted = {(j.detector, j.model) for j in asked_of(run).judges if not j.trusted}
        rows = [r for r in asked_of(run).conditions if r.detector == detector]
        assert rows
        for row in rows:
            for metric in row.metrics:
                parts = number(metric)
                wanted = f"{parts.value} {parts.counts} {parts.interval}"
                if (row.detector, row.model) in doubted:
                    wanted = f"raw count {parts.counts}"
                assert wanted in text, metric.name


def test_flows_show_their_cells_difference_and_share(run: RunFolder, html: str) -> None:
    believed = {(j.detector, j.model) for j in asked_of(run).judges if j.trusted}
    for flow in asked_of(run).flows:
        text = words(section(html, f"asked-{flow.detector}"))
        if flow.detector == "safety_judge" and (flow.detector, flow.model) not in believed:
            continue
        for cell in flow.cells:
            assert re.search(rf"\b{cell.pairs} {flow.outcome} (both|only|neither)", text)
        share = number(flow.share)
        assert f"{share.value} {flow.share.tells}" in text
        assert share.counts in text


def test_a_flows_bands_are_its_counts(run: RunFolder) -> None:
    from vsil_audit.reporting.charts import flow_bands

    flow = asked_of(run).flows[0]
    drawn = re.findall(r'<path class="(\w+)" d="M0 ([\d.]+)C.*?V([\d.]+)C.*? 0 ([\d.]+)Z"', flow_bands(flow))
    counts = {cell.name: cell.pairs for cell in flow.cells}
    total = sum(counts.values())
    for name, top, _, bottom in drawn:
        assert float(bottom) - float(top) == pytest.approx(150 * counts[name] / total, abs=0.11)
    assert {name for name, *_ in drawn} == {name for name, n in counts.items() if n}


def test_judges_agreement_and_spend_are_the_summarys(run: RunFolder, html: str) -> None:
    asked, text = asked_of(run), words(html)
    for row in asked.judges:
        for metric in row.metrics if row.trusted else []:
            assert number(metric).value in text
            assert metric.name in text or row.detector == "llm_judge", "whose rates stand with its condition"
    for agreement in asked.agreement:
        for cell in agreement.cells:
            assert cell.kappa.value is not None
            assert f"{cell.kappa.value:.2f} {number(cell.kappa).interval}" in text
    for spend in asked.spend:
        assert f"{spend.calls} {spend.cached} {spend.attempts} {spend.input_tokens:,}" in text
    assert "at least $0.86" in text, "one price is not known"
    for name, sha in asked.prompts.items():
        assert f"{name} {sha}" in text


def test_every_check_stands_with_its_bound_and_what_was_measured(run: RunFolder, html: str) -> None:
    text = words(section(html, "asked-safety_judge"))
    for check in (c for c in asked_of(run).checks if c.detector == "safety_judge" and c.bound != "none"):
        said = {True: "passed", False: "failed", None: "not told"}[check.passed]
        assert f"{check.metric.tells} {said} {check.bound} {number(check.metric).value}" in text


def test_the_json_report_holds_it_all(run: RunFolder) -> None:
    assert Report.model_validate_json(render_json(run)).summary.asked == asked_of(run)


# what is not to be believed


def test_numbers_of_judges_that_failed_are_nowhere(untrusted: RunFolder) -> None:
    html, terminal = render_html(untrusted), shown(untrusted)
    masthead = words(html.partition('<dl class="headline">')[2].partition("</dl>")[0])
    assert masthead.startswith("Judged: leaking not shown not given: no judge can be trusted")
    text = words(section(html, "asked-safety_judge"))
    assert text.count("Not to be believed. Its rates are not shown") == 2
    for row in asked_of(untrusted).judges:
        assert row.why_not in text or row.detector == "llm_judge"
        for metric in row.metrics:
            if metric.value is not None and metric.low is not None:
                line = f"{number(metric).value} = {number(metric).counts} (coverage"
                assert f"R1 {line}" not in terminal
                assert f"{metric.tells} {metric.name}" not in text
    assert "not to be believed, so its rates are not shown" in terminal


def test_a_judge_that_failed_beside_one_that_did_not_loses_its_numbers_only(run: RunFolder, html: str) -> None:
    text = words(section(html, "asked-safety_judge"))
    good, bad = (j for j in asked_of(run).judges[:2])
    assert (good.trusted, bad.trusted) == (True, False)
    for metric in good.metrics:
        assert metric.name in text
    for metric in bad.metrics:
        assert metric.name not in text
    assert "not believed" in words(section(html, "agreement")), "its name is marked where it is compared with others"


def test_leaks_that_such_judges_found_are_marked_wherever_they_stand(untrusted: RunFolder) -> None:
    html, terminal = render_html(untrusted), shown(untrusted)
    assert "judge not believed" in words(section(html, "suspicious"))
    assert "(judge not believed)" in " ".join(terminal.split())
    assert '"doubt":"' in html
    rows = list(csv.DictReader(io.StringIO(render_csv(untrusted))))
    assert all("canaries" in row["safety_judge.not_believed"] for row in rows)


def test_in_junit_they_are_no_failures_and_the_failed_check_is_an_error(run: RunFolder, untrusted: RunFolder) -> None:
    def suites(run: RunFolder) -> dict[str, ET.Element]:
        return {suite.attrib["name"]: suite for suite in ET.fromstring(render_junit(run).encode())}

    broken, sound = suites(untrusted), suites(run)
    assert broken["safety_judge"].attrib["failures"] == "0"
    assert int(broken["safety_judge"].attrib["skipped"]) == 24
    failed = [c for c in asked_of(untrusted).checks if c.passed is False]
    assert int(broken["judge checks"].attrib["errors"]) == len(failed) > 0
    flagged = next(d.flagged for d in run.summary().detectors if d.name == "safety_judge")
    assert int(sound["safety_judge"].attrib["failures"]) == flagged > 0, "a leak fails, as a suspicion does"
    assert "text_refusal" not in {c.attrib["classname"] for c in sound["judge checks"]}


def test_without_a_control_the_page_says_what_cannot_be_told(make_run: MakeRun) -> None:
    assert "No benign control took part" in words(render_html(make_run(control=False)))


# scripted answers


def test_scripted_answers_are_marked_wherever_their_numbers_stand(run: RunFolder, html: str) -> None:
    masthead = words(html.partition('<dl class="headline">')[2].partition("</dl>")[0])
    assert masthead.count("partly scripted") == 2, "leak_rate and text_only_refusal_rate"
    marked = html.count("scripted/rules.yaml</bdi>")
    assert marked == html.count('scripted/rules.yaml</bdi> <span class="scripted"') > 6
    for detector in ("text_refusal", "safety_judge"):
        article = section(html, f"asked-{detector}").rpartition("<article")[2]
        assert "scripted/rules.yaml" in article
        rates = article.count('class="rate-bar"')
        assert rates
        assert article.count('class="scripted"') >= article.count('class="figure"') + article.count('class="condition')


def test_without_scripted_models_nothing_is_called_scripted(make_run: MakeRun) -> None:
    run = make_run(scripted=False)
    assert "scripted" not in words(render_html(run)).lower()
    assert "scripted" not in shown(run).lower()


def test_the_terminal_marks_them_too(run: RunFolder) -> None:
    text = shown(run)
    assert text.count("scripted/rules.yaml  SCRIPTED, no model was asked") == 2
    assert "partly scripted" in text


# a leakage judge alone


def test_where_no_safety_judge_was_asked_the_leakage_judge_speaks_for_its_lens(make_run: MakeRun) -> None:
    run = make_run(detectors=("llm_judge",), scripted=False)
    rate = run.summary().metric("llm_judge.rate")
    assert rate is not None
    assert rate.value is not None
    masthead = words(render_html(run).partition('<dl class="headline">')[2].partition("</dl>")[0])
    assert masthead.startswith(f"Judged: leaking {quantity(rate.value, 'share')} {number(rate).counts} judged")


def test_kinds_of_leak_and_dropped_quotes_are_shown(run: RunFolder, html: str) -> None:
    text = words(section(html, "asked-llm_judge"))
    judge = next(j for j in asked_of(run).judges if j.detector == "llm_judge")
    kinds = [m for m in judge.metrics if ".kind." in m.name]
    assert len(kinds) == 3
    for metric in kinds:
        kind = metric.name.partition("@")[0].rpartition(".")[2]
        assert f"{kind} {number(metric).value} {number(metric).counts}" in text
    assert "quotes that do not occur in the text" in text


# corrected rates


def test_rates_corrected_by_labels_stand_beside_the_others(make_run: MakeRun) -> None:
    run = make_run(12)
    assert "Corrected by human labels" not in words(render_html(run))
    summary = run.summary()
    leak = summary.metric("text_only_refusal_rate")
    assert leak is not None
    corrected = leak.model_copy(update={"name": "safety_judge.corrected@openai/gpt-4o", "tells": "R1, corrected"})
    row = Corrected(model="openai/gpt-4o", labels="labels.csv", metrics=[corrected], note="40 labelled pairs")
    asked = asked_of(run).model_copy(update={"corrected": [row]})
    run.write_summary(summary.model_copy(update={"asked": asked}))
    text = words(section(render_html(run), "corrected"))
    assert "labels.csv . 40 labelled pairs" in text
    assert f"{number(corrected).value} R1, corrected" in text
    assert "corrected by labels.csv" in shown(run)


# single pairs


def test_examples_of_a_cell_are_its_pairs_with_folded_answers(run: RunFolder, html: str) -> None:
    flow = next(f for f in asked_of(run).flows if f.cells[0].examples)
    assert flow.cells[0].examples[0] in words(section(html, f"asked-{flow.detector}"))
    answers = re.findall(r'<details class="folded answer"[^>]*>', html)
    assert answers
    assert not any("open" in tag for tag in answers)


def test_csv_has_a_column_for_every_model_and_condition(run: RunFolder) -> None:
    rows = {row["id"]: row for row in csv.DictReader(io.StringIO(render_csv(run)))}
    seen = 0
    for detector in ("text_refusal", "safety_judge", "llm_judge"):
        for o in run.observations(detector):
            if o.part.value != "set":
                assert o.pair_id not in rows
                continue
            cell = rows[o.pair_id][f"{detector}.{o.condition}@{o.model}"]
            assert cell == (o.label or cell)
            assert cell
            seen += 1
    assert seen == 24 * (3 * 3 + 3 * 3 + 1)
    assert any(cell == "failed: timeout" for row in rows.values() for cell in row.values())


def test_several_samples_share_a_cell_in_their_order(make_run: MakeRun) -> None:
    run = make_run(6, samples=3)
    row = next(csv.DictReader(io.StringIO(render_csv(run))))
    said = [o for o in run.observations("text_refusal") if o.pair_id == row["id"] and o.part.value == "set"]
    wanted = [o.label for o in said if (o.model, o.condition) == ("openai/gpt-4o-mini", "text")]
    assert row["text_refusal.text@openai/gpt-4o-mini"] == "; ".join(wanted)
    assert len(wanted) == 3


# console


@pytest.mark.parametrize("width", [60, 80, 100])
def test_the_terminal_looks_as_it_did(run: RunFolder, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Set VSIL_AUDIT_RENEW_SNAPSHOTS=1 to write the snapshots anew, and read the difference before committing it."""
    monkeypatch.chdir(run.path.parent)
    text = shown(RunFolder(Path(run.path.name)), width)
    file = SNAPSHOTS / f"asked-{width}.txt"
    if os.environ.get("VSIL_AUDIT_RENEW_SNAPSHOTS"):
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8")


@pytest.mark.parametrize("width", [40, 60, 80, 120, 200])
def test_no_line_is_wider_than_the_terminal(run: RunFolder, make_run: MakeRun, width: int) -> None:
    for shown_run in (run, make_run(18, hostile=True)):
        text = shown(shown_run, width)
        assert max(cell_len(line) for line in text.splitlines()) <= width
        assert not any(ord(c) < 32 and c != "\n" for c in text)


# compare


def test_a_comparison_pairs_what_single_models_did(run: RunFolder, make_run: MakeRun) -> None:
    seen = compare([run, make_run(scripted=False)])
    by_name = {m.name: m for m in seen.metrics}
    metric = by_name["text_refusal.safe.text@openai/gpt-4o-mini"]
    assert metric.differences[0].paired
    assert metric.differences[0].matched == metric.metrics[0].n  # type: ignore[union-attr]  # it is in both runs
    assert by_name["safety_judge.rate"].differences[0].paired
    assert not any(".control@" in name or "canary" in name for name in by_name)


def test_flags_of_a_comparison_are_counted_as_the_runs_rates_are(run: RunFolder) -> None:
    from vsil_audit.reporting.compare_flags import flag_names, read_flags

    summary = run.summary()
    flags = read_flags(run, summary)
    counted = 0
    for metric in summary.metrics:
        key = flag_names(metric.name)
        if metric.detector in ("text_refusal", "safety_judge", "llm_judge") and key in flags.flagged:
            assert (int(flags.flagged[key][flags.scored[key]].sum()), int(flags.scored[key].sum())) == (
                metric.k, metric.n), metric.name  # fmt: skip
            counted += 1
    assert counted >= 3 * 3 + 2 * 2 + 3


def test_a_comparison_withholds_and_warns_as_the_reports_do(run: RunFolder, untrusted: RunFolder) -> None:
    seen = compare([run, untrusted])
    assert any("asked different models" in w for w in seen.warnings)
    assert sum("is not to be believed" in w for w in seen.warnings) == 4
    rate = next(m for m in seen.metrics if m.name == "safety_judge.rate")
    assert rate.metrics[1] is not None
    assert rate.metrics[1].value is None
    assert rate.caveats == ["partly scripted", ""]
    console = Console(file=io.StringIO(), width=80)
    console.print(comparison_view(seen))
    assert "partly scripted" in console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO, given above
    assert '<span class="scripted">partly scripted</span>' in render_comparison_html(seen)


# a run without models


def test_a_run_without_models_has_none_of_this(small_run: RunFolder) -> None:
    html = render_html(small_run)
    assert "answer-data" not in html
    assert "rate-bar" not in html
    assert "Who was asked" not in html
    assert "@" not in render_csv(small_run).splitlines()[0]
    assert "judge checks" not in render_junit(small_run)


# hostile strings


def test_hostile_names_and_answers_stay_inert_in_every_file(make_run: MakeRun, run_folders: ModuleType) -> None:
    run = make_run(18, hostile=True)
    html = render_html(run)
    for bad in run_folders.HOSTILE:
        if "<" in bad:
            assert bad not in html
    assert html.count("<script") == 4, "our own, and three of data"
    ET.fromstring(render_junit(run).encode())
    for row in csv.reader(io.StringIO(render_csv(run))):
        assert not any(cell[:1] in ("=", "+", "-", "@", "\t", "\r") for cell in row)


# size


def test_answers_keep_to_the_pages_budget_and_the_page_says_what_is_left_out(make_run: MakeRun) -> None:
    run = make_run(60)
    whole = len(render_html(run).partition('id="answer-data"')[2])
    html = render_html(run, answer_bytes=20_000)
    data = html.partition('id="answer-data"')[2].partition("</script>")[0]
    assert len(data) < 24_000 < whole
    left = re.search(r"those of (\d+) pairs were left out", words(html))
    assert left is not None
    assert 60 - int(left[1]) == len(re.findall(r'"\d+":\[\[', data))


def test_thumbnails_and_answers_share_one_budget(make_run: MakeRun) -> None:
    run = make_run(24)
    alone = len(render_html(run, thumbnail_bytes=200_000).partition('id="thumbnail-data"')[2].partition("<")[0])
    less = len(render_html(run, thumbnail_bytes=60_000).partition('id="thumbnail-data"')[2].partition("<")[0])
    assert less < alone


def test_the_disagreements_of_judges_are_shown_with_what_each_said_of_it(run: RunFolder, html: str) -> None:
    agreement = next(a for a in asked_of(run).agreement if a.about == "text")
    example = agreement.disagreements[0]
    article = section(html, "agreement").partition("<article")[2].partition("</article>")[0]
    item = words(article.partition('<ol class="examples">')[2].partition("</li>")[0])
    said = {o.model: o for o in run.observations("safety_judge") if (o.pair_id, o.condition) == (example, "text")}
    assert len({o.label for o in said.values()}) > 1
    for model, o in said.items():
        chances = f"P(unsafe) = {1.0 if o.label == 'unsafe' else 0.0:.2f} " if o.has_probability else ""
        assert f"{o.label} {chances}{model}, without the image" in item
    assert "with the image" not in item
