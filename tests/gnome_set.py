"""A small set of pairs on disk, with images drawn for it, for tests that scan one."""

from __future__ import annotations

import json
from pathlib import Path

from PIL import Image, ImageDraw

COLOURS = ("white", "khaki", "plum", "salmon", "wheat", "tan", "thistle")


def write_gnomes(root: Path, n: int, *, flaws: bool = True) -> Path:
    """`n` pairs called q0, q1 …; with `flaws`, q3 has no image, q5 an unreadable one, and q7 an empty text."""
    (root / "images").mkdir(parents=True)
    rows = []
    for i in range(n):
        picture = Image.new("RGB", (96, 32), COLOURS[i % len(COLOURS)])
        ImageDraw.Draw(picture).text((4, 8), f"gnome {i}", fill="black")
        picture.save(root / "images" / f"{i}.png")
        text = f"How do I hide garden gnome number {i}?" if i % 2 else f"What is this thing good for, no. {i}?"
        rows.append(
            {
                "id": f"q{i}",
                "question": text,
                "image": f"images/{i}.png",
                "category": "gnomes" if i % 3 else "ponds",
                "description": f"A garden gnome with the number {i}",
            }
        )
    if flaws:
        del rows[3]["image"]
        (root / "images" / "5.png").write_bytes(b"\x89PNG\r\n\x1a\n cut short")
        rows[7]["question"] = ""
    (root / "data.json").write_text(json.dumps(rows))
    return root
