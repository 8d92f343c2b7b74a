"""The image pipeline: each unique image is opened once, and nothing that an image does stops the others."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent.futures import CancelledError, Future
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
import pytest
from PIL import Image, ImageDraw, ImageFont

from vsil_audit.detectors.base import Need
from vsil_audit.features import image_opening
from vsil_audit.features import pipeline as pipeline_module
from vsil_audit.features.clip.images import ClipImages
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.embeddings.store import EmbeddingStore
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.store import FeatureStore
from vsil_audit.features.worker_pool import WorkerPool, available_cpus
from vsil_audit.images import ImageLimits, read_bytes
from vsil_audit.pair import ImageRef

PIXELS = frozenset({Need.PIXELS})
TEXT = frozenset({Need.OCR})


def picture(seed: int = 0, words: str = "", size: tuple[int, int] = (320, 240), comment: str = "") -> bytes:
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    if words:
        draw.text((20, 60), words, fill="black", font=ImageFont.load_default(40))
    else:
        draw.ellipse((20 + 5 * seed, 30, 200, 200), fill="green")
    target = io.BytesIO()
    image.save(target, "JPEG", quality=80, comment=comment or f"seed {seed}")
    return target.getvalue()


def ref(path: str) -> ImageRef:
    return ImageRef(path, path=path)


class CountingPool(WorkerPool):
    """The real pool, counting what is asked of it."""

    asked = 0

    def ask(self, head: bytes, body: bytes, timeout: float) -> tuple[bytes, bytes]:
        type(self).asked += 1
        return super().ask(head, body, timeout)


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> type[CountingPool]:
    monkeypatch.setattr(image_opening, "WorkerPool", CountingPool)
    monkeypatch.setattr(CountingPool, "asked", 0)
    return CountingPool


@pytest.fixture
def worker_modules(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(Path(__file__).parent))


def results(futures: list[Future[ImageFacts]]) -> list[ImageFacts]:
    return [future.result(120) for future in futures]


def test_facts_of_an_image_are_complete(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(words="copper", size=(400, 200)))
    with ImagePipeline(tmp_path, TEXT, workers=1) as pipeline:
        facts = pipeline.submit(ref("a.jpg")).result(120)
    assert facts.error is None
    assert (facts.name, facts.format, facts.width, facts.height, facts.notes) == ("a.jpg", "JPEG", 400, 200, ())
    assert len(facts.digest) == 64
    assert isinstance(facts.phash, int)
    assert facts.ocr is not None
    assert [line.text.lower() for line in facts.ocr] == ["copper"]
    assert facts.thumbnail is not None
    thumbnail = Image.open(io.BytesIO(facts.thumbnail))
    assert (thumbnail.format, thumbnail.size) == ("JPEG", (160, 80))


def test_needs_decide_the_work(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture())
    with ImagePipeline(tmp_path, frozenset({Need.TEXT}), workers=1) as pipeline:
        header = pipeline.submit(ref("a.jpg")).result(60)
    assert (header.width, header.phash, header.thumbnail, header.ocr) == (320, None, None, None)
    with ImagePipeline(tmp_path, PIXELS, workers=1) as pipeline:
        pixels = pipeline.submit(ref("a.jpg")).result(60)
    assert pixels.digest == header.digest
    assert pixels.phash is not None
    assert pixels.thumbnail is not None
    assert pixels.ocr is None
    assert pixels.ocr_error is None


def test_equal_paths_and_equal_bytes_are_opened_once(tmp_path: Path, asked: type[CountingPool]) -> None:
    data = picture()
    for name in ("a.jpg", "b.jpg", "c.png"):
        (tmp_path / name).write_bytes(data)
    refs = [ref(name) for name in ("a.jpg", "b.jpg", "c.png", "a.jpg") * 10] + [ImageRef("row 1", data=data)] * 5
    with ImagePipeline(tmp_path, PIXELS, workers=2) as pipeline:
        facts = results([pipeline.submit(one) for one in refs])
        facts += results([pipeline.submit(one) for one in refs])
    assert asked.asked == 1
    assert {f.digest for f in facts} == {facts[0].digest}
    assert [f.name for f in facts] == [one.name for one in refs * 2]
    assert all((f.notes == ("wrong_extension",)) == (f.name == "c.png") for f in facts)


def test_a_second_scan_reads_and_hashes_only(tmp_path: Path, asked: type[CountingPool]) -> None:
    for i in range(6):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i, words=f"word {i}"))
    refs = [ref(f"{i}.jpg") for i in range(6)] + [ref("absent.jpg")]
    seen = []
    for _ in range(2):
        with FeatureStore(tmp_path / "store") as store, ImagePipeline(tmp_path, TEXT, store, workers=2) as pipeline:
            seen.append(results([pipeline.submit(one) for one in refs]))
            workers = pipeline.worker_pids()
    assert seen[0] == seen[1]
    assert asked.asked == 6
    assert workers == ()


def test_a_changed_file_is_not_answered_from_the_store(tmp_path: Path) -> None:
    for words in ("before", "after"):
        (tmp_path / "a.jpg").write_bytes(picture(words=words))
        with FeatureStore(tmp_path / "store") as store, ImagePipeline(tmp_path, TEXT, store, workers=1) as pipeline:
            lines = pipeline.submit(ref("a.jpg")).result(120).ocr
        assert lines is not None
        assert [line.text.lower() for line in lines] == [words]


def test_what_the_store_gives_obeys_the_limits(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture())
    kinds = []
    for limits in (ImageLimits(), ImageLimits(max_pixels=1000), ImageLimits()):
        with FeatureStore(tmp_path / "store") as store, ImagePipeline(tmp_path, PIXELS, store, limits, 1) as pipeline:
            error = pipeline.submit(ref("a.jpg")).result(60).error
            kinds.append(error.kind if error else None)
    assert kinds == [None, "too_large", None]


def test_text_is_added_to_what_an_earlier_scan_without_text_kept(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(words="later"))
    with FeatureStore(tmp_path / "store") as store:
        with ImagePipeline(tmp_path, PIXELS, store, workers=1) as pipeline:
            assert pipeline.submit(ref("a.jpg")).result(60).ocr is None
        with ImagePipeline(tmp_path, TEXT, store, workers=1) as pipeline:
            assert pipeline.submit(ref("a.jpg")).result(120).ocr
        with ImagePipeline(tmp_path, PIXELS, store, workers=1) as pipeline:
            assert pipeline.submit(ref("a.jpg")).result(60).ocr is None


def test_nonsense_in_the_store_is_worked_out_again(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture())

    class Nonsense(FeatureStore):
        def get(self, digests: Sequence[str], *_: str) -> dict[str, bytes]:
            return dict.fromkeys(digests, b'{"width": 3}\n')

    with Nonsense(tmp_path / "store") as store, ImagePipeline(tmp_path, PIXELS, store, workers=1) as pipeline:
        assert pipeline.submit(ref("a.jpg")).result(60).width == 320


def test_facts_remembered_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline_module, "_REMEMBERED", 10)
    for i in range(20):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    with ImagePipeline(tmp_path, PIXELS, workers=1) as pipeline:
        assert all(f.error is None for f in results([pipeline.submit(ref(f"{i}.jpg")) for i in range(20)]))
        assert len(pipeline._recent) <= 10
        assert pipeline._in_flight == {}


@pytest.mark.usefixtures("worker_modules")
def test_a_worker_that_dies_costs_its_image_only(tmp_path: Path) -> None:
    (tmp_path / "bad.jpg").write_bytes(picture(comment="DIE ALWAYS"))
    (tmp_path / "raises.jpg").write_bytes(picture(comment="RAISE"))
    for i in range(8):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    refs = [ref(name) for name in ("bad.jpg", "0.jpg", "1.jpg", "raises.jpg", *(f"{i}.jpg" for i in range(2, 8)))]
    with ImagePipeline(tmp_path, PIXELS, workers=2, worker_module="dying_worker") as pipeline:
        facts = {f.name: f for f in results([pipeline.submit(one) for one in refs])}
    errors = {name: f.error for name, f in facts.items() if f.error}
    assert {name: error.kind for name, error in errors.items()} == {"bad.jpg": "unreadable", "raises.jpg": "unreadable"}
    assert "SIGSEGV" in errors["bad.jpg"].detail
    assert "a fault of the worker's own" in errors["raises.jpg"].detail
    assert facts["bad.jpg"].digest


@pytest.mark.usefixtures("worker_modules")
def test_a_death_by_chance_is_forgiven(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    (tmp_path / "a.jpg").write_bytes(picture(comment=f"DIE ONCE {mark}|"))
    with ImagePipeline(tmp_path, PIXELS, workers=1, worker_module="dying_worker") as pipeline:
        assert pipeline.submit(ref("a.jpg")).result(60).error is None
    assert mark.exists()


@pytest.mark.usefixtures("worker_modules")
def test_an_image_that_only_kills_the_reader_of_text_keeps_its_pixels(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture(comment="DIE READING"))
    with FeatureStore(tmp_path / "store") as store:
        for _ in range(2):  # the failure is not kept as if it were a result
            with ImagePipeline(tmp_path, TEXT, store, workers=1, worker_module="dying_worker") as pipeline:
                facts = pipeline.submit(ref("a.jpg")).result(120)
            assert facts.error is None
            assert facts.phash is not None
            assert facts.ocr is None
            assert "SIGKILL" in (facts.ocr_error or "")


@pytest.mark.usefixtures("worker_modules")
def test_an_image_that_takes_for_ever_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_opening, "_SECONDS_AN_IMAGE", 0.3)
    (tmp_path / "a.jpg").write_bytes(picture(comment="HANG"))
    with ImagePipeline(tmp_path, PIXELS, workers=1, worker_module="dying_worker") as pipeline:
        error = pipeline.submit(ref("a.jpg")).result(60).error
    assert error is not None
    assert (error.kind, error.detail) == ("unreadable", "it took longer than 0.3 s")


def test_an_image_starts_no_thread(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for i in range(30):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    started: list[str] = []
    start = threading.Thread.start

    def count(thread: threading.Thread) -> None:
        started.append(thread.name)
        start(thread)

    with ImagePipeline(tmp_path, PIXELS, workers=1) as pipeline:
        pipeline.submit(ref("0.jpg")).result(60)
        monkeypatch.setattr(threading.Thread, "start", count)
        assert all(f.error is None for f in results([pipeline.submit(ref(f"{i}.jpg")) for i in range(1, 30)]))
    assert started == []


@pytest.mark.usefixtures("worker_modules")
def test_one_that_takes_too_long_costs_no_other_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_opening, "_SECONDS_AN_IMAGE", 2.0)
    for i in range(20):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i, comment="HANG" if i % 10 == 0 else ""))
    with ImagePipeline(tmp_path, PIXELS, workers=2, worker_module="dying_worker") as pipeline:
        found = results([pipeline.submit(ref(f"{i}.jpg")) for i in range(20)])
    assert [f.name for f in found if f.error] == ["0.jpg", "10.jpg"]


@pytest.mark.usefixtures("worker_modules")
def test_workers_that_cannot_start_are_said_not_raised(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture())
    with ImagePipeline(tmp_path, PIXELS, workers=1, worker_module="broken_worker") as pipeline:
        error = pipeline.submit(ref("a.jpg")).result(60).error
    assert error is not None
    assert "libGL.so.1" in error.detail


def test_a_fault_of_ours_reaches_the_caller(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(*_: Any) -> bytes:
        raise ZeroDivisionError

    monkeypatch.setattr(pipeline_module, "read_bytes", wrong)
    with ImagePipeline(tmp_path, PIXELS, workers=1) as pipeline:
        futures = [pipeline.submit(ref("a.jpg")) for _ in range(3)]
        for future in futures:
            with pytest.raises(ZeroDivisionError):
                future.result(60)


def test_names_of_no_image_do_not_hold_up_those_before_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def slowly(*given: Any) -> Any:
        time.sleep(0.01)
        return read_bytes(*given)

    monkeypatch.setattr(pipeline_module, "read_bytes", slowly)
    (tmp_path / "0.jpg").write_bytes(picture(0))
    with ImagePipeline(tmp_path, PIXELS, workers=1) as pipeline:
        pipeline.submit(ref("first")).result(60)
        futures = [pipeline.submit(ref(f"{i}.jpg")) for i in range(600)]
        futures[0].result(60)
        assert sum(future.done() for future in futures) < 300


def test_a_file_that_cannot_be_read_now_does_not_hold_up_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    goes_on = threading.Event()

    def hanging(one: ImageRef, *given: Any) -> Any:
        if one.name == "0.jpg":
            goes_on.wait(60)
        return read_bytes(one, *given)

    monkeypatch.setattr(pipeline_module, "read_bytes", hanging)
    for i in range(30):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i))
    with ImagePipeline(tmp_path, PIXELS, workers=2) as pipeline:
        futures = [pipeline.submit(ref(f"{i}.jpg")) for i in range(30)]
        assert all(future.result(60).error is None for future in futures[1:])
        assert not futures[0].done()
        goes_on.set()
        assert futures[0].result(60).error is None


@pytest.mark.parametrize("quick", [True, False])
def test_where_reading_is_quick_one_thread_reads_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick: bool
) -> None:
    lock, now, most = threading.Lock(), 0, 0

    def watched(*given: Any) -> Any:
        nonlocal now, most
        with lock:
            now += 1
            most = max(most, now)
        time.sleep(0.01)
        with lock:
            now -= 1
        return read_bytes(*given)

    monkeypatch.setattr(pipeline_module, "read_bytes", watched)
    monkeypatch.setattr(pipeline_module, "_QUICK_SECONDS", 60.0 if quick else 0.0)
    monkeypatch.setattr(pipeline_module, "_SECONDS_HELD_UP", 60.0)
    with ImagePipeline(tmp_path, PIXELS, workers=4) as pipeline:
        for future in [pipeline.submit(ref(f"{i}.jpg")) for i in range(80)]:
            future.result(60)
    assert (most == 1) is quick


@pytest.mark.parametrize("names", [("a.jpg",), ("a.jpg", "b.jpg")])
def test_what_is_read_while_it_is_closed_is_waited_for_by_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: tuple[str, ...]
) -> None:
    reading, closed = threading.Barrier(1 + len(names)), threading.Event()

    def slowly(*given: Any) -> Any:
        reading.wait(60)
        closed.wait(60)
        return read_bytes(*given)

    monkeypatch.setattr(pipeline_module, "read_bytes", slowly)
    monkeypatch.setattr(pipeline_module, "_SECONDS_TO_CLOSE", 0.1)
    for name in names:
        (tmp_path / name).write_bytes(picture(0))
    with ImagePipeline(tmp_path, PIXELS, workers=1) as pipeline:
        futures = [pipeline.submit(ref(name)) for name in names]
        reading.wait(60)
    closed.set()
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(60)


@pytest.mark.usefixtures("worker_modules")
def test_closing_waits_for_nothing_and_leaves_nothing(tmp_path: Path) -> None:
    for i in range(20):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i, comment=f"HANG {i}"))
    with ImagePipeline(tmp_path, PIXELS, workers=2, worker_module="dying_worker") as pipeline:
        futures = [pipeline.submit(ref(f"{i}.jpg")) for i in range(20)]
        while len(pids := pipeline.worker_pids()) < 2:
            time.sleep(0.01)
        begun = time.monotonic()
    assert time.monotonic() - begun < 4
    for future in futures:
        with pytest.raises(CancelledError):
            future.result(0)
    assert not any(psutil.pid_exists(pid) for pid in pids)
    pipeline.close()
    with pytest.raises(RuntimeError, match="closed"):
        pipeline.submit(ref("0.jpg"))


def test_a_cancelled_future_does_not_hold_up_its_twins(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").write_bytes(picture())
    with ImagePipeline(tmp_path, PIXELS, workers=1) as pipeline:
        first, second = pipeline.submit(ref("a.jpg")), pipeline.submit(ref("a.jpg"))
        first.cancel()
        assert second.result(60).error is None


def test_workers_default_to_the_cpus_at_hand(tmp_path: Path) -> None:
    assert 1 <= available_cpus() <= len(os.sched_getaffinity(0))
    with ImagePipeline(tmp_path, PIXELS) as pipeline:
        assert pipeline.workers == available_cpus()


PARENT = """
import json, sys, time
from pathlib import Path
from vsil_audit.detectors.base import Need
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.pair import ImageRef
sys.path.insert(0, sys.argv[2])
# no __main__ guard on purpose: a script of three lines must work
root = Path(sys.argv[1])
with ImagePipeline(root, frozenset({Need.PIXELS}), workers=2, worker_module="dying_worker") as pipeline:
    futures = [pipeline.submit(ImageRef(p.name, path=p.name)) for p in sorted(root.iterdir())]
    while len(pipeline.worker_pids()) < 2:
        time.sleep(0.01)
    print(json.dumps(pipeline.worker_pids()), flush=True)
    for future in futures:
        future.result()
