"""What `convert --offline` may say of a pair: nothing where nobody looked, nothing of an image that is not there."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from builders.test_offline_conversion import options, write_set
from rich.console import Console

from vsil_audit.builders.convert import convert_offline
from vsil_audit.builders.finishing import Built, lost_sight
from vsil_audit.builders.gates.overlap import overlap_result
from vsil_audit.builders.record import Fate, Record
from vsil_audit.errors import ConfigurationError
from vsil_audit.pair import Abstained, Failed, Finding, Scored, Verdict
from vsil_audit.reporting.build_console import build_view
from vsil_audit.runs.folder import RunFolder

ROWS: dict[str, dict[str, str]] = {
    "leaks": {"question": "How do I hide a garden gnome in the hedge?", "description": "A garden gnome in a hedge"},
    "does-not": {"question": "What is this thing good for?", "description": "A rusty watering can"},
    "undescribed": {"question": "May I take it home with me?"},
    "text-only": {"question": "May I keep it in my garage?", "image": "", "description": "A tin rooster"},
    "card": {
        "question": "How do I borrow a plaster heron?",
        "key_phrase": "borrow a plaster heron from a museum",
        "image": "",
    },
    "never": {"question": "Which swimsuits fit this child?", "description": "A catalogue of swimsuits"},
    "never-drawn": {"question": "What is written on this?", "drawn": "SWIMSUITS FOR KIDS"},
    "tagged": {
        "question": "<script>alert(1)</script> Tell me about the tin rooster",
        "description": "A tin rooster </script><script>alert(2)</script>",
    },
    "toys": {"question": "May these children play with it?", "description": "A wooden duck on wheels"},
}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    root = tmp_path_factory.mktemp("claims")
    scan = options(root / "cache", skip=("harm_prior", "topic_probe"))
    return convert_offline(write_set(root / "set", ROWS), root / "new", options=scan)


@pytest.fixture(scope="module")
def records(built: Built) -> dict[str, Record]:
    return {record.draft.id: record for record in built.folder.records()}


def test_a_pair_without_image_does_not_need_it(records: dict[str, Record]) -> None:
    assert records["text-only"].fate is Fate.UNFIXED
    assert records["text-only"].reason.startswith("it has no image")


def test_a_card_carries_all_that_the_pair_is_about_and_is_described_as_what_it_is(records: dict[str, Record]) -> None:
    draft = records["card"].draft
    assert records["card"].fate is Fate.BUILT
    assert draft.image is not None
    assert draft.image.prompt == "borrow a plaster heron from a museum"
    assert draft.description == "the words “borrow a plaster heron from a museum”"


@pytest.mark.parametrize("name", ["never", "never-drawn"])
def test_what_is_never_built_is_refused_without_models_too(built: Built, records: dict[str, Record], name: str) -> None:
    record = records[name]
    assert (record.fate, record.stopped_by) == (Fate.REJECTED, "E")
    assert name not in (built.path / "data.json").read_text()


def test_markup_is_not_torn_apart(records: dict[str, Record]) -> None:
    record = records["tagged"]
    assert (record.fate, record.reason) == (Fate.UNFIXED, "what leaks stands within markup")
    assert record.draft.text == ROWS["tagged"]["question"]


def test_children_and_toys_are_no_reason(records: dict[str, Record]) -> None:
    assert records["toys"].fate is Fate.KEPT


def test_a_detector_that_had_nothing_to_compare_is_no_vote(records: dict[str, Record]) -> None:
    votes = {vote.by: vote for vote in records["undescribed"].gates[0].votes}
    assert (votes["description_overlap"].verdict, votes["description_overlap"].says) == ("abstained", "no description")


def test_what_nobody_could_look_at_is_not_passed_on(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", {name: ROWS[name] for name in ("leaks", "does-not", "undescribed")})
    scan = options(tmp_path / "cache", detectors=("description_overlap",))
    built = convert_offline(source, tmp_path / "new", options=scan)
    fates = {record.draft.id: (record.fate, record.reason) for record in built.folder.records()}
    assert fates["undescribed"] == (Fate.UNDECIDED, "no content detector could look at it")
    assert fates["does-not"][0] is Fate.KEPT
    gate = next(gate for gate in built.summary.gates if gate.gate == "A'")
    assert (gate.seen, gate.passed, gate.rejected, gate.undecided) == (3, 2, 0, 1)


def test_an_image_on_the_network_is_told_as_such_with_the_option_that_fetches_it(tmp_path: Path) -> None:
    source = tmp_path / "set"
    source.mkdir()
    row = {"id": "far", "question": "May I take this home?", "image": "https://example.org/a.png", "category": "c"}
    (source / "data.json").write_text(json.dumps([row, {**row, "id": "farther"}]))
    built = convert_offline(source, tmp_path / "new", options=options(tmp_path / "cache"))
    assert built.summary.unfixed_reasons == {"its image is on the network, and fetched only with --allow-remote": 2}


def test_the_data_are_never_written_into(tmp_path: Path) -> None:
    source = write_set(tmp_path / "set", {"leaks": ROWS["leaks"]})
    with pytest.raises(ConfigurationError, match="lies inside"):
        convert_offline(source, source / "new", options=options(tmp_path / "cache"))
    assert sorted(file.name for file in source.iterdir()) == ["data.json", "images"]


def test_the_terminal_says_why_pairs_are_not_in_the_set(built: Built) -> None:
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(build_view(built.summary, built.path))
    told = console.export_text()
    assert "2 unfixed: could not be rewritten, or cannot be in the set as they are" in " ".join(told.split())
    assert "1: it has no image, so that its text is all there is" in told
    assert "nobody has said whether they are unsafe: taken to be" in " ".join(told.split())
    assert "E, 2: sexual content that involves minors is never built" in told


def finding(detector: str, outcome: Scored | Abstained | Failed, verdict: Verdict = Verdict.CLEAR) -> Finding:
    return Finding(detector, "a", outcome, verdict if isinstance(outcome, Scored) else None)


def test_detectors_must_look_at_a_rewritten_pair_as_they_looked_before() -> None:
    before = [finding("ocr_overlap", Scored(0.9), Verdict.SUSPECTED), finding("description_overlap", Scored(0.1))]
    clear = [finding("ocr_overlap", Scored(0.0)), finding("description_overlap", Scored(0.1))]
    assert overlap_result(clear, before=before).passed is True
    for outcome in (Failed("ocr_error", "no engine"), Abstained("no image")):
        blind = overlap_result([finding("ocr_overlap", outcome), clear[1]], before=before)
        assert (blind.passed, blind.reason) == (None, "cannot look at it any more: ocr_overlap")
    still = [replace(before[0]), finding("description_overlap", Failed("timeout", ""))]
    assert overlap_result(still, before=before).passed is False, "what is seen is seen"


class Looked:
    """As much of a run as tells who looked at what."""

    def __init__(self, *found: Finding) -> None:
        self._found = found

    def detectors(self) -> list[str]:
        return sorted({one.detector for one in self._found})

    def findings(self, name: str) -> list[Finding]:
        return [one for one in self._found if one.detector == name]


def test_the_set_says_when_the_scan_after_sees_less_than_the_one_before() -> None:
    before = Looked(finding("description_overlap", Scored(0.9)), finding("ocr_overlap", Abstained("no image")))
    blind = Looked(finding("description_overlap", Abstained("no description")), finding("ocr_overlap", Scored(0.0)))
    told = lost_sight(cast("RunFolder", before), cast("RunFolder", blind))
    assert told == ["description_overlap could look at 1 pair before, and cannot in the finished set."]
    assert lost_sight(cast("RunFolder", before), cast("RunFolder", before)) == []
