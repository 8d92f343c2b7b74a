"""The paper's numbers, as shipped: they are whole, add up, and what can be recomputed of them is."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from vsil_audit.evaluation.paper import AlignmentRole, PaperTables, paper_tables

TABLES = paper_tables()


def test_they_say_where_they_come_from() -> None:
    assert TABLES.source == "paper"
    for part in ("VLSBench", "2411.19939 v3", "2025.acl-long.405", "ACL 2025"):
        assert part in TABLES.citation.line


@pytest.mark.parametrize("row", TABLES.responses, ids=lambda row: row.model)
def test_refusals_and_warnings_add_up_to_the_total(row) -> None:
    assert row.refusal + row.warning == pytest.approx(row.total, abs=0.01)


def test_a_table_that_does_not_add_up_is_refused() -> None:
    broken = TABLES.model_dump()
    broken["responses"][2]["warning"] += 0.1
    with pytest.raises(ValidationError, match="Qwen2-VL-7B"):
        PaperTables.model_validate(broken)


def test_the_response_table_and_the_alignment_table_agree_on_the_models_that_are_in_both() -> None:
    totals = {row.model: row.total for row in TABLES.responses}
    bases = {row.name: row.rates["VLSBench"] for row in TABLES.alignment if row.role is AlignmentRole.BASE}
    assert bases == {name: totals[name] for name in bases}
    assert len(bases) == 2


def test_the_safety_prompt_ablation_starts_where_the_response_table_does() -> None:
    totals = {row.model: row.total for row in TABLES.responses}
    (prompted,) = (a for a in TABLES.ablations if a.name == "safety-prompt")
    for model, rates in prompted.rows.items():
        assert rates[prompted.columns.index("pair")] == pytest.approx(totals[model], abs=0.05)


@pytest.mark.parametrize(
    ("dataset", "judge", "ratio"),
    [
        ("FigStep", "LlamaGuard3-11B-Vision", 0.993),
        ("FigStep", "GPT-4o", 0.934),
        ("JailbreakV raw", "LlamaGuard3-11B-Vision", 0.995),
        ("JailbreakV raw", "GPT-4o", 0.960),
        ("HarmBench-mm", "LlamaGuard3-11B-Vision", 0.971),
        ("HarmBench-mm", "GPT-4o", 0.923),
        ("VLSafe", "LlamaGuard3-11B-Vision", 0.997),
        ("VLSafe", "GPT-4o", 1.000),
    ],
)
def test_v_is_recomputed_and_has_an_interval(dataset: str, judge: str, ratio: float) -> None:
    (row,) = (r for r in TABLES.leakage if (r.dataset, r.judge) == (dataset, judge))
    assert row.v == pytest.approx(ratio, abs=0.001)
    found = row.v_interval(TABLES.datasets[dataset])
    assert found.low is not None
    assert found.high is not None
    assert found.low < row.v <= found.high <= 1


def test_nobody_can_be_unsafe_from_the_text_alone_and_not_unsafe() -> None:
    assert all(row.r2 <= row.r1 for row in TABLES.leakage)


def test_the_misprinted_average_is_kept_beside_the_recomputed_one() -> None:
    recomputed = [(row.name, row.rates, row.recomputed) for row in TABLES.alignment if row.recomputed]
    ((name, printed, parts),) = recomputed
    assert (name, printed["MM-SafetyBench"], parts) == ("LLaVA-1.5-7B + Textual SFT", 66.45, {"MM-SafetyBench": 62.45})
    checkpoint = TABLES.checkpoint("llava-1.5-7b + textual sft")
    assert checkpoint is not None
    assert checkpoint.share("MM-SafetyBench") == pytest.approx(0.6245)
    assert checkpoint.share("VLSBench") == pytest.approx(0.1399)


@pytest.mark.parametrize(("name", "n"), [("FigStep", 500), ("VLSafe", 1110), ("HarmBench-mm", 110), ("VLSBench", 2241)])
def test_sizes_of_sets_are_known_and_fit_the_printed_rates(name: str, n: int) -> None:
    """Each printed rate is within a hundredth of a pair's share and its own rounding of some k of n."""
    assert TABLES.datasets[name].n == n
    printed = [row.rates[name] for row in TABLES.alignment if name in row.rates]
    printed += [rate for row in TABLES.leakage if row.dataset == name for rate in (row.r1, row.r2)]
    for rate in printed:
        assert abs(round(rate * n / 100) * 100 / n - rate) <= 50 / n


def test_an_average_over_parts_of_unknown_size_has_no_interval_and_says_why() -> None:
    for name in ("JailbreakV", "MM-SafetyBench"):
        found = TABLES.datasets[name].interval(0.9)
        assert (found.value, found.low, found.high) == (0.9, None, None)
        assert "average over parts" in found.method


def test_a_round_number_of_pairs_is_said_to_be_one() -> None:
    assert "a round number" in TABLES.datasets["JailbreakV raw"].interval(0.65).method
    assert "a round number" not in TABLES.datasets["FigStep"].interval(0.65).method


def test_each_base_has_checkpoints_of_every_role_with_a_rate_on_every_set() -> None:
    assert TABLES.bases == ["LLaVA-1.5-7B", "Qwen2-VL-7B"]
    assert TABLES.aligned_on == ["JailbreakV", "FigStep", "VLSafe", "MM-SafetyBench", "VLSBench"]
    for base in TABLES.bases:
        rows = [row for row in TABLES.alignment if row.base == base]
        assert {row.role for row in rows} == set(AlignmentRole)
        assert all(set(row.rates) == set(TABLES.aligned_on) for row in rows)


def test_rates_on_a_set_that_is_not_listed_are_refused() -> None:
    broken = TABLES.model_dump()
    broken["alignment"][0]["rates"]["Another"] = 1.0
    with pytest.raises(ValidationError, match="Another"):
        PaperTables.model_validate(broken)
