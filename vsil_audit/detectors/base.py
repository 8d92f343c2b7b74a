"""The contract of a detector: it declares what it needs, and turns pairs and shared features into findings.

A detector never opens a file, never owns a client, never prints. The planner computes each shared feature once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, ClassVar, Protocol, TypeAlias, runtime_checkable

from vsil_audit.features.embeddings.rows import Rows
from vsil_audit.features.facts import ImageFacts
from vsil_audit.pair import Finding, Pair

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt


EMBEDDING_MODEL = "embedding_model"
"""Key of `SetContext.options`: the folder of a sentence-transformers model."""

CACHE = "cache"
"""Key of `SetContext.options`: the folder of what is kept between runs, where it is not the default one."""

CLIP_MODEL = "clip_model"
"""Key of `SetContext.options`: the CLIP model as the user named it (`MODEL:CHECKPOINT` of open_clip, or a folder)."""


class Need(str, Enum):
    """A shared feature that a detector wants computed before it runs; CHAT: it asks models (`chat.ChatDetector`)."""

    TEXT = "text"
    PIXELS = "pixels"
    OCR = "ocr"
    CLIP = "clip"
    CHAT = "chat"


class Lens(str, Enum):
    """Which of the report's lenses a detector's verdicts belong to."""

    JUDGED = "judged"
    BEHAVIOURAL = "behavioural"
    CONTENT = "content"
    PREDICTED = "predicted"
    TOPIC = "topic"
    HYGIENE = "hygiene"


class Unit(str, Enum):
    """PAIR: exactly one finding for each pair. SET: findings about the set only. ISSUES: any number of each."""

    PAIR = "pair"
    SET = "set"
    ISSUES = "issues"


@dataclass(frozen=True, slots=True)
class DetectorSpec:
    """What a detector is. `asks` is the question it answers, in plain words; `value` says what a Scored value means
    (unit, range); `version` changes whenever the same input could give another finding."""

    name: str
    asks: str
    lens: Lens
    unit: Unit
    needs: frozenset[Need]
    value: str
    version: int = 1
    limits: str = ""


@dataclass(frozen=True, slots=True)
class Readiness:
    """Whether a detector can run here; when it cannot, why, and the one command that enables it."""

    ready: bool
    reason: str = ""
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class ClipVectors:
    """CLIP embeddings of one batch. `texts`: of each pair's query, in order (an empty query has no row). `images`: of
    each image of each pair, one after the other; an image that could not be opened has no row."""

    texts: Rows
    images: Rows


@dataclass(frozen=True, slots=True)
class Batch:
    """Consecutive pairs with the facts of their images: `images[i]` belongs to `pairs[i].images`, in order.

    Pairs read back from a run folder carry no image bytes; use `images`, not `pair.images`, for what an image is.
    `clip` is there for detectors that need CLIP.
    """

    index: int
    pairs: tuple[Pair, ...]
    images: tuple[tuple[ImageFacts, ...], ...]
    clip: ClipVectors | None = None

    def __iter__(self) -> Iterator[tuple[Pair, tuple[ImageFacts, ...]]]:
        return iter(zip(self.pairs, self.images, strict=True))


BatchReader: TypeAlias = Callable[[], Iterable[Batch]]
"""Call it to stream the whole set again, from the first batch; each call is a fresh pass and is cheap."""


TextEncoder: TypeAlias = Callable[[Sequence[str]], Rows]
"""Texts to their vectors, a thing a text; what was encoded before, in this run or another, is not encoded again."""


@dataclass(frozen=True, slots=True)
class SetContext:
    """What a detector may know of the whole set. `groups[i]` is the cluster of the i-th pair (pairs that share an
    image or a text, transitively, have equal numbers); `seed` makes every random choice repeatable. `clip_texts`
    encodes further texts with the run's CLIP model, for detectors that need CLIP. `interval_groups`: the groups that
    the run's rates take their intervals from, where they are not `groups` (see `runs.detecting.Clusters`)."""

    read: BatchReader
    n_pairs: int
    groups: Sequence[int] | npt.NDArray[np.int64]
    seed: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    clip_texts: TextEncoder | None = None
    interval_groups: Sequence[int] | npt.NDArray[np.int64] | None = None

    @property
    def for_intervals(self) -> Sequence[int] | npt.NDArray[np.int64]:
        """Group numbers for the interval of a number about the set: as beside the rates of the same run."""
        return self.groups if self.interval_groups is None else self.interval_groups


@runtime_checkable
class Detector(Protocol):
    """One detector, made new for each run: `prepare` once, `score` once per batch, `conclude` once at the end.

    After `kill -9` a run calls `prepare` again and then `score` only for the batches it has not kept: so `score`
    must depend on nothing but `prepare` and its batch, and each must be deterministic.
    """

    spec: ClassVar[DetectorSpec]

    @classmethod
    def readiness(cls) -> Readiness:
        """Whether it can run here. Cheap: looks for what it needs without importing heavy libraries."""
        ...

    def prepare(self, context: SetContext) -> None:
        """Learn from the whole set in streaming passes (document frequencies, shuffled chance levels)."""
        ...

    def score(self, batch: Batch) -> Iterable[Finding]:
        """Findings of one batch's pairs: exactly one a pair, in order, where the unit is PAIR."""
        ...

    def conclude(self) -> Iterable[Finding]:
        """Set-level findings (`pair_id=None`), or issues that only the whole set shows."""
        ...
