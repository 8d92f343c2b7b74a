"""Options that say how to read a dataset: the same for every command that opens one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import click

from vsil_audit.cli.sections import OptionIn
from vsil_audit.sources.base import ColumnMapping, SourceOptions

F = TypeVar("F", bound=Callable[..., Any])

SECTION = "Reading"
_ROLES = {
    "text_column": ("text", "Column that is the query sent to the model."),
    "image_column": ("image", "Column with the image: path, URL, bytes or base64."),
    "image_root": ("image_root", "Folder, below PATH, that image paths are relative to."),
    "image_pattern": ("image_pattern", "Image paths from columns, e.g. 'images/{id}.png' or 'img/{key}-{0..5}.png'."),
    "id_column": ("id", "Column that names the pair."),
    "category_column": ("category", "Column with the benchmark's category."),
    "description_column": ("description", "Column that describes the image."),
    "label_column": ("label", "Column that says safe or unsafe."),
    "source_column": ("source", "Column that says where a pair came from."),
}


def reading_options(command: F) -> F:
    """Add --layout, --view, --split, the column options, --mapping and --allow-remote."""
    option = partial(click.option, cls=OptionIn, section=SECTION)
    options = [
        option("--layout", metavar="NAME", help="Read PATH as this layout instead of recognising one."),
        option(
            "--view",
            metavar="NAME",
            help="Which reading of the benchmark: see `vsil-audit inspect PATH`. `all`: every one.",
        ),
        option("--split", metavar="NAME", help="Only this split."),
        *(
            option(f"--{name.replace('_', '-')}", name, metavar="NAME", help=tells)
            for name, (_, tells) in _ROLES.items()
        ),
        option(
            "--mapping",
            type=click.Path(exists=True, dir_okay=False, path_type=Path),
            help="YAML file with the roles of the columns; options on the command line win.",
        ),
        option("--allow-remote", is_flag=True, help="Fetch images from https URLs (public addresses only)."),
    ]
    for add in reversed(options):
        command = add(command)
    return command


def source_options(given: dict[str, Any]) -> SourceOptions:
    """Take the reading options out of a command's arguments."""
    mapping = ColumnMapping()
    if (file := given.pop("mapping")) is not None:
        from vsil_audit.sources.mapping import read_mapping_file

        mapping = read_mapping_file(file)
    named = {role: value for name, (role, _) in _ROLES.items() if (value := given.pop(name)) is not None}
    return SourceOptions(
        layout=given.pop("layout"),
        view=given.pop("view"),
        split=given.pop("split"),
        columns=replace(mapping, **named),
        allow_remote=given.pop("allow_remote"),
    )
