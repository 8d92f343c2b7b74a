"""Vectors of images: each made once, in batches, by one thread, from the pixels that a full decode gives."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from types import NoneType

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

from vsil_audit.detectors.base import Need
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.clip import images as images_module
from vsil_audit.features.clip.images import ClipImages
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.embeddings.store import EmbeddingStore
from vsil_audit.features.examine import Work, examine
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.ocr import MAX_SIDE, OcrReader
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.features.store import FeatureStore
from vsil_audit.images import ImageLimits, decode
from vsil_audit.pair import ImageRef

SMALL = Preprocessing(height=16, width=16)
PIXELS = frozenset({Need.PIXELS})
LIMITS = ImageLimits()


@dataclass
class MeanColours:
    """An encoder whose vector of an image is its mean colour; remembers what it was given, batch by batch."""

    batch: int = 4
    batches: list[int] = field(default_factory=list)
    open_for_work: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.open_for_work.set()

    def stacked(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        return np.stack(pixels)

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        self.open_for_work.wait(60)
        self.batches.append(len(pixels))
        means = pixels.mean(axis=(1, 2)).astype(np.float32)
        return means / np.linalg.norm(means, axis=1, keepdims=True)


class Unloadable:
    @property
    def batch(self) -> int:
        raise ConfigurationError("the model cannot be loaded", "Name another.")

    def stacked(self, pixels: Sequence[npt.NDArray[np.uint8]]) -> npt.NDArray[np.uint8]:
        raise AssertionError("it was never loaded")

    def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
        raise AssertionError("it was never loaded")


@dataclass
class InUse:
    images: ClipImages
    preprocessing: Preprocessing = SMALL


def one_colour(red: int, size: tuple[int, int] = (64, 48), form: str = "PNG") -> bytes:
    target = io.BytesIO()
    Image.new("RGB", size, (red, 90, 30)).save(target, form)
    return target.getvalue()


def pixels_of(red: int) -> npt.NDArray[np.uint8]:
    return np.full((16, 16, 3), (red, 90, 30), np.uint8)


def digest(number: int) -> str:
    return f"{number:064x}"


def refs(*names: str) -> list[ImageRef]:
    return [ImageRef(name, path=name) for name in names]


def results(pipeline: ImagePipeline, wanted: Sequence[ImageRef]) -> list[ImageFacts]:
    return [future.result(60) for future in [pipeline.submit(ref) for ref in wanted]]


# the queue and its thread


def test_vectors_come_in_batches_and_belong_to_their_images(tmp_path: Path) -> None:
    encoder = MeanColours()
    encoder.open_for_work.clear()
    with ClipImages(encoder, EmbeddingStore(tmp_path).space("colours")) as images:
        for _ in range(10):
            images.expect()
        futures = [images.submit(digest(i), pixels_of(20 * i)) for i in range(10)]
        for _ in range(10):
            images.arrived()
        encoder.open_for_work.set()
        vectors = [future.result(60) for future in futures]
    assert encoder.batches == [4, 4, 2]
    for i, vector in enumerate(vectors):
        expected = np.array([20 * i, 90, 30]) / np.linalg.norm([20 * i, 90, 30])
        assert np.abs(vector - expected).max() < 1e-3
        assert np.array_equal(vector, vector.astype(np.float16).astype(np.float32)), "as the store gives it back"


def test_a_batch_is_waited_for_while_more_is_on_its_way(tmp_path: Path) -> None:
    encoder = MeanColours()
    with ClipImages(encoder, EmbeddingStore(tmp_path).space("colours")) as images:
        for _ in range(4):
            images.expect()
        first = [images.submit(digest(i), pixels_of(i)) for i in range(2)]
        time.sleep(0.2)
        assert encoder.batches == []
        last = [images.submit(digest(i), pixels_of(i)) for i in range(2, 4)]
        for future in (*first, *last):
            future.result(60)
    assert encoder.batches == [4]


def test_an_image_that_does_not_come_after_all_holds_nothing_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(images_module, "_PATIENCE", 60.0)
    encoder = MeanColours()
    with ClipImages(encoder, EmbeddingStore(tmp_path).space("colours")) as images:
        images.expect()
        images.expect()
        future = images.submit(digest(1), pixels_of(1))
        images.arrived()
        images.arrived()
        future.result(30)  # sooner than patience would end
        monkeypatch.setattr(images_module, "_PATIENCE", 0.1)
        images.expect()
        late = images.submit(digest(2), pixels_of(2))
        late.result(60)  # a slow one on its way is waited for, but not for ever
    assert encoder.batches == [1, 1]


def test_the_queue_is_bounded(tmp_path: Path) -> None:
    encoder = MeanColours(batch=2)
    encoder.open_for_work.clear()
    submitted = 0

    def fill() -> None:
        nonlocal submitted
        for i in range(200):
            images.submit(digest(i), pixels_of(1))
            submitted += 1

    with ClipImages(encoder, EmbeddingStore(tmp_path).space("colours")) as images:
        thread = threading.Thread(target=fill)
        thread.start()
        time.sleep(0.5)
        waiting = submitted
        encoder.open_for_work.set()
        thread.join(60)
    assert 2 <= waiting < 100
    assert submitted == 200


class Refusing:
    """A store that takes its time with the first vector, and refuses some."""

    def __init__(self, refused: set[str], patience: threading.Event | None = None) -> None:
        self.refused, self.patience = refused, patience

    def get(self, digests: Sequence[str]) -> Rows:
        return Rows(np.zeros((0, 3), np.float32), np.zeros(len(digests) + 1, np.int64))

    def put(self, of: str, vectors: npt.NDArray[np.floating]) -> None:
        if self.patience is not None:
            self.patience.wait(60)
        if of in self.refused:
            raise MemoryError("there is no room")


def test_a_vector_that_cannot_be_kept_is_told_and_costs_no_other() -> None:
    with ClipImages(MeanColours(), Refusing({digest(2)})) as images:
        futures = [images.submit(digest(i), pixels_of(i)) for i in range(12)]
        errors = [future.exception(60) for future in futures]
    assert [type(error) for error in errors] == [NoneType, NoneType, MemoryError, *[NoneType] * 9]


def test_a_slow_store_holds_up_the_encoder_before_memory_is_full() -> None:
    encoder, patience = MeanColours(), threading.Event()
    with ClipImages(encoder, Refusing(set(), patience)) as images:
        thread = threading.Thread(target=lambda: [images.submit(digest(i), pixels_of(1)) for i in range(400)])
        thread.start()
        time.sleep(0.5)
        encoded = sum(encoder.batches)
        patience.set()
        thread.join(60)
    assert encoded < 40


def test_what_was_made_before_is_kept(tmp_path: Path) -> None:
    with EmbeddingStore(tmp_path) as store, ClipImages(MeanColours(), store.space("colours")) as images:
        made = images.submit(digest(7), pixels_of(200)).result(60)
        assert images.kept([digest(8)]) == [None]
    with EmbeddingStore(tmp_path) as store, ClipImages(Unloadable(), store.space("colours")) as images:
        kept, missing = images.kept([digest(7), digest(8)])
    assert missing is None
    assert kept is not None
    assert np.array_equal(kept, made)


def test_an_encoder_that_cannot_be_loaded_is_the_error_of_every_vector(tmp_path: Path) -> None:
    with ClipImages(Unloadable(), EmbeddingStore(tmp_path).space("none")) as images:
        futures = [images.submit(digest(i), pixels_of(i)) for i in range(5)]
        for future in futures:
            with pytest.raises(ConfigurationError, match="cannot be loaded"):
                future.result(60)


def test_other_work_with_the_model_is_done_in_the_same_thread(tmp_path: Path) -> None:
    def fails() -> None:
        raise ZeroDivisionError

    with ClipImages(MeanColours(), EmbeddingStore(tmp_path).space("colours")) as images:
        assert images.run(lambda: threading.current_thread().name).result(60) == "clip"
        with pytest.raises(ZeroDivisionError):
            images.run(fails).result(60)
        assert images.submit(digest(1), pixels_of(1)).result(60).shape == (3,)


def test_closing_cancels_what_was_not_begun_and_lets_go_who_waits_for_room(tmp_path: Path) -> None:
    encoder = MeanColours(batch=2)
    encoder.open_for_work.clear()
    images = ClipImages(encoder, EmbeddingStore(tmp_path).space("colours"))
    futures: list[Future[npt.NDArray[np.float32]]] = []
    thread = threading.Thread(target=lambda: futures.extend(images.submit(digest(i), pixels_of(1)) for i in range(200)))
    thread.start()
    time.sleep(0.2)
    jobs = [images.run(lambda: "too late") for _ in range(3)]
    threading.Timer(0.2, encoder.open_for_work.set).start()
    images.close()
    thread.join(10)
    assert not thread.is_alive()
    assert len(futures) == 200
    assert all(future.done() for future in futures)
    assert sum(future.cancelled() for future in futures) > 190
    assert all(job.cancelled() for job in jobs)
    images.close()


# in the pipeline


def test_each_image_is_opened_once_and_encoded_once(tmp_path: Path) -> None:
    for i in range(6):
        (tmp_path / f"{i}.png").write_bytes(one_colour(40 * i))
        (tmp_path / f"copy of {i}.png").write_bytes(one_colour(40 * i))
    wanted = refs(*(f"{kind}{i}.png" for _ in range(3) for i in range(6) for kind in ("", "copy of ")))
    encoder = MeanColours()
    with FeatureStore(tmp_path / "features") as store, EmbeddingStore(tmp_path / "vectors") as vectors:
        clip = InUse(ClipImages(encoder, vectors.space("colours")))
        with ImagePipeline(tmp_path, PIXELS, store, workers=2, clip=clip) as pipeline:
            found = results(pipeline, wanted)
    assert sum(encoder.batches) == 6
    for i, facts in enumerate(found):
        red = 40 * (i // 2 % 6)
        assert facts.phash is None, "one colour has no hash"
        assert facts.clip is not None
        assert abs(facts.clip[0] - red / np.linalg.norm([red, 90, 30])) < 1e-3


def test_facts_and_vectors_are_kept_apart_and_only_what_is_missing_is_worked_out(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(one_colour(200))
    features, vectors = tmp_path / "features", tmp_path / "vectors"
    encoded, asked, seen = [], [], []
    for clip_wanted, forget in ((False, ""), (True, ""), (True, ""), (True, "features"), (True, "vectors")):
        if forget == "features":
            features.unlink()
        if forget == "vectors":
            vectors = tmp_path / "others"
        encoder = MeanColours()
        with FeatureStore(features) as store, EmbeddingStore(vectors) as kept:
            clip = InUse(ClipImages(encoder, kept.space("colours"))) if clip_wanted else None
            with ImagePipeline(tmp_path, PIXELS, store, workers=1, clip=clip) as pipeline:
                seen.append(pipeline.submit(refs("a.png")[0]).result(60))
                asked.append(len(pipeline.worker_pids()))
        encoded.append(sum(encoder.batches))
    assert encoded == [0, 1, 0, 0, 1]
    assert asked == [1, 1, 0, 1, 1], "processes that were needed"
    assert all(facts == seen[0] for facts in seen)
    assert [facts.clip is not None for facts in seen] == [False, True, True, True, True]
    assert all(np.array_equal(facts.clip, seen[1].clip) for facts in seen[2:] if facts.clip is not None)


def test_an_image_that_cannot_be_opened_has_no_vector_and_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "good.png").write_bytes(one_colour(200))
    (tmp_path / "cut.png").write_bytes(one_colour(210)[:60])
    for needs in (PIXELS, frozenset({Need.TEXT})):
        encoder = MeanColours()
        clip = InUse(ClipImages(encoder, EmbeddingStore(tmp_path / "vectors" / str(len(needs))).space("colours")))
        with ImagePipeline(tmp_path, needs, None, workers=1, clip=clip) as pipeline:
            good, cut, absent = results(pipeline, refs("good.png", "cut.png", "absent.png"))
        assert good.clip is not None
        assert [cut.clip, absent.clip] == [None, None]
        assert [facts.error.kind for facts in (cut, absent) if facts.error] == ["truncated", "missing"]


def test_an_encoder_that_breaks_is_told_by_every_future_and_closing_does_not_hang(tmp_path: Path) -> None:
    for i in range(12):
        (tmp_path / f"{i}.png").write_bytes(one_colour(i))
    clip = InUse(ClipImages(Unloadable(), EmbeddingStore(tmp_path / "vectors").space("none")))
    with ImagePipeline(tmp_path, PIXELS, None, workers=2, clip=clip) as pipeline:
        futures = [pipeline.submit(ref) for ref in refs(*(f"{i}.png" for i in range(12)))]
        for future in futures:
            with pytest.raises(ConfigurationError, match="cannot be loaded"):
                future.result(60)


def test_a_vector_that_is_no_number_is_none_and_the_reason_is_said(tmp_path: Path) -> None:
    class Black(MeanColours):
        def encode_images(self, pixels: npt.NDArray[np.uint8]) -> npt.NDArray[np.float32]:
            vectors = super().encode_images(pixels)
            vectors[pixels[:, 0, 0, 0] == 0] = np.nan
            return vectors

    (tmp_path / "black.png").write_bytes(one_colour(0))
    (tmp_path / "red.png").write_bytes(one_colour(200))
    clip = InUse(ClipImages(Black(), EmbeddingStore(tmp_path / "vectors").space("colours")))
    with ImagePipeline(tmp_path, PIXELS, None, workers=1, clip=clip) as pipeline:
        black, red = results(pipeline, refs("black.png", "red.png"))
    assert (black.clip, black.error) == (None, None)
    assert "not finite" in (black.clip_error or "")
    assert red.clip is not None


# what the model sees


def photograph(width: int, height: int) -> bytes:
    rng = np.random.default_rng(5)
    small = Image.fromarray(rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8))
    target = io.BytesIO()
    small.resize((width, height), Image.Resampling.BICUBIC).save(target, "JPEG", quality=90)
    return target.getvalue()


@pytest.mark.parametrize("width", [600, MAX_SIDE + 700])
def test_clip_sees_the_full_decode_and_the_other_facts_stay_as_they_are(width: int) -> None:
    data = photograph(width, width * 3 // 4)
    without = examine(data, LIMITS, Work.PIXELS, OcrReader())
    found = examine(data, LIMITS, Work.PIXELS, OcrReader(), SMALL)
    whole = decode(data, "", LIMITS)
    assert found.facts == without.facts
    assert without.clip is None
    assert found.clip is not None
    assert np.array_equal(found.clip, SMALL.pixels(whole.pixels))  # type: ignore[union-attr]  # it is an image
    alone = examine(data, LIMITS, Work.HEADER, OcrReader(), SMALL)
    assert np.array_equal(alone.clip, found.clip)  # type: ignore[arg-type]  # both are there


def test_a_draft_gives_the_same_pixels_whatever_else_is_wanted() -> None:
    data, draft = photograph(1600, 1200), Preprocessing(height=64, width=64, draft=True)
    alone = examine(data, LIMITS, Work.HEADER, OcrReader(), draft)
    beside = examine(data, LIMITS, Work.PIXELS, OcrReader(), draft)
    exact = examine(data, LIMITS, Work.PIXELS, OcrReader(), Preprocessing(height=64, width=64))
    seen = [found.clip.astype(int) for found in (alone, beside, exact) if found.clip is not None]
    assert len(seen) == 3
    assert np.array_equal(seen[0], seen[1])
    assert 0 < np.abs(seen[0] - seen[2]).mean() < 4
    assert beside.facts == exact.facts


def test_an_image_of_one_line_costs_no_memory_and_no_other_fact() -> None:
    data = one_colour(200, (60_000, 1))
    found = examine(data, LIMITS, Work.PIXELS, OcrReader(), Preprocessing())
    assert found.clip is None
    assert "too long and narrow" in (found.facts.clip_error or "")
    assert (found.facts.width, found.facts.error) == (60_000, None)
