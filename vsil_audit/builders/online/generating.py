"""From a name on the command line to an image generator."""

from __future__ import annotations

from pathlib import Path

from vsil_audit.builders.generators.base import ImageGenerator
from vsil_audit.builders.generators.typographic import Typographic
from vsil_audit.errors import ConfigurationError

TYPOGRAPHIC = "typographic"


def open_generator(name: str, font: Path | None = None) -> ImageGenerator:
    """Raises ConfigurationError for a name that is none."""
    if name == TYPOGRAPHIC:
        return Typographic(font)
    raise ConfigurationError(f"there is no image generator {name!r}", f"Name {TYPOGRAPHIC}.")


def draws_words(name: str) -> bool:
    """Whether that generator draws the words of its prompt, and no picture of what they say."""
    return name == TYPOGRAPHIC
