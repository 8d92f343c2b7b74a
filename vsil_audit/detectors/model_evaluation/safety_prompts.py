"""Safety prompts: what is put before a query to make a model careful. Two are shipped, others are files of text."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from vsil_audit.errors import ConfigurationError
from vsil_audit.prompts import prompt

SHIPPED = MappingProxyType({"vlsbench": "safety_prompt_vlsbench", "mmsafetybench": "safety_prompt_mmsafetybench"})
"""By the name of the benchmark whose paper tries it, in our words: the name of our prompt file."""

_MOST_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class SafetyPrompt:
    """`variant` names it in observations and reports; `text` stands before the query as it is."""

    variant: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


def safety_prompts(names: Sequence[str]) -> tuple[SafetyPrompt, ...]:
    """Those that `names` name: keys of SHIPPED, or files of UTF-8 text, each known by its name without the suffix.

    Raises ConfigurationError for what is neither, and for two of one name.
    """
    found = tuple(_safety_prompt(name) for name in dict.fromkeys(names))
    variants = [one.variant for one in found]
    twice = next((variant for variant in variants if variants.count(variant) > 1), None)
    if twice is not None:
        raise ConfigurationError(
            f"two safety prompts are called {twice.removeprefix(_CALLED)!r}", "Give the files different names."
        )
    return found


_CALLED = "safety prompt "


def _safety_prompt(name: str) -> SafetyPrompt:
    if name in SHIPPED:
        return SafetyPrompt(f"{_CALLED}{name}", prompt(SHIPPED[name]).render())
    file = Path(name).expanduser()
    try:
        if not file.is_file():
            raise ConfigurationError(
                f"there is no safety prompt {name!r}: neither a file nor one of {', '.join(SHIPPED)}",
                "Name a file of text, or one of those.",
            )
        if file.stat().st_size > _MOST_BYTES:
            raise ConfigurationError(f"{file} is larger than {_MOST_BYTES:,} bytes", "Is it really a safety prompt?")
        text = file.read_text(encoding="utf-8-sig").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the safety prompt {file} cannot be read: {error}", "Check the file.") from error
    if not text:
        raise ConfigurationError(f"the safety prompt {file} is empty", "Write the prompt into it.")
    return SafetyPrompt(f"{_CALLED}{file.stem}", text)
