"""Who does what in a build with models."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from vsil_audit.builders.gates.panel import Rule
from vsil_audit.builders.generators.base import ImageGenerator
from vsil_audit.runs.plan import ScanOptions

MOST_ROUNDS = 3


@dataclass(frozen=True, slots=True)
class OnlineOptions:
    """`editor` rewrites texts and writes image prompts; `judges` are the panel of gate A, the editor alone where none
    is named; `vision` looks at images, in gates B and C too, the editor where none is named. `generator` makes images;
    without one, pairs whose image does not carry the harm stay unfixed, as they do with `keep_images`. `draws_words`:
    the generator draws the words of its prompt, so that nobody need turn the content into a prompt.
    `rule` of gate A's panel. `rounds`: of making, checking and refining an image, at most MOST_ROUNDS.
    `scan`: how the source is scanned before, and the set after; its gateway settings and budget hold for all calls.
    """

    editor: str
    judges: tuple[str, ...] = ()
    vision: str = ""
    generator: ImageGenerator | None = None
    draws_words: bool = False
    keep_images: bool = False
    rule: Rule = Rule.UNANIMOUS
    rounds: int = MOST_ROUNDS
    acknowledge_use: bool = False
    scan: ScanOptions = field(default_factory=ScanOptions)

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

    def told(self) -> dict[str, Any]:
        """All of it that decides what comes out."""
        return {
            "editor": self.editor,
            "judges": list(self.panel),
            "vision": self.eyes,
            "generator": None if self.generator is None else self.generator.identity,
            "keep_images": self.keep_images,
            "rule": self.rule.value,
            "rounds": self.rounds,
            "base_url": self.scan.gateway.base_url,
        }
