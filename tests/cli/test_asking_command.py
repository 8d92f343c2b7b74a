"""vsil-audit scan and plan with models, as a user meets them: budgets, consent, resumption, refusals, keys, help."""

from __future__ import annotations

import io
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from chat_server import ChatServer, well_formed
from gnome_set import write_gnomes

from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState

Command = Callable[..., Any]
DONE = 3  # no judge like this server's can be trusted, which makes a complete run inconclusive
BILLED = "http://models.example/v1"


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer(well_formed, latency=(0, 0.002)) as server:
        yield server


@pytest.fixture
def small(tmp_path: Path) -> Path:
    write_gnomes(tmp_path / "control", 4, flaws=False)
    return write_gnomes(tmp_path / "gnomes", 12)


def asking(server: ChatServer, small: Path, *more: str) -> list[str | Path]:
    control = small.with_name("control")
    return [small, "--judges", server.model("judge"), "--detectors", "safety_judge", "--control", control, *more]


def run_of(server: ChatServer, small: Path, *more: str) -> list[str | Path]:
    return ["scan", *asking(server, small, "-o", "run", "--workers", "1", *more)]


def state() -> RunState:
    return RunFolder(Path("run")).manifest().state


def spent(name: str) -> float:
    return sum(float(getattr(row, name)) for row in RunFolder(Path("run")).manifest().spend)


# budgets


def test_a_plan_without_models_says_so_instead_of_counting_no_pairs(vsil_audit: Command, small: Path) -> None:
    said = vsil_audit("plan", small)
    assert said.code == 0
    assert "No model is named: nothing would be asked" in said.out
    assert "0 pairs" not in said.out


def test_max_calls_stops_with_3_and_says_how_to_go_on(vsil_audit: Command, server: ChatServer, small: Path) -> None:
    said = vsil_audit(*run_of(server, small, "--max-calls", "20"))
    assert said.code == 3
    assert "20 of at most 20 calls" in said.err
    assert "Raise it and run the same command again" in said.err
    assert state() is RunState.INTERRUPTED
    assert server.calls == spent("calls") == 20


def test_the_budget_is_that_of_the_run_not_of_a_session(vsil_audit: Command, server: ChatServer, small: Path) -> None:
    for _ in range(2):
        assert vsil_audit(*run_of(server, small, "--max-calls", "20")).code == 3
        assert server.calls == spent("calls") == 20
    assert vsil_audit(*run_of(server, small, "--max-calls", "35")).code == 3
    assert server.calls == spent("calls") == 35
    said = vsil_audit(*run_of(server, small))
    assert said.code == DONE
    assert "Continuing the run" in said.err
    assert state() is RunState.COMPLETE
    assert set(server.answered.values()) == {1}
    assert server.calls == spent("calls") > 35


def test_max_cost_counts_in_the_prices_given_and_adds_up_over_sessions(
    vsil_audit: Command, server: ChatServer, small: Path, tmp_path: Path
) -> None:
    prices = tmp_path / "prices.yaml"
    prices.write_text("currency: USD\nmodels:\n  vllm/judge: {input: 2.0, output: 8.0, checked: 2026-01-01}\n")
    priced = ("--prices", str(prices), "--max-concurrency", "4")
    said = vsil_audit(*run_of(server, small, *priced, "--max-cost", "0.06"))
    assert said.code == 3
    assert "of at most 0.06 US dollars" in said.err
    assert 0.02 < spent("cost") <= 0.06
    assert spent("cost") == pytest.approx((server.input_tokens * 2 + server.output_tokens * 8) / 1e6)
    before = spent("cost")
    assert vsil_audit(*run_of(server, small, *priced, "--max-cost", "5")).code == DONE
    assert spent("cost") == pytest.approx((server.input_tokens * 2 + server.output_tokens * 8) / 1e6)
    assert spent("cost") > before
    assert set(server.answered.values()) == {1}


