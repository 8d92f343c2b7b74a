"""What a run asks about: its pairs and their images, another pair's image beside each, canaries, a benign control."""

from __future__ import annotations

import hashlib
import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from vsil_audit.detectors.base import Batch
from vsil_audit.detectors.chat import ChatDetector, Part, Subject
from vsil_audit.features.facts import ImageError, ImageFacts
from vsil_audit.gateway.messages import ImagePart
from vsil_audit.images import decode, read_bytes
from vsil_audit.pair import ImageRef, Pair
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.plan import ScanPlan
from vsil_audit.runs.reading import count_pairs

CANARY_SHARE = 0.01
LEAST_CANARIES = 30
MOST_CONTROL_PAIRS = 200
_SWAP_POOL = 4096
_TRIES = 64


class Subjects:
    """The subjects of a run, batch by batch; the same ones in every session of it."""

    def __init__(self, plan: ScanPlan, folder: RunFolder) -> None:
        self._plan, self._folder = plan, folder
        self._side = plan.options.ask.image_side
        self._seed = plan.options.seed
        self._pool = self._swap_pool()

    def of_batch(self, index: int) -> list[Subject]:
        """The batch's pairs, in order."""
        return [self._subject(pair, facts) for pair, facts in self._folder.read_batch(index)]

    def canaries(self, detector: ChatDetector, n_pairs: int) -> dict[int, list[Subject]]:
        """The detector's canaries by the batch in which they are mixed: 1 % of the pairs and LEAST_CANARIES at least
        (with fewer, a judge that guesses about images would often pass for one that sees)."""
        n_batches = self._folder.n_batches()
        if Part.CANARY not in detector.examines or not n_pairs:
            return {}
        mixed: dict[int, list[Subject]] = {}
        draw = random.Random(f"canaries {self._seed}")  # noqa: S311 - not for security
        for canary in detector.canaries(max(LEAST_CANARIES, math.ceil(CANARY_SHARE * n_pairs))):
            mixed.setdefault(draw.randrange(n_batches), []).append(canary)
        return mixed

    def control(self) -> list[Subject]:
        """The benign control: that of the user, at most MOST_CONTROL_PAIRS drawn at random, or the one shipped. Images
        are swapped within it."""
        source = self._plan.control
        if source is None:
            from vsil_audit.control import benign_control

            return list(benign_control(image_side=self._side))
        n_pairs = count_pairs(source)
        draw = random.Random(f"control {self._seed}")  # noqa: S311 - not for security
        chosen = set(draw.sample(range(n_pairs), min(MOST_CONTROL_PAIRS, n_pairs)))
        pairs = (item for item in source.read() if isinstance(item, Pair))
        found = [self._control_subject(pair) for place, pair in enumerate(pairs) if place in chosen]
        pool = list({subject.images: None for subject in found if subject.images})
        return [replace(one, swapped=self._swapped(one.pair, one.images, pool)) for one in found]

    def _subject(self, pair: Pair, facts: Sequence[ImageFacts]) -> Subject:
        own = tuple(self._part(ref, f) for ref, f in zip(pair.images, facts, strict=True) if _usable(f))
        return Subject(pair, own, self._swapped(pair, own, self._pool))

    def _part(self, ref: ImageRef, facts: ImageFacts) -> ImagePart:
        if ref.data is not None:  # of embedded images the folder keeps the bytes
            read = partial(self._folder.kept_image, facts.digest)
            return ImagePart(facts.digest, read, self._side, ref.name)
        return ImagePart.of_reference(ref, self._plan.source.root, facts.digest, self._plan.limits, self._side)

    def _swapped(
        self, pair: Pair, own: tuple[ImagePart, ...], pool: Sequence[tuple[ImagePart, ...]]
    ) -> tuple[ImagePart, ...]:
        """Another pair's images, of `pool`; which, depends on the seed and the pair alone. None for a pair without."""
        if not own or not pool:
            return ()
        digests = {part.digest for part in own}
        start = _number(f"swap {self._seed} {pair.id}")
        for step in range(min(_TRIES, len(pool))):
            candidate = pool[(start + step) % len(pool)]
            if digests.isdisjoint(part.digest for part in candidate):
                return candidate
        return ()

    def _swap_pool(self) -> list[tuple[ImagePart, ...]]:
        """The images of a uniform sample of the pairs that have any (reservoir), one pass."""
        draw = random.Random(f"pool {self._seed}")  # noqa: S311 - not for security
        pool: list[tuple[ImagePart, ...]] = []
        seen: set[bytes] = set()
        for images in self._images():
            key = hashlib.sha256("".join(part.digest for part in images).encode()).digest()[:12]
            if key in seen:
                continue
            seen.add(key)
            if len(pool) < _SWAP_POOL:
                pool.append(images)
            elif (place := draw.randrange(len(seen))) < _SWAP_POOL:
                pool[place] = images
        draw.shuffle(pool)
        return pool

    def _images(self) -> Iterator[tuple[ImagePart, ...]]:
        for batch in self._folder.batches():
            yield from self._images_of(batch)

    def _images_of(self, batch: Batch) -> Iterator[tuple[ImagePart, ...]]:
        for pair, facts in batch:
            if any(map(_usable, facts)):
                yield tuple(self._part(ref, f) for ref, f in zip(pair.images, facts, strict=True) if _usable(f))

    def _control_subject(self, pair: Pair) -> Subject:
        """Its images are looked at here: one that cannot be decoded is no image of it."""
        source, limits = self._plan.control, self._plan.limits
        assert source is not None
        parts = []
        for ref in pair.images:
            data = read_bytes(ref, source.root, limits)
            if isinstance(data, ImageError) or isinstance(decode(data, ref.name, limits), ImageError):
                continue
            digest = hashlib.sha256(data).hexdigest()
            parts.append(ImagePart.of_reference(ref, source.root, digest, limits, self._side))
        light = replace(pair, images=tuple(replace(r, data=b"") if r.data is not None else r for r in pair.images))
        return Subject(light, tuple(parts), part=Part.CONTROL)


def mixed(subjects: Sequence[Subject], canaries: Sequence[Subject], seed: int, index: int) -> list[Subject]:
    """The canaries among the pairs, at places drawn by the seed."""
    together = list(subjects)
    draw = random.Random(f"mix {seed} {index}")  # noqa: S311 - not for security
    for canary in canaries:
        together.insert(draw.randint(0, len(together)), canary)
    return together


def _usable(facts: ImageFacts) -> bool:
    return facts.error is None and bool(facts.digest)


def _number(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")
