"""What everything else passes around: pairs, images by reference, outcomes and findings. No I/O here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TypeAlias

Json: TypeAlias = "str | int | float | bool | list[Json] | dict[str, Json] | None"


ABSENT_IMAGE = "absent_image"
"""Key of `Pair.meta`: the image that the dataset names for a pair, where none of its images are here."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a pair or a problem stands in the dataset: a file relative to the root and a 1-based data row in it."""

    file: str
    row: int | None = None

    def __str__(self) -> str:
        return self.file if self.row is None else f"{self.file}, row {self.row}"


@dataclass(frozen=True, slots=True)
class ImageRef:
    """One image of a pair, by reference: exactly one of `path`, `data` and `url` is set; never an open file.

    `path` is what the dataset says (POSIX separators, relative to the dataset root). It is untrusted:
    only `vsil_audit.images` turns it into a file, after checking that it lies inside the root.
    `name` is how people should see the image named (a path, `row 7, column image`, a URL).
    """

    name: str
    path: str | None = None
    data: bytes | None = field(default=None, repr=False)
    url: str | None = None

    def __post_init__(self) -> None:
        if sum(part is not None for part in (self.path, self.data, self.url)) != 1:
            raise ValueError(f"image {self.name!r} needs exactly one of path, data and url")


@dataclass(frozen=True, slots=True)
class Pair:
    """One text query with its image(s), and what the benchmark says of them.

    `images` is empty for a row without an image. `id` is unique in the set and the same in every run.
    `label` is `unsafe` or `safe` where the benchmark says so. `twin_of` names the pair or pairs' shared scenario:
    two pairs with an equal `twin_of`, or one whose `twin_of` is the other's id, are the same scenario in two forms.
    `source` is where the benchmark says the pair came from (not the file: that is `origin`).
    """

    id: str
    text: str
    images: tuple[ImageRef, ...] = ()
    category: str | None = None
    subcategory: str | None = None
    description: str | None = None
    key_phrase: str | None = None
    label: str | None = None
    twin_of: str | None = None
    source: str | None = None
    split: str | None = None
    origin: Origin = Origin("")
    meta: Mapping[str, str] = field(default_factory=dict)

    @property
    def image(self) -> ImageRef | None:
        """The first image, or None."""
        return self.images[0] if self.images else None


@dataclass(frozen=True, slots=True)
class Problem:
    """Something in a dataset that could not be used as it stands. Never an exception, never a silent drop.

    `kind` is a stable snake_case word (`unreadable_row`, `missing_image` …); `remedy` says what its owner can do.
    `fatal_for_pair` is True when no pair was yielded for that row. `rows` is how many rows it stands for, where one
    problem speaks for many.
    """

    kind: str
    detail: str
    origin: Origin
    column: str | None = None
    remedy: str = ""
    fatal_for_pair: bool = True
    rows: int = 1


@dataclass(frozen=True, slots=True)
class Scored:
    """A measurement. `value` is finite; its unit and range are the detector's to state."""

    value: float


@dataclass(frozen=True, slots=True)
class Abstained:
    """The detector looked and declines to answer (no image, no description, unsure). Not a failure, not a zero."""

    reason: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The detector could not look. `kind` is a stable word (`corrupt_image`, `ocr_error` …)."""

    kind: str
    detail: str


Outcome: TypeAlias = "Scored | Abstained | Failed"


class Verdict(str, Enum):
    """What a finding says of its pair. Only judged and behavioural detectors may say LEAK."""

    LEAK = "leak"
    SUSPECTED = "suspected"
    PREDICTED = "predicted"
    ISSUE = "issue"
    CLEAR = "clear"
    NONE = "none"

    @property
    def flags(self) -> bool:
        """True when the verdict counts against the pair."""
        return self in (Verdict.LEAK, Verdict.SUSPECTED, Verdict.PREDICTED, Verdict.ISSUE)


@dataclass(frozen=True, slots=True)
class Evidence:
    """A passage of the pair's text (`text[start:end]`, code points) and what it matches.

    `matched` is the other side, as found there (OCR text, words of the description); `where` names that side:
    `ocr`, `description`, `key_phrase`, `image` (what it shows) or `text` (evidence in the query itself).
    `start == end == 0`: no passage.
    """

    start: int
    end: int
    matched: str
    where: str


@dataclass(frozen=True, slots=True)
class Finding:
    """What one detector says of one pair (`pair_id`), or of the whole set (`pair_id is None`).

    `kind` is a stable word of the detector's: the kind of leak, of problem, or the set-level quantity.
    `details` is small JSON for people and reports; nothing in the statistics reads it.
    """

    detector: str
    pair_id: str | None
    outcome: Outcome
    verdict: Verdict = Verdict.NONE
    kind: str = ""
    evidence: tuple[Evidence, ...] = ()
    details: Mapping[str, Json] = field(default_factory=dict)
