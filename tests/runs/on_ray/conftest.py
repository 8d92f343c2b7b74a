"""A small set on disk, and one Ray of two CPUs for all tests that need one."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image, ImageDraw

from vsil_audit.runs.on_ray.cluster import Cluster, connected

PAIRS = 48


@pytest.fixture(scope="session")
def cluster() -> Iterator[Cluster]:
    pytest.importorskip("ray")
    with connected(None, workers=2) as found:
        yield found


@pytest.fixture(scope="session")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pairs of which one has no image, one a broken one, and some share theirs."""
    root = tmp_path_factory.mktemp("benchmark")
    (root / "images").mkdir()
    rows = []
    for i in range(PAIRS):
        picture = Image.new("RGB", (160, 48), "white")
        ImageDraw.Draw(picture).text((8, 16), f"garden gnome {i}", fill="black")
        picture.save(root / "images" / f"{i}.png")
        text = f"How do I hide garden gnome number {i}?" if i % 2 else f"What is the thing in picture {i} good for?"
        image = f"images/{i if i % 5 else 1}.png"
        rows.append(
            {"id": str(i), "question": text, "image": image, "category": f"c{i % 3}", "description": f"Gnome {i}"}
        )
    rows[7]["image"] = "images/absent.png"
    (root / "images" / "9.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
    (root / "data.json").write_text(json.dumps(rows))
    return root
