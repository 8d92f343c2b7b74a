"""VLSBench: `data.json` beside `imgs/`, or beside `imgs.tar` as the hub has it; also as Parquet.

Hu et al., "VLSBench: Unveiling Visual Leakage in Multimodal Safety", ACL 2025. Several queries may share an image;
`source` says where the image came from. Sets that vsil-audit builds have this layout too, with `label` and `twin_of`.
"""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from vsil_audit.sources.base import Match, Source, SourceOptions, View
from vsil_audit.sources.benchmark import (
    BenchmarkPart,
    BenchmarkSource,
    base_of,
    columns_of,
    known_columns,
    tables_with,
    unreadable,
)
from vsil_audit.sources.benchmark_images import BenchmarkImages
from vsil_audit.sources.tables import open_table
from vsil_audit.sources.views import chosen_view

_FOLDERS = ("", "data")
_SUFFIXES = (".json", ".jsonl", ".parquet")
_COLUMNS = frozenset({"instruction_id", "instruction", "sub_category", "image_description"})
_VIEWS = (View("instruction", "the query, made to say nothing of what the image shows", official=True),)


class VLSBenchLayout:
    """One table; the first of several of the same form is read (the authors publish the same rows twice)."""

    name: ClassVar[str] = "vlsbench"
    tells: ClassVar[str] = "data.json with instruction_id, instruction and image_description, beside imgs/ or imgs.tar"

    def detect(self, root: Path) -> Match | None:
        tables = tables_with(root, _FOLDERS, _COLUMNS, _SUFFIXES)
        if not tables:
            return None
        return Match(self.name, root, 1.0, f"{tables[0].name} has the columns {', '.join(sorted(_COLUMNS))}")

    def open(self, root: Path, options: SourceOptions) -> Source:
        tables = tables_with(root, _FOLDERS, _COLUMNS, _SUFFIXES)
        if not tables:
            raise unreadable(self.name, root, f"no table with the columns {', '.join(sorted(_COLUMNS))}")
        view = chosen_view(_VIEWS, options.view, self.name)
        root = base_of(root)
        folder = tables[0].parent.relative_to(root).as_posix().removeprefix(".")
        columns = columns_of(tables[0])
        archives = [
            p
            for f in dict.fromkeys((tables[0].parent, root))
            for n in ("imgs.tar", "imgs.zip")
            if (p := f / n).is_file()
        ]
        mapping = known_columns(
            "VLSBench",
            text="instruction",
            image="image" if "image" in columns else "image_path",
            id="instruction_id",
            category="category",
            subcategory="sub_category",
            description="image_description",
            source="source",
            label="label" if "label" in columns else None,
            twin_of="twin_of" if "twin_of" in columns else None,
        )
        folders = dict.fromkeys((folder, ""))
        part = BenchmarkPart(table=open_table(tables[0], root), mapping=mapping, folders=tuple(folders))
        images = BenchmarkImages(root, archives)
        return BenchmarkSource(
            layout=self.name, root=root, parts=[part], view=view, views=_VIEWS, options=options, images=images
        )
