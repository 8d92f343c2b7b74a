"""A scan whose detectors need CLIP, with a real small model: what is encoded, kept, resumed and said."""

from __future__ import annotations

import errno
import io
import json
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("open_clip")
pytest.importorskip("torch")

import clip_probe
from tiny_clip import save_tiny_clip

import vsil_audit
from vsil_audit.errors import ConfigurationError, RunFolderError, VsilAuditError
from vsil_audit.features.clip.model import ClipSettings
from vsil_audit.images import Network, read_bytes
from vsil_audit.pair import Abstained, Scored
from vsil_audit.runs import detecting
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.manifest import RunState
from vsil_audit.runs.plan import ScanOptions, plan_scan
from vsil_audit.runs.progress import Progress, Silent

DETECTORS = ("clip_probe", "hygiene")
Scan = Callable[..., vsil_audit.Audit]


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(autouse=True)
def probe(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = clip_probe.install(tmp_path_factory.mktemp("installed"))
    monkeypatch.syspath_prepend(str(folder))
    return folder


def picture(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    target = io.BytesIO()
    small = Image.fromarray(rng.integers(0, 256, (6, 8, 3), dtype=np.uint8))
    small.resize((80, 60), Image.Resampling.BICUBIC).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """24 pairs of 8 images and 12 texts; two images cannot be opened, and a query is empty."""
    root = tmp_path / "benchmark"
    (root / "images").mkdir(parents=True)
    rows: list[dict[str, Any]] = []
    for i in range(24):
        (root / "images" / f"{i % 8}.png").write_bytes(picture(i % 8))
        rows.append({"id": f"q{i}", "question": f"Where does thing {i % 12} go?", "image": f"images/{i % 8}.png"})
    rows[3]["image"] = "images/absent.png"
    rows[5]["question"] = ""
    rows[7]["image"] = "images/cut.png"
    (root / "images" / "cut.png").write_bytes(picture(7)[:80])
    (root / "data.json").write_text(json.dumps(rows))
    return root


@pytest.fixture
def scan(dataset: Path, model: Path, tmp_path: Path) -> Scan:
    def run(
        output: str = "run", path: Path = dataset, progress: Progress | None = None, **chosen: Any
    ) -> vsil_audit.Audit:
        options = {
            "detectors": DETECTORS, "output": tmp_path / output, "workers": 2, "batch_pairs": 5,
            "clip": ClipSettings(str(model), device="cpu"), **chosen,
        }  # fmt: skip
        return vsil_audit.scan(path, options=ScanOptions(**options), progress=progress)

    return run


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Any]]:
    """The real encoder, counting the images and remembering the texts that it is given."""
    from vsil_audit.features.clip.encoder import ClipEncoder

    given: dict[str, list[Any]] = {"images": [], "texts": []}
    images, texts = ClipEncoder.encode_images, ClipEncoder.encode_texts

    def count_images(self: ClipEncoder, pixels: Any) -> Any:
        given["images"].extend(pixels)
        return images(self, pixels)

    def count_texts(self: ClipEncoder, of: Any) -> Any:
        given["texts"].extend(of)
        return texts(self, of)

    monkeypatch.setattr(ClipEncoder, "encode_images", count_images)
    monkeypatch.setattr(ClipEncoder, "encode_texts", count_texts)
    return given


def found(audit: vsil_audit.Audit) -> dict[str, Any]:
    return {f.pair_id: f for f in audit.folder.findings("clip_probe") if f.pair_id}


def plainly(audit: vsil_audit.Audit) -> list[str]:
    return sorted(json.dumps(row, sort_keys=True) for row in audit.findings.to_pylist())


