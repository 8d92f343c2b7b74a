"""A finished build as one HTML page that opens from disk: before and after, gates, proof, cost, a sample of pairs."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass

from PIL import Image

from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.record import Fate, Record
from vsil_audit.builders.seeds import seed_of
from vsil_audit.builders.selection import finished_records, twin_of
from vsil_audit.builders.summary import BuildSummary
from vsil_audit.images import DecodedImage, ImageLimits, decode
from vsil_audit.reporting.numbers import spent
from vsil_audit.reporting.page import json_for_script, render_page

MOST_SHOWN = 18
_SIDE = 320

FATES = {
    "kept": "did not leak; passed on as they were",
    "built": "made or rewritten, and through every gate",
    "rejected": "stopped by a gate",
    "undecided": "nobody could say: a judge, an editor or a generator failed, or no detector could look",
    "unfixed": "could not be rewritten, or cannot be in the set as they are",
}
"""What became of pairs, in words."""


@dataclass(frozen=True, slots=True)
class Shown:
    """A pair of the gallery. `shot`: its place among the thumbnails; None where it has none."""

    record: Record
    shot: int | None
    is_twin: bool

    @property
    def before(self) -> str:
        """What the query was, where it was another one."""
        source = self.record.source_text
        return source if source and source != self.record.draft.text else ""


def render_build(folder: BuildFolder, summary: BuildSummary, most: int = MOST_SHOWN) -> str:
    """The page of the set in `folder`. At most `most` scenarios are shown, each with its twins."""
    shots = _Shots(folder)
    gallery = [[_shown(record, shots) for record in scenario] for scenario in _sample(folder, most)]
    return render_page(
        "build.html.j2",
        styles=("page.css", "report.css", "build.css"),
        scripts=("page.js", "gallery.js"),
        summary=summary,
        manifest=folder.manifest(),
        fates=[(name, FATES[name], count) for name, count in summary.fates.items() if count],
        gallery=gallery,
        scenarios=summary.emitted - summary.twins,
        spent=spent(summary.spend),
        shot_data=json_for_script(shots.data),
    )


def _sample(folder: BuildFolder, most: int) -> list[list[Record]]:
    """Scenarios at random: rewritten ones first, at least a quarter passed on as they were where there are so many."""
    scenarios: dict[str, list[Record]] = {}
    for record in finished_records(folder):
        scenarios.setdefault(twin_of(record) or record.draft.id, []).append(record)
    drawn = sorted(scenarios.values(), key=lambda found: seed_of(0, found[0].draft.id))
    built = [found for found in drawn if found[0].fate is Fate.BUILT]
    kept = [found for found in drawn if found[0].fate is not Fate.BUILT]
    few_kept = kept[: max(most // 4, most - len(built))]
    return [*built[: most - len(few_kept)], *few_kept]


def _shown(record: Record, shots: _Shots) -> Shown:
    return Shown(record, shots.place_of(record), bool(twin_of(record)))


class _Shots:
    """Small JPEGs, each image once."""

    def __init__(self, folder: BuildFolder) -> None:
        self._folder = folder
        self._places: dict[str, int | None] = {}
        self.data: list[str] = []

    def place_of(self, record: Record) -> int | None:
        image = record.draft.image
        if image is None:
            return None
        if image.digest not in self._places:
            jpeg = self._jpeg(image.digest, image.format)
            self._places[image.digest] = None if jpeg is None else len(self.data)
            self.data += [] if jpeg is None else [base64.b64encode(jpeg).decode("ascii")]
        return self._places[image.digest]

    def _jpeg(self, digest: str, image_format: str) -> bytes | None:
        try:
            data = self._folder.image_file(digest, image_format).read_bytes()
        except OSError:
            return None
        found = decode(data, digest, ImageLimits(), reduce_to=_SIDE)
        if not isinstance(found, DecodedImage):
            return None
        pixels = found.pixels.copy()
        pixels.thumbnail((_SIDE, _SIDE), Image.Resampling.BOX)
        target = io.BytesIO()
        pixels.save(target, "JPEG", quality=72)
        return target.getvalue()
