"""A worker as the package's own, but that ends when an image holds certain words: for tests of what happens then."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from vsil_audit.features import image_worker
from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.examine import Examined, Work, examine
from vsil_audit.features.ocr import OcrReader
from vsil_audit.images import ImageLimits


def _perhaps_die(
    data: bytes, limits: ImageLimits, work: Work, reader: OcrReader, preprocessing: Preprocessing | None
) -> Examined:
    if b"DIE ALWAYS" in data:
        os.kill(os.getpid(), signal.SIGSEGV)
    if b"DIE READING" in data and work is Work.TEXT:
        os.kill(os.getpid(), signal.SIGKILL)
    if b"RAISE" in data:
        raise RuntimeError("a fault of the worker's own")
    if b"HANG" in data:
        time.sleep(3600)
    if b"DIE ONCE" in data:
        mark = Path(data.split(b"DIE ONCE ")[1].split(b"|")[0].decode())
        if not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSEGV)
    return examine(data, limits, work, reader, preprocessing)


def main() -> None:
    image_worker.examine = _perhaps_die
    image_worker.main()


if __name__ == "__main__":
    sys.exit("imported by tests")
