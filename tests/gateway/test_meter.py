"""Prices, spend and budget: nothing unknown is 0, and nothing is sent that could cross the limit."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from vsil_audit.errors import ConfigurationError, ExitCode
from vsil_audit.gateway import (
    Answer,
    Budget,
    BudgetReachedError,
    CallFailure,
    Finish,
    Message,
    Meter,
    Price,
    PriceTable,
    Request,
    Usage,
    estimate_input_tokens,
    shipped_prices,
)
from vsil_audit.gateway.meter import Spent
from vsil_audit.gateway.provider import Reply


class Billed:
    name = "openai"
    billed = True

    def __init__(self, model: str) -> None:
        self.model = model
        self.identity: dict[str, str] = {}

    async def complete(self, request: Request, timeout: float) -> Reply:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


TABLE = PriceTable({"openai/known": Price(1.0, 10.0)})


def answer(inputs: int | None = 100, outputs: int | None = 50) -> Answer:
    return Answer("x", Finish.STOP, usage=Usage(inputs, outputs))


def test_every_shipped_price_has_a_date_and_a_source() -> None:
    prices = shipped_prices().prices
    assert "openai/gpt-4o-mini" in prices
    for model, price in prices.items():
        assert re.fullmatch(r"202\d-\d\d-\d\d", price.checked), model
        assert price.source.startswith("https://"), model
        if model.startswith("images/"):
            assert 0 < price.image < 1, model
        else:
            assert 0 < price.input < price.output, model


def test_a_dated_snapshot_costs_what_its_model_costs_and_no_other_does() -> None:
    table = shipped_prices()
    assert table.price("openai", "gpt-4o-2024-08-06") == table.price("openai", "gpt-4o")
    assert table.price("openai", "gpt-4o-audio") is None
    assert table.price("openrouter", "gpt-4o") is None


def test_prices_of_ones_own_replace_ours(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("models:\n  openai/gpt-4o: {input: 1, output: 2}\n  vllm/mine: {input: 0, output: 0}\n")
    table = shipped_prices().with_file(file)
    assert table.price("openai", "gpt-4o") == Price(1.0, 2.0, "", str(file))
    assert table.price("openai", "gpt-4o-mini") == shipped_prices().price("openai", "gpt-4o-mini")


@pytest.mark.parametrize(
    "text",
    [
        "",
        "models: 3",
        "models: {a: 1}",
        "models: {a: {input: 1}}",
        "models: {a: {input: -1, output: 1}}",
        "models: {a: {input: .nan, output: 1}}",
        "a: [",
        "models: {a: {input: yes, output: 1}}",
    ],
)
def test_a_price_file_that_makes_no_sense_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        shipped_prices().with_file(file)


def test_an_unknown_price_is_unknown_once_something_was_asked() -> None:
    async def run() -> None:
        meter = Meter(prices=TABLE)
        spend = meter.account(Billed("unheard-of"))
        assert spend.cost == 0
        reserved = await meter.reserve(spend, 10, 10)
        assert not isinstance(reserved, CallFailure)
        meter.paid(reserved, answer())
        assert spend.cost is None
        assert spend.to_json()["cost"] is None
        assert spend.input_tokens == 100

    asyncio.run(run())


def test_a_budget_in_dollars_needs_a_price() -> None:
    with pytest.raises(ConfigurationError, match="unheard-of"):
        Meter(Budget(max_cost=1.0), TABLE).account(Billed("unheard-of"))


def test_what_is_spent_is_counted_and_what_may_have_been_is_kept_apart() -> None:
    async def run() -> None:
        meter = Meter(prices=TABLE)
        spend = meter.account(Billed("known"))
        for kind in ("paid", "no usage", "broke off", "turned away"):
            reserved = await meter.reserve(spend, 1_000, 1_000)
            assert not isinstance(reserved, CallFailure)
            if kind == "paid":
                meter.paid(reserved, answer(2_000, 500))
            elif kind == "no usage":
                meter.paid(reserved, answer(None, None))
            else:
                meter.failed(reserved, sent=True, charged=kind == "broke off")
        assert spend.cost == pytest.approx((2_000 * 1 + 500 * 10) / 1e6)
        assert spend.cost_uncertain == pytest.approx(2 * (1_000 * 1 + 1_000 * 10) / 1e6)
        assert (spend.calls, spend.attempts, spend.calls_without_usage) == (2, 4, 1)
        assert meter.calls == 3

    asyncio.run(run())


def test_no_more_calls_are_made_than_allowed_whatever_is_in_flight() -> None:
    async def run() -> None:
        meter = Meter(Budget(max_calls=3), TABLE)
        spend = meter.account(Billed("known"))
        first = [await meter.reserve(spend, 1, 1) for _ in range(3)]
        fourth = asyncio.ensure_future(meter.reserve(spend, 1, 1))
        await asyncio.sleep(0.01)
        assert not fourth.done(), "a call in flight may still fail for free"
        assert not isinstance(first[0], CallFailure)
        meter.failed(first[0], sent=True, charged=False)
        assert not isinstance(await fourth, CallFailure)
        for reserved in (first[1], first[2], fourth.result()):
            assert not isinstance(reserved, CallFailure)
            meter.paid(reserved, answer())
        assert isinstance(await meter.reserve(spend, 1, 1), CallFailure)
        with pytest.raises(BudgetReachedError) as caught:
            meter.check()
        assert caught.value.exit_code is ExitCode.INCONCLUSIVE

    asyncio.run(run())


def test_what_was_spent_before_counts_against_the_budget() -> None:
    async def reserved(budget: Budget) -> bool:
        meter = Meter(budget, before=Spent(calls=7, cost=0.5) + Spent(calls=2))
        outcome = await meter.reserve(meter.account(Billed("gpt-4o-mini")), 100, 100)
        return not isinstance(outcome, CallFailure)

    assert asyncio.run(reserved(Budget(max_calls=10)))
    assert not asyncio.run(reserved(Budget(max_calls=9)))
    assert asyncio.run(reserved(Budget(max_cost=0.51)))
    assert not asyncio.run(reserved(Budget(max_cost=0.5)))


def test_dollars_in_flight_count_until_they_are_settled() -> None:
    async def run() -> None:
        meter = Meter(Budget(max_cost=0.001), TABLE)
        spend = meter.account(Billed("known"))
        made = 0
        while True:
            reserved = await meter.reserve(spend, 0, 50)  # at most 0.0005 dollars
            if isinstance(reserved, CallFailure):
                break
            meter.paid(reserved, answer(0, 10))  # 0.0001
            made += 1
        assert made == 6  # the seventh might have crossed the limit
        assert meter.cost <= 0.001

    asyncio.run(run())


def test_tokens_are_estimated_from_text_and_images() -> None:
    assert estimate_input_tokens(Request((Message.user("x" * 400),))) == 104


@pytest.mark.parametrize("budget", [{"max_cost": -1}, {"max_calls": -1}, {"max_cost": float("nan")}])
def test_a_budget_that_makes_no_sense_is_refused(budget: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="at least 0"):
        Budget(**budget)  # type: ignore[arg-type]


def test_images_are_counted_and_priced_by_the_piece(tmp_path: Path) -> None:
    file = tmp_path / "prices.yaml"
    file.write_text("models:\n  openai/painter: {image: 0.04}\n")

    async def run() -> None:
        meter = Meter(Budget(max_cost=0.1), PriceTable().with_file(file))
        spend = meter.account(Billed("painter"))
        made = await meter.reserve(spend, 10, 0, images=1)
        lost = await meter.reserve(spend, 10, 0, images=1)
        assert not isinstance(made, CallFailure)
        assert not isinstance(lost, CallFailure)
        meter.paid(made, answer(), images=1)
        meter.failed(lost, sent=True, charged=True)
        assert (spend.images, spend.cost) == (1, pytest.approx(0.04))
        assert spend.cost_uncertain == pytest.approx(0.04)
        assert spend.to_json()["images"] == 1
        assert isinstance(await meter.reserve(spend, 10, 0, images=1), CallFailure)

    asyncio.run(run())
