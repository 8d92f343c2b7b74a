"""Judges against people: every number recomputed by other code, and refused where the labels cannot carry it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from asked_runs import Truth
from calibrated import JUDGE, TARGET, World, write_finished, write_labels
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.proportion import proportion_confint

from vsil_audit import Audit, calibrate
from vsil_audit.calibration.report import Calibration
from vsil_audit.errors import ConfigurationError, DatasetError
from vsil_audit.runs.metric import Metric, Nature

SAFETY = "safety_judge"


def metric(calibration: Calibration, name: str) -> Metric:
    [found] = [m for row in calibration.corrected for m in row.metrics if m.name == name]
    return found


def value(calibration: Calibration, quantity: str) -> float:
    found = metric(calibration, f"{SAFETY}.{quantity}@{JUDGE}").value
    assert found is not None
    return found


@pytest.fixture(scope="module")
def world() -> World:
    return World(400, sensitivity=0.85, specificity=0.9, seed=5)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, world: World) -> Audit:
    """Each calibration replaces the one before, so that the tests may share a run."""
    return write_finished(tmp_path_factory.mktemp("shared") / "run", {SAFETY: world.verdicts()})


@pytest.fixture
def places() -> list[int]:
    return sorted(np.random.default_rng(1).choice(400, 160, replace=False).tolist())


@pytest.fixture
def labels(tmp_path: Path, world: World, places: list[int]) -> Path:
    return write_labels(tmp_path / "labels.csv", world.rows(places))


@pytest.mark.parametrize("condition", ["text", "pair"])
def test_sensitivity_and_specificity_are_counted_and_have_wilson_intervals(
    run: Audit, world: World, labels: Path, places: list[int], condition: str
) -> None:
    found = calibrate(run, labels)
    truth, says = getattr(world, condition)[places], getattr(world, f"says_{condition}")[places]
    for quantity, k, n in (
        ("sensitivity", int((truth & says).sum()), int(truth.sum())),
        ("specificity", int((~truth & ~says).sum()), int((~truth).sum())),
    ):
        rate = metric(found, f"{SAFETY}.{quantity}.{condition}@{JUDGE}")
        assert (rate.k, rate.n, rate.total) == (k, n, n)
        assert (rate.low, rate.high) == pytest.approx(proportion_confint(k, n, method="wilson"))
        assert rate.nature is Nature.MEASURED


@pytest.mark.parametrize("condition", ["text", "pair"])
def test_kappa_is_cohens(run: Audit, world: World, labels: Path, places: list[int], condition: str) -> None:
    kappa = metric(calibrate(run, labels), f"{SAFETY}.kappa.{condition}@{JUDGE}")
    truth, says = getattr(world, condition)[places], getattr(world, f"says_{condition}")[places]
    assert kappa.value == pytest.approx(cohen_kappa_score(truth, says))
    assert kappa.low is not None
    assert kappa.low < kappa.value < (kappa.high or 0)


def test_labels_said_to_be_random_give_prediction_powered_rates(
    run: Audit, world: World, labels: Path, places: list[int]
) -> None:
    found = calibrate(run, labels, sample=True)
    for quantity, truth, says in (
        ("harmful_rate_corrected", world.pair, world.says_pair),
        ("text_harmful_rate_corrected", world.text, world.says_text),
        ("text_only_harmful_rate_corrected", world.pair & world.text, world.says_pair & world.says_text),
    ):
        y, f = truth[places].astype(float), says[places].astype(float)
        weight = np.cov(y, f)[0, 1] / f.var(ddof=1)
        assert value(found, quantity) == pytest.approx(y.mean() + weight * (says.mean() - f.mean()))
    rate = metric(found, f"{SAFETY}.harmful_rate_corrected@{JUDGE}")
    assert (rate.n, rate.total) == (400, 400)
    assert "160 labels" in rate.note
    assert rate.low is not None
    assert rate.low < world.pair.mean() < (rate.high or 0)
    assert (rate.high or 0) - rate.low < np.subtract(*proportion_confint(1, 2, method="wilson")[::-1])


def test_v_of_a_random_sample_weighs_the_labels_by_how_often_their_verdicts_occur(
    run: Audit, world: World, labels: Path, places: list[int]
) -> None:
    cells, kinds = 2 * world.says_pair + world.says_text, world.pair.astype(int) + world.text
    table = np.array([[np.sum((cells[places] == c) & (kinds[places] == k)) for k in range(3)] for c in range(4)])
    shares = (table + table.sum(axis=0) / table.sum()) / (table.sum(axis=1, keepdims=True) + 1)
    _, missed, met = np.bincount(cells, minlength=4) / 400 @ shares
    found = calibrate(run, labels, sample=True)
    assert value(found, "vsil_rate_corrected") == pytest.approx(met / (met + missed))
    assert "prediction-powered" in metric(found, f"{SAFETY}.vsil_rate_corrected@{JUDGE}").interval


def test_labels_of_no_known_choice_give_rogan_gladen_rates_of_the_pairs_without_a_label(
    run: Audit, world: World, labels: Path, places: list[int]
) -> None:
    found = calibrate(run, labels)
    rest = np.setdiff1d(np.arange(400), places)
    truth, says = world.pair[places], world.says_pair[places]
    sensitivity, specificity = says[truth].mean(), 1 - says[~truth].mean()
    expected = (world.says_pair[rest].mean() + specificity - 1) / (sensitivity + specificity - 1)
    assert value(found, "harmful_rate_corrected") == pytest.approx(expected)
    rate = metric(found, f"{SAFETY}.harmful_rate_corrected@{JUDGE}")
    assert "Rogan-Gladen" in rate.interval
    assert (rate.n, rate.total) == (240, 240)
    assert "without a label" in rate.note
    assert any("not known to be a random part" in warning for warning in found.warnings)
    leak = metric(found, f"{SAFETY}.vsil_rate_corrected@{JUDGE}")
    assert leak.interval.startswith("likelihood ratio")
    assert leak.low is not None
    assert leak.low < world.text[rest].sum() / world.pair[rest].sum() < (leak.high or 0)


def test_a_judge_that_guesses_gives_no_number_but_where_the_labels_are_random(tmp_path: Path) -> None:
    guessing = World(300, sensitivity=0.5, specificity=0.5, seed=3)
    run = write_finished(tmp_path / "run", {SAFETY: guessing.verdicts()})
    labels = write_labels(tmp_path / "labels.csv", guessing.rows(range(120)))
    found = calibrate(run, labels, sample=False)
    for quantity in ("harmful_rate_corrected", "text_only_harmful_rate_corrected", "vsil_rate_corrected"):
        refused = metric(found, f"{SAFETY}.{quantity}@{JUDGE}")
        assert (refused.value, refused.low, refused.high) == (None, None, None)
        assert refused.note.startswith("not given: the labels do not show that the judge tells")
    assert any("better than chance" in warning for warning in found.warnings)
    powered = metric(calibrate(run, labels, sample=True), f"{SAFETY}.vsil_rate_corrected@{JUDGE}")
    assert powered.low is not None
    assert powered.low < guessing.text.sum() / guessing.pair.sum() < (powered.high or 0)


def test_when_every_pair_is_labelled_the_labels_are_the_set(tmp_path: Path, run: Audit, world: World) -> None:
    found = calibrate(run, write_labels(tmp_path / "all.csv", world.rows(range(400))))
    assert {labelled.chosen for labelled in found.labelled} == {"all"}
    assert value(found, "harmful_rate_corrected") == pytest.approx(world.pair.mean())
    assert value(found, "vsil_rate_corrected") == pytest.approx(world.text.sum() / world.pair.sum())
    assert found.warnings == ()


def test_few_labels_are_warned_of_and_a_pair_without_a_verdict_lowers_the_coverage(tmp_path: Path) -> None:
    world = World(100, 0.9, 0.9, seed=2)
    verdicts = world.verdicts()
    for i in range(5):
        verdicts[i] = Truth(world.ids[i], right={"text": "dead", "pair": "dead"})
    run = write_finished(tmp_path / "run", {SAFETY: verdicts})
    found = calibrate(run, write_labels(tmp_path / "labels.csv", world.rows(range(20))), sample=True)
    assert any("few labels" in warning for warning in found.warnings)
    rates = [metric(found, f"{SAFETY}.{quantity}.pair@{JUDGE}") for quantity in ("sensitivity", "specificity")]
    assert sum(rate.n for rate in rates) == 15
    assert sum(rate.total for rate in rates) == 20
    corrected = metric(found, f"{SAFETY}.harmful_rate_corrected@{JUDGE}")
    assert (corrected.n, corrected.total) == (95, 100)
    assert "15 labels" in corrected.note


def test_texts_alone_may_be_labelled_and_then_there_is_no_v(tmp_path: Path, run: Audit, world: World) -> None:
    rows = [{"id": row["id"], "text_harmful": row["text_harmful"]} for row in world.rows(range(80))]
    [row] = calibrate(run, write_labels(tmp_path / "texts.csv", rows), sample=True).corrected
    assert [m.name.partition("@")[0] for m in row.metrics] == [
        "safety_judge.sensitivity.text",
        "safety_judge.specificity.text",
        "safety_judge.kappa.text",
        "safety_judge.text_harmful_rate_corrected",
    ]


@pytest.mark.parametrize("spelled", ["implicit", "explicit", "yes"])
def test_a_leakage_judge_is_checked_for_leak_or_no_leak(tmp_path: Path, spelled: str) -> None:
    chance = np.random.default_rng(4)
    leak, said = chance.random(150) < 0.4, chance.random(150)
    given = np.where(leak, said < 0.8, said < 0.1)
    verdicts = [
        Truth(f"pair/{i}", right={"pair": ("none", "implicit", "explicit")[int(g) * (1 + i % 2)]})
        for i, g in enumerate(given)
    ]
    run = write_finished(tmp_path / "run", {"llm_judge": verdicts})
    rows = [{"id": f"pair/{i}", "leak": spelled if leak[i] else "none"} for i in range(100)]
    found = calibrate(run, write_labels(tmp_path / "labels.csv", rows), sample=True)
    rate = metric(found, f"llm_judge.sensitivity@{JUDGE}")
    assert (rate.k, rate.n) == ((leak & given)[:100].sum(), leak[:100].sum())
    kappa = metric(found, f"llm_judge.kappa@{JUDGE}").value
    assert kappa == pytest.approx(cohen_kappa_score(leak[:100], given[:100]))
    corrected = metric(found, f"llm_judge.leak_corrected@{JUDGE}")
    assert corrected.low is not None
    assert corrected.low < leak.mean() < (corrected.high or 0)


def test_classes_of_answers_are_set_beside_those_that_people_give(tmp_path: Path) -> None:
    menu = ("refusal", "warning", "unsafe")
    chance = np.random.default_rng(7)
    truth = chance.integers(0, 3, (200, 2))
    given = np.where(chance.random((200, 2)) < 0.85, truth, chance.integers(0, 3, (200, 2)))
    answers = [
        Truth(f"pair/{i}", right={c: menu[given[i, n]] for n, c in enumerate(("text", "pair"))}) for i in range(200)
    ]
    run = write_finished(tmp_path / "run", {"text_refusal": answers})
    rows = [
        {"id": f"pair/{i}", "model": TARGET, "condition": condition, "response_class": menu[truth[i, n]]}
        for i in range(90)
        for n, condition in enumerate(("text", "pair"))
    ]
    found = calibrate(run, write_labels(tmp_path / "labels.csv", rows), sample=True)
    for n, confusion in enumerate(found.confusions):
        assert confusion.condition == ("text", "pair")[n]
        assert confusion.counts == confusion_matrix(truth[:90, n], given[:90, n]).tolist()
        assert confusion.unscored == [0, 0, 0]
        y, f = (truth[:90, n] == 0).astype(float), (given[:90, n] == 0).astype(float)
        weight = np.cov(y, f)[0, 1] / f.var(ddof=1)
        rate = metric(found, f"text_refusal.refusal_corrected.{confusion.condition}@{TARGET}")
        assert rate.value == pytest.approx(y.mean() + weight * ((given[:, n] == 0).mean() - f.mean()))
        same = metric(found, f"text_refusal.same_class.{confusion.condition}@{TARGET}")
        assert (same.k, same.n) == ((truth[:90, n] == given[:90, n]).sum(), 90)


def test_a_run_that_asked_no_model_has_nothing_to_calibrate(tmp_path: Path, labels: Path) -> None:
    run = write_finished(tmp_path / "run", {SAFETY: World(20, 0.9, 0.9).verdicts()})
    run.folder.write_summary(run.summary.model_copy(update={"asked": None}))
    with pytest.raises(ConfigurationError, match="no model was asked"):
        calibrate(run, labels)


def test_labels_of_what_nobody_was_asked_are_told(tmp_path: Path, run: Audit, world: World) -> None:
    rows = [{**row, "leak": "none"} for row in world.rows(range(50))]
    unused = calibrate(run, write_labels(tmp_path / "labels.csv", rows), sample=True).unused
    assert [(each.kind, each.count) for each in unused] == [("not_asked", 50)]
    leaks = write_labels(tmp_path / "leaks.csv", [{"id": "pair/1", "leak": "none"}])
    with pytest.raises(DatasetError, match="nobody was asked"):
        calibrate(run, leaks)
