"""Which JPEGs are plain, and that what is plain is sound: a decoder may be given them that does not tell of damage."""

from __future__ import annotations

import io
import random

import numpy as np
import pytest
from PIL import Image

from vsil_audit.images import DecodedImage, ImageLimits, decode, is_plain_jpeg


def picture(size: tuple[int, int] = (96, 64)) -> Image.Image:
    small = Image.fromarray(np.random.default_rng(3).integers(0, 256, (6, 9, 3), dtype=np.uint8))
    return small.resize(size, Image.Resampling.BICUBIC)


def jpeg(image: Image.Image | None = None, **options: object) -> bytes:
    target = io.BytesIO()
    (image or picture()).save(target, "JPEG", **options)
    return target.getvalue()


def thumbnail_inside(data: bytes) -> bytes:
    """With an application segment that holds a whole JPEG, as EXIF does."""
    inner = jpeg(picture((16, 16)))
    return data[:2] + b"\xff\xe1" + (len(inner) + 2).to_bytes(2, "big") + inner + data[2:]


PLAIN = {
    "as Pillow writes it": jpeg(),
    "grey": jpeg(picture().convert("L")),
    "colours at full size": jpeg(subsampling=0),
    "colours at half the width": jpeg(subsampling=1),
    "its own codes": jpeg(optimize=True),
    "restarts": jpeg(restart_marker_rows=1),
    "one pixel": jpeg(picture((1, 1))),
    "a comment": jpeg(comment=b"\xff\xd8\xff\xda\xff\xd9"),
    "a thumbnail": thumbnail_inside(jpeg()),
}
NOT_PLAIN = {
    "nothing": b"",
    "a PNG": b"\x89PNG\r\n\x1a\n" + jpeg(),
    "progressive": jpeg(progressive=True),
    "CMYK": jpeg(picture().convert("CMYK")),
    "RGB": jpeg(keep_rgb=True),
    "something behind it": jpeg() + b"\x00",
    "another JPEG behind it": jpeg() + jpeg(),
    "an early end": jpeg()[:-40] + b"\xff\xd9" + jpeg()[-40:],
    "cut in its thumbnail": thumbnail_inside(jpeg())[: 6 + len(jpeg(picture((16, 16))))],
    "no codes": jpeg().replace(b"\xff\xc4", b"\xff\xef"),
    "no quantization": jpeg().replace(b"\xff\xdb", b"\xff\xef"),
    "twelve bits": jpeg().replace(b"\xff\xc0\x00\x11\x08", b"\xff\xc0\x00\x11\x0c"),
    "no height": jpeg().replace(b"\xff\xc0\x00\x11\x08\x00\x40", b"\xff\xc0\x00\x11\x08\x00\x00"),
    "arithmetic codes": jpeg().replace(b"\xff\xc0", b"\xff\xc9"),
}


@pytest.mark.parametrize("data", PLAIN.values(), ids=PLAIN)
def test_plain(data: bytes) -> None:
    assert is_plain_jpeg(data)
    assert isinstance(decode(data, "", ImageLimits()), DecodedImage)


@pytest.mark.parametrize("data", NOT_PLAIN.values(), ids=NOT_PLAIN)
def test_not_plain(data: bytes) -> None:
    assert not is_plain_jpeg(data)


@pytest.mark.parametrize("data", [PLAIN["as Pillow writes it"], PLAIN["a thumbnail"], PLAIN["restarts"]])
def test_no_file_that_is_cut_short_is_plain(data: bytes) -> None:
    assert not any(is_plain_jpeg(data[:n]) for n in range(len(data)))


def test_what_is_plain_after_any_change_is_opened_by_pillow_without_complaint() -> None:
    rng, good = random.Random(0), (jpeg(quality=30), jpeg(picture().convert("L"), optimize=True))
    still_plain = 0
    for number in range(6000):
        changed = bytearray(good[number % 2])
        for _ in range(rng.randint(1, 3)):
            place = rng.randrange(2, len(changed) if number % 3 else 620)
            changed[min(place, len(changed) - 1)] = rng.choice((0, 1, 0xFF, rng.randrange(256)))
        if is_plain_jpeg(bytes(changed)):
            still_plain += 1
            assert isinstance(decode(bytes(changed), "", ImageLimits()), DecodedImage), bytes(changed).hex()
    assert still_plain > 1000
