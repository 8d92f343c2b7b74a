"""The process that decodes and reads images, one after the other: hostile bytes are opened here and nowhere else.

It speaks frames on its standard input and output (see `worker_pool`). It ends when its input does, at
once and in the middle of an image too: when the parent is killed nothing stays behind.
"""

from __future__ import annotations

import json
import os
import queue
import sys
import threading
import warnings
from functools import lru_cache
from typing import BinaryIO

from vsil_audit.features.clip.preprocessing import Preprocessing
from vsil_audit.features.examine import Examined, Work, examine, pack_pixels, pack_text
from vsil_audit.features.frames import read_frame, take_over_streams, write_frame
from vsil_audit.features.ocr import OcrReader
from vsil_audit.images import ImageLimits


def main() -> None:
    """Answer frames until the input ends. Head of a question: {"work": a `Work`, "limits": {…}, "clip": how pixels for
    CLIP are prepared, or null}; body: the image's bytes. Head of an answer: {"text": length of the packed text or null,
    "clip": [height, width] of CLIP's pixels or null, "plain": whether they were left to `gpu_decoding`, "ocr_error": …,
    "clip_error": …}; body: packed text, CLIP's pixels (RGB, a byte each), packed pixels."""
    warnings.simplefilter("ignore")  # this process is ours
    source, target = take_over_streams()
    write_frame(target, b"ready", b"")
    questions: queue.SimpleQueue[tuple[bytes, bytes]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, questions), daemon=True).start()
    reader = OcrReader()
    while True:
        head, data = questions.get()
        work, limits, preprocessing = _asked(head)
        found = examine(data, limits, work, reader, preprocessing)
        del data
        write_frame(target, *_packed(found))


@lru_cache(maxsize=16)
def _asked(head: bytes) -> tuple[Work, ImageLimits, Preprocessing | None]:
    question = json.loads(head)
    preprocessing = None if question["clip"] is None else Preprocessing.of_json(question["clip"])
    return Work(question["work"]), ImageLimits(**question["limits"]), preprocessing


def _packed(found: Examined) -> tuple[bytes, bytes]:
    facts, clip = found.facts, found.clip
    text = None if facts.ocr is None else pack_text(facts.ocr)
    head = {
        "text": None if text is None else len(text),
        "clip": None if clip is None else clip.shape[:2],
        "plain": found.plain,
        "ocr_error": facts.ocr_error,
        "clip_error": facts.clip_error,
    }
    return json.dumps(head).encode(), (text or b"") + (b"" if clip is None else clip.tobytes()) + pack_pixels(facts)


def _listen(source: BinaryIO, questions: queue.SimpleQueue[tuple[bytes, bytes]]) -> None:
    while (frame := read_frame(source)) is not None:
        questions.put(frame)
    sys.stderr.flush()
    os._exit(0)  # the parent is gone or done: whatever is being computed has nobody to go to
