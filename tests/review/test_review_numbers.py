"""Agreement and sampling plans: the numbers by hand, and what they take for granted."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from cli.conftest import Command
from review.conftest import PAIRS, Reviewed

from vsil_audit.review.agreement import CriterionAgreement, agreement
from vsil_audit.review.choosing import Only, Wanted, choose
from vsil_audit.review.criteria import PAIR, TEXT
from vsil_audit.review.sampling_plan import sampling_plan
from vsil_audit.review.sheets import Sheets
from vsil_audit.stats.sample_size import half_width


def of(reviewed: Reviewed) -> dict[str, CriterionAgreement]:
    material = reviewed.material()
    with reviewed.store() as store:
        return {one.criterion.name: one for one in agreement(Sheets.of(store, material), material)}


def test_agreement_is_that_of_the_table_by_hand(reviewed: Reviewed) -> None:
    """Two people on ten pairs: both yes 4, both no 3, ann alone 2, bo alone 1."""
    both = [("yes", "yes")] * 4 + [("no", "no")] * 3 + [("yes", "no")] * 2 + [("no", "yes")]
    with reviewed.store() as store:
        items = choose(Wanted(sample=10), reviewed.material(), store)
        for name in ("ann", "bo"):
            store.join(name)
        for item, (ann, bo) in zip(items, both, strict=True):
            store.put("ann", item.number, "text_harmful", ann)
            store.put("bo", item.number, "text_harmful", bo)
    found = of(reviewed)["text_harmful"]
    assert found.annotators == ("ann", "bo")
    assert (found.labelled, found.twice) == ((10, 10), 10)
    chance = 0.6 * 0.5 + 0.4 * 0.5
    assert found.pairs[0].kappa.value == pytest.approx((0.7 - chance) / (1 - chance))
    assert found.alpha.value == pytest.approx(1 - 0.3 / (1 - (11 * 10 + 9 * 8) / (20 * 19)))
    for interval in (found.pairs[0].kappa, found.alpha):
        assert interval.low is not None
        assert interval.high is not None
        assert interval.low < (interval.value or 0) < interval.high
    assert [one.said for one in found.disagreements] == [("yes", "no"), ("yes", "no"), ("no", "yes")]
    (share,) = found.shares
    assert (share.count, share.labelled, share.tied, share.chosen) == (4, 7, 3, 10)
    assert share.of_the_set


def test_who_labelled_nothing_and_what_is_not_on_the_menu_count_for_nothing(reviewed: Reviewed) -> None:
    reviewed.label("ann", Wanted(sample=5))
    with reviewed.store() as store:
        store.join("bo")
        store.put("bo", 1, "text_harmful", "perhaps")
    found = of(reviewed)["text_harmful"]
    assert found.labelled == (5, 0)
    assert found.twice == 0
    assert found.alpha.value is None


def test_pairs_picked_for_a_reason_have_a_share_of_their_own(reviewed: Reviewed) -> None:
    reviewed.label("ann", Wanted(sample=40))
    reviewed.label("ann", Wanted(only=Only.LEAKING))
    shares = {share.origin: share for share in of(reviewed)["text_harmful"].shares}
    assert set(shares) == {"sample", "only leaking"}
    assert shares["sample"].of_the_set
    assert not shares["only leaking"].of_the_set
    assert shares["sample"].labelled == 40


def test_a_stratified_draw_is_weighted(reviewed: Reviewed, tmp_path: Path) -> None:
    file = tmp_path / "draw.csv"
    harmful = [i for i in range(PAIRS) if reviewed.world.pair[i]][:10]
    harmless = [i for i in range(PAIRS) if not reviewed.world.pair[i]][:10]
    rows = [f"pair/{i},high,1" for i in harmful] + [f"pair/{i},low,9" for i in harmless]
    file.write_text("\n".join(["id,stratum,weight", *rows]))
    reviewed.label("ann", Wanted(draw=file))
    (share,) = of(reviewed)["pair_harmful"].shares
    assert share.weighted
    assert share.rate.value == pytest.approx(10 / 100)
    assert (share.count, share.labelled) == (10, 20)


def test_a_plan_starts_from_the_worst_and_learns(reviewed: Reviewed) -> None:
    material = reviewed.material()

    def planned(precision: float = 0.1) -> dict[str, object]:
        with reviewed.store() as store:
            plan = sampling_plan(precision, (TEXT, PAIR), Sheets.of(store, material), material)
        return {one.criterion.name: one for one in plan.criteria}

    judged = planned()[PAIR.name]
    metric = next(m for m in material.folder.summary().metrics if m.name.startswith("safety_judge.harmful_rate@"))
    assert judged.assumed.rate in (metric.low, metric.high)  # type: ignore[attr-defined]  # PlannedCriterion
    assert "judges" in judged.assumed.whence  # type: ignore[attr-defined]  # likewise
    reviewed.label("ann", Wanted(sample=30))
    learnt = planned()[PAIR.name]
    assert "labels" in learnt.assumed.whence  # type: ignore[attr-defined]  # likewise
    assert learnt.labelled == 30  # type: ignore[attr-defined]  # likewise
    assert learnt.now_here < learnt.now_like_it  # type: ignore[attr-defined]  # likewise
    assert planned(0.2)[PAIR.name].here < learnt.here <= PAIRS  # type: ignore[attr-defined]  # likewise


def test_as_many_labels_as_are_planned_give_that_precision(reviewed: Reviewed) -> None:
    """Drawn again and again from the set itself: 95 of 100 shares lie within the precision."""
    material = reviewed.material()
    with reviewed.store() as store:
        plan = sampling_plan(0.08, (PAIR,), Sheets.of(store, material), material)
    needed = plan.criteria[0].here
    assert 0 < needed < PAIRS
    chance, truth = np.random.default_rng(1), reviewed.world.pair.mean()
    errors = [abs(chance.choice(reviewed.world.pair, needed, replace=False).mean() - truth) for _ in range(2_000)]
    assert np.mean(np.array(errors) <= 0.08) >= 0.93
    assert half_width(plan.criteria[0].assumed.rate, needed) > 0.08, "fewer than a set without an end would need"


def test_the_terminal_says_it(reviewed: Reviewed, vsil_audit: Command) -> None:
    reviewed.label("ann", Wanted(sample=40))
    reviewed.label("bo", Wanted(sample=40), errs=lambda place: place % 7 == 0)
    said = vsil_audit("review", reviewed.path, "--agreement")
    assert said.code == 0
    for words in ("kappa", "Krippendorff's alpha", "they differ on", "ann 40, bo 40", "pairs drawn at random"):
        assert words in said.out, words
    assert "bo yes" in said.out
    said = vsil_audit("review", reviewed.path, "--plan", "--precision", "0.05")
    assert said.code == 0
    for words in ("±5 points", "for sets like it", "of 120", "clusters of", "People's own errors"):
        assert words in said.out.replace("\n", " "), words
    assert vsil_audit("review", reviewed.path, "--plan", "--precision", "0.7").code == 2


def test_wishes_that_contradict_each_other_are_refused(reviewed: Reviewed, vsil_audit: Command, tmp_path: Path) -> None:
    (tmp_path / "draw.csv").write_text("id\npair/1\n")
    for wishes in (
        ("--plan", "--agreement"),
        ("--agreement", "--sample", "5"),
        ("--draw", tmp_path / "draw.csv", "--sample", "5"),
        ("--criteria", "beauty"),
        ("--criteria", ""),
        ("--view", "question"),
        ("--annotator", " "),
    ):
        assert vsil_audit("review", reviewed.path, *wishes).code == 2, wishes
    assert vsil_audit("review", tmp_path / "nowhere").code == 2


def test_labels_of_other_data_are_not_mixed_with_these(reviewed: Reviewed, vsil_audit: Command, tmp_path: Path) -> None:
    reviewed.label("ann", Wanted(sample=10))
    from calibrated import World, write_finished

    other = write_finished(tmp_path / "other", {"safety_judge": World(4, 1, 1).verdicts()}).path
    said = vsil_audit("review", other, "--store", reviewed.path / "review.sqlite", "--agreement")
    assert said.code == 2
    assert "labels of other data" in said.err
