"""What a build with models is expected to cost: calls, tokens and images, each priced where its price is known."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsil_audit.builders.online.costing import IMAGES, expected_cost
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.gateway.settings import GatewaySettings
from vsil_audit.runs.cost_plan import CostPlan, ModelCost
from vsil_audit.runs.plan import ScanOptions

FREE_EDITOR = "vllm/editor@http://127.0.0.1:9/v1"


def costs(generator: str | None, prices: Path | None = None, **more: object) -> CostPlan:
    scan = ScanOptions(gateway=GatewaySettings(prices=prices))
    options = OnlineOptions(editor=FREE_EDITOR, generator=generator, scan=scan, **more)  # type: ignore[arg-type]  # fields by name
    return expected_cost(options, 10)


def images(plan: CostPlan) -> ModelCost:
    (row,) = (row for row in plan.rows if row.detector == IMAGES)
    return row


@pytest.fixture
def prices(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    file = tmp_path / "prices.yaml"
    file.write_text("models:\n  images/openai/painter: {image: 0.5}\n")
    return file


def test_images_are_priced_by_the_piece_and_bounded_by_the_rounds(prices: Path) -> None:
    plan = costs("images/openai/painter", prices)
    row = images(plan)
    assert (row.calls, row.images, row.most_images) == (20, 20, 30)
    assert (row.cost, row.most_cost) == (10.0, 15.0)
    assert (plan.cost, plan.costs_money) == (10.0, True)
    assert images(costs("images/openai/painter", prices, rounds=1)).images == 10


def test_images_of_unknown_price_make_the_whole_unknown(prices: Path) -> None:
    plan = costs("images/openai/other", prices)
    assert images(plan).cost is plan.cost is None
    assert plan.costs_money


def test_images_made_here_cost_nothing_and_none_are_counted_where_none_are_made() -> None:
    plan = costs("typographic")
    assert (images(plan).images, images(plan).cost, plan.costs_money) == (20, 0.0, False)
    for without in (costs(None), costs("typographic", keep_images=True)):
        assert IMAGES not in [row.detector for row in without.rows]
