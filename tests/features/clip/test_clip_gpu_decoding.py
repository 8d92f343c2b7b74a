"""JPEGs decoded where the model runs: nearly the same pixels, and in all else what a run without it has.

The device is the CPU here: torchvision decodes there by libjpeg, so that what a GPU does otherwise shows only there.
"""

from __future__ import annotations

import io
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("open_clip")
pytest.importorskip("torchvision")

from tiny_clip import save_tiny_clip

import vsil_audit
from vsil_audit.detectors.base import Need
from vsil_audit.errors import ConfigurationError
from vsil_audit.features.clip import gpu_decoding
from vsil_audit.features.clip.gpu_decoding import Jpeg, JpegDecoder, check_decoding
from vsil_audit.features.clip.in_use import ClipInUse
from vsil_audit.features.clip.model import ClipSettings, find_clip
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.facts import ImageFacts
from vsil_audit.features.image_opening import ImageOpener
from vsil_audit.features.pipeline import ImagePipeline
from vsil_audit.pair import ImageRef
from vsil_audit.runs import plan as planning
from vsil_audit.runs.plan import ScanOptions, plan_scan
from vsil_audit.runs.progress import Silent
from vsil_audit.sources.registry import open_source

pytestmark = pytest.mark.filterwarnings("ignore:.*TorchCodec:DeprecationWarning")

ONLY_CLIP = frozenset({Need.CLIP})


