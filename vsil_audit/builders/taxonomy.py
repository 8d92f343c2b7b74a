"""Categories of harm that sets are built from, as a YAML file: VLSBench's, or the user's own."""

from __future__ import annotations

from importlib import resources
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from vsil_audit.builders.protection import concerns_minors
from vsil_audit.errors import ConfigurationError

SHIPPED = ("vlsbench",)
_MOST_BYTES = 1_000_000


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class Subcategory(_Part):
    """`elements`: what an image may show, the seeds from which queries are made; may be empty."""

    name: str = Field(min_length=1)
    describes: str = Field(min_length=1)
    elements: tuple[str, ...] = ()


class Category(_Part):
    name: str = Field(min_length=1)
    describes: str = Field(min_length=1)
    subcategories: tuple[Subcategory, ...] = Field(min_length=1)

    @field_validator("subcategories")
    @classmethod
    def _each_once(cls, found: tuple[Subcategory, ...]) -> tuple[Subcategory, ...]:
        _check_names([one.name for one in found], "sub-category")
        return found


class Taxonomy(_Part):
    """`version` changes with what a name means; both go into the provenance of what is built."""

    name: str = Field(min_length=1)
    version: int = Field(ge=1)
    source: str = ""
    categories: tuple[Category, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _sound(self) -> Taxonomy:
        _check_names([one.name for one in self.categories], "category")
        for category, subcategory in self.subcategories():
            told = (category.name, category.describes, subcategory.name, subcategory.describes, *subcategory.elements)
            if category.name == "Erotic" or "sex" in " ".join(told).lower():
                refused = next(
                    (text for text in (subcategory.name, *subcategory.elements) if concerns_minors(text)), None
                )
                if refused is not None:
                    raise ValueError(f"{refused!r}: sexual content that involves minors is never built, in any form")
        return self

    def subcategories(self) -> list[tuple[Category, Subcategory]]:
        """All, in the file's order."""
        return [(category, one) for category in self.categories for one in category.subcategories]


def _check_names(names: list[str], what: str) -> None:
    twice = sorted({name for name in names if [n.casefold() for n in names].count(name.casefold()) > 1})
    if twice:
        raise ValueError(f"the {what} {twice[0]!r} stands there twice")


def read_taxonomy(name: str) -> Taxonomy:
    """The shipped taxonomy called `name`, or the one in that YAML file.

    Raises ConfigurationError that names the file, the place in it and what is wrong there.
    """
    import yaml

    if name in SHIPPED:
        text = (resources.files("vsil_audit.builders.taxonomies") / f"{name}.yaml").read_text(encoding="utf-8")
        return Taxonomy.model_validate(yaml.safe_load(text))
    file = Path(name)
    remedy = f"Name one of {', '.join(SHIPPED)}, or a YAML file with name, version and categories."
    try:
        if file.stat().st_size > _MOST_BYTES:
            raise ConfigurationError(f"the taxonomy {file} is larger than {_MOST_BYTES:,} bytes", remedy)
        found: Any = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"the taxonomy {name!r} cannot be read: {error}", remedy) from error
    except yaml.YAMLError as error:
        raise ConfigurationError(f"the taxonomy {file} is no YAML: {error}", remedy) from error
    try:
        return Taxonomy.model_validate(found)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the file"
        raise ConfigurationError(
            f"the taxonomy {file} is not as it should be: {place}: {first['msg']}", remedy
        ) from error
