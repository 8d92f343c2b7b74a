"""vsil-audit calibrate: draw, label, calibrate; what it leaves in the folder, what it prints, how it ends."""

from __future__ import annotations

import csv
import hashlib
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
from calibrated import JUDGE, World, fill_in, write_finished, write_labels
from PIL import Image

from vsil_audit import Audit, calibrate, draw_to_label
from vsil_audit.calibration.precision import half_width, labels_for
from vsil_audit.calibration.report import Calibration
from vsil_audit.cli.main import main
from vsil_audit.errors import ConfigurationError, RunFolderError

V = f"safety_judge.vsil_rate_corrected@{JUDGE}"


@dataclass(frozen=True)
class Said:
    code: int
    out: str
    err: str


Command = Callable[..., Said]


@pytest.fixture
def vsil_audit(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Command:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "120")

    def run(*arguments: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["vsil-audit", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        captured = capsys.readouterr()
        return Said(int(ended.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def world() -> World:
    return World(120, sensitivity=0.9, specificity=0.9, seed=8)


@pytest.fixture
def run(tmp_path: Path, world: World) -> Audit:
    return write_finished(tmp_path / "run", {"safety_judge": world.verdicts()})


def truth_of(world: World) -> Callable[[dict[str, str]], dict[str, object]]:
    rows = {str(row["id"]): row for row in world.rows(range(len(world.ids)))}
    return lambda row: rows[row["id"]]


def drawn_ids(path: Path) -> list[str]:
    with path.open(newline="") as file:
        return [row["id"] for row in csv.DictReader(file)]


def test_draw_label_calibrate(vsil_audit: Command, run: Audit, world: World) -> None:
    said = vsil_audit("calibrate", "run", "--draw", "60", "--output", "to-label.csv")
    assert said.code == 0, said.err
    assert "Drew 60 of 120 pairs" in said.out
    assert "text_harmful, pair_harmful" in said.out
    fill_in(Path("to-label.csv"), truth_of(world))
    said = vsil_audit("calibrate", "run", "--labels", "to-label.csv")
    assert said.code == 0, said.err
    assert "60 items labelled, drawn at random" in said.out
    calibration = Calibration.model_validate_json((run.path / "calibration.json").read_bytes())
    [file] = calibration.labels
    assert (file.name, file.rows) == ("to-label.csv", 60)
    assert file.sha256 == hashlib.sha256(Path("to-label.csv").read_bytes()).hexdigest()
    found = Audit.open("run").summary
    leak = found.metric(V)
    assert leak is not None
    assert leak.value is not None
    assert f"{100 * leak.value:.1f} %" in said.out
    assert found.asked is not None
    [corrected] = found.asked.corrected
    assert (corrected.model, corrected.labels) == (JUDGE, "to-label.csv")
    assert leak in corrected.metrics
    assert "corrected by" not in (run.path / "pairs.csv").read_text()
    assert V in (run.path / "report.json").read_text()
    assert "Corrected by human labels" in (run.path / "report.html").read_text()


def test_a_second_calibration_replaces_the_first(run: Audit, world: World, tmp_path: Path) -> None:
    before = run.summary
    calibrate(run, write_labels(tmp_path / "first.csv", world.rows(range(100))), sample=True)
    again = calibrate(run, write_labels(tmp_path / "second.csv", world.rows(range(60))), sample=True)
    after = Audit.open(run.path).summary
    names = [metric.name for metric in after.metrics]
    assert len(names) == len(set(names))
    assert after.asked is not None
    assert [row.labels for row in after.asked.corrected] == ["second.csv"]
    assert after.metrics[: len(before.metrics)] == before.metrics
    assert after.metrics[len(before.metrics) :] == again.corrected[0].metrics


def test_the_same_labels_give_the_same_file(run: Audit, world: World, tmp_path: Path) -> None:
    labels = write_labels(tmp_path / "labels.csv", world.rows(range(80)))
    calibrate(run, labels)
    first = [(run.path / name).read_bytes() for name in ("calibration.json", "summary.json")]
    calibrate(run, labels)
    assert [(run.path / name).read_bytes() for name in ("calibration.json", "summary.json")] == first


def test_draws_are_nested_and_know_what_was_drawn_before(run: Audit, tmp_path: Path, world: World) -> None:
    draw_to_label(run, 50, tmp_path / "one.csv")
    draw_to_label(run, 50, tmp_path / "two.csv")
    last = draw_to_label(run, 50, tmp_path / "three.csv")
    assert (last.count, last.of) == (20, 120)
    ids = [name for file in ("one", "two", "three") for name in drawn_ids(tmp_path / f"{file}.csv")]
    assert sorted(ids) == sorted(world.ids)
    assert drawn_ids(tmp_path / "one.csv") != world.ids[:50]
    with pytest.raises(ConfigurationError, match="nothing is left"):
        draw_to_label(run, 1, tmp_path / "four.csv")


def test_equal_seeds_draw_alike(tmp_path: Path, world: World) -> None:
    drawn = []
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        other = write_finished(tmp_path / name, {"safety_judge": world.verdicts()})
        draw_to_label(other, 30, tmp_path / f"{name}.csv", seed=seed)
        drawn.append(drawn_ids(tmp_path / f"{name}.csv"))
    assert drawn[0] == drawn[1] != drawn[2]


def test_every_pair_is_as_likely_to_be_drawn(run: Audit, tmp_path: Path) -> None:
    """50 draws of 60 of 120: each pair 25 times, give or take."""
    counts: dict[str, int] = {}
    for seed in range(50):
        (run.path / "calibration-draws.json").unlink(missing_ok=True)
        output = tmp_path / f"{seed}.csv"
        draw_to_label(run, 60, output, seed=seed)
        for name in drawn_ids(output):
            counts[name] = counts.get(name, 0) + 1
    assert len(counts) == 120
    assert sum((count - 25) ** 2 / 12.5 for count in counts.values()) * 119 / 120 < 180  # chi², p > 0.0002


def test_labels_beside_the_drawn_ones_are_left_out_unless_said_to_be_random(
    run: Audit, world: World, tmp_path: Path
) -> None:
    draw_to_label(run, 40, tmp_path / "drawn.csv")
    labels = write_labels(tmp_path / "all-but-one.csv", world.rows(range(119)))
    found = calibrate(run, labels)
    used = 40 - ("pair/119" in drawn_ids(tmp_path / "drawn.csv"))
    assert {each.items for each in found.labelled} == {used}
    assert {unused.kind: unused.count for unused in found.unused} == {"not_drawn": 2 * (119 - used)}
    assert {each.items for each in calibrate(run, labels, sample=True).labelled} == {119}
    assert {each.chosen for each in calibrate(run, labels, sample=False).labelled} == {"elsewhere"}


def test_drawn_pairs_without_a_label_are_warned_of(run: Audit, world: World, tmp_path: Path) -> None:
    draw_to_label(run, 40, tmp_path / "drawn.csv")
    of = truth_of(world)
    fill_in(tmp_path / "drawn.csv", lambda row: of(row) if row["id"] < "pair/7" else {})
    found = calibrate(run, tmp_path / "drawn.csv")
    assert any("of the 40 drawn items have a label" in warning for warning in found.warnings)


def test_what_is_drawn_shows_no_verdict_and_runs_in_no_spreadsheet(tmp_path: Path, world: World) -> None:
    texts = [f'=HYPERLINK("http://a/{i}")' for i in range(120)]
    run = write_finished(tmp_path / "run", {"safety_judge": world.verdicts()}, texts=texts)
    draw_to_label(run, 120, tmp_path / "drawn.csv")
    with (tmp_path / "drawn.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["id", "text", "image", "text_harmful", "pair_harmful", "annotator"]
    assert all(row["text"].startswith("'=") for row in rows)
    assert {row["text_harmful"] + row["pair_harmful"] + row["annotator"] for row in rows} == {""}


def test_answers_can_be_drawn_too_and_labelled_by_two_files(vsil_audit: Command, tmp_path: Path, world: World) -> None:
    answers = [t.__class__(t.id, right={"text": "refusal", "pair": "unsafe"}) for t in world.verdicts()]
    run = write_finished(
        tmp_path / "run",
        {"safety_judge": world.verdicts(), "text_refusal": answers},
    )
    said = vsil_audit("calibrate", "run", "--draw", "80", "--of", "responses", "-o", "answers.csv")
    assert "80 of 240 answers" in said.out
    with Path("answers.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["condition"] for row in rows} == {"text", "pair"}
    assert "unsafe" not in {row["response"] for row in rows}
    fill_in(Path("answers.csv"), lambda row: {"response_class": "refusal" if row["condition"] == "text" else "unsafe"})
    vsil_audit("calibrate", "run", "--draw", "30", "-o", "pairs.csv")
    fill_in(Path("pairs.csv"), truth_of(world))
    said = vsil_audit("calibrate", "run", "--labels", "answers.csv", "--labels", "pairs.csv")
    assert said.code == 0, said.err
    found = Calibration.model_validate_json((run.path / "calibration.json").read_bytes())
    assert [(each.question, each.items, each.chosen) for each in found.labelled] == [
        ("text_harmful", 30, "drawn"), ("pair_harmful", 30, "drawn"), ("response_class", 80, "drawn"),
    ]  # fmt: skip
    assert [file.name for file in found.labels] == ["answers.csv", "pairs.csv"]


def test_two_files_without_annotators_are_two_people(run: Audit, world: World, tmp_path: Path) -> None:
    first = write_labels(tmp_path / "ann.csv", world.rows(range(40)))
    second = write_labels(tmp_path / "bob.csv", [{**r, "text_harmful": "yes"} for r in world.rows(range(40))])
    found = calibrate(run, [first, second], sample=True)
    [text] = [each for each in found.labelled if each.question == "text_harmful"]
    assert text.annotators == 2
    assert text.items == int(world.text[:40].sum())
    assert {u.kind: u.count for u in found.unused} == {"tie": 40 - text.items}
    assert text.agreement is not None


def test_what_people_wrote_does_not_get_into_the_folder(run: Audit, world: World, tmp_path: Path) -> None:
    rows = [{**row, "annotator": "Jane Doe", "notes": "a secret remark"} for row in world.rows(range(60))]
    calibrate(run, write_labels(tmp_path / "labels.csv", rows))
    for file in run.path.rglob("*"):
        if file.is_file():
            assert b"Jane Doe" not in file.read_bytes()
            assert b"secret" not in file.read_bytes()


def test_a_file_is_never_overwritten_by_a_draw(vsil_audit: Command, run: Audit) -> None:
    Path("labels.csv").write_text("mine")
    said = vsil_audit("calibrate", "run", "--draw", "5", "-o", "labels.csv")
    assert said.code == 2
    assert "labels may stand in it" in said.err
    assert Path("labels.csv").read_text() == "mine"
    assert not (run.path / "calibration-draws.json").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "either --labels"),
        (["--labels", "labels.csv", "--draw", "5"], "either --labels"),
        (["--draw", "5"], "--output"),
        (["--draw", "5", "-o", "labels.txt"], ".csv file"),
        (["--draw", "5", "--of", "responses", "-o", "l.csv"], "--targets"),
        (["--labels", "labels.csv", "-o", "l.csv"], "--output goes with --draw"),
        (["--draw", "5", "-o", "l.csv", "--sample"], "--sample"),
        (["--labels", "nowhere.csv"], "not a file"),
        (["--labels", "."], "is a directory"),
    ],
)
def test_what_cannot_be_done_ends_with_2_and_says_what_to_do(
    vsil_audit: Command, run: Audit, arguments: Sequence[str], says: str
) -> None:
    said = vsil_audit("calibrate", "run", *arguments)
    assert said.code == 2
    assert says in said.err


def test_labels_that_are_all_of_other_pairs_change_nothing(vsil_audit: Command, run: Audit) -> None:
    write_labels(Path("labels.csv"), [{"id": f"other/{i}", "text_harmful": "yes"} for i in range(30)])
    before = (run.path / "summary.json").read_bytes()
    said = vsil_audit("calibrate", "run", "--labels", "labels.csv")
    assert said.code == 2
    assert "holds no label that can be used" in said.err
    assert "labels.csv, row 1" in said.err
    assert "ids" in said.err
    assert (run.path / "summary.json").read_bytes() == before
    assert not (run.path / "calibration.json").exists()


def test_what_was_not_used_and_what_to_beware_of_is_told_when_quiet_too(
    vsil_audit: Command, world: World, run: Audit
) -> None:
    write_labels(Path("labels.csv"), [*world.rows(range(20)), {"id": "x\x1b[2J", "text_harmful": "yes"}])
    said = vsil_audit("calibrate", "run", "--labels", "labels.csv", "-q")
    assert said.out == ""
    assert "pairs that this run does not have: 1" in said.err
    assert "few labels" in said.err
    loud = vsil_audit("calibrate", "run", "--labels", "labels.csv")
    assert "\x1b" not in loud.out
    assert "labels.csv, row 21" in loud.out


def test_a_damaged_record_of_draws_is_told_not_ignored(run: Audit, world: World, tmp_path: Path) -> None:
    (run.path / "calibration-draws.json").write_text('{"draws": 3')
    with pytest.raises(RunFolderError, match="cannot be read"):
        calibrate(run, write_labels(tmp_path / "labels.csv", world.rows(range(20))))


def test_the_draws_of_another_set_make_no_label_random(run: Audit, world: World, tmp_path: Path) -> None:
    draw_to_label(run, 120, tmp_path / "drawn.csv")
    record = run.path / "calibration-draws.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "fingerprint": "another"}))
    found = calibrate(run, write_labels(tmp_path / "labels.csv", world.rows(range(60))))
    assert {each.chosen for each in found.labelled} == {"elsewhere"}


@pytest.mark.parametrize("half", [0.1, 0.05, 0.03, 0.01])
def test_as_many_labels_as_a_precision_needs_and_not_one_more(half: float) -> None:
    assert half_width(labels_for(half)) <= half < half_width(labels_for(half) - 1)


# a whole scan with a judge that follows rules


@pytest.fixture
def scanned(vsil_audit: Command, tmp_path: Path) -> Path:
    """32 pairs; the judge calls a text unsafe that says `painted`, and a pair that says `bench`."""
    (tmp_path / "set" / "images").mkdir(parents=True)
    rows = []
    for i in range(32):
        Image.new("RGB", (32, 32), (8 * i, 0, 255 - 8 * i)).save(tmp_path / "set" / "images" / f"{i}.png")
        text = f"How is {'a painted' if i % 4 < 2 else 'an old'} {'bench' if i % 8 else 'gate'} number {i} made?"
        rows.append({"id": f"=q{i}", "question": text, "image": f"images/{i}.png"})
    (tmp_path / "set" / "data.json").write_text(json.dumps(rows))
    answer = '{"reasons": "by rule", "verdict": "%s"}'
    rules = [
        {"when": {"text": "painted", "condition": "text"}, "answer": answer % "unsafe"},
        {"when": {"text": "bench", "condition": "pair"}, "answer": answer % "unsafe"},
        {"answer": answer % "safe"},
    ]
    Path("judge.yaml").write_text(json.dumps({"rules": rules}))
    said = vsil_audit(*SCAN)
    assert said.code == 3, said.err  # such a judge is not to be believed
    return tmp_path / "run"


SCAN = ["scan", "set", "--detectors", "safety_judge", "--judges", "scripted/judge.yaml", "-o", "run", "--yes", "-q"]


def test_a_later_scan_of_the_same_folder_keeps_the_calibration_and_can_fail_on_it(
    vsil_audit: Command, scanned: Path
) -> None:
    assert vsil_audit("calibrate", "run", "--draw", "32", "-o", "l.csv").code == 0
    fill_in(
        Path("l.csv"), lambda row: {"text_harmful": "painted" in row["text"], "pair_harmful": "made" in row["text"]}
    )
    said = vsil_audit("calibrate", "run", "--labels", "l.csv")
    assert said.code == 0, said.err
    name = "safety_judge.vsil_rate_corrected@scripted/judge.yaml"
    leak = Audit.open("run").summary.metric(name)
    assert leak is not None
    assert leak.value == pytest.approx(0.5)
    report = (scanned / "report.html").read_bytes()
    said = vsil_audit(*SCAN, "--fail-on", f"{name}>0.4")
    assert said.code == 1
    assert "is 0.5" in said.err
    assert Audit.open("run").summary.metric(name) == leak
    assert (scanned / "report.html").read_bytes() == report
    assert vsil_audit("report", "run", "-q").code == 0


def test_a_scan_that_starts_anew_forgets_calibration_and_draws(vsil_audit: Command, scanned: Path) -> None:
    assert vsil_audit("calibrate", "run", "--draw", "32", "-o", "l.csv").code == 0
    fill_in(Path("l.csv"), lambda row: {"text_harmful": "no", "pair_harmful": "yes"})
    assert vsil_audit("calibrate", "run", "--labels", "l.csv").code == 0
    vsil_audit(*SCAN, "--overwrite")
    assert not list(scanned.glob("calibration*"))
    found = Audit.open("run").summary
    assert found.asked is not None
    assert found.asked.corrected == []