def test_all_views_together_keep_to_one_budget(vsil_audit: Command, server: ChatServer, tmp_path: Path) -> None:
    root = Path(__file__).parents[2] / "examples" / "figstep-mini"
    control = write_gnomes(tmp_path / "control", 4, flaws=False)
    asked = (root, "--view", "all", "--judges", server.model("judge"), "--detectors", "safety_judge,hygiene")
    asked = (*asked, "--control", control)  # type: ignore[assignment]
    planned = vsil_audit("plan", *asked, "--json")
    calls = json.loads(planned.out)["calls"]
    said = vsil_audit("scan", *asked, "-o", "views", "--workers", "1", "--max-calls", str(calls - 1))
    assert (said.code, server.calls) == (3, calls - 1), said.err
    said = vsil_audit("scan", *asked, "-o", "views", "--workers", "1", "--max-calls", str(calls))
    assert "budget" not in said.err
    assert server.calls == calls
    assert json.loads(vsil_audit("plan", *asked, "--json").out)["calls"] == 0


# consent: a model that may cost money, behind a proxy that is really the test's server


@pytest.fixture
def billed(server: ChatServer, monkeypatch: pytest.MonkeyPatch) -> tuple[str, ...]:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    return ("--judges", "openai/some-model", "--base-url", BILLED, "--detectors", "safety_judge", "--limit", "4")


def test_what_may_cost_money_is_not_asked_unless_somebody_agrees(
    vsil_audit: Command, server: ChatServer, small: Path, billed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO())  # no terminal
    control = ("--control", small.with_name("control"))
    said = vsil_audit("scan", small, *billed, *control, "-o", "run")
    assert said.code == 2
    assert "--yes" in said.err
    assert "price of openai/some-model is not known" in " ".join(said.err.split())
    assert not server.arrived
    assert not Path("run").exists()
    assert vsil_audit("scan", small, *billed, *control, "-o", "run", "--yes").code == DONE
    assert server.calls > 0
    said = vsil_audit("scan", small, *billed, *control, "-o", "again")
    assert said.code == DONE, "all is kept: nothing costs any more, and nobody need be asked"


@pytest.mark.parametrize(("reply", "asks"), [("n\n", False), ("\n", False), ("y\n", True)])
def test_at_a_terminal_the_cost_is_shown_and_the_user_decides(
    server: ChatServer, small: Path, billed: tuple[str, ...], reply: str, asks: bool, tmp_path: Path
) -> None:
    ours, theirs = pty.openpty()
    control = ("--control", str(small.with_name("control")))
    command = [sys.executable, "-m", "vsil_audit", "scan", str(small), *billed, *control, "-o", str(tmp_path / "run")]
    process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    os.write(ours, reply.encode())
    _, errors = process.communicate(timeout=300)
    os.close(ours)
    os.close(theirs)
    assert b"Go on? [y/N]" in errors
    assert b"safety_judge" in errors
    assert (server.calls > 0) is asks
    assert process.returncode == (DONE if asks else 2)
    assert (b"nothing spent" in errors) is not asks


# refusals before any work


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        (("--judges", "openai/gpt-4o-mini", "--yes"), "OPENAI_API_KEY"),
        (("--judges", "nobody/model"), "no provider 'nobody'"),
        (("--judges", "vllm/model"), "does not say where the server is"),
        (("--judges", "vllm/m@http://me:secret-word@127.0.0.1:9/v1"), "user name or password"),
        (("--judges", "vllm/m", "--base-url", "http://me:secret-word@127.0.0.1:9/v1"), "user name or password"),
        (("--judges", "scripted/absent.yaml"), "absent.yaml"),
        (("--judges", "openai/m", "--base-url", BILLED, "--max-cost", "1", "--yes"), "--max-cost needs a price"),
    ],
)
def test_a_model_that_cannot_be_asked_is_told_before_anything_is_done(
    vsil_audit: Command, small: Path, monkeypatch: pytest.MonkeyPatch, given: tuple[str, ...], reason: str
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    said = vsil_audit("scan", small, *given, "-o", "run")
    assert said.code == 2
    assert reason in said.err
    assert "What to do:" in said.err
    assert not (Path("run") / "run.json").exists()
    assert "secret-word" not in said.err


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (("--temperature", "0.5"), "temperature (asking) was 0.0, is now 0.5"),
        (("--judges", "vllm/other@http://127.0.0.1:9/v1"), "judges (asking) was vllm/judge@"),
        (("--base-url", "http://127.0.0.1:9/v1"), "base_url (asking) was none, is now http://127.0.0.1:9/v1"),
        (("--judge-samples", "2"), "judge_samples (asking) was 1, is now 2"),
    ],
)
def test_another_way_of_asking_is_another_run(
    vsil_audit: Command, server: ChatServer, small: Path, given: tuple[str, ...], named: str
) -> None:
    assert vsil_audit(*run_of(server, small, "--max-calls", "5")).code == 3
    said = vsil_audit(*run_of(server, small), *given)
    assert said.code == 2
    assert "another configuration" in said.err
    assert named in said.err
    assert server.calls == 5


