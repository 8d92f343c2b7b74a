"""Whole runs against an endpoint that does all that endpoints do wrong: every pair ends with an outcome or a reason, no
answer that was paid for is paid for again, and when the endpoint dies that is said soon and the run goes on later."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from chat_server import Asked, ChatServer, Faults, plausible, role_of
from gnome_set import write_gnomes

from vsil_audit.audit import Audit, scan
from vsil_audit.detectors.chat import AskOptions
from vsil_audit.errors import ExitCode, RunFolderError
from vsil_audit.gateway import Budget, BudgetReachedError, NoProviderError, Patience, RetryPolicy
from vsil_audit.gateway.limiter import Limits
from vsil_audit.gateway.settings import GatewaySettings
from vsil_audit.pair import Abstained, Failed, Scored
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState
from vsil_audit.runs.plan import ScanOptions
from vsil_audit.runs.progress import Silent

PAIRS = 150
CONCURRENCY = 24
ASKING = ("text_refusal", "safety_judge", "llm_judge")
RETRY = RetryPolicy(attempt_timeout=60, total_timeout=180, base=0.02, longest=0.2, timeout=4, malformed=6)
FAULTS = Faults(too_many=0.02, server_error=0.01, hang=0.002, malformed=0.01, cut=0.01)
HANGING = 8.0  # seconds until a call is given up: more than a busy machine needs to read an answer that has come


@pytest.fixture(scope="module")
def gnomes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The set; beside it stands a small benign control."""
    folder = tmp_path_factory.mktemp("sets")
    write_gnomes(folder / "control", 8, flaws=False)
    return write_gnomes(folder / "gnomes", PAIRS)


@pytest.fixture
def server() -> Iterator[ChatServer]:
    with ChatServer() as server:
        yield server


def options(server: ChatServer, gnomes: Path, folder: Path, **given: Any) -> ScanOptions:
    control = str(gnomes.with_name("control"))
    ask = AskOptions(targets=(server.model("target"),), judges=(server.model("judge"),), control=control)
    gateway = GatewaySettings(limits=Limits(max_concurrency=CONCURRENCY), retry=RETRY, patience=Patience(seconds=1.5))
    chosen = {"batch_pairs": 40, "workers": 1, "cache": folder.with_name("cache"), "ask": ask, "gateway": gateway}
    return ScanOptions(detectors=ASKING, output=folder, **{**chosen, **given})


def spent(audit: Audit, name: str) -> int:
    return sum(getattr(row, name) for row in audit.folder.manifest().spend)


def summary_of(audit: Audit) -> dict[str, Any]:
    """The summary without what the spend tells of attempts: it depends on faults, and on how often a run was begun."""
    summary: dict[str, Any] = json.loads((audit.path / "summary.json").read_text())
    for row in summary["asked"]["spend"]:
        for name in ("attempts", "cached", "failures", "retries", "cost_uncertain"):
            del row[name]
    return summary


def test_whatever_the_endpoint_does_every_pair_ends_and_each_answer_is_paid_for_once(
    gnomes: Path, server: ChatServer, tmp_path: Path
) -> None:
    server.faults = FAULTS
    server.limit, server.limit_after = 64, (500, 4)  # the sudden drop
    chosen = options(server, gnomes, tmp_path / "run")
    impatient = replace(chosen.gateway, retry=replace(RETRY, attempt_timeout=HANGING))
    audit = scan(gnomes, options=replace(chosen, gateway=impatient))

    kinds = ("too_many", "server_error", "hang", "malformed", "cut", "over the limit")
    assert all(server.failed[kind] for kind in kinds), server.failed
    assert set(server.answered.values()) == {1}
    assert (spent(audit, "calls"), spent(audit, "input_tokens"), spent(audit, "output_tokens")) == (
        server.calls,
        server.input_tokens,
        server.output_tokens,
    )
    for detector in ASKING:
        findings = list(audit.folder.findings(detector))
        assert [f.pair_id for f in findings] == [f"q{i}" for i in range(PAIRS)]
        outcomes = {f.pair_id: f.outcome for f in findings}
        assert sum(isinstance(outcome, Scored) for outcome in outcomes.values()) > 0.8 * PAIRS
        assert isinstance(outcomes["q7"], Abstained), "its text is empty"
        for outcome in outcomes.values():
            if isinstance(outcome, Abstained):
                assert outcome.reason
            elif isinstance(outcome, Failed):
                assert outcome.kind in ("malformed_answer", "off_menu", "empty_answer"), "calls that fail are repeated"
                assert outcome.detail

    # an answer that was paid for is the one that is kept: under every observation stand words that the server said
    said = set(server.said.values())
    answers = [o for detector in ASKING for o in audit.folder.observations(detector) if isinstance(o.outcome, Scored)]
    assert answers
    assert all(o.answer in said for o in answers)


