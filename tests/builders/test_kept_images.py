"""What was made is not made again: by whichever build, after whatever end."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path

from PIL import Image

from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageRequest
from vsil_audit.builders.generators.kept import KeptImages


class Painter:
    """Paints a plain image, and counts."""

    paid = True

    def __init__(self, identity: str = "painter 1", *, fails: bool = False, data: bytes | None = None) -> None:
        self.identity, self.fails, self.data, self.calls = identity, fails, data, 0

    async def generate(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        self.calls += 1
        await asyncio.sleep(0.01)
        if self.fails:
            return GenerationFailure("transient", "no paint")
        target = io.BytesIO()
        Image.new("RGB", (8, 8), (request.seed % 256, 0, 0)).save(target, "PNG")
        return GeneratedImage(self.data or target.getvalue(), "PNG", "as asked")

    async def close(self) -> None: ...


def ask(painter: Painter, folder: Path, *requests: ImageRequest) -> list[GeneratedImage | GenerationFailure]:
    async def session() -> list[GeneratedImage | GenerationFailure]:
        kept = KeptImages(painter, folder)
        try:
            return list(await asyncio.gather(*map(kept.generate, requests)))
        finally:
            await kept.close()

    return asyncio.run(session())


GNOME = ImageRequest("a gnome", 1)


def test_a_second_session_makes_nothing(tmp_path: Path) -> None:
    first, second = Painter(), Painter()
    assert ask(first, tmp_path, GNOME) == ask(second, tmp_path, GNOME)
    assert (first.calls, second.calls) == (1, 0)


def test_equal_requests_at_once_are_one_image(tmp_path: Path) -> None:
    painter = Painter()
    made = ask(painter, tmp_path, GNOME, GNOME, GNOME)
    assert painter.calls == 1
    assert len(set(made)) == 1


def test_another_prompt_seed_size_or_maker_is_another_image(tmp_path: Path) -> None:
    painter, other = Painter(), Painter("painter 2")
    ask(
        painter,
        tmp_path,
        GNOME,
        ImageRequest("a lantern", 1),
        ImageRequest("a gnome", 2),
        ImageRequest("a gnome", 1, 64),
    )
    ask(other, tmp_path, GNOME)
    assert (painter.calls, other.calls) == (4, 1)


def test_failures_are_not_kept(tmp_path: Path) -> None:
    assert isinstance(ask(Painter(fails=True), tmp_path, GNOME)[0], GenerationFailure)
    assert isinstance(ask(Painter(), tmp_path, GNOME)[0], GeneratedImage)


def test_what_is_no_image_is_a_failure_and_not_kept(tmp_path: Path) -> None:
    failed = ask(Painter(data=b"<html>busy</html>"), tmp_path, GNOME)[0]
    assert isinstance(failed, GenerationFailure)
    assert failed.kind == "malformed"
    assert isinstance(ask(Painter(), tmp_path, GNOME)[0], GeneratedImage)


def test_an_image_that_was_changed_on_disk_is_made_again(tmp_path: Path) -> None:
    ask(Painter(), tmp_path, GNOME)
    (file,) = [path for path in (tmp_path / "images").rglob("*") if path.is_file()]
    file.write_bytes(file.read_bytes()[:-3] + b"xyz")
    painter = Painter()
    assert isinstance(ask(painter, tmp_path, GNOME)[0], GeneratedImage)
    assert painter.calls == 1
