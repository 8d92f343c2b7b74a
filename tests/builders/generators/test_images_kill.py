"""`kill -9` while images are made: none that was kept is ever asked for again; at most those in flight are lost."""

from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from aiohttp import web
from image_server import ImageServer, drawn, painted

from vsil_audit.builders.generators.base import ImageRequest
from vsil_audit.builders.generators.kept import KeptImages
from vsil_audit.builders.generators.opening import open_generator

IMAGES, KILLS, AT_ONCE = 60, 4, 8

MAKE = """
import asyncio, sys
from pathlib import Path
from vsil_audit.builders.generators.base import ImageRequest
from vsil_audit.builders.generators.kept import KeptImages
from vsil_audit.builders.generators.opening import open_generator

async def make(url, folder, images):
    kept = KeptImages(open_generator(f"images/painter@{url}"), Path(folder))
    await asyncio.gather(*(kept.generate(ImageRequest(f"gnome {n}", n)) for n in range(images)))
    await kept.close()

asyncio.run(make(sys.argv[1], sys.argv[2], int(sys.argv[3])))
"""


async def slowly(body: dict[str, Any], _number: int) -> web.StreamResponse:
    await asyncio.sleep(random.uniform(0.01, 0.05))
    return drawn(painted(body["prompt"]))


def on_disk(url: str, folder: Path) -> set[str]:
    """Prompts whose images are kept whole."""

    async def look() -> set[str]:
        kept = KeptImages(open_generator(f"images/painter@{url}"), folder)
        requests = [ImageRequest(f"gnome {n}", n) for n in range(IMAGES)]
        return {request.prompt for request in requests if kept._read(kept.key(request)) is not None}

    return asyncio.run(look())


def test_a_killed_session_loses_at_most_what_was_in_flight(tmp_path: Path) -> None:
    command = [sys.executable, "-c", MAKE]
    with ImageServer(slowly) as server:
        for number in range(KILLS):
            enough = len(server.asked) + 10
            session = subprocess.Popen([*command, server.url, str(tmp_path), str(IMAGES)])
            until = time.monotonic() + 60
            while len(server.asked) < enough and session.poll() is None and time.monotonic() < until:
                time.sleep(0.002)
            time.sleep(random.uniform(0, 0.02))
            session.kill()
            session.wait()
            time.sleep(0.1)  # what the server still does for the dead
            kept = on_disk(server.url, tmp_path)
            lost = len([prompt for prompt in server.answered if prompt not in kept])
            assert lost <= 2 * AT_ONCE, number
            answered_before = {prompt: server.answered[prompt] for prompt in kept}
            assert len(kept) < IMAGES
        subprocess.run([*command, server.url, str(tmp_path), str(IMAGES)], check=True, timeout=60)
        assert on_disk(server.url, tmp_path) == {f"gnome {n}" for n in range(IMAGES)}
        assert {prompt: server.answered[prompt] for prompt in answered_before} == answered_before
        assert sum(server.answered.values()) <= IMAGES + KILLS * 2 * AT_ONCE
