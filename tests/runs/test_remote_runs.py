"""A scan of a remote set into a remote run folder is the scan of a copy of it, and can be broken off anywhere."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("fsspec")

from failing_store import Failing, failing_store  # only where there is fsspec

from vsil_audit import scan
from vsil_audit.audit import Audit, compare
from vsil_audit.errors import DatasetError, RunFolderError, StoreError, VsilAuditError
from vsil_audit.inspection import inspect
from vsil_audit.places import filesystems, lease
from vsil_audit.reporting.json_report import render_json
from vsil_audit.runs.plan import ScanOptions

EXAMPLE = Path(__file__).parents[2] / "examples" / "hades-mini"
OPTIONS = ScanOptions(detectors=("hygiene", "description_overlap"), batch_pairs=4, workers=1)
SET, RUN = "failing://bucket/hades-mini", "failing://runs/one"


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Failing:
    """It holds the example."""
    monkeypatch.setenv("VSIL_AUDIT_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("vsil_audit.places.filesystems._FIRST_PAUSE", 0.0)
    monkeypatch.setattr(lease, "_SETTLING_SECONDS", 0.0)
    with failing_store() as made:
        for file in EXAMPLE.rglob("*"):
            if file.is_file():
                made.pipe_file(f"/bucket/hades-mini/{file.relative_to(EXAMPLE).as_posix()}", file.read_bytes())
        made.calls.clear()
        yield made


def test_a_remote_scan_equals_the_scan_of_a_copy(store: Failing, tmp_path: Path) -> None:
    remote = scan(SET, output=RUN, options=OPTIONS)
    local = scan(EXAMPLE, output=tmp_path / "local", options=OPTIONS)
    as_url = scan(EXAMPLE.as_uri(), output=(tmp_path / "as url").as_uri(), options=OPTIONS)
    for other in (remote, as_url):
        assert other.findings.equals(local.findings)
        assert other.folder.manifest().fingerprint == local.folder.manifest().fingerprint
        assert other.folder.manifest().config == local.folder.manifest().config
        assert other.summary.metrics == local.summary.metrics
    assert remote.folder.manifest().dataset_path == SET
    assert (tmp_path / "as url" / "run.json").is_file()


def test_images_are_asked_for_once_each_and_never_copied(store: Failing, tmp_path: Path) -> None:
    scan(SET, output=RUN, options=OPTIONS)
    images = [f for f in EXAMPLE.rglob("*") if f.suffix in (".jpg", ".png")]
    asked = [call for call in store.calls if call.startswith("cat /bucket")]
    assert len(asked) == len(set(asked)) == len(images)
    copies = [f for f in (tmp_path / "cache" / "remote").rglob("*") if f.suffix in (".jpg", ".png")]
    assert len(copies) == len(images)
    assert all(f.stat().st_size == 0 for f in copies)


def test_a_batch_is_told_by_its_pairs_and_the_run_by_its_end(store: Failing, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(filesystems, "_PUTS_WHOLE", {"failing"})
    scan(SET, output=RUN, options=OPTIONS)
    put = [call.removeprefix("put /runs/one/") for call in store.calls if call.startswith("put ")]
    part = [name for name in put if name.endswith("part-00001.parquet") and not name.startswith("findings")]
    assert part == [f"{kind}/part-00001.parquet" for kind in ("problems", "thumbnails", "images", "pairs")]
    assert put[-1] == "run.json"
    assert put.index("summary.json") == len(put) - 2


@pytest.mark.parametrize("broken_at", [3, 9, 20])
def test_a_scan_that_the_network_broke_is_continued(
    store: Failing, tmp_path: Path, broken_at: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, count = Failing.pipe_file, 0

    def breaking(self: Failing, path: str, value: bytes, mode: str = "overwrite", **given: object) -> None:
        nonlocal count
        count += 1
        if count > broken_at:
            raise ConnectionError("the network is down")
        real(self, path, value, mode)

    monkeypatch.setattr(Failing, "pipe_file", breaking)
    with pytest.raises(VsilAuditError, match="the network is down"):
        scan(SET, output=RUN, options=OPTIONS)
    monkeypatch.setattr(Failing, "pipe_file", real)
    kept = {name: store.cat_file(name) for name in store.find("/runs/one/pairs")}
    store.calls.clear()
    audit = scan(SET, output=RUN, options=OPTIONS)
    written = [call.removeprefix("put ") for call in store.calls if call.startswith("put ")]
    assert not set(kept) & set(written), "what was committed is not done again"
    local = scan(EXAMPLE, output=tmp_path / "local", options=OPTIONS)
    assert audit.findings.equals(local.findings)


def test_a_folder_in_use_or_of_something_else_is_refused(store: Failing) -> None:
    store.pipe_file("/runs/other/notes.txt", b"mine")
    with pytest.raises(RunFolderError, match="is not empty and holds no run"):
        scan(SET, output="failing://runs/other", options=OPTIONS)
    assert store.cat_file("/runs/other/notes.txt") == b"mine"
    scan(SET, output=RUN, options=OPTIONS)
    with pytest.raises(RunFolderError, match="another configuration: seed was 0, is now 1"):
        scan(SET, output=RUN, options=replace(OPTIONS, seed=1))


def test_a_run_is_replaced_where_that_is_asked_for(store: Failing) -> None:
    scan(SET, output=RUN, options=OPTIONS)
    again = scan(SET, output=RUN, options=ScanOptions(detectors=("hygiene",), overwrite=True, workers=1))
    assert again.folder.detectors() == ["hygiene"]
    assert again.folder.n_batches() == 1


def test_an_image_that_was_replaced_starts_the_run_anew(store: Failing) -> None:
    first = scan(SET, output=RUN, options=OPTIONS).folder.manifest().stamp
    name = next(name for name in store.find("/bucket/hades-mini") if name.endswith(".jpg"))
    store.pipe_file(name, store.cat_file(name))
    assert scan(SET, output=RUN, options=OPTIONS).folder.manifest().stamp != first


def test_reports_are_made_of_a_remote_run(store: Failing, tmp_path: Path) -> None:
    audit = scan(SET, output=RUN, options=OPTIONS)
    assert str(audit.write_html()) == f"{RUN}/report.html"
    assert store.cat_file("/runs/one/report.html").startswith(b"<!doctype html>")
    store.get("/runs/one", str(tmp_path / "copy"), recursive=True)
    assert render_json(Audit.open(tmp_path / "copy").folder) == render_json(Audit.open(RUN).folder)
    assert compare([RUN, tmp_path / "copy"]).runs
    store.rm_file("/runs/one/findings/hygiene/part-00001.parquet")
    with pytest.raises(RunFolderError, match="failing://runs/one is not whole"):
        Audit.open(RUN)


def test_a_remote_set_is_inspected(store: Failing) -> None:
    found = inspect(SET)
    here = inspect(EXAMPLE)
    assert found.path == SET
    assert (found.counts, found.layout, found.why) == (here.counts, here.layout, here.why)


def test_what_is_said_of_a_set_names_its_place(store: Failing, tmp_path: Path) -> None:
    store.pipe_file("/bucket/odd/notes.md", b"nothing to see")
    with pytest.raises(DatasetError, match="failing://bucket/odd holds no benchmark") as caught:
        scan("failing://bucket/odd", output=RUN)
    assert str(tmp_path) not in str(caught.value)


def test_a_set_that_may_not_be_listed_is_said(store: Failing) -> None:
    store.faults[:] = [PermissionError("Access Denied")]
    with pytest.raises(StoreError, match="listing failing://bucket/hades-mini is not allowed"):
        scan(SET, output=RUN)


def test_tables_cannot_lead_out_of_a_remote_set(store: Failing, tmp_path: Path) -> None:
    store.pipe_file("/bucket/secret.png", (EXAMPLE / "Money/images/1.jpg").read_bytes())
    rows = ["id,text,image"] + [
        f"{n},what is this {n},{name}"
        for n, name in enumerate(["../secret.png", "failing://bucket/secret.png", "/bucket/secret.png", "a.jpg"])
    ]
    store.pipe_file("/bucket/set/data.csv", "\n".join(rows).encode())
    shutil.copy(EXAMPLE / "Money/images/1.jpg", tmp_path / "a.jpg")
    store.put(str(tmp_path / "a.jpg"), "/bucket/set/a.jpg")
    store.calls.clear()
    audit = scan("failing://bucket/set", output=RUN, options=ScanOptions(detectors=("hygiene",), workers=1))
    kinds = [facts[0].error.kind if facts[0].error else "" for _, facts in audit.folder.read_batch(0)]
    assert kinds == ["outside_root", "outside_root", "outside_root", ""]
    assert not any("secret" in call for call in store.calls)
