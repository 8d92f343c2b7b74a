"""Benign twins: the same text with a harmless image that looks alike, so that the text cannot tell the label.

`benign-image`: every text stands with as many benign as unsafe images. `2x2`: to each unsafe pair a benign image and a
benign text, of whose four combinations only the one is harmful.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import numpy.typing as npt

from vsil_audit.builders.benign_texts import BenignTexts
from vsil_audit.builders.benign_words import benign_phrase, benign_words
from vsil_audit.builders.draft import BuiltImage, Draft, Step
from vsil_audit.builders.folder import BuildFolder
from vsil_audit.builders.gates.base import GateResult
from vsil_audit.builders.generators.base import GeneratedImage, GenerationFailure, ImageGenerator, ImageRequest
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.pool import ImagePool, PoolImage
from vsil_audit.builders.probe import plain
from vsil_audit.builders.record import Fate, Record
from vsil_audit.builders.seeds import seed_of
from vsil_audit.builders.selection import TWIN_STEP, twin_of
from vsil_audit.features.phash import phash
from vsil_audit.images import DecodedImage, ImageLimits, decode

SAFE, UNSAFE = "safe", "unsafe"
POOL = "pool"
"""Generator of an image that was taken from the pool as it is."""


class TwinWay(str, Enum):
    BENIGN_IMAGE = "benign-image"
    BLOCKS = "2x2"


@dataclass(frozen=True, slots=True)
class Twins:
    """`records` join the set. `left_out`: by id, why a pair is not in the set, because it would have no counterpart."""

    records: tuple[Record, ...]
    left_out: dict[str, str]


@dataclass(frozen=True, slots=True)
class _Benign:
    """A benign image, what it shows, and how it was come by. `text`: what the pool asks of it."""

    image: BuiltImage
    step: Step
    text: str = ""


class TwinMaker:
    """Makes the twins of one build. Without pool and generator only drawn cards have twins."""

    def __init__(
        self,
        folder: BuildFolder,
        drawer: Typographic,
        limits: ImageLimits,
        seed: int,
        *,
        pool: ImagePool | None = None,
        generator: ImageGenerator | None = None,
    ) -> None:
        self._folder, self._drawer, self._limits, self._seed = folder, drawer, limits, seed
        self._generator = generator
        self._pool = pool

    async def make(self, records: Sequence[Record], way: TwinWay) -> Twins:
        """Twins for the pairs that are to be in the set."""
        wanted, left_out = _wanted(records, self._seed)
        chosen = self._chosen(records, wanted)
        texts = BenignTexts(self._seed)
        ids = {record.draft.id for record in records}
        made: list[Record] = []
        for place, record in enumerate(wanted):
            benign = await self._benign(record, chosen.get(place))
            if isinstance(benign, str):
                left_out[record.draft.id] = benign
                continue
            made += _block(record, benign, texts, ids) if way is TwinWay.BLOCKS else _twin(record, benign, ids)
        return Twins(tuple(made), left_out)

    def _chosen(self, records: Sequence[Record], wanted: Sequence[Record]) -> dict[int, tuple[PoolImage, float]]:
        """From the pool, by place in `wanted`: to each its nearest, none oftener than needed, and none twice for one
        text."""
        asking = [place for place, record in enumerate(wanted) if self._needs_pool(record)]
        if self._pool is None or not asking:
            return {}
        usable = self._pool.usable(*self._known(records))
        if not len(usable):
            return {}
        pictures = [self._picture(wanted[place]) for place in asking]
        distances = self._pool.distances([p for p in pictures if p is not None], usable)
        rows = [place for place, picture in zip(asking, pictures, strict=True) if picture is not None]
        texts = [plain(wanted[place].draft.text) for place in rows]
        found = _assigned(distances, texts)
        return {
            place: (self._pool.images[int(usable[column])], float(distances[row, column]))
            for row, (place, column) in enumerate(zip(rows, found, strict=True))
            if column is not None
        }

    def _known(self, records: Sequence[Record]) -> tuple[set[str], set[int]]:
        """Digests and perceptual hashes of the set's own images."""
        digests, hashes = set(), set()
        for record in records:
            image = record.draft.image
            if image is not None and image.digest not in digests:
                digests.add(image.digest)
                picture = self._picture(record)
                value = phash(picture.pixels) if picture is not None else None
                hashes |= {value} if value is not None else set()
        return digests, hashes

    def _picture(self, record: Record) -> DecodedImage | None:
        image = record.draft.image
        if image is None:
            return None
        found = decode(self._folder.image_file(image.digest, image.format).read_bytes(), "", self._limits)
        return found if isinstance(found, DecodedImage) else None

    def _needs_pool(self, record: Record) -> bool:
        return record.draft.image is not None and (_drawn(record.draft) is None or _on_an_image(record.draft))

    async def _benign(self, record: Record, chosen: tuple[PoolImage, float] | None) -> _Benign | str:
        """A benign counterpart of the record's image; or why there is none."""
        draft = record.draft
        if draft.image is None:
            return "it has no image, so no benign one can stand for it"
        words = _drawn(draft)
        if words is not None and not _on_an_image(draft):
            return self._card(record, words)
        if chosen is None:
            return await self._generated(record)
        image, distance = chosen
        if self._pool is None:  # pragma: no cover - chosen from it
            return "there is no pool"
        data = self._pool.bytes_of(image)
        details: dict[str, str | float] = {"from": image.name, "distance": round(distance, 4)}
        if words is not None:
            return self._with_words(record, data, words, details, image)
        digest = self._folder.keep_image(data, image.format)
        built = BuiltImage(digest, image.format, POOL, shows=image.description)
        return _Benign(built, _step(record, POOL, details), image.text)

    def _card(self, record: Record, words: str) -> _Benign | str:
        seed = seed_of(self._seed, record.draft.id, "card")
        told = benign_words(words, seed)
        picture = self._picture(record)
        size = (picture.pixels.width, picture.pixels.height) if picture is not None else (768, 768)
        made = self._drawer.card(ImageRequest(told, seed, *size))
        return self._kept(record, made, self._drawer.identity, told, seed)

    def _with_words(
        self, record: Record, data: bytes, words: str, details: dict[str, str | float], image: PoolImage
    ) -> _Benign | str:
        """The pool's image with words below it, as the unsafe one has."""
        picture = decode(data, image.name, self._limits)
        if not isinstance(picture, DecodedImage):
            return f"its benign image cannot be opened: {picture.detail}"
        seed = seed_of(self._seed, record.draft.id, "words")
        told = benign_words(words, seed)
        made = self._drawer.below(picture, told)
        return self._kept(record, made, self._drawer.identity, told, None, details, image.text)

    async def _generated(self, record: Record) -> _Benign | str:
        if self._generator is None:
            return (
                "no benign image: the pool has none left that is not of the set"
                if self._pool
                else "no benign image: no pool is named (--pool)"
            )
        seed = seed_of(self._seed, record.draft.id, "generated")
        prompt = f"A photograph of {benign_phrase(seed)}."
        picture = self._picture(record)
        size = (picture.pixels.width, picture.pixels.height) if picture is not None else (768, 768)
        made = await self._generator.generate(ImageRequest(prompt, seed, *map(_multiple_of_64, size)))
        return self._kept(record, made, self._generator.identity, prompt, seed)

    def _kept(
        self,
        record: Record,
        made: GeneratedImage | GenerationFailure,
        by: str,
        prompt: str,
        seed: int | None,
        details: dict[str, str | float] | None = None,
        text: str = "",
    ) -> _Benign | str:
        if isinstance(made, GenerationFailure):
            return f"its benign image could not be made: {made.detail}"
        digest = self._folder.keep_image(made.data, made.format)
        image = BuiltImage(digest, made.format, by, prompt, seed, f"the words “{prompt}”")
        return _Benign(image, _step(record, by, {**(details or {}), "prompt": prompt}), text)


