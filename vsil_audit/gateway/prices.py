"""What a model's tokens cost, as far as it is known. An unknown price is None, never 0."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from vsil_audit.errors import ConfigurationError

_DATED = re.compile(r"-\d{4}-?\d{2}-?\d{2}$")
_WHAT_TO_WRITE = (
    "Write `models:` and under it lines such as `openai/gpt-4o-mini: {input: 0.15, output: 0.60}`, or "
    "`images/openai/dall-e-3: {image: 0.04}`."
)


@dataclass(frozen=True, slots=True)
class Price:
    """US dollars for one million tokens in and out, and for one `image` made. `checked`: the ISO day of looking it up;
    `source`: where."""

    input: float
    output: float
    checked: str = ""
    source: str = ""
    image: float = 0.0

    def cost(self, input_tokens: float, output_tokens: float, images: int = 0) -> float:
        """US dollars."""
        return (input_tokens * self.input + output_tokens * self.output) / 1e6 + images * self.image


FREE = Price(0.0, 0.0, source="not billed by the token")
"""The price of a model that runs on the user's own machines, and of a file of rules."""


@dataclass(frozen=True, slots=True)
class PriceTable:
    """Prices by `PROVIDER/MODEL`."""

    prices: Mapping[str, Price] = field(default_factory=dict)

    def price(self, provider: str, model: str) -> Price | None:
        """The price of that model, or of the one that it is a dated snapshot of; None when it is not known."""
        name = f"{provider}/{model}"
        return self.prices.get(name) or self.prices.get(_DATED.sub("", name))

    def with_file(self, path: Path) -> PriceTable:
        """These prices, with those of a YAML file in their place. Raises ConfigurationError."""
        try:
            text = path.read_text(encoding="utf-8-sig")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"The price file {path} cannot be read: {error}", "Check the path.") from error
        return PriceTable({**self.prices, **_parse(text, str(path))})


@cache
def shipped_prices() -> PriceTable:
    """The table that comes with the package (`prices.yaml`: each price with its date and source)."""
    text = files("vsil_audit.gateway").joinpath("prices.yaml").read_text(encoding="utf-8")
    return PriceTable(_parse(text, "prices.yaml"))


def _parse(text: str, name: str) -> dict[str, Price]:
    import yaml

    try:
        table = yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        raise ConfigurationError(f"{name}{where}: not valid YAML.", _WHAT_TO_WRITE) from error
    models = table.get("models") if isinstance(table, dict) else None
    if not isinstance(models, dict):
        raise ConfigurationError(f"{name} has no prices.", _WHAT_TO_WRITE)
    pages = table.get("pages") if isinstance(table.get("pages"), dict) else {}
    return {str(model): _price(entry, str(model), name, pages) for model, entry in models.items()}


def _price(entry: Any, model: str, name: str, pages: Mapping[str, str]) -> Price:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{name}: {model} has no price.", _WHAT_TO_WRITE)
    source = str(entry.get("source") or pages.get(model.rpartition("/")[0]) or name)
    quoted = f" (quoted at {entry['quoted']})" if entry.get("quoted") else ""
    makes_images = "image" in entry  # such a model may cost nothing for tokens
    return Price(
        _dollars(entry.get("input", 0 if makes_images else None), model, name),
        _dollars(entry.get("output", 0 if makes_images else None), model, name),
        str(entry.get("checked") or ""),
        source + quoted,
        _dollars(entry.get("image", 0), model, name),
    )


def _dollars(value: Any, model: str, name: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1e6:
        raise ConfigurationError(
            f"{name}: {model}: {value!r} is no price in dollars for a million tokens, or for an image.", _WHAT_TO_WRITE
        )
    return float(value)
