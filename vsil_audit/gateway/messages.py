"""What is asked of a model: messages of text and images, and the parameters of the answer. Frozen, no I/O."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

from vsil_audit.features.facts import ImageError
from vsil_audit.images import ImageLimits, read_bytes
from vsil_audit.pair import ImageRef, Json
from vsil_audit.places.addresses import Place

MAX_SIDE = 1024
"""Longer side, in pixels, that an image is downscaled to before it is sent, unless the part says otherwise."""

_ROLES = frozenset({"system", "user", "assistant"})


@dataclass(frozen=True, slots=True)
class ImagePart:
    """An image in a message, read only when it is sent: an answer from the cache costs no decoding.

    `digest`: sha256 hex of the source bytes; with `max_side` it stands for the image in the cache key. `read` gives
    those bytes, or why there are none; bytes of another digest are refused. `name` is for people.
    """

    digest: str
    read: Callable[[], bytes | ImageError] = field(repr=False, compare=False)
    max_side: int = MAX_SIDE
    name: str = field(default="image", compare=False)

    def __post_init__(self) -> None:
        if len(self.digest) != 64 or not all(c in "0123456789abcdef" for c in self.digest):
            raise ValueError("an image's digest is the sha256 of its bytes, 64 hex digits")
        if self.max_side < 16:
            raise ValueError("max_side must be at least 16 pixels")

    @classmethod
    def of_bytes(cls, data: bytes, name: str = "image", max_side: int = MAX_SIDE) -> ImagePart:
        """The image that these bytes encode."""
        return cls(hashlib.sha256(data).hexdigest(), lambda: data, max_side, name)

    @classmethod
    def of_reference(
        cls, ref: ImageRef, root: Place, digest: str, limits: ImageLimits | None = None, max_side: int = MAX_SIDE
    ) -> ImagePart:
        """A dataset's image, by reference; `digest` is `ImageFacts.digest`. It is read from inside `root` only."""
        bounds = limits or ImageLimits()
        return cls(digest, lambda: read_bytes(ref, root, bounds), max_side, ref.name)


Part: TypeAlias = "str | ImagePart"
"""Text, or an image."""


@dataclass(frozen=True, slots=True)
class Message:
    """One turn. `role`: system, user or assistant. `parts` in the order in which the model gets them."""

    role: str
    parts: tuple[Part, ...]

    def __post_init__(self) -> None:
        if self.role not in _ROLES:
            raise ValueError(f"a message's role is one of {', '.join(sorted(_ROLES))}, not {self.role!r}")
        if not self.parts:
            raise ValueError("a message has at least one part")

    @classmethod
    def system(cls, text: str) -> Message:
        return cls("system", (text,))

    @classmethod
    def user(cls, *parts: Part) -> Message:
        return cls("user", parts)

    @classmethod
    def assistant(cls, text: str) -> Message:
        return cls("assistant", (text,))

    @property
    def text(self) -> str:
        """The text parts, one a line."""
        return "\n".join(part for part in self.parts if isinstance(part, str))

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return tuple(part for part in self.parts if isinstance(part, ImagePart))


@dataclass(frozen=True, slots=True)
class Parameters:
    """How the answer is to be made. None leaves a choice to the provider.

    `max_tokens`: output tokens at most. `top_logprobs`: 0 to 20 alternatives for each token; None asks for no
    log-probabilities. `json_schema`: the answer should be JSON of this schema; some servers ignore it.
    """

    temperature: float | None = 0.0
    max_tokens: int = 512
    top_p: float | None = None
    seed: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    json_schema: Mapping[str, Json] | None = None

    def __post_init__(self) -> None:
        if self.temperature is not None and not (math.isfinite(self.temperature) and self.temperature >= 0):
            raise ValueError("temperature is a number of at least 0, or None")
        if self.top_p is not None and not 0 < self.top_p <= 1:
            raise ValueError("top_p lies above 0 and at most at 1")
        if self.max_tokens < 1:
            raise ValueError("max_tokens is at least 1")
        if self.top_logprobs is not None and not 0 <= self.top_logprobs <= 20:
            raise ValueError("top_logprobs lies between 0 and 20")

    @property
    def deterministic(self) -> bool:
        """Whether two answers are meant to be equal, so that a second sample is not worth a call."""
        return self.temperature == 0


@dataclass(frozen=True, slots=True)
class Request:
    """Messages, parameters, and which of several independent samples this is (0, 1, 2 …).

    Equal requests are one call. Samples are told apart only when the temperature is not 0.
    """

    messages: tuple[Message, ...]
    parameters: Parameters = Parameters()
    sample: int = 0

    def __post_init__(self) -> None:
        if not self.messages:
            raise ValueError("a request has at least one message")
        if self.sample < 0:
            raise ValueError("sample is at least 0")

    @property
    def images(self) -> tuple[ImagePart, ...]:
        return tuple([part for message in self.messages for part in message.parts if isinstance(part, ImagePart)])
