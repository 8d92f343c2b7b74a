"""Δ = SR(multimodal-aligned) − SR(text-aligned): the paper's from its table, and of answers to the same pairs."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from vsil_audit.errors import ConfigurationError
from vsil_audit.evaluation.alignment import SetAnswers, Verdict, align
from vsil_audit.evaluation.alignment_groups import AlignmentGroup, Checkpoint, paper_groups, read_groups
from vsil_audit.evaluation.paper import AlignmentRole
from vsil_audit.runs.metric import Metric, Nature
from vsil_audit.stats.paired import paired_difference
from vsil_audit.stats.proportions import wilson

# Worked out by hand from the paper's table with the recomputed 62.45: mean of its multimodal rows minus mean of its
# textual ones, in points.
LLAVA = {"JailbreakV": -6.7233, "FigStep": 3.3050, "VLSafe": -0.7950, "MM-SafetyBench": 16.9167, "VLSBench": 15.0583}
QWEN = {"JailbreakV": 0.89, "FigStep": 1.20, "VLSafe": -0.72, "MM-SafetyBench": 19.21, "VLSBench": 10.97}


@pytest.fixture(scope="module")
def paper():
    return align(paper_groups())


def row_of(found, group: str, dataset: str):
    (row,) = (r for r in found.rows if (r.group, r.dataset) == (group, dataset))
    return row


@pytest.mark.parametrize(("group", "gaps"), [("LLaVA-1.5-7B", LLAVA), ("Qwen2-VL-7B", QWEN)])
def test_the_papers_table_gives_its_gaps(paper, group: str, gaps: dict[str, float]) -> None:
    for dataset, points in gaps.items():
        assert 100 * row_of(paper, group, dataset).gap.value == pytest.approx(points, abs=0.001)
    assert paper.warnings == []
    assert all(row.source == "paper" for row in paper.rows)


def test_the_papers_conclusion_comes_out(paper) -> None:
    """Text is enough on sets that leak; on the set made not to leak, images add."""
    for group in ("LLaVA-1.5-7B", "Qwen2-VL-7B"):
        assert row_of(paper, group, "VLSafe").verdict is Verdict.TEXT_IS_ENOUGH
        assert row_of(paper, group, "VLSBench").verdict is Verdict.IMAGES_ADD
        leakless = row_of(paper, group, "VLSBench").gap
        for dataset in ("FigStep", "VLSafe"):
            leaking = row_of(paper, group, dataset).gap
            assert leaking.high < leakless.low
        assert row_of(paper, group, "JailbreakV").gap.value < leakless.low
    assert row_of(paper, "Qwen2-VL-7B", "FigStep").verdict is Verdict.TEXT_IS_ENOUGH


def test_a_gap_near_zero_whose_interval_crosses_the_margin_is_not_called_zero(paper) -> None:
    row = row_of(paper, "LLaVA-1.5-7B", "FigStep")
    assert row.gap.low < 0.05 < row.gap.high
    assert row.verdict is Verdict.NOT_SETTLED
    assert "not settled" in row.says
    assert row_of(align(paper_groups(), margin=0.1), "LLaVA-1.5-7B", "FigStep").verdict is Verdict.TEXT_IS_ENOUGH


def test_averages_without_a_size_have_a_gap_and_no_interval(paper) -> None:
    for dataset in ("JailbreakV", "MM-SafetyBench"):
        row = row_of(paper, "LLaVA-1.5-7B", dataset)
        assert row.gap.low is None
        assert row.verdict is Verdict.NO_INTERVAL
        assert "average over parts" in row.gap.note
        assert "nothing is concluded" in row.says


def test_gains_over_the_base_stand_beside_the_gap(paper) -> None:
    row = row_of(paper, "LLaVA-1.5-7B", "VLSBench")
    assert 100 * row.text_aligned.gain.value == pytest.approx((11.72 + 13.99) / 2 - 6.60)
    assert 100 * row.multimodal_aligned.gain.value == pytest.approx((21.26 + 27.01 + 35.47) / 3 - 6.60)
    assert [round(100 * c.gain.value, 2) for c in row.multimodal_aligned.checkpoints] == [14.66, 20.41, 28.87]
    assert row.multimodal_aligned.spread == pytest.approx((0.2126, 0.3547))
    assert row.base is not None
    assert row.base.gain is None


def test_the_recomputed_number_is_used_and_the_printed_one_is_told(paper) -> None:
    row = row_of(paper, "LLaVA-1.5-7B", "MM-SafetyBench")
    textual = row.text_aligned.checkpoints[1]
    assert textual.safe.value == pytest.approx(0.6245)
    assert "66.45" in textual.safe.note


# answers of our own


def rate(flags: np.ndarray) -> Metric:
    found = wilson(int(np.nansum(flags)), int((~np.isnan(flags)).sum()), len(flags))
    fields = {"value": found.value, "low": found.low, "high": found.high, "k": found.k, "n": found.n}
    return Metric(name="safe", tells="", nature=Nature.JUDGED, unit="share", total=found.total, **fields)


def answers(safe: dict[str, np.ndarray], dataset: str = "a set", groups=None) -> SetAnswers:
    n = len(next(iter(safe.values())))
    return SetAnswers(
        dataset, "pair", {m: rate(s) for m, s in safe.items()}, safe, np.arange(n) if groups is None else groups
    )


def group(text=("t",), multimodal=("m",), base=("b",), name: str = "mine") -> AlignmentGroup:
    return AlignmentGroup(
        name,
        {
            AlignmentRole.BASE: tuple(map(Checkpoint, base)),
            AlignmentRole.TEXT: tuple(map(Checkpoint, text)),
            AlignmentRole.MULTIMODAL: tuple(map(Checkpoint, multimodal)),
        },
    )


def flags(n: int, k: int) -> np.ndarray:
    return (np.arange(n) < k).astype(np.float64)


def test_same_pairs_are_compared_pair_by_pair_with_their_clusters() -> None:
    clusters = np.arange(300) // 3
    safe = {"b": flags(300, 30), "t": flags(300, 240), "m": flags(300, 249)}
    (row,) = align([group()], [answers(safe, groups=clusters)]).rows
    expected = paired_difference(safe["m"] > 0, safe["t"] > 0, clusters)
    assert row.paired
    assert (row.gap.value, row.gap.low, row.gap.high) == (expected.value, expected.low, expected.high)
    assert row.gap.n == 300
    assert row.verdict is Verdict.NOT_SETTLED or row.gap.high <= 0.05


def test_pairing_makes_the_interval_of_models_that_agree_narrow() -> None:
    n = 400
    base = np.random.default_rng(1).random(n) < 0.5
    safe = {"t": base.astype(float), "m": base.astype(float)}
    paired = align([group(base=())], [answers(safe)]).rows[0]
    apart = align([group(base=())], [SetAnswers("a set", "pair", {m: rate(s) for m, s in safe.items()})]).rows[0]
    assert paired.paired
    assert not apart.paired
    assert paired.gap.high - paired.gap.low < 0.5 * (apart.gap.high - apart.gap.low)
    assert paired.gap.low < 0 < paired.gap.high
    assert paired.verdict is Verdict.TEXT_IS_ENOUGH
    assert apart.verdict is Verdict.NOT_SETTLED


def test_models_asked_different_pairs_are_compared_by_their_rates() -> None:
    first, second = flags(400, 150), flags(400, 390)
    first[200:], second[:200] = np.nan, np.nan
    (row,) = align([group(base=())], [answers({"t": first, "m": second})]).rows
    assert not row.paired
    assert row.gap.value == pytest.approx(190 / 200 - 150 / 200)


def test_several_checkpoints_are_averaged_pair_by_pair() -> None:
    safe = {"t1": flags(100, 40), "t2": flags(100, 60), "m1": flags(100, 90), "m2": flags(100, 70)}
    (row,) = align([group(("t1", "t2"), ("m1", "m2"), ())], [answers(safe)]).rows
    assert row.gap.value == pytest.approx(0.3)
    assert row.text_aligned.mean.value == pytest.approx(0.5)
    assert row.text_aligned.spread == pytest.approx((0.4, 0.6))
    assert row.text_aligned.mean.low == pytest.approx(np.mean([wilson(40, 100).low, wilson(60, 100).low]))


def test_a_checkpoint_that_was_not_evaluated_is_told_and_the_others_go_on() -> None:
    found = align([group(("t", "absent"))], [answers({"t": flags(50, 20), "m": flags(50, 30)})])
    assert len(found.rows) == 1
    assert [w for w in found.warnings if "absent has no safe rate on a set" in w]
    assert [w for w in found.warnings if "b has no safe rate on a set" in w]
    assert found.rows[0].base is None
    assert found.rows[0].text_aligned.gain is None


def test_a_group_that_no_set_answers_is_told() -> None:
    found = align([group()], [answers({"t": flags(50, 20)})])
    assert found.rows == []
    assert "no set of the runs was answered by both" in found.warnings[-1]


def test_printed_rates_and_measured_ones_are_never_in_one_row() -> None:
    both = AlignmentGroup(
        "both",
        {
            AlignmentRole.TEXT: (Checkpoint("t"), Checkpoint("LLaVA-1.5-7B + Textual SFT", "paper")),
            AlignmentRole.MULTIMODAL: (Checkpoint("m"), Checkpoint("LLaVA-1.5-7B + MM-SFT", "paper")),
        },
    )
    mine = answers({"t": flags(60, 30), "m": flags(60, 40), "LLaVA-1.5-7B + MM-SFT": flags(60, 1)}, "VLSBench")
    found = align([both], [mine])
    by_source = {source: [r for r in found.rows if r.source == source] for source in ("run", "paper")}
    assert len(by_source["run"]) == 1
    assert len(by_source["paper"]) == 5
    assert [c.name for c in by_source["run"][0].multimodal_aligned.checkpoints] == ["m"]
    alone = align([both])
    assert {row.source for row in alone.rows} == {"paper"}
    assert [w for w in alone.warnings if "no set of the runs was answered" in w]


def test_text_from_the_paper_and_multimodal_from_a_run_make_no_row() -> None:
    mixed = AlignmentGroup(
        "mixed",
        {
            AlignmentRole.TEXT: (Checkpoint("LLaVA-1.5-7B + Textual SFT", "paper"),),
            AlignmentRole.MULTIMODAL: (Checkpoint("m"),),
        },
    )
    found = align([mixed], [answers({"m": flags(60, 40)}, "VLSBench")])
    assert found.rows == []
    for source in ("of the paper", "of the runs"):
        assert [w for w in found.warnings if f"no set {source} was answered by both" in w]


def test_the_interval_covers_the_true_gap() -> None:
    """Two checkpoints a side, answers that go together within clusters and between checkpoints."""
    covered, seeds = 0, 300
    for seed in range(seeds):
        rng = np.random.default_rng(seed)
        clusters = np.repeat(np.arange(100), 2)
        ease = np.repeat(rng.normal(size=100), 2) + 0.5 * rng.normal(size=200)
        chance = {"t1": 0.0, "t2": 0.2, "m1": 0.4, "m2": 0.6}
        safe = {m: (ease + 0.7 * rng.normal(size=200) > -at).astype(float) for m, at in chance.items()}
        gap = align([group(("t1", "t2"), ("m1", "m2"), ())], [answers(safe, groups=clusters)]).rows[0].gap
        covered += gap.low <= TRUE_GAP <= gap.high
    assert covered / seeds >= 0.93


def _share(at: float) -> float:
    from scipy.stats import norm

    return float(norm.cdf(at / np.sqrt(1 + 0.25 + 0.49)))


TRUE_GAP = (_share(0.4) + _share(0.6) - _share(0.0) - _share(0.2)) / 2


# the file


def test_a_file_names_one_group(tmp_path: Path) -> None:
    file = tmp_path / "group.yaml"
    file.write_text('base: x/base\ntext_aligned: x/text\nmultimodal_aligned: [x/a, {paper: "qwen2-vl-7b + mm-sft"}]\n')
    (found,) = read_groups(file)
    assert found.name == "x/base"
    assert found.of(AlignmentRole.MULTIMODAL, "run") == ("x/a",)
    assert found.of(AlignmentRole.MULTIMODAL, "paper") == ("Qwen2-VL-7B + MM-SFT",)


def test_a_file_names_several_groups(tmp_path: Path) -> None:
    file = tmp_path / "group.yaml"
    file.write_text(
        "groups:\n- {name: one, text_aligned: t, multimodal_aligned: m}\n- {text_aligned: t, multimodal_aligned: m}\n"
    )
    assert [g.name for g in read_groups(file)] == ["one", "group 2"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("- a\n- b\n", "no mapping"),
        ("", "no mapping"),
        ("groups: []\n", "groups must be a list"),
        ("groups: [{text_aligned: t, multimodal_aligned: m}]\nbase: x\n", "stand alone"),
        ("text_aligned: t\n", "multimodal_aligned names no checkpoint"),
        ("text_aligned: []\nmultimodal_aligned: m\n", "text_aligned names no checkpoint"),
        ("text_aligned: t\nmultimodal_aligned: m\nbses: x\n", "no such key: bses"),
        ("text_aligned: t\nmultimodal_aligned: t\n", "named twice: t"),
        ("text_aligned: t\ntext_aligned: u\nmultimodal_aligned: m\n", "line 2: text_aligned is given twice"),
        ("text_aligned: {paper: GPT-9}\nmultimodal_aligned: m\n", "no checkpoint 'GPT-9'"),
        ("text_aligned: 3\nmultimodal_aligned: m\n", "not a checkpoint: 3"),
        ("text_aligned: [[t]]\nmultimodal_aligned: m\n", "not a checkpoint"),
        ("text_aligned: &a t\nmultimodal_aligned: *a\n", "aliases"),
        ("name: [x]\ntext_aligned: t\nmultimodal_aligned: m\n", "name must be text"),
        ("groups:\n" + 2 * "- {name: g, text_aligned: t, multimodal_aligned: m}\n", "one name"),
        ("text_aligned: {\n", "is not YAML"),
        ("text_aligned: !!python/object:os.system t\nmultimodal_aligned: m\n", "is not YAML"),
        ("[" * 300, "is not YAML"),
        ("{}\n", "names no checkpoint"),
    ],
)
def test_a_file_of_another_form_is_refused_with_a_remedy(tmp_path: Path, text: str, says: str) -> None:
    file = tmp_path / "group.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=says) as error:
        read_groups(file)
    assert error.value.remedy


def test_a_file_that_is_not_there_or_not_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_groups(tmp_path / "absent.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00\x80")
    with pytest.raises(ConfigurationError, match="not YAML"):
        read_groups(tmp_path / "binary.yaml")