def judged(twins: Twins, judge: Callable[[Sequence[Draft]], Sequence[GateResult]]) -> Twins:
    """With gate D's results; a pair of which a twin does not pass is not in the set, nor are its other twins."""
    results = judge([record.draft for record in twins.records])
    looked = [replace(record, gates=(result,)) for record, result in zip(twins.records, results, strict=True)]
    stopped = {twin_of(record): record.gates[0] for record in looked if record.gates[0].passed is not True}
    left_out = {name: f"a benign twin did not pass gate {result.gate}" for name, result in stopped.items()}
    return Twins(tuple(_with_fate(record, stopped) for record in looked), twins.left_out | left_out)


def _with_fate(record: Record, stopped: Mapping[str, GateResult]) -> Record:
    result = record.gates[0]
    if twin_of(record) not in stopped:
        return record
    fate = Fate.UNDECIDED if result.passed is None else Fate.REJECTED
    return replace(record, fate=fate, reason=result.reason or "another of its block did not pass")


def _wanted(records: Sequence[Record], seed: int) -> tuple[list[Record], dict[str, str]]:
    """Unsafe pairs that need a benign counterpart, and, by id, pairs that have none and get none.

    Of each text as many safe as unsafe pairs are to be there: safe ones that the set has already are counted first.
    """
    unsafe: Counter[str] = Counter()
    safe: Counter[str] = Counter()
    for record in records:
        (safe if is_safe(record.draft) else unsafe)[plain(record.draft.text)] += 1
    spare = {text: count - unsafe[text] for text, count in safe.items()}
    served = dict(safe)
    wanted: list[Record] = []
    left_out: dict[str, str] = {}
    for record in sorted(records, key=lambda one: seed_of(seed, one.draft.id)):
        text = plain(record.draft.text)
        if is_safe(record.draft):
            if spare[text] > 0:
                spare[text] -= 1
                left_out[record.draft.id] = "labelled safe, and its text has no unsafe pair left to stand beside"
        elif served.get(text, 0) > 0:
            served[text] -= 1
        else:
            wanted.append(record)
    place = {record.draft.id: number for number, record in enumerate(records)}
    return sorted(wanted, key=lambda one: place[one.draft.id]), left_out