def photograph(seed: int, size: tuple[int, int] = (150, 110)) -> Image.Image:
    """Noise of several scales and a sharp edge."""
    rng = np.random.default_rng(seed)
    coarse = Image.fromarray(rng.integers(0, 256, (9, 12, 3), dtype=np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = np.asarray(coarse, np.float32) + rng.normal(0, 8, (size[1], size[0], 1))
    grain[:, : size[0] // 3] = 255 - grain[:, : size[0] // 3]
    return Image.fromarray(np.clip(grain, 0, 255).astype(np.uint8))


def saved(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    target = io.BytesIO()
    image.save(target, kind, **options)
    return target.getvalue()


def rotated() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(photograph(6), exif=exif)


def jpeg(image: Image.Image) -> Jpeg:
    return Jpeg(saved(image, quality=90), *image.size)


# pixels

WAYS = [
    Preprocessing(64, 64),
    Preprocessing(64, 64, interpolation="bilinear"),
    Preprocessing(48, 64),
    Preprocessing(64, 64, "squash"),
    Preprocessing(64, 48, "longest", fill=127),
]
SIZES = [(512, 512), (300, 170), (171, 301), (64, 64), (48, 64), (33, 20), (1000, 64), (70, 700), (1, 1)]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.version)
def test_pixels_are_those_of_the_worker_to_a_few_grey_levels(way: Preprocessing) -> None:
    files = [jpeg(photograph(i, size)) for i, size in enumerate(SIZES * 2)] + [jpeg(photograph(99).convert("L"))]
    apart = []
    for file, found in zip(files, JpegDecoder("cpu", way)(files), strict=True):
        assert found is not None
        exact = way.pixels(Image.open(io.BytesIO(file.data)).convert("RGB"))
        assert tuple(found.pixels.shape) == exact.shape
        apart.append(np.abs(found.pixels.numpy().astype(int) - exact))
    assert max(difference.max() for difference in apart) <= 8
    assert max(difference.mean() for difference in apart) <= 0.5
    assert apart[SIZES.index((64, 64))].max() == 0 or way.height != way.width, "what has its size is not resized"


def test_a_file_that_fails_costs_no_other_and_few_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    files = [jpeg(photograph(i)) for i in range(32)]
    files[13] = Jpeg(files[13].data[:150] + b"\xff\xd9", 150, 110)
    files[20] = Jpeg(files[20].data, 150, 111)  # not what its header says
    decoder = JpegDecoder("cpu", WAYS[0])
    asked, decode = [], decoder._decode
    monkeypatch.setattr(decoder, "_decode", lambda given, *how: asked.append(len(given)) or decode(given, *how))
    assert [i for i, found in enumerate(decoder(files)) if found is None] == [13, 20]
    assert len(asked) <= 2 * 5 + 1


def test_no_more_pixels_are_decoded_at_once_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu_decoding, "_PIXELS_AT_ONCE", 3 * 150 * 110)
    files = [jpeg(photograph(i)) for i in range(7)] + [jpeg(photograph(9, (600, 400))), jpeg(photograph(10))]
    decoder = JpegDecoder("cpu", WAYS[0])
    asked, decode = [], decoder._decode
    monkeypatch.setattr(decoder, "_decode", lambda given, *how: asked.append(len(given)) or decode(given, *how))
    found = decoder(files)
    assert asked == [3, 3, 1, 1, 1]
    assert all(one is not None for one in found)


def test_a_torchvision_that_decodes_nothing_is_told_of(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*_: Any) -> None:
        raise RuntimeError("decode_jpegs_cuda: torchvision not compiled with nvJPEG support")

    monkeypatch.setattr("torchvision.io.decode_jpeg", gone)
    with pytest.raises(ConfigurationError, match="not compiled with nvJPEG") as caught:
        JpegDecoder("cpu", WAYS[0])
    assert "--clip-decode" in caught.value.remedy


# the whole way


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_tiny_clip(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """24 plain JPEGs of two sizes, and one of each kind that goes the usual way or cannot be opened."""
    folder = tmp_path / "mixed"
    folder.mkdir()
    for i in range(24):
        (folder / f"plain-{i:02}.jpg").write_bytes(saved(photograph(i, (150, 110) if i % 2 else (90, 120))))
    others = {
        "grey.jpg": saved(photograph(30).convert("L")),
        "palette.png": saved(photograph(31).convert("P"), "PNG"),
        "progressive.jpg": saved(photograph(32), progressive=True),
        "cmyk.jpg": saved(photograph(33).convert("CMYK")),
        "rotated.jpg": rotated(),
        "misnamed.png": saved(photograph(34)),
        "line.jpg": saved(photograph(35, (2000, 2))),
        "truncated.jpg": saved(photograph(36))[:1500],
        "page.jpg": b"<html>404 Not Found</html>",
        "empty.jpg": b"",
        "no-table.jpg": saved(photograph(37)).replace(b"\xff\xdb", b"\xff\xef"),
    }
    for name, data in others.items():
        (folder / name).write_bytes(data)
    return folder


def facts_of(
    folder: Path, model: Path, cache: Path, decode: str, needs: frozenset[Need] = ONLY_CLIP
) -> tuple[dict[str, ImageFacts], float | None]:
    """Facts of the folder's images, and the error that is stated."""
    settings = ClipSettings(str(model), device="cpu", decode=decode, batch=8)
    with ClipInUse(settings, cache) as clip, ImagePipeline(folder, needs, workers=2, clip=clip) as pipeline:
        refs = [ImageRef(path.name, path=path.name) for path in sorted(folder.iterdir())]
        futures = [pipeline.submit(ref) for ref in refs]
        return {ref.name: future.result(120) for ref, future in zip(refs, futures, strict=True)}, clip.stated_error


def cosine(one: ImageFacts, two: ImageFacts) -> float:
    assert one.clip is not None
    assert two.clip is not None
    return float(one.clip @ two.clip / np.linalg.norm(one.clip) / np.linalg.norm(two.clip))


class Given:
    """The names of the files that decoders were given, and those that they are to fail on."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.names: list[str] = []
        self.failing: set[str] = set()
        self.compared = 0
        known = {path.read_bytes(): path.name for path in folder.iterdir()}
        call, decoded = JpegDecoder.__call__, JpegDecoder._decoded

        def called(decoder: JpegDecoder, files: Sequence[Jpeg]) -> Any:
            self.names += [known[file.data] for file in files]
            self.compared += sum(file.exact is not None for file in files)
            return call(decoder, files)

        def failing(decoder: JpegDecoder, files: Sequence[Jpeg]) -> Any:
            found = decoded(decoder, files)
            return [None if known[file.data] in self.failing else f for file, f in zip(files, found, strict=True)]

        monkeypatch.setattr(JpegDecoder, "__call__", called)
        monkeypatch.setattr(JpegDecoder, "_decoded", failing)


@pytest.fixture
def given(mixed: Path, monkeypatch: pytest.MonkeyPatch) -> Given:
    return Given(mixed, monkeypatch)


def test_a_mixed_set_has_the_facts_and_failures_that_it_has_without(
    mixed: Path, model: Path, tmp_path: Path, given: Given
) -> None:
    exact, no_error = facts_of(mixed, model, tmp_path / "exact", "cpu")
    assert given.names == []
    assert no_error is None
    found, stated = facts_of(mixed, model, tmp_path / "gpu", "gpu")
    plain = {name for name in exact if name.startswith("plain")} | {"grey.jpg", "misnamed.png"}
    assert set(given.names) == plain
    assert given.compared <= 16
    assert found == exact
    assert {name for name, facts in found.items() if facts.clip is None} == {
        "truncated.jpg", "page.jpg", "empty.jpg", "no-table.jpg",
    }  # fmt: skip
    assert all(cosine(found[name], exact[name]) > 0.99 for name in plain)
    for name in exact.keys() - plain:
        np.testing.assert_array_equal(found[name].clip, exact[name].clip)
    assert stated is not None
    assert 1e-7 < stated < 0.01


def test_what_cannot_be_decoded_there_is_opened_as_without(
    mixed: Path, model: Path, tmp_path: Path, given: Given
) -> None:
    exact, _ = facts_of(mixed, model, tmp_path / "exact", "cpu")
    given.failing = {f"plain-{i:02}.jpg" for i in (3, 4, 20, 21)} | {"grey.jpg"}
    found, _ = facts_of(mixed, model, tmp_path / "gpu", "gpu")
    assert given.failing < set(given.names)
    assert found == exact
    for name in given.failing:
        np.testing.assert_array_equal(found[name].clip, exact[name].clip)
    assert {name for name in exact if found[name].clip is None} == {name for name in exact if exact[name].clip is None}


def test_a_file_that_no_decoder_opens_has_the_error_of_the_worker(
    mixed: Path, model: Path, tmp_path: Path, given: Given, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As if something passed for plain that is not: the error still is the worker's."""
    exact, _ = facts_of(mixed, model, tmp_path / "exact", "cpu")
    given.failing = {"plain-00.jpg"}
    opened = ImageOpener.open

    def broken(opener: ImageOpener, data: bytes, wanted: Any, way: Preprocessing | None) -> Any:
        cut = data[:900] if data == (mixed / "plain-00.jpg").read_bytes() and way and not way.on_gpu else data
        return opened(opener, cut, wanted, way)

    monkeypatch.setattr(ImageOpener, "open", broken)
    found, _ = facts_of(mixed, model, tmp_path / "gpu", "gpu")
    error = found.pop("plain-00.jpg").error
    assert error is not None
    assert error.kind == "truncated"
    assert found == {name: facts for name, facts in exact.items() if name != "plain-00.jpg"}


def test_where_all_pixels_are_wanted_nothing_is_left_to_the_gpu(
    mixed: Path, model: Path, tmp_path: Path, given: Given
) -> None:
    found, stated = facts_of(mixed, model, tmp_path / "cache", "gpu", ONLY_CLIP | {Need.PIXELS})
    assert given.names == []
    assert stated is None
    assert found["plain-00.jpg"].phash is not None
    assert found["plain-00.jpg"].clip is not None


def test_vectors_that_are_not_exact_are_kept_apart(model: Path, mixed: Path, tmp_path: Path, given: Given) -> None:
    clip = find_clip(str(model))
    ways = [ClipSettings(device="cpu", decode=decode, draft=draft) for decode in ("cpu", "gpu") for draft in (0, 1)]
    assert len({clip.space(settings) for settings in ways}) == 4
    facts_of(mixed, model, tmp_path / "one", "gpu")
    times = len(given.names)
    _, stated = facts_of(mixed, model, tmp_path / "one", "gpu")
    assert stated is None, "none was made in that run"
    facts_of(mixed, model, tmp_path / "one", "cpu")
    assert len(given.names) == times


def test_a_pipeline_closed_meanwhile_ends(mixed: Path, model: Path, tmp_path: Path, given: Given) -> None:
    given.failing = {path.name for path in mixed.iterdir()}
    settings = ClipSettings(str(model), device="cpu", decode="gpu", batch=2)
    with ClipInUse(settings, tmp_path / "cache") as clip, ImagePipeline(mixed, ONLY_CLIP, workers=1, clip=clip) as pipe:
        futures = [pipe.submit(ImageRef(path.name, path=path.name)) for path in sorted(mixed.iterdir())]
        futures[-1].result(120)
        closing = threading.Thread(target=pipe.close)
        closing.start()
        closing.join(60)
        assert not closing.is_alive()
    assert all(future.done() for future in futures)


# what a run says


@pytest.fixture
def dataset(mixed: Path) -> Path:
    rows = "".join(f"q{i},What is in picture {i}?,{path.name}\n" for i, path in enumerate(sorted(mixed.iterdir())))
    (mixed / "data.csv").write_text(f"id,question,image\n{rows}")
    return mixed


class Remarks(Silent):
    def __init__(self) -> None:
        self.said: list[str] = []

    def remark(self, text: str) -> None:
        self.said.append(text)


def test_a_run_states_the_error_and_names_what_was_not_exact(
    dataset: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(planning, "check_decoding", lambda settings: None)  # which refuses a CPU
    clip, progress = ClipSettings(str(model), device="cpu", decode="gpu"), Remarks()
    options = ScanOptions(detectors=("clip_overlap",), clip=clip, output=tmp_path / "run", cache=tmp_path / "cache")
    audit = vsil_audit.scan(dataset, options=options, progress=progress)
    (said,) = [text for text in progress.said if text.startswith("CLIP with JPEGs decoded on the GPU: cosines to")]
    assert 0.99 < float(said.split()[-3]) <= 1
    assert " gpu;" in audit.folder.manifest().config.detector_options["clip_space"]


def test_beside_detectors_that_see_the_pixels_it_has_no_effect_and_that_is_said(dataset: Path, model: Path) -> None:
    options = ScanOptions(clip=ClipSettings(str(model), device="cuda", decode="gpu"), detectors=("clip_overlap",))
    alone = plan_scan(open_source(dataset), "set", options)
    beside = plan_scan(
        open_source(dataset), "set", ScanOptions(clip=options.clip, detectors=("clip_overlap", "hygiene"))
    )
    assert alone.notes == ()
    assert alone.clip == options.clip
    assert beside.clip == ClipSettings(str(model), device="cuda")
    assert "hygiene must see them too" in beside.notes[0]
    assert " gpu" not in beside.config.detector_options["clip_space"]


@pytest.mark.parametrize(
    ("settings", "says", "remedy"),
    [
        (ClipSettings(device="cpu", decode="gpu"), "that is the cpu here", "--clip-device"),
        (ClipSettings(device="cuda", decode="gpu", draft=True), "exclude each other", "one of them"),
        (ClipSettings(decode="tpu"), "not decoded by 'tpu'", "cpu or gpu"),
    ],
)
def test_what_makes_no_sense_is_refused(settings: ClipSettings, says: str, remedy: str) -> None:
    with pytest.raises(ConfigurationError, match=says) as caught:
        check_decoding(settings)
    assert remedy in caught.value.remedy
    check_decoding(ClipSettings(device="cuda:1", decode="gpu"))


def test_the_command_refuses_it_without_a_gpu(dataset: Path, model: Path) -> None:
    from click.testing import CliRunner

    from vsil_audit.cli.main import cli

    command = ["scan", str(dataset), "--clip", str(model), "--clip-decode", "gpu", "--clip-device", "cpu"]
    result = CliRunner().invoke(cli, [*command, "--detectors", "clip_overlap"])
    assert isinstance(result.exception, ConfigurationError)
    assert "--clip-decode gpu decodes images where the CLIP model runs" in result.exception.message


@pytest.mark.gpu
def test_on_a_gpu_pixels_are_near_too() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no GPU")
    files = [jpeg(photograph(i, size)) for i, size in enumerate(SIZES)]
    for file, found in zip(files, JpegDecoder("cuda", WAYS[0])(files), strict=True):
        exact = WAYS[0].pixels(Image.open(io.BytesIO(file.data)).convert("RGB"))
        assert found is not None
        assert np.abs(found.pixels.cpu().numpy().astype(int) - exact).mean() <= 4
