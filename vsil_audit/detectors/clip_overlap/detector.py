"""Is the query nearer to its own image than to other pairs' images?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

import numpy as np

from vsil_audit.detectors.base import Batch, DetectorSpec, Lens, Need, Readiness, SetContext, Unit
from vsil_audit.detectors.clip_overlap.described import details
from vsil_audit.detectors.clip_overlap.learning import IN_CATEGORY, IN_SET, SAMPLED, Learned, learn, names_of
from vsil_audit.detectors.clip_overlap.phrases import evidence, variants
from vsil_audit.detectors.clip_overlap.ranks import FALSE_DISCOVERIES, LEAST, LEAST_IN_CATEGORY, Ranks, largest_p, ranks
from vsil_audit.detectors.clip_overlap.sharing import keys_of
from vsil_audit.detectors.clip_overlap.standing import drawn_cosines
from vsil_audit.detectors.clip_overlap.vectors import ComparedPair, PairVectors, read_batch
from vsil_audit.detectors.clip_overlap.whole_set import WholeSet
from vsil_audit.errors import VsilAuditError
from vsil_audit.pair import Abstained, Finding, Json, Pair, Scored, Verdict
from vsil_audit.stats.retrieval import Floats

_PAIRS_AT_ONCE = 128
_MISMATCHED = 16  # cosines with other pairs' images taken of each sampled pair


class ClipOverlap:
    """Content overlap between a query and its image, as a CLIP model sees them."""

    spec: ClassVar[DetectorSpec] = DetectorSpec(
        name="clip_overlap",
        asks="Is the query nearer to its own image than to the images of other pairs?",
        lens=Lens.CONTENT,
        unit=Unit.PAIR,
        needs=frozenset({Need.CLIP}),
        version=2,
        value=(
            "0 to 1: the share of other pairs' images that are farther from the query than its own (CLIP cosine, best "
            "over the windows of a long text and over the pair's images; 0.5 by chance). Suspected where that rank is "
            "too high for chance in the set and within the category "
            f"(false discoveries at most {FALSE_DISCOVERIES:.0%})."
        ),
        limits=(
            "Overlap is evidence, not proof: a text may name harmless content of its image. A text that fits the topic "
            "of its category only is not suspected; where a category has fewer than "
            f"{LEAST_IN_CATEGORY} other images the whole set decides, and topic may be enough. Images that stand "
            "beside the same text, or are of the same scenario, are never compared. At most "
            f"{IN_SET:,} images of the set and {IN_CATEGORY} of a category are compared, and "
            f"{SAMPLED:,} pairs set the threshold and the numbers about the whole set: "
            "random samples. In small sets and categories ranks are coarse, and single overlapping pairs are not "
            "found. It is as good as the CLIP model: English, short and plain texts best."
        ),
    )

    def __init__(self) -> None:
        self._context: SetContext | None = None
        self._learned: Learned | None = None
        self._threshold = 0.0
        self._mismatched: Floats = np.zeros(0)
        self._of_the_set: tuple[Finding, ...] = ()

    @classmethod
    def readiness(cls) -> Readiness:
        return Readiness(ready=True)  # it reads vectors; whether the model that makes them is here, the plan asks

    def prepare(self, context: SetContext) -> None:
        """Images to compare with, and a sample of pairs; from these the threshold and what is said of the set."""
        learned = learn(context)
        self._context, self._learned = context, learned
        found = self._sampled_ranks(learned, one_image=False)
        several = any(len(pair.images) > 1 for pair in learned.sample)
        single = self._sampled_ranks(learned, one_image=True) if several else found
        self._threshold = largest_p(found.deciding_p()[found.scored])
        self._mismatched = _mismatched(learned, context.seed)
        about = WholeSet(self.spec.name, learned, context.n_pairs, context.seed)
        self._of_the_set = (*about.findings(found, single, _refusal(learned, found)), *self._no_phrases(context))

    def score(self, batch: Batch) -> Iterable[Finding]:
        context, learned = self._prepared()
        vectors = list(read_batch(batch))
        usable = [i for i, of in enumerate(vectors) if of.refusal is None]
        compared = [_compared(batch.pairs[i], vectors[i], context.seed) for i in usable]
        found = ranks(compared, learned.pool, learned.categories)
        ranked = dict(zip(usable, self._ranked([batch.pairs[i].id for i in usable], found), strict=True))
        findings = [
            ranked[i] if of.refusal is None else Finding(self.spec.name, pair.id, of.refusal)
            for i, (pair, of) in enumerate(zip(batch.pairs, vectors, strict=True))
        ]
        # What another image shows does not clear a pair whose one image could not be read; what it gives away stands.
        for i, (finding, of) in enumerate(zip(findings, vectors, strict=True)):
            if of.unread is not None and not finding.verdict.flags:
                findings[i] = Finding(self.spec.name, finding.pair_id, of.unread)
        return self._with_phrases(batch, findings, vectors, context)

    def conclude(self) -> Iterable[Finding]:
        return self._of_the_set

    # one pair

    def _ranked(self, ids: Sequence[str], found: Ranks) -> Iterator[Finding]:
        name, learned = self.spec.name, self._prepared()[1]
        suspected = found.deciding_p() <= self._threshold
        shares = found.in_set.share()
        told = details(found, self._mismatched, sampled=not learned.pool.whole)
        for row, pair_id in enumerate(ids):
            if not found.scored[row]:
                yield Finding(name, pair_id, Abstained(_few(int(found.in_set.of[row]), learned)))
                continue
            yield Finding(
                name,
                pair_id,
                Scored(round(float(shares[row]), 6)),
                Verdict.SUSPECTED if suspected[row] else Verdict.CLEAR,
                "tied_to_its_image" if suspected[row] else "not_told_apart",
                details=told[row],
            )

    def _with_phrases(
        self, batch: Batch, findings: list[Finding], vectors: Sequence[PairVectors], context: SetContext
    ) -> list[Finding]:
        """The findings, the suspected ones with the phrases that bring them near; all texts are encoded in one call."""
        suspected = [i for i, finding in enumerate(findings) if finding.verdict is Verdict.SUSPECTED]
        if context.clip_texts is None or not suspected:
            return findings
        asked = [variants(batch.pairs[i].text, vectors[i]) for i in suspected]
        try:
            encoded = context.clip_texts([text for of in asked for text in of.texts])
        except VsilAuditError as error:
            said: Mapping[str, Json] = {"phrases_not_tried": error.message}
            for i in suspected:
                findings[i] = replace(findings[i], details={**findings[i].details, **said})
            return findings
        first = 0
        for i, of in zip(suspected, asked, strict=True):
            passages, changes = evidence(of, encoded, first, vectors[i])
            first += len(of.texts)
            findings[i] = replace(
                findings[i], evidence=passages, details={**findings[i].details, "without_phrase": changes}
            )
        return findings

    # the set

    def _prepared(self) -> tuple[SetContext, Learned]:
        if self._context is None or self._learned is None:
            raise RuntimeError("score() before prepare()")
        return self._context, self._learned

    def _sampled_ranks(self, learned: Learned, *, one_image: bool) -> Ranks:
        sample = learned.sample
        if one_image:
            sample = tuple(_by_one_image(pair, learned) for pair in sample)
        return ranks(sample, learned.pool, learned.categories)

    def _no_phrases(self, context: SetContext) -> Iterable[Finding]:
        if context.clip_texts is None:
            why = "no text encoder is at hand: it is not shown which phrase of a query brings it near its image"
            yield Finding(self.spec.name, None, Abstained(why), kind="phrases")


def _compared(pair: Pair, vectors: PairVectors, seed: int) -> ComparedPair:
    return ComparedPair(vectors.text, vectors.images, keys_of(pair), names_of(vectors, seed), pair.category)


def _by_one_image(pair: ComparedPair, learned: Learned) -> ComparedPair:
    """The pair with the one of its images that the fewest pairs use."""
    own = int(learned.pool.uses.of(pair.names).argmin())
    return replace(pair, images=pair.images[own : own + 1], names=pair.names[own : own + 1])


def _mismatched(learned: Learned, seed: int) -> Floats:
    """Cosines of sampled texts with images that they don't stand beside, sorted."""
    pool, generator = learned.pool, np.random.default_rng(seed)
    if not len(pool):
        return np.zeros(0)
    found = []
    for start in range(0, len(learned.sample), _PAIRS_AT_ONCE):
        pairs = learned.sample[start : start + _PAIRS_AT_ONCE]
        drawn = generator.integers(len(pool), size=(len(pairs), _MISMATCHED))
        beside = np.zeros((len(pairs), len(pool)), dtype=bool)
        beside[pool.beside.cells(np.array([pair.keys for pair in pairs], dtype=np.uint64))] = True
        rows = np.arange(len(pairs))[:, None]
        found.append(drawn_cosines([pair.text for pair in pairs], pool.vectors, drawn)[~beside[rows, drawn]])
    return np.sort(np.concatenate(found))


def _refusal(learned: Learned, found: Ranks) -> str:
    """Why nothing can be said of the set; empty where something can."""
    if found.scored.any():
        return ""
    if learned.usable:
        return _few(int(found.in_set.of.max()), learned)
    most = learned.unusable.most_common(1)
    return f"no pair could be looked at: {most[0][0]}" if most else "there are no pairs"


def _few(distractors: int, learned: Learned) -> str:
    if distractors or len(learned.pool) <= LEAST:
        return f"fewer than {LEAST} images of other pairs to compare with"
    return "its text, or scenario, stands beside all other images"
