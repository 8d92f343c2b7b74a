"""`convert` with models and `build` at the command line: what is refused, asked for, shown, and how they end."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from build_server import Cast, Plan, serving, write_set
from chat_server import ChatServer

from vsil_audit.errors import ExitCode

PLANS = {"Ada": Plan("garden gnome"), "Cid": Plan("stone owl", ("tame", "leaky"))}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return write_set(tmp_path / "set", PLANS, harmless=("Zoe",), described=True)


def convert(server: ChatServer, source: Path, *more: str) -> tuple[str, ...]:
    return (
        *("convert", str(source), "--editor", server.model("editor"), "--detectors", "description_overlap"),
        *("--out", str(source.parent / "out"), "--workers", "1", *more),
    )


def test_the_notice_comes_before_anything_is_asked(vsil_audit: Callable[..., Any], source: Path) -> None:
    with serving(Cast(PLANS)) as server:
        said = vsil_audit(*convert(server, source))
        assert said.code == ExitCode.USAGE
        assert "not for training models to comply" in said.err
        assert "--acknowledge-use" in said.err
        assert not server.heard
        done = vsil_audit(*convert(server, source, "--acknowledge-use", "-q"))
    assert done.code == ExitCode.OK, done.err
    assert "2 pairs of 3 in the new set" in done.out
    assert "is the text alone safe?" in done.out
    rows = json.loads((source.parent / "out" / "data.json").read_text())
    assert [row["instruction_id"] for row in rows] == ["Ada", "Zoe"]


def test_a_budget_and_a_dead_endpoint_have_their_exit_codes(vsil_audit: Callable[..., Any], source: Path) -> None:
    with serving(Cast(PLANS)) as server:
        said = vsil_audit(*convert(server, source, "--acknowledge-use", "--max-calls", "2", "-q"))
        assert said.code == ExitCode.INCONCLUSIVE, said.err
        gone = convert(server, source, "-q")
    assert vsil_audit(*gone).code == ExitCode.NO_PROVIDER


def test_a_set_without_a_pair_is_inconclusive(vsil_audit: Callable[..., Any], tmp_path: Path) -> None:
    plans = {"Cid": PLANS["Cid"]}
    source = write_set(tmp_path / "set", plans, described=True)
    with serving(Cast(plans)) as server:
        said = vsil_audit(*convert(server, source, "--acknowledge-use", "-q"))
    assert "0 pairs of 1 in the new set" in said.out
    assert said.code == ExitCode.INCONCLUSIVE


def test_models_are_named_or_not(vsil_audit: Callable[..., Any], source: Path) -> None:
    out = source.parent / "out"
    nobody = vsil_audit("convert", source, "--out", out)
    assert (nobody.code, "--editor" in nobody.err) == (ExitCode.USAGE, True)
    both = vsil_audit("convert", source, "--out", out, "--offline", "--judges", "openai/x")
    assert (both.code, "--judges is of no use with --offline" in both.err) == (ExitCode.USAGE, True)
    assert not out.exists()


def test_a_billed_model_needs_consent(
    vsil_audit: Callable[..., Any], source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    given = ("convert", source, "--editor", "openai/gpt-4o", "--out", source.parent / "out", "--acknowledge-use")
    said = vsil_audit(*given)
    assert said.code == ExitCode.USAGE
    assert "this conversion costs money, and nobody is there to agree" in said.err
    assert "build_detoxify" in said.err, "what it would cost is shown"


def test_images_that_cost_money_need_consent_and_are_counted_and_priced(
    vsil_audit: Callable[..., Any], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    with serving(Cast(PLANS)) as server:  # the models are free, the images are not
        given = (*convert(server, source), "--acknowledge-use", "--image-generator")
        said = vsil_audit(*given, "images/openai/gpt-image-1")
        assert said.code == ExitCode.USAGE
        told = " ".join(said.err.split())
        assert "this conversion costs money, and nobody is there to agree" in told
        assert "about 6 images, at most 9 (3 rounds for each pair), 0.042 US dollars each" in told
        assert "An estimate" in told
        unpriced = " ".join(vsil_audit(*given, "images/openai/some-other").err.split())
        assert "about 6 images, at most 9 (3 rounds for each pair), unpriced" in unpriced
        assert not server.heard


def test_twins_need_a_pool_or_images_that_cost_nothing(
    vsil_audit: Callable[..., Any], source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "not-a-key")
    twins = ("--twins", "benign-image", "--acknowledge-use", "--yes", "-q")
    with serving(Cast(PLANS)) as server:
        paid = ("--image-generator", "images/openai/gpt-image-1")
        for line in (
            convert(server, source, *twins),
            convert(server, source, *twins, *paid),
            (
                "build",
                "--per-subcategory",
                "1",
                "--editor",
                server.model("e"),
                "--out",
                tmp_path / "out",
                *twins,
                *paid,
            ),
        ):
            said = vsil_audit(*line)
            assert (said.code, "--pool" in said.err) == (ExitCode.USAGE, True), said.err
        assert not server.heard
        free = vsil_audit(*convert(server, source, *twins, "--image-generator", "typographic"))
    assert "no pool is named" not in free.err


def test_build_says_what_it_lacks(vsil_audit: Callable[..., Any], tmp_path: Path) -> None:
    with serving(Cast({})) as server:
        given = ("build", "--editor", server.model("editor"), "--out", tmp_path / "out", "--acknowledge-use")
        neither = vsil_audit(*given)
        assert (neither.code, "--per-subcategory N, or --from-images" in neither.err) == (ExitCode.USAGE, True)
        no_maker = vsil_audit(*given, "--per-subcategory", "1")
        assert (no_maker.code, "--image-generator" in no_maker.err) == (ExitCode.USAGE, True)
        unknown = vsil_audit(*given, "--per-subcategory", "1", "--taxonomy", "no-such-file.yaml")
        assert (unknown.code, "no-such-file.yaml" in unknown.err) == (ExitCode.USAGE, True)
        assert not server.heard


def test_all_views_together_keep_to_one_budget(vsil_audit: Callable[..., Any], tmp_path: Path) -> None:
    root = Path(__file__).parents[2] / "examples" / "figstep-mini"
    with serving(Cast({})) as server:
        given = [
            *("convert", root, "--view", "all", "--editor", server.model("editor"), "--acknowledge-use"),
            *("--detectors", "ocr_overlap,description_overlap", "--limit", "1", "--workers", "1", "-q"),
        ]
        whole = vsil_audit(*given, "--out", "whole", "--cache", "one")
        assert whole.code == ExitCode.OK, whole.err
        spends = Path("whole").glob("*/provenance/summary.json")
        calls = [sum(row["calls"] for row in json.loads(file.read_text())["spend"]) for file in spends]
        assert sum(calls) > max(calls) > 0
        short = vsil_audit(*given, "--out", "short", "--cache", "two", "--max-calls", str(max(calls)))
        assert short.code == ExitCode.INCONCLUSIVE, "each view alone would keep to it"
