"""A pair of the source with the bytes of its image, and the draft that it begins as."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from vsil_audit.builders.draft import BuiltImage, Draft
from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.protection import forbidden
from vsil_audit.features.facts import ImageError, ImageFacts
from vsil_audit.images import ImageLimits, read_bytes
from vsil_audit.pair import Pair

ON_THE_NETWORK = "its image is on the network, and fetched only with --allow-remote"
NO_IMAGE = "it has no image, so that its text is all there is"


@dataclass(frozen=True, slots=True)
class SourcePair:
    """`data`: the bytes of its image; None where it has none that opens, and then `trouble` says why, but for a pair
    that never had one."""

    pair: Pair
    facts: tuple[ImageFacts, ...]
    data: bytes | None
    trouble: str = ""


def source_pair(pair: Pair, facts: tuple[ImageFacts, ...], root: Path, limits: ImageLimits) -> SourcePair:
    """Read the pair's image. A finished set holds one image for each pair, so that a pair of several is no draft."""
    if not pair.images:
        return SourcePair(pair, facts, None)
    if len(pair.images) > 1:
        return SourcePair(pair, facts, None, f"it has several images: {len(pair.images)}, and a built pair has one")
    if facts[0].error is not None:
        fetched = pair.images[0].url is None or limits.allow_remote
        told = f"its image cannot be opened: {facts[0].error.detail}" if fetched else ON_THE_NETWORK
        return SourcePair(pair, facts, None, told)
    data = read_bytes(pair.images[0], root, limits)
    if isinstance(data, ImageError):
        return SourcePair(pair, facts, None, f"its image cannot be read any more: {data.detail}")
    return SourcePair(pair, facts, data)


def is_forbidden(subject: SourcePair) -> bool:
    """Whether its words, its category's or those in its image are of what is never built."""
    pair = subject.pair
    drawn = [line.text for facts in subject.facts for line in facts.ocr or ()]
    told = (pair.text, pair.description or "", pair.key_phrase or "", pair.subcategory or "", *drawn)
    return forbidden(*told, category=pair.category or "")


def draft_of(subject: SourcePair, out: BuildFolder) -> Draft:
    """The pair as it is, its image kept in the build folder."""
    pair = subject.pair
    image = None
    if subject.data is not None:
        facts = subject.facts[0]
        digest = out.keep_image(subject.data, facts.format)
        image = BuiltImage(digest, facts.format, "source", shows=pair.description or "")
    return Draft(
        id=pair.id,
        text=pair.text,
        image=image,
        description=pair.description or pair.key_phrase or "",
        category=pair.category,
        subcategory=pair.subcategory,
        label=pair.label or "unsafe",
        label_assumed=not pair.label,
        twin_of=pair.twin_of,
        source=pair,
    )
