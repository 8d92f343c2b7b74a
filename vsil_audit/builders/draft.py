"""A pair on its way through the builder: frozen; each step makes a new one and says what it did."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from vsil_audit.pair import Json, Pair


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image of a draft. `digest`: sha256 hex of its bytes, under which the build folder keeps them. `generator`:
    who made it (`source` for one of the benchmark's own), with what `prompt` and `seed`. `shows`: what it is said to
    show."""

    digest: str
    format: str
    generator: str
    prompt: str = ""
    seed: int | None = None
    shows: str = ""


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened to a draft. `kind` is a stable word (`detoxify`, `image_prompt`, `generate`, `check`,
    `refine`, `replace_phrase` …), `by` a model, generator or rule; `prompt`: name and sha256 of the template, where
    there was one; `call`: digest of the request, under which the answer cache has the answer whole."""

    kind: str
    by: str
    round: int = 0
    prompt: str = ""
    call: str = ""
    details: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Draft:
    """`id` is that of the pair in the finished set; `source` the pair that it was made of, if any. `label` is `unsafe`
    or, of a benign twin, `safe`; `label_assumed`: nobody said so, neither the source nor a judge. Drafts of one
    scenario share `twin_of`."""

    id: str
    text: str
    image: BuiltImage | None = None
    description: str = ""
    category: str | None = None
    subcategory: str | None = None
    label: str = "unsafe"
    label_assumed: bool = False
    twin_of: str | None = None
    safety_reason: str = ""
    source: Pair | None = None
    steps: tuple[Step, ...] = ()

    def after(self, step: Step, **changes: object) -> Draft:
        """The draft as that step left it."""
        return replace(self, steps=(*self.steps, step), **changes)  # type: ignore[arg-type]  # the caller names fields