"""


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_workers_end_with_their_parent_however_it_ends(tmp_path: Path, how: signal.Signals) -> None:
    for i in range(4):
        (tmp_path / f"{i}.jpg").write_bytes(picture(i, comment=f"HANG {i}"))
    command = [sys.executable, "-c", PARENT, str(tmp_path), str(Path(__file__).parent)]
    parent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True)
    assert parent.stdout is not None
    workers = [psutil.Process(pid) for pid in json.loads(parent.stdout.readline())]
    os.killpg(parent.pid, how)  # as a terminal does with Ctrl-C: to the whole group
    _, stderr = parent.communicate(timeout=120)
    _, alive = psutil.wait_procs(workers, timeout=60)
    assert alive == []
    if how is signal.SIGINT:
        assert stderr.count(b"Traceback") == 1  # the parent's own KeyboardInterrupt, and none of the workers'
        assert b"KeyboardInterrupt" in stderr


class MeanColours:
    """In the place of a CLIP model: a vector is the mean colour, at unit length."""

    batch = 4

    def stacked(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        return np.stack(pixels)

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        means = pixels.mean(axis=(1, 2), dtype=np.float32) + 1
        return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), np.float32)


class Vectors:
    """What a pipeline is given to make CLIP vectors, over one embedding store."""

    def __init__(self, folder: Path) -> None:
        self.preprocessing = Preprocessing(16, 16)
        self.store = EmbeddingStore(folder)
        self.images = ClipImages(MeanColours(), self.store.space("mean colours"))

    def close(self) -> None:
        self.images.close()
        self.store.close()


def test_an_image_whose_facts_and_clip_vector_are_kept_is_not_opened_again(
    tmp_path: Path, asked: type[CountingPool]
) -> None:
    (tmp_path / "a.jpg").write_bytes(picture())
    found = []
    for _ in range(2):
        with (
            FeatureStore(tmp_path / "features.sqlite") as store,
            closing(Vectors(tmp_path / "vectors")) as vectors,
            ImagePipeline(tmp_path, frozenset({Need.CLIP}), store, workers=1, clip=vectors) as pipeline,
        ):
            found.append(pipeline.submit(ref("a.jpg")).result(60))
    assert asked.asked == 1
    first, second = found
    assert (second.width, second.format, second.digest) == (first.width, first.format, first.digest)
    assert first.clip is not None
    assert second.clip is not None
    np.testing.assert_array_equal(second.clip, first.clip)
