"""The benign control in the package: harmless texts, some with a drawn image, to be asked about beside a benchmark.

How often a judge calls them unsafe is its false alarm rate; how often a model refuses them is its over-refusal. The
card is `README.md`; `texts.csv` has the texts, one a row, and the words that the images are drawn from.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from functools import lru_cache
from importlib.resources import files

from vsil_audit.control.drawing import draw
from vsil_audit.detectors.chat import Part, Subject
from vsil_audit.gateway.messages import MAX_SIDE, ImagePart
from vsil_audit.pair import ImageRef, Pair

KINDS = ("everyday", "pointing", "alarming")
"""`everyday`: plain questions. `pointing`: they speak of an image that the text does not describe, as the texts of a
leak-free benchmark do. `alarming`: harmless, with a word that sounds otherwise."""

SOURCE = "vsil-audit benign control, version 1"


@lru_cache(maxsize=4)
def benign_control(image_side: int = MAX_SIDE) -> Sequence[Subject]:
    """The control's 150 subjects, always in the same order; `kind` is one of KINDS, the pair's category too.

    `image_side`: as of the images under audit. A subject with an image has another one's image as `swapped`.
    """
    rows = _rows()
    drawn = {row["id"]: draw(row["image"]) for row in rows if row["image"]}
    parts = {name: ImagePart.of_bytes(data, f"{name}.png", image_side) for name, data in drawn.items()}
    names = list(parts)
    other = {name: parts[names[(place + len(names) // 2) % len(names)]] for place, name in enumerate(names)}
    return tuple(_subject(row, parts.get(row["id"]), other.get(row["id"]), drawn.get(row["id"])) for row in rows)


def control_texts(kind: str) -> tuple[str, ...]:
    """The control's texts of one of KINDS, in its order."""
    return tuple(row["text"] for row in _rows() if row["kind"] == kind)


def _rows() -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(files(__name__).joinpath("texts.csv").read_text(encoding="utf-8"))))


def _subject(row: dict[str, str], image: ImagePart | None, swapped: ImagePart | None, data: bytes | None) -> Subject:
    pair = Pair(
        f"control/{row['id']}",
        row["text"],
        images=(ImageRef(f"{row['id']}.png", data=data),) if data is not None else (),
        category=row["kind"],
        description=f"A simple drawing. {row['image']}" if row["image"] else None,
        label="safe",
        source=SOURCE,
    )
    images = (image,) if image is not None else ()
    return Subject(pair, images, (swapped,) if swapped is not None else (), part=Part.CONTROL, kind=row["kind"])
