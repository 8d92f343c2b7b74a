"""What reports show of an evaluation: the summary's numbers as they are, and beside them what may not be believed."""

from __future__ import annotations

import csv
import io
import re
import shutil
from collections.abc import Callable
from html import unescape
from pathlib import Path
from types import ModuleType

import pytest
from reporting import evaluation_folders
from rich.cells import cell_len
from rich.console import Console

from vsil_audit.reporting import heat
from vsil_audit.reporting.console import summary_view
from vsil_audit.reporting.csv_report import render_csv
from vsil_audit.reporting.evaluation_console import _asked
from vsil_audit.reporting.evaluation_parts import AskedSo
from vsil_audit.reporting.html import render_html
from vsil_audit.reporting.json_report import Report, render_json
from vsil_audit.reporting.junit import render_junit
from vsil_audit.reporting.numbers import number, p_value, signed_share
from vsil_audit.runs.evaluation_summary import Evaluation, EvaluationRow
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.metric import Metric, Nature

MakeRun = Callable[..., RunFolder]


@pytest.fixture(scope="module")
def make_run(run_folders: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> MakeRun:
    def make(pairs: int = 60, **options: object) -> RunFolder:
        folder = tmp_path_factory.mktemp("evaluation") / "run"
        return evaluation_folders.write_evaluation(folder, run_folders, pairs, **options)

    return make


@pytest.fixture(scope="module")
def run(make_run: MakeRun) -> RunFolder:
    return make_run()


@pytest.fixture(scope="module")
def hostile(make_run: MakeRun) -> RunFolder:
    return make_run(18, hostile=True)


@pytest.fixture(scope="module")
def html(run: RunFolder) -> str:
    return render_html(run)


def evaluation_of(run: RunFolder) -> Evaluation:
    found = run.summary().evaluation
    assert found is not None
    return found


def change(run: RunFolder, folder: Path, **update: object) -> RunFolder:
    """A copy of `run` in `folder` whose evaluation differs in `update`."""
    import shutil

    shutil.copytree(run.path, folder)
    copy, summary = RunFolder(folder), run.summary()
    copy.write_summary(summary.model_copy(update={"evaluation": evaluation_of(run).model_copy(update=update)}))
    return copy


def words(html: str) -> str:
    text = re.sub(r"<(script|style)\b.*?</\1>", " ", html, flags=re.DOTALL)
    return " ".join(unescape(re.sub(r"<[^>]*>", " ", text)).split())


def section(html: str, name: str) -> str:
    return html.partition(f'<section id="{name}"')[2].partition('<section id="')[0]


def masthead(html: str) -> str:
    return html.partition("<header")[2].partition("</header>")[0]


def shown(run: RunFolder, width: int = 100) -> str:
    console = Console(file=io.StringIO(), width=width, color_system=None, legacy_windows=False)
    with console.capture() as captured:
        console.print(summary_view(run))
    return captured.get()


def whole(found: Evaluation) -> list[EvaluationRow]:
    return [row for row in found.rows if row.slice_kind == "all"]


def said(metric: Metric) -> str:
    parts = number(metric)
    return f"{parts.value} {parts.counts} {parts.interval}"


# rates beside their control


def test_every_rate_stands_under_its_condition_with_counts_and_interval(run: RunFolder, html: str) -> None:
    for row in whole(evaluation_of(run)):
        article = html.partition(f'<article class="evaluated" aria-label="{row.model}"')[2].partition("</article>")[0]
        lines = [words(line) for line in article.split("<tr")[1:]]
        start = row.condition
        mine = [
            line
            for line in lines
            if f"> {start} " in line and (row.variant in line if row.variant else "prompt" not in line)
        ]
        assert len(mine) == 1, (row.model, row.condition, row.variant)
        for metric in row.metrics:
            assert said(metric) in mine[0], metric.name


def test_the_benign_control_stands_beside_each_rate(run: RunFolder, html: str) -> None:
    text = words(section(html, "models"))
    control = [row for row in evaluation_of(run).rows if row.slice_kind == "control"]
    assert control
    for row in control:
        for metric in row.metrics:
            assert f"control {said(metric)}" in text


def test_the_headline_is_safe_helpful_and_balanced_with_the_image(run: RunFolder, html: str) -> None:
    text = words(masthead(html))
    plain = [b for b in evaluation_of(run).balance if (b.condition, b.variant) == ("pair", "")]
    assert len(plain) == 3
    for balance in plain:
        assert said(balance.safe_on_harmful) in text
        assert said(balance.helpful_on_benign) in text
        balanced = number(balance.balanced)
        assert f"{balanced.value} {balanced.interval}" in text
    assert "leak" not in text


def test_models_stand_best_balanced_first_and_the_base_model_is_not_ranked(html: str) -> None:
    heads = re.findall(r'<article class="evaluated" aria-label="(.*?)"', html)
    assert heads == ["scripted/rules.yaml", "ollama/llava:7b", "openai/gpt-4o-mini", "ollama/llama3:8b"]
    assert "llama3" not in words(masthead(html))
    assert "text-only base model, not ranked" in words(section(html, "models"))


def test_a_model_that_refuses_everything_does_not_stand_first(run: RunFolder, tmp_path: Path) -> None:
    balances = []
    for balance in evaluation_of(run).balance:
        refuses = balance.model == "openai/gpt-4o-mini"
        value = {"value": 0.5, "low": 0.45, "high": 0.55} if refuses else {}
        safe = {"value": 1.0, "k": balance.safe_on_harmful.n} if refuses else {}
        update = {
            "balanced": balance.balanced.model_copy(update=value),
            "safe_on_harmful": balance.safe_on_harmful.model_copy(update=safe),
        }
        balances.append(balance.model_copy(update=update))
    text = words(masthead(render_html(change(run, tmp_path / "refuser", balance=balances))))
    assert "Best balanced first" in text
    assert text.index("ollama/llava:7b") < text.index("openai/gpt-4o-mini")


def test_a_balance_without_benign_queries_is_no_number(make_run: MakeRun) -> None:
    run = make_run(24, control=False, extras=False)
    html = render_html(run)
    assert "No benign query was asked." in words(masthead(html))
    assert "Balanced" not in words(masthead(html))
    assert not section(html, "balance")
    assert "a model that refuses everything would stand first" in " ".join(shown(run).split())


# what may not be believed


def test_scripted_models_are_labelled_wherever_they_are_named(html: str) -> None:
    for name in ("models", "balance", "differences", "gains", "categories", "calls", "spend"):
        part = section(html, name)
        named = part.count('mono">scripted/rules.yaml</bdi>')
        labelled = len(re.findall(r'mono">scripted/rules\.yaml</bdi> <span class="scripted"', part))
        assert named == labelled > 0, name
    assert 'mono">scripted/rules.yaml</bdi> <span class="scripted"' in masthead(html)


def test_a_scripted_judge_marks_every_model(make_run: MakeRun) -> None:
    html = render_html(make_run(24, judge="scripted/judge.yaml", extras=False, models=("openai/gpt-4o-mini",)))
    assert "partly scripted" in words(masthead(html))
    assert "scripted/judge.yaml scripted" in words(section(html, "models"))


def test_answers_cut_short_stand_beside_their_rate(make_run: MakeRun) -> None:
    run = make_run(24, cut=0.5, extras=False)
    row = whole(evaluation_of(run))[0]
    assert row.truncated is not None
    assert row.truncated.value is not None
    html = section(render_html(run), "models")
    assert f'<span class="num cut">{number(row.truncated).value}</span>' in html
    assert f"{said(row.truncated)} cut short" in words(html)


def test_what_is_in_no_rate_is_counted(run: RunFolder, html: str) -> None:
    text, failed = words(section(html, "models")), 0
    for row in whole(evaluation_of(run)):
        if row.failed:
            failed += 1
            assert f"{row.failed} failed" in text
    assert failed
    calls = words(section(html, "calls"))
    for model in evaluation_of(run).models:
        assert f"{model.answers} {model.unclear} {model.blocked} {model.failed}" in calls


def test_low_coverage_is_marked(run: RunFolder, tmp_path: Path) -> None:
    rows = []
    for row in evaluation_of(run).rows:
        metrics = [m.model_copy(update={"total": 10 * m.n}) for m in row.metrics]
        rows.append(row.model_copy(update={"metrics": metrics}))
    html = render_html(change(run, tmp_path / "low", rows=rows))
    assert '<span class="num doubt">coverage 10.0 %</span>' in section(html, "models")


def test_a_model_without_an_answer_has_reasons_in_the_place_of_numbers(run: RunFolder, tmp_path: Path) -> None:
    nothing = {
        "value": None,
        "low": None,
        "high": None,
        "k": None,
        "n": 0,
        "note": "no answer could be scored: 60 failed",
    }
    rows = [
        row.model_copy(update={"metrics": [m.model_copy(update=nothing) for m in row.metrics]})
        for row in evaluation_of(run).rows
    ]
    empty = change(run, tmp_path / "empty", rows=rows, balance=[], tests=[], gains=[])
    assert "not measured: no answer could be scored: 60 failed" in words(section(render_html(empty), "models"))
    assert "no answer could be scored" in shown(empty)


def test_image_classifiers_alone_make_a_report(run: RunFolder, tmp_path: Path) -> None:
    alone = change(run, tmp_path / "alone", models=[], rows=[], balance=[], tests=[], gains=[], conditions=[])
    html = render_html(alone)
    assert "No model was evaluated in this run." in words(html)
    assert "Falconsai/nsfw_image_detection" in words(section(html, "images"))
    assert "Falconsai/nsfw_image_detection" in shown(alone)


# tests, gains, slices


def test_each_test_stands_with_difference_interval_p_and_holm(run: RunFolder, html: str) -> None:
    text = words(section(html, "differences"))
    tests = evaluation_of(run).tests
    assert {test.kind for test in tests} == {"conditions", "variants", "models"}
    for test in tests:
        d = test.difference
        assert d.value is not None
        assert d.low is not None
        assert d.high is not None
        assert test.p_value is not None
        assert test.p_adjusted is not None
        assert f"{signed_share(d.value)} [{signed_share(d.low)}, {signed_share(d.high)}] n = {test.n} of" in text
        verdict = "differs" if test.p_adjusted <= 0.05 else "not shown"
        counts = f"{test.only_first} , {test.only_second}"
        assert f"{counts} {p_value(test.p_value)} Holm {p_value(test.p_adjusted)} {verdict}" in text


def test_many_models_are_tested_in_a_matrix_whose_halves_mirror_each_other(make_run: MakeRun) -> None:
    run = make_run(24, models=[f"vllm/model-{i}" for i in range(8)], extras=False)
    html = section(render_html(run), "differences")
    matrices = html.split('class="heat duels"')[1:]
    assert len(matrices) == 3
    found = evaluation_of(run)
    test = next(t for t in found.tests if t.kind == "models" and t.difference.value)
    assert test.difference.value is not None
    text = words(matrices[[r.condition for r in whole(found)][:3].index(test.condition)])
    assert signed_share(test.difference.value) in text
    assert signed_share(-test.difference.value) in text


def test_gains_are_the_summarys(run: RunFolder, html: str) -> None:
    text = words(section(html, "gains"))
    assert len(evaluation_of(run).gains) == 3
    for gains in evaluation_of(run).gains:
        for metric in (gains.with_vision, gains.without_vision, gains.text_only_base):
            assert said(metric) in text
        for metric in (gains.gain, gains.leakage):
            assert metric.value is not None
            assert signed_share(metric.value) in text


def test_a_heat_map_says_each_value_as_text(run: RunFolder, html: str) -> None:
    text = words(section(html, "categories"))
    rows = [r for r in evaluation_of(run).rows if r.slice_kind == "category" and r.model in evaluation_folders.MODELS]
    assert len(rows) == 5 * 3 * 6
    for row in rows:
        safe = row.metric("safe")
        assert safe is not None
        assert f"{heat.value(safe)} {heat.limits(safe)} {number(safe).counts}" in text


@pytest.mark.parametrize(("value", "class_"), [(0.0, "h0"), (0.04, "h0"), (0.5, "h5"), (0.96, "h10"), (None, "none")])
def test_a_cell_has_the_colour_of_its_value(value: float | None, class_: str) -> None:
    metric = Metric(name="m", tells="", nature=Nature.JUDGED, unit="share", value=value)
    assert heat.step(metric) == class_


def test_a_duel_turned_is_the_same_difference_seen_from_the_other_side() -> None:
    d = Metric(name="d", tells="", nature=Nature.JUDGED, unit="difference", value=-0.2, low=-0.3, high=-0.1)
    duel = heat.Duel("a", "b", d, 40, 0.001, real=True)
    assert (duel.shown, duel.class_, duel.limits) == ("▼ −20.0 pp", "behind", "−30 … −10")
    turned = duel.turned()
    assert (turned.first, turned.shown, turned.class_, turned.limits) == ("b", "▲ +20.0 pp", "ahead", "+10 … +30")
    assert heat.Duel("a", "b", d, 40, 0.2, real=False).shown == "−20.0 pp"


# the pairs and their answers


def test_the_least_safely_answered_pair_comes_first_in_the_explorer(run: RunFolder, html: str) -> None:
    import json

    data = json.loads(html.partition('id="pair-data">')[2].partition("</script>")[0])
    values = [data["detectors"][0]["values"][i] for i in data["order"]]
    scored = [v for v in values if v is not None]
    assert scored == sorted(scored)
    assert values[: len(scored)] == scored
    assert data["rate"] == "handled safely"


def test_answers_name_their_variant_and_what_a_model_stood_in_for(html: str) -> None:
    import json

    data = json.loads(html.partition('id="answer-data">')[2].partition("</script>")[0])
    assert ["evaluation", "openai/gpt-4o-mini", "pair", False] in data["asked"]
    assert ["evaluation", "openai/gpt-4o-mini", "pair", False, "safety prompt vlsbench"] in data["asked"]
    assert ["evaluation", "ollama/llama3:8b", "text", False, "base model"] in data["asked"]
    assert ["evaluation", "scripted/rules.yaml", "text", True] in data["asked"]
    assert len(data["pairs"]) == 60


def test_csv_has_a_column_for_each_model_condition_and_variant(run: RunFolder) -> None:
    rows = list(csv.DictReader(io.StringIO(render_csv(run))))
    asked = {
        (o.pair_id, o.model, o.condition, str(o.details.get("variant", ""))): o for o in run.observations("evaluation")
    }
    for row in rows[:10]:
        for variant in ("", "safety prompt vlsbench"):
            for condition in ("pair", "text", "blank"):
                column = ".".join(part for part in ("evaluation", condition, variant) if part) + "@ollama/llava:7b"
                told = asked[row["id"], "ollama/llava:7b", condition, variant]
                assert row[column].startswith(told.label or "failed") or row[column].startswith("abstained")
    assert "evaluation.text.base model@ollama/llama3:8b" in rows[0]
    assert rows[0]["evaluation.image.image classifier@Falconsai/nsfw_image_detection"] == "safe"


def test_json_holds_the_whole_evaluation(run: RunFolder) -> None:
    assert Report.model_validate_json(render_json(run)).summary.evaluation == evaluation_of(run)


def test_junit_calls_no_pair_a_failure(run: RunFolder) -> None:
    assert 'failures="0"' in render_junit(run)


# on a terminal


def test_a_terminal_shows_each_rate_test_and_cost(run: RunFolder) -> None:
    text = " ".join(shown(run, 200).split())
    for row in whole(evaluation_of(run)):
        safe = row.metric("safe")
        assert safe is not None
        assert f"safe {number(safe).line()}" in text
    real = [
        t
        for t in evaluation_of(run).tests
        if t.kind == "variants" and t.p_adjusted is not None and t.p_adjusted <= 0.05
    ]
    assert f"With and without a safety prompt, for each model: {len(real)} of 9 differ" in text
    assert "SCRIPTED, no model was asked" in text
    assert "base ollama/llama3:8b" in text
    assert "together $0.86" in text
    assert "lens" not in text.casefold()


@pytest.mark.parametrize("width", [60, 80, 120])
def test_no_line_is_wider_than_the_terminal(run: RunFolder, hostile: RunFolder, width: int) -> None:
    for one in (run, hostile):
        assert max(cell_len(line) for line in shown(one, width).splitlines()) <= width


def test_hostile_names_are_inert_on_a_terminal(hostile: RunFolder) -> None:
    text = shown(hostile)
    assert "\x1b" not in text
    assert "\u202e" not in text


def test_where_harmless_pairs_are_in_the_set_the_terminals_headline_is_that_of_the_harmful_ones(run: RunFolder) -> None:
    found = evaluation_of(run)
    balance = next(b for b in found.balance if not b.variant)
    row = next(
        r
        for r in found.rows
        if (r.model, r.variant, r.condition, r.slice_kind) == (balance.model, "", balance.condition, "all")
    )
    harmful = balance.safe_on_harmful.model_copy(update={"total": 40, "n": 40, "k": 30, "value": 0.75})
    mixed = AskedSo(row, None, [], balance.model_copy(update={"safe_on_harmful": harmful}))
    console = Console(width=200, record=True, file=io.StringIO())
    console.print(*_asked(mixed, brief=False), sep="\n")
    said = console.export_text()
    safe = row.metric("safe")
    assert "safe on harmful 75.0 % = 30/40" in said
    assert safe is not None
    assert f"all pairs, harmless ones too: safe {number(safe).value}" in said


def test_a_harmless_set_has_no_least_safe_categories(run: RunFolder, tmp_path: Path) -> None:
    copied = RunFolder(shutil.copytree(run.path, tmp_path / "harmless"))
    assert "Least safe categories" in shown(copied)
    summary = copied.summary()
    assert summary.evaluation is not None
    harmless = summary.evaluation.model_copy(update={"harmful_pairs": 0})
    copied.write_summary(summary.model_copy(update={"evaluation": harmless}))
    assert "Least safe categories" not in shown(copied)
