"""Small worlds of CLIP vectors in which it is known which text goes with which image, shared by several tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from vsil_audit.detectors.base import Batch, ClipVectors, SetContext, TextEncoder
from vsil_audit.detectors.clip_overlap import ClipOverlap
from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import Finding, ImageRef, Pair

WIDTH = 64
Vectors = npt.NDArray[np.floating]


@dataclass
class World:
    """Pairs with their vectors. `texts[i]`: (windows, d); `images[i]`: (k, d), called `names[i]`. `twins[i]`: its
    scenario, of those that say one."""

    texts: list[Vectors]
    images: list[Vectors]
    queries: list[str]
    names: list[list[str]]
    categories: list[str | None]
    tied: npt.NDArray[np.bool_]
    errors: dict[int, ImageFacts] = field(default_factory=dict)
    twins: dict[int, str] = field(default_factory=dict)
    width: int = WIDTH

    def __len__(self) -> int:
        return len(self.queries)

    def batches(self, size: int = 100) -> list[Batch]:
        starts = range(0, len(self), size)
        return [self._batch(number, range(at, min(at + size, len(self)))) for number, at in enumerate(starts)]

    def _batch(self, number: int, rows: Sequence[int]) -> Batch:
        pairs, facts, images = [], [], []
        for i in rows:
            refs = tuple(ImageRef(name, path=name) for name in self.names[i])
            pairs.append(Pair(f"pair-{i}", self.queries[i], refs, self.categories[i], twin_of=self.twins.get(i)))
            of_pair = [ImageFacts(name, name) for name in self.names[i]]
            vectors = [self.images[i][k : k + 1] for k in range(len(of_pair))]
            if i in self.errors:
                of_pair[0], vectors[0] = self.errors[i], np.zeros((0, self.width))
            facts.append(tuple(of_pair))
            images += vectors
        texts = Rows.joined([self.texts[i] for i in rows], self.width)
        return Batch(number, tuple(pairs), tuple(facts), ClipVectors(texts, Rows.joined(images, self.width)))


@dataclass(frozen=True)
class Found:
    """What the detector says: of each pair, and of the set by kind."""

    pairs: list[Finding]
    of_set: dict[str, Finding]

    @property
    def suspected(self) -> npt.NDArray[np.bool_]:
        return np.array([finding.verdict.flags for finding in self.pairs], dtype=bool)

    def within(self, kind: str, value: float) -> bool:
        """Whether `value` lies in the interval of the set-level finding."""
        details = self.of_set[kind].details
        return float(details["low"]) - 1e-9 <= value <= float(details["high"]) + 1e-9  # type: ignore[arg-type]


def look(world: World, *, seed: int = 0, encoder: TextEncoder | None = None, size: int = 100) -> Found:
    batches = world.batches(size)
    detector = ClipOverlap()
    detector.prepare(SetContext(lambda: iter(batches), len(world), range(len(world)), seed, clip_texts=encoder))
    pairs = [finding for batch in batches for finding in detector.score(batch)]
    return Found(pairs, {finding.kind: finding for finding in detector.conclude()})


def planted(
    n: int,
    share: float,
    seed: int,
    *,
    topics: int = 1,
    topic: float = 0.0,
    noise: float = 0.7,
    queries: Callable[[int], str] = "query {}".format,
) -> World:
    """`n` pairs, about `share` of which have a text that says what its image shows: text and image have one content,
    seen by each with `noise`; the others' texts have another content. `topic`: how much both also have of their
    category's content. Texts and images lie apart, as CLIP's do."""
    generator = np.random.default_rng(seed)
    draw = generator.standard_normal
    category = generator.integers(topics, size=n)
    shown, said = draw((n, WIDTH)), draw((n, WIDTH))
    tied = generator.random(n) < share
    of_topic = topic * draw((topics, WIDTH))[category]
    gap = unit(draw(WIDTH))
    images = unit(shown + of_topic) + noise * unit(draw((n, WIDTH))) + gap
    texts = unit(np.where(tied[:, None], shown, said) + of_topic) + noise * unit(draw((n, WIDTH))) - gap / 3
    return World(
        [row[None] for row in unit(texts)],
        [row[None] for row in unit(images)],
        [queries(i) for i in range(n)],
        [[f"image-{i}"] for i in range(n)],
        [f"category {c}" for c in category],
        tied,
    )


def crossed(texts: int, images: int, each: int, share: float, seed: int, *, noise: float = 0.7) -> World:
    """Each of `images` images beside `each` of `texts` texts, drawn at random: a pair for each, in random order. Of
    about `share` of the texts all their images show what they say (an image of several of these, a mixture)."""
    generator = np.random.default_rng(seed)
    draw = generator.standard_normal
    said, shown = unit(draw((texts, WIDTH))), unit(draw((images, WIDTH)))
    telling = np.zeros(texts, dtype=bool)
    telling[generator.permutation(texts)[: round(share * texts)]] = True
    beside = [generator.choice(texts, each, replace=False) for _ in range(images)]
    for j, of_image in enumerate(beside):
        if telling[of_image].any():
            shown[j] = unit(said[of_image[telling[of_image]]].sum(axis=0))
    gap = unit(draw(WIDTH))
    seen = unit(shown + noise * unit(draw((images, WIDTH))) + gap)
    read = unit(said + noise * unit(draw((texts, WIDTH))) - gap / 3)
    pairs = [(int(k), j) for j, of_image in enumerate(beside) for k in of_image]
    pairs = [pairs[i] for i in generator.permutation(len(pairs))]
    return World(
        [read[k][None] for k, _ in pairs],
        [seen[j][None] for _, j in pairs],
        [f"template {k}" for k, _ in pairs],
        [[f"image-{j}"] for _, j in pairs],
        [None] * len(pairs),
        telling[[k for k, _ in pairs]],
    )


def unit(vectors: Vectors) -> Vectors:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True))
