"""The contract of an image generator, and what is kept of an image that was made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class ImageRequest:
    """`prompt`: what is to be seen. `seed` decides every random choice, where the maker lets it; pixels of the result:
    `width` x `height`, or what is nearest to it where the maker knows a few sizes only."""

    prompt: str
    seed: int
    width: int = 768
    height: int = 768


@dataclass(frozen=True, slots=True)
class GeneratedImage:
    """`data`: the bytes of a PNG or JPEG. `revised_prompt`: what the maker says that it drew instead."""

    data: bytes
    format: str
    revised_prompt: str = ""


@dataclass(frozen=True, slots=True)
class GenerationFailure:
    """No image. `kind` is a stable word: `blocked` (the maker will not draw that), `empty_prompt`, `too_long`,
    `no_glyph`, `out_of_memory`, or the value of a gateway's FailureKind. `resumable`: it was never really tried
    (`budget`, `no_provider`, `cancelled`): the next run tries again."""

    kind: str
    detail: str
    resumable: bool = False


class ImageGenerator(Protocol):
    """`identity`: one string of all but the request that decides what comes out (name, weights, version, parameters):
    part of the key under which an image is kept. `paid`: whether an image costs money."""

    identity: str
    paid: bool

    async def generate(self, request: ImageRequest) -> GeneratedImage | GenerationFailure:
        """Raises nothing but defects."""
        ...

    async def close(self) -> None:
        """Begin no image any more (those that wait end as `cancelled`), and wait for what is paid for."""
        ...
