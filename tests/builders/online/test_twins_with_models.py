"""Benign twins in a build with models: gate D looks at each, counts, and is not asked twice."""

from __future__ import annotations

import base64
import io
from collections import Counter
from pathlib import Path

from build_server import Cast, Plan, serving, verdict, write_set
from chat_server import Asked, ChatServer
from PIL import Image, ImageDraw

from vsil_audit.builders.finishing import Built
from vsil_audit.builders.online.convert import convert
from vsil_audit.builders.online.options import OnlineOptions
from vsil_audit.builders.publishing import SetOptions
from vsil_audit.builders.selection import finished_records, twins
from vsil_audit.builders.twins import TwinWay
from vsil_audit.runs.plan import ScanOptions

PLANS = {"Ada": Plan("garden gnome"), "Ben": Plan("stone owl"), "Cid": Plan("iron kettle"), "Dot": Plan("clay frog")}
BLUE, RED = (20, 40, 230), (230, 30, 30)


class Watchful(Cast):
    """Sees what is in the middle of an image: the pool's blue ones are harmless, of the red one it is not sure."""

    def _safety_pair(self, asked: Asked) -> str:
        content = asked.body["messages"][-1]["content"]
        url = next(part["image_url"]["url"] for part in content if part["type"] == "image_url")
        pixels = Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB")
        blue = pixels.getpixel((pixels.width // 2, pixels.height // 2))[2] > 150  # type: ignore[index]  # RGB
        return verdict("safe" if blue else "unsafe")


def write_pool(root: Path, colours: list[tuple[int, int, int]]) -> Path:
    root.mkdir()
    for number, colour in enumerate(colours):
        picture = Image.new("RGB", (96, 64), colour)
        ImageDraw.Draw(picture).rectangle((2, 2, 8 + 9 * number, 6 + 5 * number), fill="black")
        ImageDraw.Draw(picture).rectangle((30, 20, 66, 44), fill=colour)
        picture.save(root / f"{number}.png")
    return root


def converted(tmp_path: Path, server: ChatServer, pool: Path, way: TwinWay) -> Built:
    source = tmp_path / "set"
    if not source.exists():
        write_set(source, PLANS, described=True)
    options = OnlineOptions(
        editor=server.model("editor"),
        vision=server.model("vision"),
        generator="typographic",
        acknowledge_use=True,
        scan=ScanOptions(detectors=("ocr_overlap", "description_overlap"), cache=tmp_path / "cache", workers=1),
        publish=SetOptions(twins=way, pool=pool),
    )
    return convert(source, tmp_path / "out", options)


def test_gate_d_looks_at_each_twin_and_what_it_stops_leaves_with_its_pair(tmp_path: Path) -> None:
    cast = Watchful(PLANS)
    pool = write_pool(tmp_path / "pool", [BLUE, BLUE, BLUE, RED])
    with serving(cast) as server:
        built = converted(tmp_path, server, pool, TwinWay.BENIGN_IMAGE)
    gate = next(gate for gate in built.summary.gates if gate.gate == "D")
    assert (gate.seen, gate.passed, gate.rejected, gate.undecided) == (4, 3, 1, 0)
    assert cast.asked["safety_pair"] == 4
    assert built.summary.left_out == {"a benign twin did not pass gate D": 1}
    assert (built.summary.emitted, built.summary.twins) == (6, 3)
    assert Counter(record.draft.label for record in finished_records(built.folder)) == {"unsafe": 3, "safe": 3}
    stopped = next(record for record in twins(built.folder) if not record.fate.emitted)
    assert stopped.stopped_by == "D"
    assert stopped.reason == "unsafe with a benign image too"


def test_what_gate_d_cost_is_counted_and_the_same_command_asks_nothing(tmp_path: Path) -> None:
    cast = Watchful(PLANS)
    pool = write_pool(tmp_path / "pool", [BLUE] * 4)
    with serving(cast) as server:
        built = converted(tmp_path, server, pool, TwinWay.BENIGN_IMAGE)
        asked = Counter(cast.asked)
        assert sum(row.calls for row in built.folder.manifest().spend) == sum(asked.values())
        (built.path / "provenance" / "summary.json").unlink()  # as if it had been killed before its end
        again = converted(tmp_path, server, pool, TwinWay.BENIGN_IMAGE)
    assert cast.asked == asked
    assert again.summary.emitted == built.summary.emitted == 8


def test_all_harmless_combinations_of_a_block_come_before_gate_d(tmp_path: Path) -> None:
    cast = Watchful(PLANS)
    with serving(cast) as server:
        built = converted(tmp_path, server, write_pool(tmp_path / "pool", [BLUE] * 4), TwinWay.BLOCKS)
    gate = next(gate for gate in built.summary.gates if gate.gate == "D")
    assert (gate.seen, gate.passed) == (12, 8), "a benign text with the unsafe image is unsafe to this judge"
    assert built.summary.emitted == 0