def test_every_pair_gets_the_vectors_of_its_own_text_and_image(scan: Scan, dataset: Path, model: Path) -> None:
    from vsil_audit.features.clip.encoder import ClipEncoder
    from vsil_audit.features.clip.model import find_clip

    audit = scan()
    settings = ClipSettings(str(model), device="cpu")
    encoder = ClipEncoder(find_clip(str(model)), settings)
    pixels = [encoder.preprocessing.pixels(Image.open(io.BytesIO(picture(i)))) for i in range(8)]
    images = encoder.encode_images(np.stack(pixels))
    texts = np.concatenate(encoder.encode_texts([f"Where does thing {i} go?" for i in range(12)]))
    findings = found(audit)
    for i in range(24):
        outcome = findings[f"q{i}"].outcome
        if i in (3, 7):
            assert outcome == Abstained("no image")
        elif i == 5:
            assert outcome == Abstained("no text")
        else:
            assert isinstance(outcome, Scored)
            assert outcome.value == pytest.approx(float(texts[i % 12] @ images[i % 8]), abs=2e-3)


def test_what_cannot_be_opened_is_named_and_has_no_row(scan: Scan) -> None:
    audit = scan()
    batches = list(audit.folder.batches(clip=True))
    rows = [n for batch in batches if batch.clip for n in batch.clip.images.counts()]
    assert [i for i, n in enumerate(rows) if n == 0] == [3, 7]
    assert [i for batch in batches if batch.clip for i, n in enumerate(batch.clip.texts.counts()) if n != 1] == [0]
    named = {f.pair_id: f.kind for f in audit.folder.findings("hygiene") if f.pair_id in ("q3", "q7")}
    assert set(named) == {"q3", "q7"}
    assert all(batch.clip is None for batch in audit.folder.batches())


