"""Is what the image's description or key phrase names said in the query?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import ClassVar

import numpy as np

from vsil_audit.detectors.base import (
    CACHE,
    EMBEDDING_MODEL,
    Batch,
    DetectorSpec,
    Lens,
    Need,
    Readiness,
    SetContext,
    Unit,
)
from vsil_audit.detectors.embedded import Closeness, Neighbours
from vsil_audit.detectors.evidence import passages
from vsil_audit.detectors.matching import Query, match
from vsil_audit.detectors.named_content import Reference, named, weighed
from vsil_audit.detectors.rarity import Rarity
from vsil_audit.detectors.shuffled import Sampled, Shuffled, rank, stem_overlap
from vsil_audit.errors import VsilAuditError
from vsil_audit.features import sentence
from vsil_audit.features.embeddings.store import FOLDER, EmbeddingStore
from vsil_audit.features.embeddings.texts import KeptTexts
from vsil_audit.features.words import DEFAULT_LANGUAGE, Word, language_of, votes, words
from vsil_audit.pair import Abstained, Evidence, Finding, Json, Pair, Scored, Verdict
from vsil_audit.stats.clusters import clustered_mean

SUSPECTED_FROM = 0.25
MOST_QUERY_WORDS = 20_000
MOST_REFERENCE_WORDS = 2_000
SAMPLED = 64
_LEAST_SHUFFLED = 5
_LEAST_WEIGHT = 0.05
_SURE_VOTES = 3


@dataclass(frozen=True, slots=True)
class _Overlap:
    """What one reference of a pair (its description or its key phrase) and the query have in common."""

    where: str
    reference: Reference
    value: float
    evidence: tuple[Evidence, ...]


class DescriptionOverlap:
    """Content overlap between a query and what the benchmark says its image shows."""

    spec: ClassVar[DetectorSpec] = DetectorSpec(
        name="description_overlap",
        asks="Is what the image's description or key phrase names said in the query?",
        lens=Lens.CONTENT,
        unit=Unit.PAIR,
        needs=frozenset({Need.TEXT}),
        value=(
            "0 to 1: the share of the description's (or key phrase's) content that the query says, words weighted by "
            f"how much they tell in this set. Suspected from {SUSPECTED_FROM}, when above the mean over other pairs' "
            "descriptions."
        ),
        limits=(
            "Overlap is evidence, not proof: a query may name a harmless part of a scene, and content in other words "
            "(synonyms, paraphrase) is not found. It is as good as the descriptions are. Pairs without a description, "
            "or with one in another language than the query, are not scored. Embedding similarity, where it can be "
            "had, is shown and changes no verdict; of a text longer than the model's window, the part that is most "
            "alike counts."
        ),
        version=2,
    )

    def __init__(self) -> None:
        self._rarity = Rarity()
        self._languages: tuple[str | None, str | None] = (None, None)
        self._shuffled = Shuffled(())
        self._neighbours: Neighbours | None = None
        self._kept: EmbeddingStore | None = None
        self._of_the_set: tuple[Finding, ...] = ()

    @classmethod
    def readiness(cls) -> Readiness:
        return Readiness(ready=True)

    def prepare(self, context: SetContext) -> None:
        """Two passes: what words tell, the languages and a sample of descriptions; then the chance level."""
        sample = self._learn(context)
        language = self._languages[1] or DEFAULT_LANGUAGE
        self._shuffled = Shuffled(
            weighed(text, words(text, language, MOST_REFERENCE_WORDS), self._rarity, language) for text, _ in sample
        )
        embedded = self._embed(context, sample)
        self._of_the_set = (*self._chance(context), embedded)

    def score(self, batch: Batch) -> Iterable[Finding]:
        findings = [self._finding(pair) for pair in batch.pairs]
        return self._with_closeness(batch.pairs, findings)

    def conclude(self) -> Iterable[Finding]:
        if self._kept is not None:
            self._kept.close()
        return self._of_the_set

    # one pair

    def _finding(self, pair: Pair) -> Finding:
        name = self.spec.name
        if not pair.text.strip():
            return Finding(name, pair.id, Abstained("empty query"))
        if not any(_references(pair)):
            return Finding(name, pair.id, Abstained("no description"))
        query, language = self._query(pair.text)
        overlaps = list(self._overlaps(pair, query, language))
        if not overlaps:
            return Finding(name, pair.id, Abstained("the description is in another language than the query"))
        overlaps = [overlap for overlap in overlaps if overlap.reference.total >= _LEAST_WEIGHT]
        if not overlaps:
            return Finding(name, pair.id, Abstained("the description names nothing of this image in particular"))
        best = max(overlaps, key=lambda overlap: overlap.value)
        chance = self._shuffled.values(query, best.reference.text)
        expected = float(chance.mean()) if len(chance) >= _LEAST_SHUFFLED else 0.0
        suspected = best.value >= SUSPECTED_FROM and best.value > expected
        details: dict[str, Json] = {best.where: best.reference.text[:300]}
        if len(chance) >= _LEAST_SHUFFLED:
            own = stem_overlap(query, best.reference)
            details |= {
                "chance": round(expected, 4),
                "rank_among_shuffled": round(rank(own, chance), 4),
                "p": round((1 + int((chance >= own).sum())) / (1 + len(chance)), 4),
            }
        return Finding(
            name,
            pair.id,
            Scored(round(best.value, 6)),
            Verdict.SUSPECTED if suspected else Verdict.CLEAR,
            f"query_names_{best.where}" if best.value > 0 else "no_overlap",
            best.evidence,
            MappingProxyType(details),
        )

    def _overlaps(self, pair: Pair, query: tuple[Word, ...], language: str) -> Iterator[_Overlap]:
        """The overlap with each reference that is in the query's language, as far as that can be told."""
        said = Query(query)
        for where, text in _references(pair):
            found = words(text, language, MOST_REFERENCE_WORDS)
            spoken = language_of(votes(found), _SURE_VOTES) or self._languages[1]
            if spoken is not None and spoken != language:
                continue
            reference = weighed(text, found, self._rarity, language)
            hits = [hit for hit in match(found, said, noisy=False) if reference.weights[hit.index] > 0]
            evidence = passages(hits, pair.text, found, text, where)
            yield _Overlap(where, reference, named(reference, hits), evidence)

    def _query(self, text: str) -> tuple[tuple[Word, ...], str]:
        """The query's words, stemmed in its language."""
        found = words(text, limit=MOST_QUERY_WORDS)
        language = language_of(votes(found)) or self._languages[0] or DEFAULT_LANGUAGE
        return (found if language == DEFAULT_LANGUAGE else words(text, language, MOST_QUERY_WORDS)), language

    # the set

    def _learn(self, context: SetContext) -> list[tuple[str, str]]:
        """One pass. Returns the sample, as (description, query)."""
        self._rarity = Rarity()
        self._languages = (None, None)
        spoken: Counter[str] = Counter()
        described: Counter[str] = Counter()
        sampled = Sampled(SAMPLED, context.seed)
        for batch in context.read():
            for pair in batch.pairs:
                references = list(_references(pair))
                if not references:
                    continue
                query, language = self._query(pair.text)
                told = [w for _, text in references for w in words(text, language, MOST_REFERENCE_WORDS)]
                self._rarity.learn(query, told, match(told, Query(query), noisy=False))
                spoken.update(votes(query))
                described.update(votes(told))
                sampled.offer(references[0][1][: sentence.MOST_CHARACTERS], pair.text[: sentence.MOST_CHARACTERS])
        self._languages = (language_of(spoken), language_of(described))
        return sampled.pairs()

    def _chance(self, context: SetContext) -> Iterator[Finding]:
        """Set-level findings: how often a query would be suspected beside another pair's description, and where its
        own stands among them."""
        flagged: list[float] = []
        ranks: list[float] = []
        groups: list[int] = []
        position = -1
        for batch in context.read():
            for pair in batch.pairs:
                position += 1
                text = next((text for _, text in _references(pair)), None)
                if text is None or not pair.text.strip():
                    continue
                query, language = self._query(pair.text)
                chance = self._shuffled.values(query, text)
                if len(chance) < _LEAST_SHUFFLED:
                    continue
                own = weighed(text, words(text, language, MOST_REFERENCE_WORDS), self._rarity, language)
                flagged.append(float((chance >= SUSPECTED_FROM).mean()))
                ranks.append(rank(stem_overlap(query, own), chance))
                groups.append(int(context.for_intervals[position]))
        yield self._set_level("chance_level", flagged, groups, context, "share", "suspected beside another description")
        ranked = self._set_level(
            "own_description_rank", ranks, groups, context, "auroc", "rank of the own description among shuffled ones"
        )
        yield replace(ranked, details=MappingProxyType({**ranked.details, "chance": 0.5}))

    def _set_level(
        self, kind: str, values: list[float], groups: list[int], context: SetContext, unit: str, tells: str
    ) -> Finding:
        if not values:
            return Finding(
                self.spec.name, None, Abstained("fewer than five other descriptions to compare with"), kind=kind
            )
        mean = clustered_mean(np.array(values), np.array(groups), context.seed)
        details: dict[str, Json] = {
            "tells": tells,
            "unit": unit,
            "low": mean.low,
            "high": mean.high,
            "interval": mean.method,
            "n": len(values),
            "total": context.n_pairs,
        }
        return Finding(self.spec.name, None, Scored(round(float(mean.value or 0.0), 6)), kind=kind, details=details)

    # embeddings

    def _embed(self, context: SetContext, sample: list[tuple[str, str]]) -> Finding:
        """Find the model where there is one; says in a set-level finding what came of it."""
        self._neighbours = None
        kind = "embedding_rank"
        try:
            model = sentence.find_model(context.options.get(EMBEDDING_MODEL))
            cache = context.options.get(CACHE)
            self._kept = EmbeddingStore(Path(cache) / FOLDER if cache else None)
            encode = KeptTexts(self._kept.space(model.space), sentence.SentenceEncoder(model))
            neighbours = Neighbours(encode, [text for text, _ in sample], _LEAST_SHUFFLED)
            close = neighbours.closeness([query for _, query in sample], [text for text, _ in sample])
        except VsilAuditError as error:
            return Finding(self.spec.name, None, Abstained(f"{error.message} ({error.remedy})"), kind=kind)
        self._neighbours = neighbours
        ranks = [c.rank for c in close if c is not None and c.rank is not None]
        if not ranks:
            return Finding(self.spec.name, None, Abstained("fewer than five other descriptions"), kind=kind)
        tells = "rank of the own description among others by embedding similarity"
        details: dict[str, Json] = {"tells": tells, "unit": "auroc", "n": len(ranks), "chance": 0.5}
        return Finding(self.spec.name, None, Scored(round(float(np.mean(ranks)), 6)), kind=kind, details=details)

    def _with_closeness(self, pairs: tuple[Pair, ...], findings: list[Finding]) -> list[Finding]:
        """The findings with embedding similarity in their details, where there is an encoder."""
        if self._neighbours is None:
            return findings
        texts = [next((text[: sentence.MOST_CHARACTERS] for _, text in _references(pair)), None) for pair in pairs]
        asked = [i for i, text in enumerate(texts) if text is not None and pairs[i].text.strip()]
        try:
            close = self._neighbours.closeness([pairs[i].text for i in asked], [texts[i] or "" for i in asked])
        except VsilAuditError as error:  # what the set needed was kept, and the model cannot be loaded for the rest
            told: list[dict[str, Json]] = [{"embedding_missing": error.message}] * len(asked)
        else:
            told = [_told(c) for c in close]
        for i, shown in zip(asked, told, strict=True):
            findings[i] = replace(findings[i], details=MappingProxyType({**findings[i].details, **shown}))
        return findings


def _told(close: Closeness | None) -> dict[str, Json]:
    if close is None:
        return {}
    ranked = None if close.rank is None else round(close.rank, 4)
    return {"embedding_similarity": round(close.similarity, 4), "embedding_rank": ranked}


def _references(pair: Pair) -> Iterator[tuple[str, str]]:
    """What the benchmark says the image shows: (where, text)."""
    for where, text in (("description", pair.description), ("key_phrase", pair.key_phrase)):
        if text is not None and text.strip():
            yield where, text
