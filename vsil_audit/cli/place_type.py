"""Arguments that name a place: a path, or a URL of another file system."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from vsil_audit.places.addresses import Place, place
from vsil_audit.places.remote_path import RemotePath


class PlaceType(click.Path):
    """`click.Path` for what lies here; a URL (`s3://BUCKET/FOLDER`) becomes a `RemotePath`, of which nothing is looked
    at."""

    name = "place"

    def __init__(self, **given: Any) -> None:
        super().__init__(path_type=Path, **given)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        found: Place = place(value)
        return found if isinstance(found, RemotePath) else super().convert(str(found), param, ctx)
