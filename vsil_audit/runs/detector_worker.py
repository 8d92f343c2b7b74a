"""The process in which detectors run, one after the other. It reads and writes the run folder itself.

First frame in: {"folder", "n_pairs", "seed", "options", "clip"} and the pairs' group numbers (int64): `groups`, then
those for intervals where they are others. Then a frame per detector, {"detector": name}. Frames out: {"done": pairs so
far}, and at the end {"finished": true}, {"unknown": why} or {"error": [type, message, remedy]}. It ends when its input
does, at once: when the parent is killed nothing stays behind.
"""

from __future__ import annotations

import json
import os
import queue
import threading
import warnings
from typing import BinaryIO

import numpy as np

from vsil_audit.detectors import registry
from vsil_audit.detectors.base import SetContext
from vsil_audit.errors import ConfigurationError, DetectorError, VsilAuditError
from vsil_audit.features.clip.in_use import ClipTexts
from vsil_audit.features.frames import read_frame, take_over_streams, write_frame
from vsil_audit.places.addresses import place
from vsil_audit.runs.folder import RunFolder
from vsil_audit.runs.scoring import run_detector


def main() -> None:
    """Run the detectors that are asked for until the input ends."""
    warnings.simplefilter("ignore")  # this process is ours, and nobody reads what it prints
    source, target = take_over_streams()
    opening = read_frame(source)
    if opening is None:
        return
    head = json.loads(opening[0])
    numbers = np.frombuffer(opening[1], dtype=np.int64).reshape(-1, head["n_pairs"])
    folder = RunFolder(place(head["folder"]))
    texts = None if head["clip"] is None else ClipTexts.of_json(head["clip"])
    context = SetContext(folder.batches, head["n_pairs"], numbers[0], head["seed"], head["options"], texts, numbers[-1])
    asked: queue.SimpleQueue[str] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(source, asked), daemon=True).start()
    while True:
        _run(asked.get(), folder, context, target)
        if texts is not None:
            texts.close()  # the process is not told when it has run its last detector


def _run(name: str, folder: RunFolder, context: SetContext, target: BinaryIO) -> None:
    def say(**message: object) -> None:
        write_frame(target, json.dumps(message).encode(), b"")

    try:
        detector = registry.load_offline(name)
    except ConfigurationError as error:
        say(unknown=error.message)
        return
    try:
        run_detector(detector, folder, context, lambda pairs: say(done=pairs))
    except DetectorError as error:
        say(error=["DetectorError", error.detector, error.what])
    except VsilAuditError as error:
        say(error=[type(error).__name__, error.message, error.remedy])
    else:
        say(finished=True)


def _listen(source: BinaryIO, asked: queue.SimpleQueue[str]) -> None:
    while (frame := read_frame(source)) is not None:
        asked.put(json.loads(frame[0])["detector"])
    os._exit(0)  # the parent is gone or done: whatever is being computed has nobody to go to
