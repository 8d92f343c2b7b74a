"""What a plan says is what the scan then does: calls exactly, tokens nearly."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import Asked, ChatServer, role_of, well_formed
from gnome_set import write_gnomes

from vsil_audit.audit import plan, scan
from vsil_audit.detectors.chat import AskOptions, Condition
from vsil_audit.gateway.settings import GatewaySettings
from vsil_audit.runs.cost_plan import CostPlan
from vsil_audit.runs.plan import ScanOptions

PAIRS = 120
ALL = (Condition.TEXT, Condition.PAIR, Condition.SWAPPED, Condition.BLANK)


@pytest.fixture(scope="module")
def gnomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("sets")
    write_gnomes(folder / "control", 8, flaws=False)
    return write_gnomes(folder / "gnomes", PAIRS)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(well_formed, latency=(0, 0.001)) as server:
        yield server


def options(server: ChatServer, gnomes: Path, folder: Path, **asked: Any) -> ScanOptions:
    ask = AskOptions(
        targets=(server.model("target"),), judges=(server.model("judge"),), control=str(gnomes.with_name("control"))
    )
    detectors = ("text_refusal", "safety_judge", "llm_judge")
    cache = folder / "cache"
    return ScanOptions(
        detectors,
        output=folder / "run",
        cache=cache,
        workers=1,
        batch_pairs=50,
        ask=replace(ask, **asked),
        gateway=GatewaySettings(cache=cache),
    )


def calls(costs: CostPlan) -> dict[str, int]:
    """By the model's short name."""
    found: dict[str, int] = {}
    for row in costs.rows:
        name = row.model.partition("@")[0]
        found[name] = found.get(name, 0) + row.calls
    return found


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"samples": 3, "judge_samples": 3, "temperature": 1.0},
        {"response_judges": ("grader",)},
        {"samples": 3, "temperature": 1.0, "response_judges": ("grader", "judge"), "conditions": ALL},
    ],
    ids=["once", "three samples", "response judge", "all conditions, three samples, two response judges"],
)
def test_the_scan_makes_the_calls_of_the_plan_and_a_second_plan_has_none_left(
    gnomes: Path, server: ChatServer, tmp_path: Path, asked: dict[str, Any]
) -> None:
    if "response_judges" in asked:
        asked = asked | {"response_judges": tuple(map(server.model, asked["response_judges"]))}
    chosen = replace(options(server, gnomes, tmp_path, **asked), limit=30)
    expected = plan(gnomes, options=chosen)
    assert not server.arrived, "a plan asks nothing"
    audit = scan(gnomes, options=chosen)
    assert {row.model: row.calls for row in audit.folder.manifest().spend} == calls(expected)
    assert server.calls == expected.calls > 100
    assert plan(gnomes, options=chosen).calls == 0


def test_after_a_pilot_tokens_are_expected_within_a_tenth(gnomes: Path, server: ChatServer, tmp_path: Path) -> None:
    """The server counts 3.1 characters a token and 765 tokens an image; the gateway's guess is 4, and 1,000."""
    chosen = options(server, gnomes, tmp_path, response_judges=(server.model("grader"),))
    guessed = plan(gnomes, options=chosen)
    costs = plan(gnomes, options=chosen, pilot=20)
    in_pilot = (server.calls, server.input_tokens, server.output_tokens)
    assert 0 < in_pilot[0] < 0.4 * guessed.calls
    assert costs.calls + in_pilot[0] == guessed.calls
    scan(gnomes, options=chosen)
    used = (server.calls - in_pilot[0], server.input_tokens - in_pilot[1], server.output_tokens - in_pilot[2])
    assert costs.calls == used[0]
    assert sum(row.input_tokens for row in costs.rows) == pytest.approx(used[1], rel=0.1)
    assert sum(row.output_tokens for row in costs.rows) == pytest.approx(used[2], rel=0.1)
    assert sum(row.learnt for row in costs.rows) > 0.9 * costs.calls


def test_each_row_is_right_by_itself_too(gnomes: Path, server: ChatServer, tmp_path: Path) -> None:
    chosen = options(server, gnomes, tmp_path)
    costs = plan(gnomes, options=chosen, pilot=20)
    counted: dict[str, list[int]] = {}
    usual = server.answer

    def counting(asked: Any) -> str:
        text = usual(asked)
        row = counted.setdefault(role_of(asked), [0, 0])
        usage = server._completion(asked, text)["usage"]
        row[0] += usage["prompt_tokens"]
        row[1] += usage["completion_tokens"]
        return text

    server.answer = counting
    scan(gnomes, options=chosen)
    for row in costs.rows:
        used = counted["target" if row.detector == "text_refusal" else row.detector]
        assert row.input_tokens == pytest.approx(used[0], rel=0.1), row.detector
        assert row.output_tokens == pytest.approx(used[1], rel=0.1), row.detector


def test_a_pilot_asks_about_the_benign_control_too_whose_answers_are_others(gnomes: Path, tmp_path: Path) -> None:
    def refusing_gnomes(asked: Asked) -> str:
        of_the_set = "gnome" in asked.text or "this thing good for" in asked.text
        return "I'm sorry, but I can't help with that." if of_the_set else "First take the thing, then turn it. " * 9

    with ChatServer(refusing_gnomes) as server:
        chosen = options(server, gnomes, tmp_path, judges=(), control=None, conditions=(Condition.TEXT,))
        expected = plan(gnomes, options=chosen, pilot=20)
        in_pilot = server.output_tokens
        scan(gnomes, options=chosen)
        used = server.output_tokens - in_pilot
    assert sum(row.output_tokens for row in expected.rows) == pytest.approx(used, rel=0.1)


def test_a_pilot_finds_out_that_a_model_takes_no_images(gnomes: Path, server: ChatServer, tmp_path: Path) -> None:
    server.reject = lambda asked: "this model does not support image input" if asked.images else None
    chosen = replace(options(server, gnomes, tmp_path), limit=40)
    costs = plan(gnomes, options=chosen, pilot=10)
    before = server.calls
    scan(gnomes, options=chosen)
    assert server.calls - before == costs.calls


def test_an_interrupted_scan_leaves_the_rest_to_the_plan(gnomes: Path, server: ChatServer, tmp_path: Path) -> None:
    from vsil_audit.gateway import Budget, BudgetReachedError

    chosen = replace(options(server, gnomes, tmp_path, response_judges=(server.model("grader"),)), limit=30)
    whole = plan(gnomes, options=chosen).calls
    with pytest.raises(BudgetReachedError):
        scan(gnomes, options=replace(chosen, gateway=replace(chosen.gateway, budget=Budget(max_calls=150))))
    assert plan(gnomes, options=chosen).calls == whole - 150


def test_a_judge_that_often_needs_a_second_turn_is_planned_with_them_after_a_pilot(
    gnomes: Path, tmp_path: Path
) -> None:
    def fumbles(asked: Asked) -> str:
        first_turn = len(asked.body["messages"]) < 3
        return "I would rather not say so in JSON." if first_turn and asked.chance % 3 == 0 else well_formed(asked)

    with ChatServer(fumbles, latency=(0, 0.001)) as server:
        chosen = replace(options(server, gnomes, tmp_path, targets=()), detectors=("safety_judge", "llm_judge"))
        unforeseen = plan(gnomes, options=chosen).calls
        expected = plan(gnomes, options=chosen, pilot=20).calls
        before = server.calls
        scan(gnomes, options=chosen)
        made = server.calls - before
    assert unforeseen < 0.9 * server.calls
    assert expected == pytest.approx(made, rel=0.1)
