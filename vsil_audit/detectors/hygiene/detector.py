"""What is wrong with the data itself, before any question of leakage: one finding per problem."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import ClassVar

import numpy as np

from vsil_audit.detectors.base import Batch, DetectorSpec, Lens, Need, Readiness, SetContext, Unit
from vsil_audit.detectors.hygiene import labels, lookalikes, repeats
from vsil_audit.detectors.hygiene.census import Census
from vsil_audit.detectors.hygiene.kinds import IMAGE_ERRORS, ISSUE_KINDS
from vsil_audit.detectors.hygiene.links import Link, Links, Names
from vsil_audit.detectors.hygiene.set_level import set_findings
from vsil_audit.detectors.hygiene.spots import Spot, as_evidence
from vsil_audit.detectors.hygiene.templates import FrameUse
from vsil_audit.detectors.hygiene.texts import text_spots
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import Evidence, Finding, Json, Pair, Scored, Verdict

_NOT_A_PROBLEM = frozenset({"remote_not_fetched"})
_FORM_SHARE = 0.5
_FORM_PAIRS = 10
_WITHOUT_IMAGE = 0.5


class Hygiene:
    """Images that cannot be used, queries that are not queries, repetition, contradiction and imbalance."""

    spec: ClassVar[DetectorSpec] = DetectorSpec(
        name="hygiene",
        asks="Is the data itself sound: images, queries, repetition, labels?",
        lens=Lens.HYGIENE,
        unit=Unit.ISSUES,
        needs=frozenset({Need.TEXT, Need.PIXELS}),
        value="1 for a problem of a pair, similarity in [0, 1] for a near-duplicate; of the set: in each metric's unit",
        limits=(
            "Looks at form, not at meaning: paraphrases are not near-duplicates, another language in the same script "
            "is not noticed, and images count as alike by a 64-bit perceptual hash."
        ),
    )

    def __init__(self) -> None:
        self._census = Census()
        self._links: list[Links] = []
        self._names = Names(np.empty(0, dtype=np.int32))
        self._set_wide: dict[str, int] = {}
        self._median_length = 0.0
        self._set_findings: list[Finding] = []

    @classmethod
    def readiness(cls) -> Readiness:
        """Always: it needs nothing but the package."""
        return Readiness(ready=True)

    def prepare(self, context: SetContext) -> None:
        """Streaming passes: the census, near-duplicate texts (two or more), names of what is referred to."""
        census = self._census
        for batch in context.read():
            census.add(batch)
        self._median_length = census.median_length
        least = max(_FORM_PAIRS, _FORM_SHARE * census.n_texts)
        self._set_wide = {kind: count for kind, count in sorted(census.forms.items()) if count >= least}

        frames = FrameUse(census.frames.candidates())
        texts = repeats.repeated_texts(census, census.frames.common(), context.read, frames.add)
        near_images, n_alike = lookalikes.near_duplicate_images(census)
        overlap, shared = repeats.split_overlap(census)
        self._links = [
            repeats.duplicate_pairs(census),
            texts.same,
            texts.near,
            near_images,
            repeats.contradictions(census, census.labels, "contradictory_label"),
            repeats.contradictions(census, census.categories, "contradictory_category"),
            overlap,
            *self._label_links(),
        ]
        self._set_findings = list(
            set_findings(
                census,
                frames=frames.frequent(census.n_texts),
                set_wide=self._set_wide,
                texts=texts,
                alike=n_alike,
                shared_by_splits=shared,
            )
        )
        self._names = Names(np.concatenate([links.others for links in self._links]))
        if self._names:
            start = 0
            for batch in context.read():
                self._names.add(batch, start)
                start += len(batch.pairs)

    def _label_links(self) -> Iterator[Links]:
        census = self._census
        yield labels.gaps(census.labels, "missing_label")
        if not labels.is_free_text(census.categories, census.n_pairs):
            yield labels.gaps(census.categories, "missing_category")
            yield labels.spellings(census.categories)
            yield labels.misplaced_subcategories(census.categories, census.subcategories)

    def score(self, batch: Batch) -> Iterator[Finding]:
        """The problems of each pair: of its images, of its text, and with other pairs."""
        for position, (pair, images) in zip(self._census.positions(batch), batch, strict=True):
            yield from _image_findings(pair, images)
            yield from self._text_findings(pair)
            if pair.images == () and self._images_expected:
                yield _finding(pair, "missing_image_reference", "no image is named")
            for links in self._links:
                yield from (self._link_finding(pair, images, link) for link in links.of(position))

    def conclude(self) -> Iterable[Finding]:
        """What the set as a whole shows: at most one finding of a kind."""
        return list(self._set_findings)

    @property
    def _images_expected(self) -> bool:
        """A few pairs without an image lack one; many without one are text-only rows."""
        without = int(np.count_nonzero(self._census.n_images == 0))
        return without < _WITHOUT_IMAGE * self._census.n_pairs

    def _text_findings(self, pair: Pair) -> Iterator[Finding]:
        by_kind: dict[str, list[Spot]] = defaultdict(list)
        for found in text_spots(pair.text, self._median_length):
            if found.kind not in self._set_wide:
                by_kind[found.kind].append(found)
        for kind, spots in by_kind.items():
            said = ", ".join(dict.fromkeys(spot.says for spot in spots))
            evidence = as_evidence(pair.text, (spot for spot in spots if spot.end > spot.start))
            yield _finding(pair, kind, said, evidence=evidence)

    def _link_finding(self, pair: Pair, images: tuple[ImageFacts, ...], link: Link) -> Finding:
        more: dict[str, Json] = {}
        said = link.about
        if link.other >= 0:
            other = self._names.pair_id(link.other)
            more["other"] = other
            said = f"pair {other}" + (f": {said}" if said else "")
            if link.other_slot >= 0:
                mine, theirs = images[link.slot].name, self._names.image(link.other, link.other_slot)
                more |= {"image": mine, "other_image": theirs}
                said = f"{mine} looks like {theirs} of pair {other}"
        if link.value < 1:
            more["similarity"] = round(link.value, 4)
        return _finding(pair, link.kind, said, value=link.value, more=more)


def _image_findings(pair: Pair, images: tuple[ImageFacts, ...]) -> Iterator[Finding]:
    for facts in images:
        if facts.error is not None and facts.error.kind not in _NOT_A_PROBLEM:
            kind = IMAGE_ERRORS.get(facts.error.kind, "unreadable_image")
            yield _finding(pair, kind, f"{facts.name}: {facts.error.detail}", more={"image": facts.name})
        elif "wrong_extension" in facts.notes:
            said = f"{facts.name} is {facts.format or 'another format'}"
            yield _finding(pair, "wrong_image_extension", said, more={"image": facts.name})


def _finding(
    pair: Pair,
    kind: str,
    says: str,
    *,
    value: float = 1.0,
    evidence: tuple[Evidence, ...] = (),
    more: dict[str, Json] | None = None,
) -> Finding:
    """A problem of one pair: what, where, and what to do."""
    details: dict[str, Json] = {
        "what": ISSUE_KINDS[kind].tells,
        "says": says,
        "where": str(pair.origin),
        "remedy": ISSUE_KINDS[kind].remedy,
        "severity": ISSUE_KINDS[kind].severity,
    }
    return Finding("hygiene", pair.id, Scored(value), Verdict.ISSUE, kind, evidence, {**details, **(more or {})})