def test_another_prompt_is_another_run(
    vsil_audit: Command, server: ChatServer, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsil_audit import prompts
    from vsil_audit.runs import plan

    assert vsil_audit(*run_of(server, small, "--max-calls", "5")).code == 3
    monkeypatch.setattr(plan, "prompt", lambda name: prompts.Prompt(name, "Say safe."))
    said = vsil_audit(*run_of(server, small))
    assert said.code == 2
    assert "safety_judge_text (prompts) was" in said.err


def test_how_fast_and_for_how_much_is_no_part_of_what_is_asked(
    vsil_audit: Command, server: ChatServer, small: Path
) -> None:
    assert vsil_audit(*run_of(server, small, "--max-calls", "5")).code == 3
    more = ("--max-concurrency", "2", "--timeout", "9", "--max-calls", "5000")
    assert vsil_audit(*run_of(server, small, *more)).code == DONE


# the end of an endpoint


def test_an_endpoint_that_never_answers_ends_the_scan_with_4_soon(vsil_audit: Command, small: Path) -> None:
    said = vsil_audit("scan", small, "--targets", "vllm/nobody@http://127.0.0.1:9/v1", "-o", "run", "--workers", "1")
    assert said.code == 4
    assert "no connection" in said.err
    assert "run the same command again" in said.err
    assert state() is RunState.INTERRUPTED


def test_a_key_that_is_refused_ends_the_scan_with_4_and_names_it(
    vsil_audit: Command, server: ChatServer, small: Path
) -> None:
    server.unauthorized = True
    said = vsil_audit(*run_of(server, small))
    assert said.code == 4
    assert "VLLM_API_KEY" in said.err


# what is shown


def test_help_lists_the_options_by_subject(vsil_audit: Command) -> None:
    for command, own in (("scan", ["CLIP:"]), ("plan", [])):
        said = vsil_audit(command, "--help")
        headings = [line for line in said.out.splitlines() if line.endswith(":") and not line.startswith(" ")]
        assert headings == ["Reading:", "Asking models:", *own, "Run:"]
        options = said.out[said.out.index("Reading:") :]
        order = ["Reading:", "--text-column", "Asking models:", "--judges", "Run:", "--seed", "--help"]
        assert sorted(order, key=options.index) == order


def test_a_log_tells_the_speed_of_now_and_the_time_left(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from rich.console import Console

    from vsil_audit.cli import progress

    clock = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    with progress.progress_on(Console(force_terminal=False), quiet=False) as lines:
        lines.stage("Detector safety_judge", 3000, "subjects")
        lines.advance(1000)  # done by an earlier session
        for clock[0], steps in ((6.0, 10), (12.0, 50), (18.0, 0), (22.0, 100)):
            lines.advance(steps)
    assert capsys.readouterr().err.splitlines() == [
        "Detector safety_judge (3,000 subjects) …",
        "Detector safety_judge: 1,060 of 3,000 subjects, 5.0/s, 6 min left",
        "Detector safety_judge: 1,160 of 3,000 subjects, 10.0/s, 3 min left",
    ]
