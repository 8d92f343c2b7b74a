"""Who does what in a build with models."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from vsil_audit.builders.gates.panel import Rule
from vsil_audit.builders.generators.base import ImageGenerator
from vsil_audit.builders.generators.opening import GeneratorOptions, open_generator
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.builders.publishing import SetOptions
from vsil_audit.gateway.meter import Meter
from vsil_audit.runs.plan import ScanOptions

MOST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class OnlineOptions:
    """`editor` rewrites texts and writes image prompts; `judges` are the panel of gate A, the editor alone where none
    is named; `vision` looks at images, in gates B and C too, the editor where none is named. `generator` makes images:
    one, or what `--image-generator` would name; without any, pairs whose image does not carry the harm stay unfixed.
    `keep_images`: none is made. `drawing` is for generators that are named. `rule` of gate A's panel. `rounds`: of
    making, checking and refining an image. `scan`: how the source is scanned before, and the set after; its gateway
    settings and budget hold for all calls. `publish`: twins, balance and what is written of the finished set.
    """

    editor: str
    judges: tuple[str, ...] = ()
    vision: str = ""
    generator: ImageGenerator | str | None = None
    keep_images: bool = False
    rule: Rule = Rule.UNANIMOUS
    rounds: int = MOST_ROUNDS
    drawing: GeneratorOptions = field(default_factory=GeneratorOptions)
    acknowledge_use: bool = False
    scan: ScanOptions = field(default_factory=ScanOptions)
    publish: SetOptions = field(default_factory=SetOptions)

    @property
    def panel(self) -> tuple[str, ...]:
        return self.judges or (self.editor,)

    @property
    def eyes(self) -> str:
        return self.vision or self.editor

    @property
    def models(self) -> tuple[str, ...]:
        """All that are asked, each once."""
        return tuple(dict.fromkeys((self.editor, *self.panel, self.eyes)))

    @property
    def makes_images(self) -> bool:
        return self.generator is not None and not self.keep_images

    @property
    def draws_words(self) -> bool:
        """The generator draws the words of its prompt, so that nobody need turn the content into a prompt."""
        return self.generator == "typographic" or isinstance(self.generator, Typographic)

    def open_generator(self, meter: Meter | None = None) -> ImageGenerator | None:
        """None where no image is to be made. Raises what `generators.opening.open_generator` raises."""
        if self.keep_images:
            return None
        if isinstance(self.generator, str):
            return open_generator(self.generator, replace(self.drawing, gateway=self.scan.gateway), meter)
        return self.generator

    def benign_maker(self) -> ImageGenerator | None:
        """The generator for the images of benign twins: only one that costs nothing makes any."""
        generator = self.open_generator() if self.publish.twins is not None else None
        return None if generator is None or generator.paid else generator

    def told(self) -> dict[str, Any]:
        """All of it that decides what comes out."""
        generator = self.open_generator()
        return {
            "editor": self.editor,
            "judges": list(self.panel),
            "vision": self.eyes,
            "generator": None if generator is None else generator.identity,
            "keep_images": self.keep_images,
            "rule": self.rule.value,
            "rounds": self.rounds,
            "base_url": self.scan.gateway.base_url,
            **self.publish.told(),
        }
