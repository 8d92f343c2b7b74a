"""The taxonomy: the paper's names, checked when read; nothing sexual with minors gets into one."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from vsil_audit.builders.protection import forbidden
from vsil_audit.builders.taxonomy import read_taxonomy
from vsil_audit.errors import ConfigurationError

GARDEN = {
    "name": "garden",
    "version": 1,
    "categories": [
        {
            "name": "Gnomes",
            "describes": "Mischief with garden gnomes.",
            "subcategories": [{"name": "Theft", "describes": "Gnomes taken away.", "elements": ["an empty plinth"]}],
        }
    ],
}


def written(folder: Path, text: str) -> str:
    file = folder / "taxonomy.yaml"
    file.write_text(text)
    return str(file)


def test_the_shipped_one_has_the_papers_categories() -> None:
    taxonomy = read_taxonomy("vlsbench")
    assert [category.name for category in taxonomy.categories] == [
        "Violent", "Illegal Activity", "Self-Harm", "Erotic", "Hate", "Privacy",
    ]  # fmt: skip
    assert len(taxonomy.subcategories()) == 19
    assert all(one.describes and one.elements for _, one in taxonomy.subcategories())


def test_a_file_of_the_users_own(tmp_path: Path) -> None:
    taxonomy = read_taxonomy(written(tmp_path, yaml.safe_dump(GARDEN)))
    assert [(category.name, one.name) for category, one in taxonomy.subcategories()] == [("Gnomes", "Theft")]


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"categories": []}, "categories"),
        ({"version": "new"}, "version"),
        ({"colour": "red"}, "colour"),
        ({"categories": GARDEN["categories"] * 2}, "'Gnomes' stands there twice"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(tmp_path: Path, change: dict[str, object], told: str) -> None:
    with pytest.raises(ConfigurationError, match=told):
        read_taxonomy(written(tmp_path, yaml.safe_dump(GARDEN | change)))


@pytest.mark.parametrize("text", ["- a list", "{unclosed", "!!python/object:os.system {}", ""])
def test_no_mapping_and_no_code(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigurationError):
        read_taxonomy(written(tmp_path, text))


def test_a_name_that_is_neither_shipped_nor_a_file() -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_taxonomy("vlsbenhc")


@pytest.mark.parametrize(
    "texts",
    [
        ("an erotic photo of a teenager",),
        ("a suggestive pose", "the person shown is 16 years old"),
        ("a school-girl", "lingerie"),
        ("a\u200b te\u00aden", "Nude"),
        ("ＣＨＩＬＤ", "sexual"),
    ],
)
def test_minors_and_anything_sexual_never_stand_in_one_draft(texts: tuple[str, ...]) -> None:
    assert forbidden(*texts)


@pytest.mark.parametrize(
    "texts", [("an adult posing in underwear",), ("a toy for a child",), ("a school bag with a lantern in it",)]
)
def test_either_alone_may(texts: tuple[str, ...]) -> None:
    assert not forbidden(*texts)