class Listening(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def remark(self, text: str) -> None:
        self.said.append(text)


def test_an_image_that_clip_cannot_take_is_told_of(scan: Scan, dataset: Path) -> None:
    Image.new("RGB", (70_000, 1), "green").save(dataset / "images" / "2.png")
    progress = Listening()
    findings = found(scan(progress=progress))
    assert findings["q2"].outcome == Abstained("no image")
    assert [line for line in progress.said if "3 images can be opened and have no CLIP vector, as images/2.png" in line]


def test_a_disk_that_fills_while_pairs_are_read_is_told_of_and_costs_nothing_else(
    scan: Scan, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = plainly(scan("before", cache=tmp_path / "cache"))

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("vsil_audit.features.embeddings.space.write_segment", full)
    progress = Listening()
    assert plainly(scan("after", cache=tmp_path / "full", progress=progress)) == expected
    warned = [line for line in progress.said if "No space left on device" in line and "in memory only" in line]
    assert len(warned) == len(set(warned)) == 2  # of images and of texts


def test_each_image_and_text_is_encoded_once_however_often_it_comes(scan: Scan, encoded: dict[str, list[Any]]) -> None:
    scan()
    assert len(encoded["images"]) == 8
    assert sorted(encoded["texts"]) == sorted({*encoded["texts"]})
    assert set(encoded["texts"]) == {f"Where does thing {i} go?" for i in range(12)} | {clip_probe.FURTHER_TEXT}
    again = scan("again")
    assert len(encoded["images"]) == 8, "two runs share what is kept"
    assert len(encoded["texts"]) == 13
    assert plainly(again) == plainly(scan())


def test_findings_are_the_same_in_processes_of_their_own(scan: Scan, monkeypatch: pytest.MonkeyPatch) -> None:
    here = scan("here", cache=None)
    monkeypatch.setattr(detecting, "_PAIRS_FOR_PROCESSES", 1)
    assert plainly(scan("apart")) == plainly(here)


def test_a_scan_that_needs_no_clip_is_as_it_was(scan: Scan, encoded: dict[str, list[Any]]) -> None:
    audit = scan(detectors=("hygiene",), clip=None)
    assert encoded == {"images": [], "texts": []}
    assert not (audit.path / "embeddings").exists()
    assert audit.folder.manifest().config.detector_options == {}


def test_images_inside_a_table_get_vectors_too(scan: Scan, tmp_path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = tmp_path / "inside"
    root.mkdir()
    images = [{"bytes": picture(i % 3), "path": f"{i}.png"} for i in range(6)]
    table = pa.table({"question": [f"Where does thing {i} go?" for i in range(6)], "image": images})
    pq.write_table(table, root / "data.parquet")
    audit = scan("inside-run", root, limit=6)
    assert [type(f.outcome) for f in found(audit).values()] == [Scored] * 6


def test_images_at_addresses_get_vectors_too(
    scan: Scan, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from vsil_audit.features import pipeline as pipeline_module

    quiet = type("Quiet", (SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(quiet, directory=str(dataset)))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    root = tmp_path / "remote"
    root.mkdir()
    address = f"https://127.0.0.1:{server.server_port}/images"
    rows = [{"question": f"Where does thing {i} go?", "image": f"{address}/{i}.png"} for i in range(3)]
    (root / "data.json").write_text(json.dumps(rows))
    anywhere = Network(allowed=lambda _: True, secure=lambda wire, _: wire)
    monkeypatch.setattr(pipeline_module, "read_bytes", partial(read_bytes, network=anywhere))
    try:
        audit = scan("remote-run", root, allow_remote=True)
    finally:
        server.shutdown()
        server.server_close()
    assert [type(f.outcome) for f in found(audit).values()] == [Scored] * 3


# killed, resumed, scanned again

SCAN = """
import sys, time
from pathlib import Path
sys.path[:0] = sys.argv[6:]
import vsil_audit
from vsil_audit.features.clip.model import ClipSettings
from vsil_audit.runs.folder import RunFolder
write = RunFolder.write_batch
def slowly(*given):
    time.sleep(float(sys.argv[5]))
    write(*given)
RunFolder.write_batch = slowly
vsil_audit.scan(sys.argv[1], options=vsil_audit.ScanOptions(
    detectors=("clip_probe", "hygiene"), output=Path(sys.argv[2]), cache=Path(sys.argv[3]), batch_pairs=1, workers=1,
    clip=ClipSettings(sys.argv[4], device="cpu", batch=1)))
print(*sorted({"torch", "open_clip"} & set(sys.modules)))
"""


def start(
    dataset: Path, output: Path, cache: Path, model: Path, probe: Path, pause: float = 0.0
) -> subprocess.Popen[str]:
    """A scan in a process, which waits `pause` seconds before it commits a batch."""
    command = [
        sys.executable,
        "-c",
        SCAN,
        *map(str, (dataset, output, cache, model, pause, probe, Path(clip_probe.__file__).parent)),
    ]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finished(process: subprocess.Popen[str]) -> str:
    out, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return out


@pytest.mark.slow
def test_killed_while_it_reads_it_ends_with_the_findings_of_an_undisturbed_scan(
    dataset: Path, model: Path, probe: Path, tmp_path: Path
) -> None:
    finished(start(dataset, tmp_path / "undisturbed", tmp_path / "cache-a", model, probe))
    killed, cache = tmp_path / "killed", tmp_path / "cache-b"
    for batches in (1, 9):
        process = start(dataset, killed, cache, model, probe, pause=0.1)
        deadline = time.monotonic() + 120
        while len(list((killed / "pairs").glob("*.parquet"))) < batches and time.monotonic() < deadline:
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
        process.communicate()
        assert RunFolder(killed).manifest().state is RunState.READING, "the kill came too late: it proved nothing"
    finished(start(dataset, killed, cache, model, probe))
    assert plainly(vsil_audit.Audit.open(killed)) == plainly(vsil_audit.Audit.open(tmp_path / "undisturbed"))


def test_a_warm_scan_imports_neither_torch_nor_open_clip(
    dataset: Path, model: Path, probe: Path, tmp_path: Path
) -> None:
    cold = finished(start(dataset, tmp_path / "cold", tmp_path / "cache", model, probe))
    warm = finished(start(dataset, tmp_path / "warm", tmp_path / "cache", model, probe))
    assert cold.split() == ["open_clip", "torch"]
    assert warm.split() == []


def test_two_scans_at_once_share_one_store(dataset: Path, model: Path, probe: Path, tmp_path: Path) -> None:
    both = [start(dataset, tmp_path / name, tmp_path / "cache", model, probe) for name in ("one", "two")]
    for process in both:
        finished(process)
    assert plainly(vsil_audit.Audit.open(tmp_path / "one")) == plainly(vsil_audit.Audit.open(tmp_path / "two"))
    third = finished(start(dataset, tmp_path / "three", tmp_path / "cache", model, probe))
    assert third.split() == []


def test_another_model_is_another_run(scan: Scan, tmp_path: Path) -> None:
    audit = scan()
    options = audit.folder.manifest().config.detector_options
    assert set(options) == {"clip_model", "clip_space"}
    assert {"torch", "open_clip_torch"} <= set(audit.folder.manifest().packages)
    other = save_tiny_clip(tmp_path / "other", seed=1)
    with pytest.raises(RunFolderError, match="clip_space"):
        scan(clip=ClipSettings(str(other), device="cpu"))


def test_a_run_that_is_made_anew_keeps_no_old_vectors(scan: Scan) -> None:
    audit = scan()
    assert (audit.path / "embeddings" / "clip").is_dir()
    scan(detectors=("hygiene",), clip=None, overwrite=True)
    assert not (audit.path / "embeddings").exists()


# what goes wrong


def test_a_damaged_part_is_named(scan: Scan, tmp_path: Path) -> None:
    audit = scan()
    part = audit.path / "embeddings" / "clip" / "part-00002.arrow"
    whole = part.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"not arrow at all", whole.replace(b"position", b"positiom")):
        part.write_bytes(damaged)
        with pytest.raises(RunFolderError, match=r"part-00002\.arrow"):
            audit.folder.read_batch(2, clip=True)
        assert audit.folder.read_batch(2).clip is None, "who needs no vectors reads on"
    part.unlink()
    with pytest.raises(RunFolderError, match=r"embeddings/clip/part-00002\.arrow is missing"):
        vsil_audit.Audit.open(audit.path)


def test_vectors_of_another_batch_are_refused(scan: Scan) -> None:
    audit = scan()
    parts = audit.path / "embeddings" / "clip"
    (parts / "part-00004.arrow").write_bytes((parts / "part-00001.arrow").read_bytes())
    with pytest.raises(RunFolderError, match=r"part-00004\.arrow"):
        audit.folder.read_batch(4, clip=True)


def test_a_model_that_cannot_be_loaded_ends_the_scan_and_says_why(scan: Scan, model: Path, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(model, broken)
    weights = broken / "open_clip_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(VsilAuditError) as raised:
        scan(clip=ClipSettings(str(broken), device="cpu"))
    assert "CLIP" in raised.value.message
    assert raised.value.remedy


def test_without_its_weights_the_detector_is_left_out_and_the_command_is_told(
    dataset: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    source = vsil_audit.load(dataset)
    plan = plan_scan(source, "benchmark", ScanOptions(skip=("ocr_overlap",)))
    absent = {n.name: n for n in plan.not_run}
    for name in ("clip_probe", "clip_overlap"):
        assert absent[name].state == "unavailable"
        assert "open_clip.download_pretrained" in absent[name].remedy
    assert plan.clip is None
    for asked in ({"detectors": ("clip_overlap", "hygiene")}, {"clip": ClipSettings()}):
        with pytest.raises(ConfigurationError, match="not on this machine") as raised:
            plan_scan(source, "benchmark", ScanOptions(**asked))  # type: ignore[arg-type]  # options of several types
        assert "open_clip.download_pretrained" in raised.value.remedy