def test_what_fails_again_and_again_is_a_failure_with_its_reason(
    gnomes: Path, server: ChatServer, tmp_path: Path
) -> None:
    server.reject = lambda asked: "this prompt is too long" if "number 11?" in asked.text else None
    audit = scan(gnomes, options=options(server, gnomes, tmp_path / "run", limit=20))
    for detector in ASKING:
        outcomes = {f.pair_id: f.outcome for f in audit.folder.findings(detector)}
        failed = outcomes.pop("q11")
        assert isinstance(failed, Failed)
        assert failed.kind == "permanent"
        assert "this prompt is too long" in failed.detail
        assert "permanent" not in {getattr(outcome, "kind", "") for outcome in outcomes.values()}


def test_an_endpoint_that_dies_ends_the_run_soon_and_the_next_one_goes_on(
    gnomes: Path, server: ChatServer, tmp_path: Path
) -> None:
    undisturbed = scan(gnomes, options=options(server, gnomes, tmp_path / "undisturbed" / "run"))
    asked_in_all = server.calls
    server.answered.clear()

    run = tmp_path / "run"
    for answers in (100, 400, asked_in_all - 40):  # while each of the three detectors asks
        server.dies_after = answers
        begun = time.monotonic()
        with pytest.raises(NoProviderError) as dead:
            scan(gnomes, options=options(server, gnomes, run))
        assert time.monotonic() - begun < RETRY.total_timeout / 3
        assert dead.value.exit_code is ExitCode.NO_PROVIDER
        assert "run the same command again" in dead.value.remedy
        assert RunFolder(run).manifest().state is RunState.INTERRUPTED
        assert server.calls < answers + CONCURRENCY
        server.stop()
        server.start()

    audit = scan(gnomes, options=options(server, gnomes, run))
    assert audit.folder.manifest().state is RunState.COMPLETE
    assert set(server.answered.values()) == {1}
    assert server.calls == spent(audit, "calls") == asked_in_all
    assert summary_of(audit) == summary_of(undisturbed)


def test_a_folder_that_cannot_be_written_ends_the_run_and_costs_no_answer(
    gnomes: Path, server: ChatServer, tmp_path: Path
) -> None:
    chosen = options(server, gnomes, tmp_path / "run")
    with pytest.raises(BudgetReachedError):
        scan(gnomes, options=replace(chosen, gateway=replace(chosen.gateway, budget=Budget(max_calls=3))))
    in_the_way = tmp_path / "run" / "observations"
    in_the_way.write_text("no folder")
    with pytest.raises(RunFolderError, match="cannot write"):
        scan(gnomes, options=chosen)
    assert all(role_of(asked) == "target" for asked in server.heard), "it stops: nothing more is asked of the judge"
    in_the_way.unlink()
    audit = scan(gnomes, options=chosen)
    assert set(server.answered.values()) == {1}
    assert spent(audit, "calls") == server.calls


def test_answers_that_can_no_longer_be_kept_are_told_at_once_and_the_run_goes_on(
    gnomes: Path, server: ChatServer, tmp_path: Path
) -> None:
    chosen = options(server, gnomes, tmp_path / "run")
    remarks: list[str] = []
    cut_at = 30

    def cutting(asked: Asked) -> str:
        if server.calls == cut_at:  # the table is gone, as after somebody else's `cache clear` gone wrong
            with closing(sqlite3.connect(tmp_path / "cache" / "answers.sqlite", timeout=10)) as database, database:
                database.execute("DROP TABLE answers")
        return plausible(asked)

    class Listener(Silent):
        def remark(self, text: str) -> None:
            remarks.append(text)

    server.answer = cutting
    audit = scan(gnomes, options=chosen, progress=Listener())
    assert audit.folder.manifest().state is RunState.COMPLETE
    assert any("answers.sqlite" in remark for remark in remarks)


def test_the_servers_own_record_tells_the_roles_apart(server: ChatServer, gnomes: Path, tmp_path: Path) -> None:
    """The tests above rest on that."""
    scan(gnomes, options=options(server, gnomes, tmp_path / "run", limit=4))
    assert {role_of(asked) for asked in server.heard} == {"target", "safety_judge", "llm_judge"}
