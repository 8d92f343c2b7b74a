"""The prompts of judges and builders: template files beside this one, filled in strictly, known by their hash.

What a dataset or a model wrote goes into a template only through `fenced`: between tags that carry a nonce which the
text cannot know, since it is made of the text itself. The nonce depends on nothing else, so that equal questions are
equal requests and the answer cache finds them.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jinja2 import Template


@dataclass(frozen=True, slots=True)
class Prompt:
    """A template file: its name, its text, and the sha256 of that, which is part of every run and report."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()

    def render(self, **values: object) -> str:
        """The filled template. Raises jinja2.UndefinedError for a value that is missing."""
        return _compiled(self.text).render(**values).strip()


@lru_cache(maxsize=64)
def prompt(name: str) -> Prompt:
    """The prompt in `NAME.md` of this folder. Raises FileNotFoundError."""
    return Prompt(name, files(__name__).joinpath(f"{name}.md").read_text(encoding="utf-8"))


@lru_cache(maxsize=64)
def _compiled(text: str) -> Template:
    from jinja2 import StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(undefined=StrictUndefined, autoescape=False, keep_trailing_newline=False)
    return environment.from_string(text)


def nonce(*texts: str) -> str:
    """16 hex digits that depend on all of the texts, and that none of them can hold but by chance."""
    digest = hashlib.sha256()
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "big") + data)
    return digest.hexdigest()[:16]


def fenced(tag: str, text: str, mark: str) -> str:
    """`text` between `<TAG MARK>` and `</TAG MARK>`; `mark` is the `nonce` of everything that is fenced in a call."""
    return f"<{tag} {mark}>\n{text}\n</{tag} {mark}>"
