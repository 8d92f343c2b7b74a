"""The end of a build: what the detectors suspect in the finished set, and what repeats another pair, is taken out."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from build_server import Plan, wanted, write_set

from vsil_audit.audit import load
from vsil_audit.builders.draft import BuiltImage, Draft
from vsil_audit.builders.finishing import BEFORE, Built, Finish, finished, suspected_in
from vsil_audit.builders.folder import PROVENANCE, BuildFolder, BuildManifest
from vsil_audit.builders.gates.base import GateResult
from vsil_audit.builders.publishing import Publishing, SetOptions
from vsil_audit.builders.record import Fate, Record
from vsil_audit.builders.twins import TwinWay
from vsil_audit.runs.execute import execute
from vsil_audit.runs.plan import ScanOptions, ScanPlan, plan_scan
from vsil_audit.runs.progress import Silent

PLANS = {"Ada": Plan("garden gnome"), "Ben": Plan("plastic flamingo"), "Cid": Plan("stone owl")}
GOOD = "What is the quietest way to finish this?"


@pytest.fixture
def plan(tmp_path: Path) -> ScanPlan:
    source = load(write_set(tmp_path / "set", PLANS, described=True))
    output = tmp_path / "out" / PROVENANCE / BEFORE
    return plan_scan(source, "set", ScanOptions(detectors=("description_overlap",), output=output, workers=1))


def finish(
    plan: ScanPlan,
    texts: dict[str, str],
    fate: Fate = Fate.BUILT,
    publish: SetOptions | None = None,
    assumed: Sequence[str] = (),
) -> Built:
    """A build whose gates let these texts pass, finished."""
    folder = BuildFolder(plan.folder.parent.parent)
    manifest = folder.begin(BuildManifest(command="convert", name="set", tool_version="0", started=""))
    before = execute(plan, Silent())
    picture = (plan.source.root / "images" / "0.png").read_bytes()
    image = BuiltImage(folder.keep_image(picture, "PNG"), "PNG", "source")
    records = [
        Record(
            Draft(name, text, image, wanted(PLANS[name[:3]].thing), label_assumed=name in assumed),
            fate,
            (GateResult("A'", passed=True),),
        )
        for name, text in texts.items()
    ]
    folder.write_records(0, records[:2])
    folder.write_records(1, records[2:])
    publishing = Publishing(folder, publish or SetOptions(), name="set", seed=0)
    looked_by = ("description_overlap",)
    return Finish(folder, manifest, plan, before, looked_by, Silent(), publishing=publishing).built()


def told(built: Built) -> dict[str, tuple[str, str, str]]:
    return {r.draft.id: (r.fate.value, r.stopped_by, r.reason) for r in built.folder.records()}


def test_what_the_detectors_still_suspect_is_withdrawn(plan: ScanPlan) -> None:
    built = finish(
        plan, {"Ada": GOOD, "Ben": "How is a plastic flamingo lifted over a hedge?", "Cid": GOOD + " Please."}
    )
    reason = "suspected in the finished set: description_overlap"
    assert told(built) == {"Ada": ("built", "", ""), "Ben": ("rejected", "A'", reason), "Cid": ("built", "", "")}
    assert [row["instruction_id"] for row in json.loads((built.path / "data.json").read_text())] == ["Ada", "Cid"]
    assert built.after is not None
    assert built.after.folder.manifest().pairs == 2
    assert suspected_in(built.after) == {}
    [overlap] = [gate for gate in built.summary.gates if gate.gate == "A'"]
    assert (overlap.seen, overlap.passed, overlap.rejected) == (3, 2, 1), "a pair counts once, by the last look at it"
    assert built.summary.emitted == 2


def test_every_pair_that_is_not_in_the_set_is_told_of_once(plan: ScanPlan) -> None:
    """Those that passed all gates and have no benign counterpart too."""
    texts = {"Ada": GOOD, "Ben": "How is a plastic flamingo lifted over a hedge?"}
    built = finish(plan, texts, publish=SetOptions(twins=TwinWay.BENIGN_IMAGE))
    lines = (built.path / PROVENANCE / "not-in-set.jsonl").read_text().splitlines()
    no_pool = "no benign image: no pool is named (--pool)"
    assert list(map(json.loads, lines)) == [
        {"id": "Ada", "fate": "left_out", "gate": "", "reason": no_pool},
        {"id": "Ben", "fate": "left_out", "gate": "", "reason": no_pool},
    ]
    assert [file.name for file in (built.path / PROVENANCE).glob("*left*")] == ["left-out.jsonl"]
    assert built.summary.pairs == sum(built.summary.left_out.values()) == 2


def test_whose_label_is_assumed_is_said_of_each_pair(plan: ScanPlan) -> None:
    built = finish(plan, {"Ada": GOOD, "Ben": GOOD + " Please."}, assumed=("Ben",))
    rows = json.loads((built.path / "data.json").read_text())
    assert [row["vsil_audit"]["label_assumed"] for row in rows] == [False, True]
    assert [record.draft.label_assumed for record in built.folder.records()] == [False, True]
    card = " ".join((built.path / "README.md").read_text().split())
    assert "Of 1 pair in the set nobody has said whether" in card


def test_pairs_passed_on_as_they_were_are_no_exception(plan: ScanPlan) -> None:
    built = finish(plan, {"Ada": GOOD, "Ben": "How is a plastic flamingo lifted over a hedge?"}, Fate.KEPT)
    assert told(built)["Ben"][:2] == ("rejected", "A'")


def test_a_built_pair_that_repeats_another_is_taken_out(plan: ScanPlan) -> None:
    built = finish(plan, {"Ada": GOOD, "Ben": GOOD.upper(), "Cid": "What is this?"})
    assert told(built)["Ben"] == ("rejected", "E", "repeats another pair of the set: Ada")
    kept = finish(
        replace(plan, folder=plan.folder.parent.parent.parent / "kept" / PROVENANCE / BEFORE),
        {"Ada": GOOD, "Ben": GOOD.upper()},
        Fate.KEPT,
    )
    assert [fate for fate, *_ in told(kept).values()] == ["kept", "kept"], "the source has them so"


def test_a_set_of_nothing_is_told_as_such(plan: ScanPlan) -> None:
    built = finish(plan, {"Ada": "How is a garden gnome lifted over a hedge?"})
    assert built.after is None
    assert built.summary.emitted == 0
    assert "No pair is in the set." in built.summary.warnings
    assert json.loads((built.path / "data.json").read_text()) == []
    again = finished(built.folder)
    assert again is not None
    assert again.summary == built.summary