def is_safe(draft: Draft) -> bool:
    return (draft.label or "").casefold() == SAFE


def _drawn(draft: Draft) -> str | None:
    """The words that our renderer drew; None for an image of another kind."""
    image = draft.image
    return image.prompt if image is not None and image.generator.startswith("typographic") else None


def _on_an_image(draft: Draft) -> bool:
    return any(step.kind == "draw_words" and step.details.get("under_the_image") is True for step in draft.steps)


def _assigned(distances: npt.NDArray[np.float32], texts: Sequence[str]) -> list[int | None]:
    """A column for each row: the nearest that is not full, and not yet used for the same text. Rows that have the
    nearest images choose first."""
    rows, columns = distances.shape
    room = np.full(columns, -(-rows // columns), dtype=np.int64)
    used: dict[str, set[int]] = {}
    found: list[int | None] = [None] * rows
    for row in np.argsort(distances.min(axis=1), kind="stable").tolist():
        taken = used.setdefault(texts[row], set())
        for column in np.argsort(distances[row], kind="stable").tolist():
            if room[column] > 0 and column not in taken:
                room[column] -= 1
                taken.add(column)
                found[row] = column
                break
    return found


def _multiple_of_64(side: int) -> int:
    """Sizes that diffusion models take, 256 to 1024 pixels."""
    return max(256, min(1024, round(side / 64) * 64))


def _step(record: Record, by: str, details: dict[str, str | float]) -> Step:
    return Step(TWIN_STEP, by, details={"of": record.draft.id, **details})


def _twin(record: Record, benign: _Benign, ids: set[str]) -> Iterator[Record]:
    yield _made(record, ids, "benign", record.draft.text, benign.image, benign.step)


def _block(record: Record, benign: _Benign, texts: BenignTexts, ids: set[str]) -> Iterator[Record]:
    """The three harmless combinations of a block."""
    draft = record.draft
    text = benign.text or texts.like(draft.text, draft.id)
    yield _made(record, ids, "benign-image", draft.text, benign.image, benign.step)
    step = replace(benign.step, details={"of": draft.id, "text": "of the pool" if benign.text else "of the control"})
    yield _made(record, ids, "benign-text", text, draft.image, step)
    yield _made(record, ids, "both-benign", text, benign.image, benign.step)


def _made(record: Record, ids: set[str], form: str, text: str, image: BuiltImage | None, step: Step) -> Record:
    draft = record.draft
    name = _free(f"{draft.id}-{form}", ids)
    twin = Draft(
        id=name,
        text=text,
        image=image,
        description=draft.description if image == draft.image else image.shows if image is not None else "",
        category=draft.category,
        subcategory=draft.subcategory,
        label=SAFE,
        twin_of=scenario(draft),
        steps=(step,),
    )
    return Record(twin, Fate.BUILT, source_text=text)


def scenario(draft: Draft) -> str:
    """What the pairs of one scenario have in common."""
    return draft.twin_of or draft.id


def _free(name: str, ids: set[str]) -> str:
    """The name, or one like it that no pair has; it is taken then."""
    if name in ids:
        name = f"{name}-{hashlib.sha256(name.encode('utf-8', 'surrogatepass')).hexdigest()[:8]}"
    ids.add(name)
    return name
